/** What a card's thread runs, as text, because the thread needs plain JavaScript, and the same source must run compiled and in the tests. */

/** The answer to one job. */
export interface CardReply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { readonly code: string; readonly message: string; readonly doing: string };
}

/**
 * Jobs: write {slot, offset, ranges, compare}, check {offset, ranges}, read {offset, length}, flush {}; offsets and lengths in bytes of the card. Direct I/O wants
 * offsets and lengths on borders of 4096 bytes; what is not goes through the cache: the end of an odd image. So does what is small, because the kernel joins
 * small writes, and a card takes as long for 4 KiB as for 64.
 */
export const CARD_THREAD = `
const { parentPort, workerData: { direct, plain, size, memory, cell, slots, wipe } } = require('node:worker_threads');
const { readSync, writeSync, fdatasyncSync } = require('node:fs');
const { createHash } = require('node:crypto');
const BLOCK = 4096, DIRECT_FROM = 65536, GAP = 65536, FLUSH_EVERY = 4194304;
const all = Buffer.from(memory.buffer);
const scratch = all.subarray(slots * cell, (slots + 1) * cell);
const isAligned = (offset, length) => offset % BLOCK === 0 && length % BLOCK === 0;
let doing = '';
let dirty = 0; // bytes that may be in the cache only
let isWiped = wipe === 0;
const fully = (call, fd, bytes, offset) => {
  for (let done = 0; done < bytes.length;) {
    const count = call(fd, bytes, done, bytes.length - done, offset + done);
    if (count === 0) throw Object.assign(new Error('the device ended at byte ' + (offset + done)), { code: 'EIO' });
    done += count;
  }
};
const get = (offset, length) => {
  doing = 'read';
  const start = Math.floor(offset / BLOCK) * BLOCK;
  const end = Math.min(size, Math.ceil((offset + length) / BLOCK) * BLOCK);
  const room = scratch.subarray(0, end - start);
  fully(readSync, isAligned(start, end - start) ? direct : plain, room, start);
  return room.subarray(offset - start, offset - start + length);
};
const putBytes = (bytes, offset) => {
  doing = 'write';
  const isLarge = bytes.length >= DIRECT_FROM && isAligned(offset, bytes.length) && bytes.byteOffset % BLOCK === 0;
  if (!isLarge) dirty += bytes.length;
  fully(writeSync, isLarge ? direct : plain, bytes, offset);
};
const settle = () => {
  doing = 'write';
  if (dirty > 0) fdatasyncSync(plain);
  dirty = 0;
};
const wipeOnce = () => {
  if (isWiped) return;
  if (get(0, wipe).some((byte) => byte !== 0)) {
    putBytes(Buffer.alloc(wipe), 0);
    settle();
  }
  isWiped = true;
};
const differing = (bytes, old) => {
  const runs = [];
  for (let at = 0; at < bytes.length; at += BLOCK) {
    const end = Math.min(at + BLOCK, bytes.length);
    if (bytes.compare(old, at, end, at, end) === 0) continue;
    const last = runs.at(-1);
    if (last && at - last[1] < GAP) last[1] = end;
    else runs.push([at, end]);
  }
  return runs;
};
const jobs = {
  write({ slot, offset, ranges, compare }) {
    const hash = createHash('sha256');
    let written = 0;
    for (const [at, length] of ranges) {
      const from = slot * cell + at - offset;
      const bytes = all.subarray(from, from + length);
      hash.update(bytes);
      const runs = compare ? differing(bytes, get(at, length)) : [[0, length]];
      for (const [start, end] of runs) {
        wipeOnce();
        putBytes(bytes.subarray(start, end), at + start);
        written += end - start;
      }
    }
    if (dirty >= FLUSH_EVERY) settle();
    return { sha256: hash.digest('hex'), written };
  },
  check({ ranges }) {
    const start = ranges[0][0];
    const last = ranges.at(-1);
    const bytes = get(start, last[0] + last[1] - start);
    const hash = createHash('sha256');
    for (const [at, length] of ranges) hash.update(bytes.subarray(at - start, at - start + length));
    return { sha256: hash.digest('hex'), written: 0 };
  },
  read: ({ offset, length }) => new Uint8Array(get(offset, length)),
  flush() {
    doing = 'write';
    fdatasyncSync(plain); // also when nothing is dirty: the device has a cache of its own
    dirty = 0;
  },
};
parentPort.on('message', ({ id, op, ...job }) => {
  try {
    parentPort.postMessage({ id, result: jobs[op](job) });
  } catch (error) {
    parentPort.postMessage({ id, error: { code: String(error.code), message: error.message, doing } });
  }
});`;
