/** A sample whose last partition ends where its files do: the same content in a third of the bytes, for tests that read and write raw images whole. */
import { closeSync, openSync, rmSync, truncateSync } from 'node:fs';
import { copyRange, extractPart, sfdiskParts } from './disk.js';
import { output } from './oracle.js';

const MIB = 2 ** 20;
export const compactPrograms = ['sfdisk', 'resize2fs', 'e2fsck'] as const;

/** Shrinks the last partition of the raw image, an ext4, and the image with it; by resize2fs and sfdisk. */
export function compact(image: string, mebibytes: number): void {
  const parts = sfdiskParts(image);
  const { start } = parts.at(-1)!;
  const size = mebibytes * MIB;
  const file = extractPart(image, parts.at(-1)!, `${image}.root`);
  output('e2fsck', ['-fp', file]); // resize2fs asks for it
  output('resize2fs', [file, `${mebibytes}M`]);
  truncateSync(image, start); // so that what is not written is zeros
  truncateSync(image, start + size);
  const [from, to] = [openSync(file, 'r'), openSync(image, 'r+')];
  copyRange(from, 0, to, start, size);
  closeSync(from);
  closeSync(to);
  rmSync(file);
  output('sfdisk', ['-q', '--no-reread', '-N', String(parts.length), image], `,${size / 512}\n`);
}
