/**
 * What a card held before it was changed in place, and what it is to hold after: in a file beside the user's data, one for each card, whole and on the disk before
 * the first byte of the card is touched. It stays until the next fix of that card, so that this one can be taken back.
 *
 * The file: a line of JSON (form, card, state, ranges, sha256 of the rest), a line end, the old bytes of all ranges, the new bytes of all ranges.
 */
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Range } from '../bytes/ranges.js';
import { hostError, systemCode, writeFully } from '../device/host.js';
import { RockberryError } from '../errors.js';

export interface UndoRecord {
  readonly ranges: readonly Range[];
  /** What stood there, range after range. */
  readonly old: Uint8Array;
  /** What is to stand there. */
  readonly new: Uint8Array;
  /** "applying": the card may be between the old and the new. "done": the new was read back. */
  readonly state: 'applying' | 'done';
}

const FORM = 'rockberry-undo-1';

export interface UndoStore {
  readonly path: string;
  read(): UndoRecord | undefined;
  write(record: UndoRecord): void;
  remove(): void;
}

/** `card`: what the card is known by. */
export function openUndo(directory: string, card: string): UndoStore {
  const path = join(directory, `${createHash('sha256').update(card).digest('hex').slice(0, 32)}.undo`);
  return {
    path,
    read: () => readRecord(path, card),
    write(record) {
      try {
        writeRecord(path, card, record);
      } catch (error) {
        throw hostError(error, 'write', path);
      }
    },
    remove: () => { rmSync(path, { force: true }); },
  };
}

function writeRecord(path: string, card: string, { ranges, state, ...record }: UndoRecord): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const bytes = Buffer.concat([record.old, record.new]);
  const head = JSON.stringify({ form: FORM, card, state, ranges: ranges.map(({ offset, length }) => [offset, length]), sha256: sha256(bytes) });
  const temporary = `${path}.tmp`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    const line = Buffer.from(`${head}\n`);
    writeFully(fd, line, 0);
    writeFully(fd, bytes, line.length);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  const directory = openSync(dirname(path), 'r'); // the name, too, has to be on the disk
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function readRecord(path: string, card: string): UndoRecord | undefined {
  let file: Buffer;
  try {
    file = readFileSync(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw hostError(error, 'read', path);
  }
  const record = parse(file, card);
  if (!record) throw new RockberryError('corrupt', `expected an undo record of this card in ${path}, found another file`, { hint: 'if the card is as it should be, remove that file' });
  return record;
}

function parse(file: Buffer, card: string): UndoRecord | undefined {
  const end = file.indexOf(0x0a);
  if (end < 0) return undefined;
  const bytes = file.subarray(end + 1);
  try {
    const head = JSON.parse(file.subarray(0, end).toString()) as { form: string; card: string; state: UndoRecord['state']; ranges: [number, number][]; sha256: string };
    const ranges = head.ranges.map(([offset, length]): Range => ({ offset, length }));
    const half = ranges.reduce((sum, { length }) => sum + length, 0);
    const isWhole = half * 2 === bytes.length && sha256(bytes) === head.sha256;
    return head.form === FORM && head.card === card && isWhole ? { ranges, old: bytes.subarray(0, half), new: bytes.subarray(half), state: head.state } : undefined;
  } catch {
    return undefined; // not JSON: not ours
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
