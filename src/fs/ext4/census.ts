/** What a check has counted so far: which inodes are in use and as what, who owns which block, and what was found wrong. */
import { RockberryError } from '../../errors.js';
import type { Finding } from '../../report.js';
import { setBits, testBit } from './bits.js';
import type { Superblock } from './superblock.js';

const MOST_FINDINGS = 200;

export class Census {
  readonly findings: Finding[] = [];
  /** By inode number: the type as in directory entries (1 file, 2 directory …), 0 for an inode that is not in use, 255 when it is unknown. */
  readonly types: Uint8Array;
  /** By inode number: i_links_count, and how many names were met. */
  readonly links: Uint16Array;
  readonly names: Uint32Array;
  /** Directories in use, by rising number. */
  readonly directories: number[] = [];
  /** One bit per block from s_first_data_block on: owned by a file or by the filesystem itself. */
  readonly owned: Uint8Array;
  /** Set when a directory, or an inode's blocks, could not be read: what follows from it is not a finding of its own. */
  namesMissing = false;
  blocksMissing = false;
  /** Attribute blocks: references met, and h_refcount. */
  readonly shared = new Map<number, { met: number; stated: number }>();

  constructor(private readonly sb: Superblock) {
    this.types = new Uint8Array(sb.inodesCount + 1);
    this.links = new Uint16Array(sb.inodesCount + 1);
    this.names = new Uint32Array(sb.inodesCount + 1);
    this.owned = new Uint8Array(Math.ceil((sb.blocksCount - sb.firstDataBlock) / 8));
  }

  error(id: string, subject: string, message: string): void {
    this.add({ severity: 'error', id, subject, message, hint: 'run `e2fsck -f` on the partition' });
  }

  add(finding: Finding): void {
    if (this.findings.length >= MOST_FINDINGS) return;
    const last = this.findings.length === MOST_FINDINGS - 1;
    this.findings.push(last
      ? { severity: 'error', id: 'ext4.more', subject: 'ext4', message: `more than ${MOST_FINDINGS - 1} findings; the rest is left out` }
      : finding);
  }

  /** Does the work; what it finds corrupt or unsupported becomes a finding. Other errors (the device's) pass. */
  attempt<T>(id: string, subject: string, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof RockberryError) || (error.code !== 'corrupt' && error.code !== 'unsupported')) throw error;
      this.error(id, subject, error.message);
      return undefined;
    }
  }

  /** Notes who owns the blocks (inside the filesystem); those that are owned already are a finding. */
  claim(subject: string, start: number, length: number): void {
    const from = start - this.sb.firstDataBlock;
    for (let bit = from; bit < from + length; bit++) {
      if (!testBit(this.owned, bit)) continue;
      this.error('ext4.block-owner', subject, `expected blocks ${start}+${length} with one owner, found block ${bit + this.sb.firstDataBlock} owned twice`);
      break;
    }
    setBits(this.owned, from, length, true);
  }
}
