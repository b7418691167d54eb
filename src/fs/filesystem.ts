/**
 * What every filesystem of an image can do, and the one tree that steps see. Paths are absolute, '/'-separated, without '.' or '..' components.
 *
 * Names are strings: bytes that are not valid UTF-8 stand as lone surrogates U+DC80..U+DCFF (Python's surrogateescape), so every name round-trips.
 * A FileSystem never follows symbolic links (a link in the middle of a path is "not a directory"); the Tree does, inside the image only.
 * Writing what is already there changes no byte: not the data, not the times.
 */
import type { Range } from '../bytes/ranges.js';
import type { BlockDevice, ReadableDevice } from '../device/device.js';
import type { FileAction, Finding } from '../report.js';

export interface Time {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export type FileType = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo' | 'socket';

export interface Stat {
  readonly type: FileType;
  /** Permission bits and set-uid, set-gid, sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  readonly mtime: Time;
  readonly inode: number;
  readonly links: number;
}

export interface Entry {
  readonly name: string;
  readonly type: FileType;
}

/** What is left out keeps its value; on a new file the defaults are root:root, 0644 (directories 0755, links 0777), time as opened. */
export interface Attributes {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: Time;
  /** Full names ("security.selinux"). The named ones are set, others stay; a null value removes. */
  readonly xattrs?: ReadonlyMap<string, Uint8Array | null>;
}

export interface Footprint extends Entry {
  readonly ranges: readonly Range[];
}

export interface FileSystemInfo {
  /** "ext4", "vfat". `variant` tells the width or revision: "FAT16", "ext4". */
  readonly type: string;
  readonly variant: string;
  readonly label: string;
  readonly uuid: string;
  /** Bytes. */
  readonly blockSize: number;
  readonly size: number;
  readonly free: number;
}

/** File contents: bytes in memory, or a device that is read piece by piece. */
export type Content = Uint8Array | ReadableDevice;

export interface FileSystem {
  readonly type: string;
  info(): FileSystemInfo;
  /** undefined when there is nothing of that name; symbolic links are not followed. */
  stat(path: string): Stat | undefined;
  /** Entries without "." and "..", sorted by name (code units). */
  list(path: string): Entry[];
  /** The whole file, or `length` bytes from `offset` (fewer at the end of the file). */
  read(path: string, offset?: number, length?: number): Uint8Array;
  readLink(path: string): string;
  xattrs(path: string): ReadonlyMap<string, Uint8Array>;
  /** Creates or replaces a regular file; its directory must exist. */
  write(path: string, content: Content, attributes?: Attributes): void;
  append(path: string, content: Content): void;
  truncate(path: string, size: number): void;
  /** Creates a directory; one that exists gets the attributes. */
  makeDirectory(path: string, attributes?: Attributes): void;
  /** Creates a symbolic link. What is there already must be a link (it is replaced) or nothing. */
  makeLink(path: string, target: string, attributes?: Attributes): void;
  /** Gives the file at `existing` a second name. */
  makeHardLink(path: string, existing: string): void;
  /** As rename(2): replaces a file by a file, an empty directory by a directory. */
  rename(from: string, to: string): void;
  change(path: string, attributes: Attributes): void;
  /** Removes a file, a link or an empty directory. */
  remove(path: string): void;
  /** Puts everything that is held in memory on the device. Nothing is consistent before it. */
  flush(): void;
  /** Looks for inconsistencies between counters, bitmaps, checksums and contents. */
  check(): Finding[];
}

/** What of a filesystem is read to find, or to check, everything in it: for those who keep such bytes at hand. */
export interface Metadata {
  /** Sorted, in bytes of the device. */
  readonly places: readonly Range[];
  /** Elsewhere it is told by its looks: bytes of the blocks that looksLike() takes, which begin at multiples of it. A guess, in both directions. */
  readonly blockSize: number;
  looksLike(block: Uint8Array): boolean;
}

/** What some bytes of a filesystem's device are, in words that make a name: "directory" about "/etc", "" about "/etc/hosts", "the journal" about nothing. */
export interface Owner {
  /** In bytes of the device. */
  readonly range: Range;
  /** "" for a file's own contents. */
  readonly words: string;
  /** Path in this filesystem, where the words lead to one; of a file with several names, one of them. */
  readonly about: string | null;
  /** Byte of the file, directory or link target at which the range begins; null for what is no part of their contents. */
  readonly at: number | null;
}

/** A filesystem on a device of its own; a Tree joins several and is none. */
export interface StoredFileSystem extends FileSystem {
  /**
   * Bytes of the device that hold metadata or data in use, sorted and coalesced: what a copy of the filesystem must have to be the same to everyone who
   * reads it, whatever stands in the other bytes. Taken from the filesystem's own maps, as they are after flush().
   */
  allocated(): Range[];
  metadata(): Metadata;
  /** Equal for two filesystems that keep everything at the same places: where their footprints then agree in range and bytes, what has them is the same. */
  layout(): string;
  /** The bytes of the device that decide everything about what is at the path, of a directory its entries; below a FAT directory only the contents. */
  footprint(path: string): Range[];
  /** The entries of a directory, as list() gives them, with their footprints. */
  footprints(directory: string): Footprint[];
  /**
   * What stands at the bytes of the device, for people who ask what a damaged place belongs to: sorted, every byte of the ranges once. The work is one look
   * at each inode (FAT: each chain) and at the directories on the way to what was met; parts that are damaged stay without a name.
   */
  owners(ranges: readonly Range[]): Owner[];
  /** The parts of a file that are no holes, in bytes of the file, sorted; the last one may end behind it. */
  written(path: string): Range[];
}

export interface FileSystemOptions {
  /** Stamped on what is written. Left out: the filesystem's own newest superblock time, never the clock. */
  readonly time?: Time;
}

/** undefined = not mine; throws = mine, but broken or with a feature that is not known. */
export type OpenFileSystem = (device: BlockDevice, options?: FileSystemOptions) => StoredFileSystem | undefined;

/**
 * The image's filesystems as the running system sees them, joined by the image's own fstab. Links in every component but the last are followed inside the
 * image; read, write, append, truncate, list and change follow a link in the last one too, stat, readLink, rename, remove and makeLink do not.
 * What is written to a filesystem with SELinux labels gets the label that the image's policy gives its path.
 */
export interface Tree extends FileSystem {
  /** Stamped on what is written, and "now" for anything that needs a date (shadow's last change). */
  readonly time: Time;
  /** The directory that the firmware reads: the root of the boot FAT ("/boot", "/boot/efi", "/boot/firmware"). */
  readonly bootDirectory: string;
  /** The path with every link followed, whether or not its last component exists. A loop is an error. */
  resolve(path: string): string;
  /** Every path written or removed so far, sorted, each once. */
  actions(): FileAction[];
  /** Runs the image's own programs in it; undefined where it is only bytes to us. What they changed is among the actions. */
  readonly machine?: TreeMachine | undefined;
  /** What was run so far. */
  runs?(): readonly RunRecord[];
}

export interface TreeMachine {
  /** Runs in the image's root; what it wrote is found and labelled. */
  run(command: TreeCommand): Promise<TreeCommandResult>;
}

/** For the manifest. */
export interface RunRecord {
  /** The shell's text, or the arguments. */
  readonly command: string | readonly string[];
  readonly network: 'host' | 'none';
  readonly status: number;
  readonly how: string;
  readonly emulated: boolean;
  readonly output: readonly string[];
}

export interface TreeCommand {
  /** Arguments, or a script for the image's /bin/sh. */
  readonly command: readonly string[] | { readonly script: string };
  readonly network: 'host' | 'none';
  readonly environment: ReadonlyMap<string, string>;
  /** Name to value: files in /run/secrets while it runs. */
  readonly secrets: ReadonlyMap<string, string>;
  readonly binds: readonly { readonly from: string; readonly to: string; readonly readOnly: boolean }[];
  readonly timeoutSeconds: number;
  /** Applied to everything that it says. */
  readonly mask: (text: string) => string;
}

/** What a command did to the image: a path of the tree. */
export interface TreeChange {
  readonly path: string;
  readonly existed: boolean;
  readonly exists: boolean;
}

export interface TreeCommandResult {
  readonly status: number;
  readonly ended: 'exit' | 'signal' | 'timeout';
  /** Masked lines; only the last ones of a long output. */
  readonly output: readonly string[];
  /** "namespaces" or "nspawn". */
  readonly how: string;
  /** Whether qemu ran the image's programs. */
  readonly emulated: boolean;
  /** Sorted by path. */
  readonly changes: readonly TreeChange[];
}
