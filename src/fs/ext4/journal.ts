/**
 * The journal of a filesystem that was not unmounted, replayed: what a kernel does at the next mount, and `e2fsck -E journal_only`. The log is read and nothing of
 * it is changed; the blocks that were committed go to their places, which here are an overlay's, so that a card can be looked at and stays as it is.
 * Source: kernel Documentation/filesystems/ext4/journal.rst, fs/jbd2/recovery.c, include/linux/jbd2.h. Everything in a journal is big-endian.
 */
import { crc32c } from '../../bytes/crc.js';
import { setU16, setU32, u16, u16be, u32, u32be } from '../../bytes/fields.js';
import type { BlockDevice } from '../../device/device.js';
import { RockberryError } from '../../errors.js';
import { INCOMPAT, RO_COMPAT } from './features.js';
import { readMapping } from './mapping.js';
import { readRawSuperblock, readSuperblock, SUPERBLOCK_OFFSET } from './superblock.js';
import { Volume } from './volume.js';

const JOURNAL_INODE = 8; // EXT4_JOURNAL_INO
const MAGIC = 0xc03b3998;
const BLOCK_TYPE = { descriptor: 1, commit: 2, superblock1: 3, superblock2: 4, revoke: 5 } as const;
const FEATURE = { revoke: 0x1, wide: 0x2, asyncCommit: 0x4, checksum2: 0x8, checksum3: 0x10, fastCommit: 0x20 } as const;
const HANDLED = FEATURE.revoke | FEATURE.wide | FEATURE.asyncCommit | FEATURE.checksum2 | FEATURE.checksum3;
const TAG = { escaped: 0x1, sameUuid: 0x2, last: 0x8 } as const;
const HEADER = 12;
const UUID = 16; // bytes that follow a tag without sameUuid
const TAIL = 4; // the checksum at the end of descriptor and revoke blocks
const COMMIT_CHECKSUM_AT = 16;
const REVOKE_ENTRIES_AT = 16;

export interface Replayed {
  /** Committed transactions that were in the log. */
  readonly transactions: number;
  /** Blocks written to their places. */
  readonly blocks: number;
}

/**
 * Brings an ext4 that was not closed cleanly to where a mount would bring it, on a device that is not the card itself; undefined when there is nothing to do or no
 * ext4. Files that were deleted while open, and wait on the orphan list, stay on it: no name leads to them. Errors: 'corrupt' for a broken log, 'unsupported' for
 * a log with features that are not known, or with fast commits.
 */
export function replayJournal(device: BlockDevice): Replayed | undefined {
  const raw = readRawSuperblock(device);
  if (!raw || isClean(raw)) return undefined;
  const needed = (u32(raw, 0x60) & INCOMPAT.needs_recovery) !== 0;
  markClean(device, raw);
  const replayed = needed ? replay(device) : { transactions: 0, blocks: 0 };
  markClean(device, readRawSuperblock(device)!); // the log may have held the superblock, as it was while mounted
  device.flush();
  return replayed;
}

function isClean(raw: Uint8Array): boolean {
  return (u32(raw, 0x60) & INCOMPAT.needs_recovery) === 0 && (u32(raw, 0x64) & RO_COMPAT.orphan_present) === 0 && u32(raw, 0xe8) === 0 && (u16(raw, 0x3a) & 3) === 1;
}

/** s_state says "not unmounted" of filesystems without a journal only; errors that the kernel noted stay noted. */
function markClean(device: BlockDevice, raw: Uint8Array): void {
  setU32(raw, 0x60, (u32(raw, 0x60) & ~INCOMPAT.needs_recovery) >>> 0);
  setU32(raw, 0x64, (u32(raw, 0x64) & ~RO_COMPAT.orphan_present) >>> 0);
  setU32(raw, 0xe8, 0); // s_last_orphan
  setU16(raw, 0x3a, u16(raw, 0x3a) | 1);
  if ((u32(raw, 0x64) & RO_COMPAT.metadata_csum) !== 0) setU32(raw, 0x3fc, crc32c(0xffffffff, raw.subarray(0, 0x3fc)));
  device.write(SUPERBLOCK_OFFSET, raw);
}

function broken(what: string): RockberryError {
  return new RockberryError('corrupt', `ext4 journal: ${what}`, { hint: 'run `e2fsck -fy` on a copy of the card, or boot the node and shut it down cleanly' });
}

