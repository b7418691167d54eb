/** JSON that strangers wrote, against a schema: one sentence for whatever is wrong with it, and no error of the parser's own gets out. */
import type { z } from 'zod';
import { RockberryError } from '../../errors.js';

const SHOWN = 200; // characters

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
