/**
 * Secrets are in the image and nowhere else. Whatever a profile's steps say passes through here: titles, findings, errors with their causes, paths. A secret is
 * recognized as it is, as JSON and other quoting spell it, as the bytes that steps see, line by line, and in pieces: messages cut long values short.
 */
import { RockberryError } from '../errors.js';

export const HIDDEN = '***';

/** Takes the secrets out of a text. */
export type Mask = (text: string) => string;

const PIECE = 8; // characters of a longer secret that give it away
const SHORTEST = 4; // a shorter one is hidden only where it stands in quotes: it is a part of too many words

const NOTHING_SECRET: Mask = (text) => text;

/** A mask for these values. */
export function masking(secrets: Iterable<string>): Mask {
  const forms = new Set([...secrets].flatMap(formsOf));
  const whole = [...forms].filter((form) => form.length >= SHORTEST && form.length <= PIECE);
  const short = [...forms].filter((form) => form.length > 0 && form.length < SHORTEST).map((form) => `"${form}"`);
  const pieces = new Set([...forms].filter((form) => form.length > PIECE).flatMap((form) => Array.from({ length: form.length - PIECE + 1 }, (_, at) => form.slice(at, at + PIECE))));
  if (![...forms].some((form) => form !== '')) return NOTHING_SECRET;
  return (text) => hidden(short.reduce((masked, one) => masked.replaceAll(one, `"${HIDDEN}"`), text), whole, pieces);
}

/** The ways in which a value may be spelled in a message. */
function formsOf(secret: string): string[] {
  const lines = secret.split(/\r?\n/).map((line) => line.trim()).filter((line) => line.length >= SHORTEST); // "{" or "a" on a line of its own is no secret
  return [secret, ...(lines.length > 1 || lines[0] !== secret ? lines : [])].flatMap((text) => {
    const bytes = Buffer.from(text, 'utf8').toString('latin1'); // text of the image is one character per byte
    return [text, bytes].flatMap((one) => [one, JSON.stringify(one).slice(1, -1), one.replaceAll('\\', '\\\\'), one.replaceAll('\'', '\'\\\'\'')]);
  });
}

/** Every stretch of the text that is a whole short secret or made of pieces of long ones becomes one HIDDEN. */
function hidden(text: string, whole: readonly string[], pieces: ReadonlySet<string>): string {
  const marked = new Uint8Array(text.length);
  for (const one of whole) for (let at = text.indexOf(one); at >= 0; at = text.indexOf(one, at + 1)) marked.fill(1, at, at + one.length);
  if (pieces.size > 0) for (let at = 0; at + PIECE <= text.length; at++) if (pieces.has(text.slice(at, at + PIECE))) marked.fill(1, at, at + PIECE);
  let masked = '';
  for (let at = 0; at < text.length; at++) {
    if (marked[at] === 0) masked += text[at];
    else if (at === 0 || marked[at - 1] === 0) masked += HIDDEN;
  }
  return masked;
}

/** The same value with every string in it masked; keys stay. */
export function maskedValue<T>(value: T, mask: Mask): T {
  if (mask === NOTHING_SECRET) return value;
  if (typeof value === 'string') return mask(value) as T;
  if (Array.isArray(value)) return value.map((item: unknown) => maskedValue(item, mask)) as T;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, maskedValue(item as unknown, mask)])) as T;
}

/** The same error with sentence, hint, stack and causes masked. */
export function maskedError(error: unknown, mask: Mask): Error {
  if (mask === NOTHING_SECRET && error instanceof Error) return error;
  const { message, name, stack, cause } = error instanceof Error ? error : new Error(String(error));
  const inner = cause === undefined ? undefined : maskedError(cause, mask);
  const masked = error instanceof RockberryError
    ? new RockberryError(error.code, mask(message), { hint: error.hint === undefined ? undefined : mask(error.hint), cause: inner })
    : Object.assign(new Error(mask(message), inner && { cause: inner }), { name });
  if (stack !== undefined) masked.stack = mask(stack);
  return masked;
}
