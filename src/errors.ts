/**
 * The one error class. A message is one sentence that says what was expected, what was found and where; the hint says what to do.
 * The code decides the exit status (see exitStatus) and nothing else.
 */
export type ErrorCode =
  | 'usage' // wrong arguments
  | 'path' // a path in the image that is not there, or is not what was asked for
  | 'profile' // a profile, a variable or a template
  | 'corrupt' // input that breaks the rules of its format
  | 'unsupported' // input that is sound, but of a kind we do not handle
  | 'refused' // could be done, but is not safe
  | 'io' // the host's files and devices
  | 'no-space' // the image's filesystem, or the host's, is full
  | 'missing-program'; // a program that is needed is not installed

const STATUS: Record<ErrorCode, number> = {
  usage: 2, path: 2, profile: 2, corrupt: 3, unsupported: 3, refused: 4, io: 5, 'no-space': 5, 'missing-program': 5,
};

export interface ErrorDetail {
  readonly hint?: string;
  readonly cause?: unknown;
  /** With the kernel's help (--backend loop) it can be done. */
  readonly needsKernel?: boolean;
}

export class RockberryError extends Error {
  readonly hint: string | undefined;
  readonly needsKernel: boolean;
  constructor(readonly code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'RockberryError';
    this.hint = detail.hint;
    this.needsKernel = detail.needsKernel ?? false;
  }
}

/** Exit status for an error: 2 usage or profile, 3 corrupt or unsupported input, 4 refused for safety, 5 I/O or a missing program. */
export function exitStatus(error: unknown): number {
  return error instanceof RockberryError ? statusOf(error.code) : 5;
}

/** The same by its code alone. */
export function statusOf(code: ErrorCode): number {
  return STATUS[code];
}

/** Adds where it happened ("partition 3 (ext4): …") in front of an error's sentence; other errors keep their own text as the cause. */
export function withPlace<T>(place: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof RockberryError)) throw error;
    throw new RockberryError(error.code, `${place}: ${error.message}`, { hint: error.hint, cause: error, needsKernel: error.needsKernel });
  }
}