/** The log, as its superblock describes it. Block numbers are of the log. */
interface Log {
  readonly blockSize: number;
  readonly blocksCount: number;
  /** The ring: from `first` to before `end`. */
  readonly first: number;
  readonly end: number;
  readonly start: number;
  readonly sequence: number;
  readonly wide: boolean;
  readonly checksums: 0 | 2 | 3;
  readonly seed: number;
  read(block: number): Uint8Array;
}

function openLog(device: BlockDevice): Log {
  const sb = readSuperblock(device);
  if (!sb) throw broken('expected an ext4 superblock, found none');
  const volume = new Volume(device, sb);
  const inode = volume.load(JOURNAL_INODE);
  inode.validate();
  const { runs } = readMapping(volume, inode);
  const read = (block: number): Uint8Array => {
    const run = runs.find(({ logical, length }) => block >= logical && block < logical + length);
    if (!run) throw broken(`expected block ${block} of the log, found a hole or its end`);
    return new Uint8Array(device.read((run.physical + block - run.logical) * sb.blockSize, sb.blockSize)); // a copy: a Buffer's slice() would be none
  };
  return { blockSize: sb.blockSize, blocksCount: sb.blocksCount, ...parseSuperblock(read(0), sb.blockSize), read };
}

function parseSuperblock(raw: Uint8Array, blockSize: number): Omit<Log, 'blockSize' | 'blocksCount' | 'read'> {
  const type = u32be(raw, 4);
  if (u32be(raw, 0) !== MAGIC || (type !== BLOCK_TYPE.superblock1 && type !== BLOCK_TYPE.superblock2)) throw broken(`expected a superblock of the log, found block type ${type}`);
  if (u32be(raw, 12) !== blockSize) throw broken(`expected blocks of ${blockSize} bytes, found ${u32be(raw, 12)}`);
  const features = type === BLOCK_TYPE.superblock2 ? u32be(raw, 40) : 0;
  const unknown = features & ~HANDLED;
  if (unknown !== 0) {
    throw new RockberryError('unsupported', `ext4 journal: expected features that are handled, found ${(unknown & FEATURE.fastCommit) !== 0 ? 'fast_commit' : `incompat 0x${(unknown >>> 0).toString(16)}`}`,
      { hint: 'boot the node and shut it down cleanly, or run `e2fsck -fy` on a copy of the card' });
  }
  const [end, first, start] = [u32be(raw, 16), u32be(raw, 20), u32be(raw, 28)];
  if (first < 1 || first >= end || (start !== 0 && (start < first || start >= end))) throw broken(`expected a log that starts within its blocks ${first} to ${end}, found ${start}`);
  return {
    first, end, start, sequence: u32be(raw, 24), wide: (features & FEATURE.wide) !== 0,
    checksums: (features & FEATURE.checksum3) !== 0 ? 3 : (features & FEATURE.checksum2) !== 0 ? 2 : 0, seed: crc32c(0xffffffff, raw.subarray(48, 64)),
  };
}

/** One block of the log that belongs to a committed transaction. */
interface Entry {
  readonly sequence: number;
  readonly block: number;
  readonly data: Uint8Array;
  readonly type: number;
}

interface Tag {
  readonly target: number;
  readonly flags: number;
  readonly checksum: number;
  /** Place of the block's content in the log. */
  readonly block: number;
}

function replay(device: BlockDevice): Replayed {
  const log = openLog(device);
  const { entries, transactions } = log.start === 0 ? { entries: [], transactions: 0 } : scan(log);
  const revoked = revocations(log, entries);
  let blocks = 0;
  for (const entry of entries.filter(({ type }) => type === BLOCK_TYPE.descriptor)) {
    for (const tag of tagsOf(log, entry)) {
      const since = revoked.get(tag.target);
      if (since !== undefined && since - entry.sequence >= 0) continue;
      device.write(tag.target * log.blockSize, contentOf(log, entry, tag));
      blocks++;
    }
  }
  return { transactions, blocks };
}

function next({ first, end }: Log, block: number, count = 1): number {
  return block + count < end ? block + count : block + count - end + first;
}

