/** Feature bits of ext2, ext3 and ext4 by their e2fsprogs names (lib/e2p/feature.c), and what this driver does about each. */
import { RockberryError } from '../../errors.js';

export const COMPAT = {
  dir_prealloc: 0x1, imagic_inodes: 0x2, has_journal: 0x4, ext_attr: 0x8, resize_inode: 0x10, dir_index: 0x20, lazy_bg: 0x40, exclude_inode: 0x80,
  exclude_bitmap: 0x100, sparse_super2: 0x200, fast_commit: 0x400, stable_inodes: 0x800, orphan_file: 0x1000,
} as const;

export const INCOMPAT = {
  compression: 0x1, filetype: 0x2, needs_recovery: 0x4, journal_dev: 0x8, meta_bg: 0x10, extent: 0x40, '64bit': 0x80, mmp: 0x100, flex_bg: 0x200,
  ea_inode: 0x400, dirdata: 0x1000, metadata_csum_seed: 0x2000, large_dir: 0x4000, inline_data: 0x8000, encrypt: 0x10000, casefold: 0x20000,
} as const;

export const RO_COMPAT = {
  sparse_super: 0x1, large_file: 0x2, btree_dir: 0x4, huge_file: 0x8, uninit_bg: 0x10, dir_nlink: 0x20, extra_isize: 0x40, snapshot: 0x80, quota: 0x100,
  bigalloc: 0x200, metadata_csum: 0x400, replica: 0x800, 'read-only': 0x1000, project: 0x2000, shared_blocks: 0x4000, verity: 0x8000, orphan_present: 0x10000,
} as const;

/** What this driver keeps right while it writes. Everything else is refused by name: we open for writing, so read-only features count too. */
const HANDLED = new Set<string>([
  'dir_prealloc', 'has_journal', 'ext_attr', 'resize_inode', 'dir_index', 'sparse_super2', 'fast_commit', 'stable_inodes', 'orphan_file',
  'filetype', 'meta_bg', 'extent', '64bit', 'flex_bg', 'metadata_csum_seed', 'large_dir',
  'sparse_super', 'large_file', 'huge_file', 'uninit_bg', 'dir_nlink', 'extra_isize', 'metadata_csum',
]);

/** Features that only say that the filesystem was not closed cleanly; they have an error of their own. */
const UNCLEAN = new Set<string>(['needs_recovery', 'orphan_present']);

function names(kind: string, bits: number, known: Readonly<Record<string, number>>): string[] {
  const found = Object.entries(known).filter(([, bit]) => (bits & bit) !== 0).map(([name]) => name);
  let rest = bits;
  for (const bit of Object.values(known)) rest &= ~bit;
  for (let at = 0; at < 32; at++) if ((rest >>> at) & 1) found.push(`${kind} bit ${at}`);
  return found;
}

export interface FeatureBits {
  readonly compat: number;
  readonly incompat: number;
  readonly roCompat: number;
}

/** All features that are set, by name; a bit without one is "incompat bit 27". */
export function featureNames(bits: FeatureBits): string[] {
  return [...names('compat', bits.compat, COMPAT), ...names('incompat', bits.incompat, INCOMPAT), ...names('ro_compat', bits.roCompat, RO_COMPAT)];
}

/** Throws 'refused' for a journal or orphans that wait for recovery, 'unsupported' (with the names) for a feature we do not handle. */
export function refuseFeatures(bits: FeatureBits): void {
  const found = featureNames(bits);
  const refused = found.filter((name) => !HANDLED.has(name) && !UNCLEAN.has(name));
  if (refused.length > 0) {
    throw new RockberryError('unsupported', `expected an ext4 filesystem with features that are handled, found ${refused.join(', ')}`, {
      hint: 'use an image without that feature (tune2fs -O ^feature removes some of them)',
    });
  }
  if (found.some((name) => UNCLEAN.has(name))) {
    throw new RockberryError('refused', `expected an ext4 filesystem that was closed cleanly, found ${found.filter((name) => UNCLEAN.has(name)).join(', ')}: its journal needs recovery`, {
      hint: 'run `e2fsck -fy` on the partition, or boot the node and shut it down cleanly',
    });
  }
}
