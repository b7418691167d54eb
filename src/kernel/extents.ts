/** Where a file of the host has data: the rest are holes, which read as zeros, slowly. By e2fsprogs' filefrag (FS_IOC_FIEMAP), since Node has neither it nor SEEK_DATA. */
import { coalesce, type Range } from '../bytes/ranges.js';
import { RockberryError } from '../errors.js';
import { runProgram } from './program.js';

const BLOCK = 4096; // bytes, asked for
const EXTENT = /^\s*\d+:\s+(\d+)\.\.\s*(\d+):/gm;

/** In bytes, sorted; undefined where nobody can tell: no filefrag, or a filesystem without the ioctl (tmpfs). */
export function dataRanges(path: string): Range[] | undefined {
  try {
    const { status, stdout } = runProgram('filefrag', ['-s', '-e', '-v', `-b${BLOCK}`, path]);
    if (status !== 0) return undefined;
    const found = [...stdout.toString('latin1').matchAll(EXTENT)].map(([, first, last]) => ({ offset: Number(first) * BLOCK, length: (Number(last) - Number(first) + 1) * BLOCK }));
    return coalesce(found);
  } catch (error) {
    if (error instanceof RockberryError) return undefined;
    throw error;
  }
}
