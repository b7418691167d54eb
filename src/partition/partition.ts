/** What a partition table says, in the same words for MBR and GPT. */
import type { Range } from '../bytes/ranges.js';

export interface Partition {
  /** As the kernel counts: mmcblk0p3 is 3; logical partitions start at 5. */
  readonly number: number;
  /** "0x0c" for MBR, the type GUID in upper case for GPT. */
  readonly type: string;
  /** "W95 FAT32 (LBA)", "Linux", as sfdisk calls it; "unknown" for what is not in our list. */
  readonly typeName: string;
  /** Bytes from the start of the disk. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  readonly bootable: boolean;
  /** The name in a GPT, "" in an MBR. */
  readonly name: string;
  /** As the kernel's PARTUUID: "xxxxxxxx-03", or the partition's own GUID in lower case. */
  readonly partuuid: string;
  /** The container of the logical partitions, which lie inside it; never a filesystem. */
  readonly extended: boolean;
}

export interface PartitionTable {
  readonly scheme: 'mbr' | 'gpt';
  /** MBR: 8 hex digits in lower case, without 0x. GPT: the disk's GUID in lower case. */
  readonly diskId: string;
  /** Bytes. */
  readonly sectorSize: number;
  /** In the order of their numbers. At least one. */
  readonly partitions: readonly Partition[];
  /** Bytes of the disk that the table itself takes, in no order: the MBR, the extended boot records, both headers and arrays of a GPT. */
  readonly structures: readonly Range[];
}
