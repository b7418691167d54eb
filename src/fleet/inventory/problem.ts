/** Errors of an inventory: one sentence that begins with its place. Values are shown only where they cannot be secret. */
import { RockberryError, type ErrorCode } from '../../errors.js';
import type { Where } from '../model.js';

export function problem(code: ErrorCode, where: Where, message: string, hint?: string): RockberryError {
  return new RockberryError(code, `${where}: ${message}`, hint === undefined ? {} : { hint });
}

const SHOWN = 60; // characters

/** A name in quotes, cut where it is long. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);
}
