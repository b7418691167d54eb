/** How an image's filesystems are read and written, where our own drivers are not what is wanted. What there is of it is in src/kernel. */
import type { DecodedImage } from '../codec/codec.js';
import type { BlockDevice, Overlay } from '../device/device.js';
import type { FileSystem, FileType, StoredFileSystem, Time, TreeMachine } from '../fs/filesystem.js';
import type { Partition } from '../partition/partition.js';

export interface PlacedPartition {
  readonly partition: Partition;
  /** The partition's own bytes. */
  readonly device: BlockDevice;
  /** What is on it, by its content: "ext4", "vfat", "xfs". */
  readonly holds: string;
  /** Our own driver's view of it as it is now; undefined where it has none. */
  own(): StoredFileSystem | undefined;
  readonly time: Time;
}

export interface MountedPart {
  readonly number: number;
  readonly filesystem: FileSystem;
  /** Where it is in the image's tree. */
  readonly path: string;
}

export interface Backend {
  /** The decoded image's bytes, to be written to, in a form that this backend can work on. */
  overlay(decoded: DecodedImage): Promise<Overlay>;
  /** The filesystem on a part of such an overlay, or of a fork of it; undefined where it is left to our own driver. */
  open(overlay: Overlay, placed: PlacedPartition): StoredFileSystem | undefined;
  /** Runs programs in the image. `parts`: the root first; `label`: what its policy gives a path. */
  machine(overlay: Overlay, parts: readonly MountedPart[], label: (path: string, type: FileType) => string | undefined): TreeMachine | undefined;
  /** What could not be done this way, and why: a sentence for each partition. */
  notes(): readonly string[];
}
