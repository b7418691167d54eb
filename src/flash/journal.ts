/**
 * What of an image is on a card already, so that the same command goes on after an interruption: a file beside the user's cache, one for each card. Its first
 * line names what was being written; every further one is a cell, told only once the card had confirmed it. A line that was cut short does not count.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostError, systemCode } from '../device/host.js';

export interface Journal {
  readonly path: string;
  /** sha256 of cells by their offset in bytes, as an earlier run left them; empty when that one wrote something else. */
  readonly known: ReadonlyMap<number, string>;
  add(cells: readonly (readonly [offset: number, sha256: string])[]): void;
  /** The card is done: there is nothing to go on with. */
  end(): void;
}

const FORM = 'rockberry-flash-1';
const LINE = /^(\d{1,15}) ([0-9a-f]{64})$/;

/**
 * `card` is what the card is known by, `image` what is written on it: any texts that are the same the next time. A journal of another image is forgotten: the card
 * does not hold that image any more.
 */
export function openJournal(directory: string, card: string, image: string): Journal {
  const path = join(directory, `${sha256(card).slice(0, 32)}.journal`);
  const head = `${FORM} ${sha256(JSON.stringify([card, image]))}`;
  const known = cellsOf(path, head);
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      throw hostError(error, 'write', path);
    }
  };
  if (known.size === 0) {
    attempt(() => {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      writeFileSync(path, `${head}\n`, { mode: 0o600 });
    });
  }
  return {
    path, known,
    add: (cells) => { attempt(() => { appendFileSync(path, cells.map(([offset, hash]) => `${offset} ${hash}\n`).join('')); }); },
    end: () => { rmSync(path, { force: true }); },
  };
}

function cellsOf(path: string, head: string): Map<number, string> {
  const [first, ...lines] = textOf(path).split('\n').slice(0, -1); // behind the last line end stands what was cut short, or nothing
  if (first !== head) return new Map();
  return new Map(lines.flatMap((line) => {
    const [, offset, hash] = LINE.exec(line) ?? [];
    return offset !== undefined && hash !== undefined ? [[Number(offset), hash] as const] : [];
  }));
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return '';
    throw hostError(error, 'read', path);
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
