/** What a check found. `id` is stable and meant for scripts; `subject` is a path, a partition or a profile step. */
export interface Finding {
  readonly severity: 'error' | 'warning' | 'info';
  readonly id: string;
  readonly subject: string;
  readonly message: string;
  readonly hint?: string;
}

export type FileActionKind = 'created' | 'changed' | 'removed' | 'unchanged';

/** What happened to one path of the image. */
export interface FileAction {
  readonly path: string;
  readonly action: FileActionKind;
}

/** Where long work says how far it is. `done` and `total` are in bytes. Implemented by terminal.ts, ignored by silentProgress. */
export interface Progress {
  phase(text: string): void;
  advance(done: number, total: number): void;
  finish(): void;
  /** A line of what a program of the image says. */
  line?(text: string): void;
}

export const silentProgress: Progress = { phase: () => undefined, advance: () => undefined, finish: () => undefined };

const SEVERITIES: readonly Finding['severity'][] = ['error', 'warning', 'info'];

/** The gravest severity among them; undefined when there are none. */
export function worstOf(findings: readonly Finding[]): Finding['severity'] | undefined {
  return SEVERITIES.find((severity) => findings.some((finding) => finding.severity === severity));
}

export function hasErrors(findings: readonly Finding[]): boolean {
  return findings.some((finding) => finding.severity === 'error');
}