/** The descriptor and revoke blocks of all transactions up to the last one with a commit block. What comes after it was never promised to anybody. */
function scan(log: Log): { entries: Entry[]; transactions: number } {
  const entries: Entry[] = [];
  let pending: Entry[] = [];
  let transactions = 0;
  let [block, sequence, left] = [log.start, log.sequence, log.end - log.first];
  while (left > 0) {
    const data = log.read(block);
    const type = u32be(data, 4);
    if (u32be(data, 0) !== MAGIC || u32be(data, 8) !== sequence) break;
    const entry = { sequence: log.sequence + transactions, block, data, type };
    let used = 1;
    if (type === BLOCK_TYPE.commit) {
      if (!soundCommit(log, data)) break;
      entries.push(...pending);
      pending = [];
      transactions++;
      sequence = (sequence + 1) >>> 0;
    } else if (type === BLOCK_TYPE.descriptor || type === BLOCK_TYPE.revoke) {
      if (!soundTail(log, data)) break;
      pending.push(entry);
      used += type === BLOCK_TYPE.descriptor ? tagsOf(log, entry).length : 0;
    } else break;
    block = next(log, block, used);
    left -= used;
  }
  return { entries, transactions };
}

function soundCommit({ checksums, seed }: Log, data: Uint8Array): boolean {
  if (checksums === 0) return true;
  const copy = data.slice();
  copy.fill(0, COMMIT_CHECKSUM_AT, COMMIT_CHECKSUM_AT + 4);
  return crc32c(seed, copy) === u32be(data, COMMIT_CHECKSUM_AT);
}

function soundTail({ checksums, seed, blockSize }: Log, data: Uint8Array): boolean {
  if (checksums === 0) return true;
  const copy = data.slice();
  copy.fill(0, blockSize - TAIL);
  return crc32c(seed, copy) === u32be(data, blockSize - TAIL);
}

/** Bytes of a tag (jbd2: journal_tag_bytes). */
function tagBytes({ wide, checksums }: Log): number {
  if (checksums === 3) return 16;
  return 8 + (checksums === 2 ? 2 : 0) + (wide ? 4 : 0);
}

function tagsOf(log: Log, { data, block }: Entry): Tag[] {
  const tags: Tag[] = [];
  const size = tagBytes(log);
  const end = log.blockSize - (log.checksums === 0 ? 0 : TAIL);
  for (let at = HEADER; at + size <= end;) {
    const flags = log.checksums === 3 ? u32be(data, at + 4) : u16be(data, at + 6);
    const target = u32be(data, at) + (log.wide ? u32be(data, at + 8) * 2 ** 32 : 0);
    if (target >= log.blocksCount) throw broken(`expected a block below ${log.blocksCount}, found ${target} in block ${block} of the log`);
    tags.push({ target, flags, checksum: log.checksums === 3 ? u32be(data, at + 12) : u16be(data, at + 4), block: next(log, block, tags.length + 1) });
    at += size + ((flags & TAG.sameUuid) === 0 ? UUID : 0);
    if ((flags & TAG.last) !== 0) break;
  }
  return tags;
}

/** The block as it has to be at its place: a content that begins like a block of the log stands there with these bytes cleared. */
function contentOf(log: Log, { sequence }: Entry, { block, flags, checksum, target }: Tag): Uint8Array {
  const data = log.read(block);
  if (log.checksums !== 0) {
    const number = new Uint8Array(4);
    new DataView(number.buffer).setUint32(0, sequence >>> 0);
    const found = crc32c(crc32c(log.seed, number), data);
    if ((log.checksums === 3 ? found : found & 0xffff) !== checksum) throw broken(`expected a right checksum of block ${block} of the log, which is for block ${target}, found another`);
  }
  if ((flags & TAG.escaped) !== 0) new DataView(data.buffer).setUint32(0, MAGIC);
  return data;
}

/** For each block the last transaction that took back what it and earlier ones wrote there: it was freed, and may hold a file's data since. */
function revocations(log: Log, entries: readonly Entry[]): Map<number, number> {
  const revoked = new Map<number, number>();
  const size = log.wide ? 8 : 4;
  for (const { data, sequence } of entries.filter(({ type }) => type === BLOCK_TYPE.revoke)) {
    const end = Math.min(u32be(data, HEADER), log.blockSize - (log.checksums === 0 ? 0 : TAIL));
    for (let at = REVOKE_ENTRIES_AT; at + size <= end; at += size) {
      const target = log.wide ? u32be(data, at) * 2 ** 32 + u32be(data, at + 4) : u32be(data, at);
      revoked.set(target, Math.max(sequence, revoked.get(target) ?? sequence));
    }
  }
  return revoked;
}
