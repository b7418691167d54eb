/** Files and JSON that strangers wrote: bounded, against a schema, with one sentence for whatever is wrong, and no error of the parser's own gets out. */
import { z } from 'zod';
import { openFileDevice } from '../../device/file.js';
import { RockberryError } from '../../errors.js';

const SHOWN = 200; // characters

export const sha256Text = z.string().regex(/^[0-9a-f]{64}$/, { error: 'expected a sha256 in lower-case hexadecimal' });
export const byteCount = z.number().int().nonnegative();
/** One component of a path, which is safe to show too. */
export const fileName = z.string().min(1).max(255).regex(/^(?!\.{1,2}$)[^/\\\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+$/u, { error: 'expected a name without slashes and control characters' });

/** All bytes of a file of the host. Errors: `io` when it cannot be read, `corrupt` when it has more than `limit` bytes. */
export function readWhole(path: string, limit: number): Buffer {
  const file = openFileDevice(path);
  try {
    if (file.size > limit) throw new RockberryError('corrupt', `expected at most ${limit} bytes in ${path}, found ${file.size}`);
    const data = file.read(0, file.size);
    return Buffer.from(data.buffer, data.byteOffset, data.length);
  } finally {
    file.close();
  }
}

/** The parsed value. `what` names the document in the error, which is 'corrupt'; values are not shown, for they may be secret. */
export function parseDocument<T>(text: string, schema: z.ZodType<T>, what: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RockberryError('corrupt', `${what}: expected JSON, found something else`, { cause: error });
  }
  const problem = problemOf(value, schema);
  if (typeof problem === 'string') throw new RockberryError('corrupt', `${what}: ${problem}`);
  return problem.value;
}

/** The value as the schema has it, or what is wrong: "at nodes[3].bytes: expected …". */
export function problemOf<T>(value: unknown, schema: z.ZodType<T>): string | { readonly value: T } {
  const result = schema.safeParse(value);
  if (result.success) return { value: result.data };
  const { path, message } = result.error.issues[0]!;
  const place = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('').replace(/^\./, '');
  const said = message.replace(/^Invalid (?:input|string): /, '').slice(0, SHOWN);
  return place === '' ? said : `at ${place.slice(0, SHOWN)}: ${said}`;
}
