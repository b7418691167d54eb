/**
 * A kernel file as the firmware loads it: what it is for, and the release it will call itself. An arm64 Image has "ARM\x64" at byte 56
 * (Documentation/arch/arm64/booting.rst, section 4) and the banner "Linux version R (…" (init/version.c) somewhere behind it; the firmware also takes it as a gzip
 * file (raspberrypi documentation, config_txt.html, "arm_64bit"). A 32-bit zImage keeps its banner in a compressed part that is not looked into.
 */
import { gunzipSync } from 'node:zlib';
import { u32 } from '../../bytes/fields.js';
import type { Tree } from '../../fs/filesystem.js';

export interface KernelImage {
  readonly path: string;
  readonly architecture: 'arm64' | 'arm' | 'unknown';
  readonly gzip: boolean;
  /** What `uname -r` will say; undefined where the file does not tell. */
  readonly release: string | undefined;
}

/** Some three times what the largest distribution's Image takes. What is larger is not looked through. */
export const KERNEL_LIMIT = 128 << 20; // bytes, unpacked
const PIECE = 1 << 18; // bytes
const ARM64_MAGIC = 0x644d5241; // at byte 56
const ZIMAGE_MAGIC = 0x016f2818; // at byte 36: arch/arm/boot/compressed/head.S
const BANNER = 'Linux version ';
const RELEASE = /^Linux version (\d+\.\d+[!-~]{0,64}) \(/; // UTS_RELEASE has at most 64 characters (include/linux/uts.h: __NEW_UTS_LEN)
const LONGEST = 160; // bytes of a banner that are looked at

export function readKernelImage(tree: Tree, path: string): KernelImage {
  const start = tree.read(path, 0, 64);
  const gzip = start[0] === 0x1f && start[1] === 0x8b;
  const pieces = kernelPieces(tree, path);
  const first = pieces.next();
  const architecture = first.done ? 'unknown' : architectureOf(first.value);
  return { path, gzip, architecture, release: first.done ? undefined : findRelease(first.value, pieces) };
}

/** The kernel's bytes, unpacked, piece by piece; nothing for a damaged gzip file or more than KERNEL_LIMIT bytes. */
export function* kernelPieces(tree: Tree, path: string): Generator<Uint8Array, void> {
  const size = tree.stat(path)?.size ?? 0;
  const start = tree.read(path, 0, Math.min(size, PIECE));
  if (size > KERNEL_LIMIT) return;
  if (start[0] === 0x1f && start[1] === 0x8b) {
    const unpacked = gunzip(tree.read(path));
    if (unpacked) yield unpacked;
    return;
  }
  yield start;
  for (let at = PIECE; at < size; at += PIECE) yield tree.read(path, at, PIECE);
}

function gunzip(data: Uint8Array): Uint8Array | undefined {
  try {
    return gunzipSync(data, { maxOutputLength: KERNEL_LIMIT });
  } catch {
    return undefined; // cut, damaged, or larger than the limit: there is nothing to tell about it
  }
}

function architectureOf(start: Uint8Array): KernelImage['architecture'] {
  if (start.length < 64) return 'unknown';
  if (u32(start, 56) === ARM64_MAGIC) return 'arm64';
  return u32(start, 36) === ZIMAGE_MAGIC ? 'arm' : 'unknown';
}

function findRelease(first: Uint8Array, rest: Iterable<Uint8Array>): string | undefined {
  let before: Uint8Array = first;
  let found = releaseIn(before);
  if (found !== undefined) return found;
  for (const piece of rest) {
    const joined = Buffer.concat([before.subarray(-LONGEST), piece]);
    found = releaseIn(joined);
    if (found !== undefined) return found;
    before = piece;
  }
  return undefined;
}

function releaseIn(data: Uint8Array): string | undefined {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  for (let at = bytes.indexOf(BANNER); at >= 0; at = bytes.indexOf(BANNER, at + 1)) {
    const release = RELEASE.exec(bytes.toString('latin1', at, at + LONGEST))?.[1];
    if (release !== undefined) return release;
  }
  return undefined;
}
