/** Directories taken out of, and put into, images that mke2fs made: by debugfs, without our own inode and block code. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32c } from '../../../src/bytes/crc.js';
import { createDirectory, type DirectoryFile, type DirectoryFormat } from '../../../src/fs/ext4/directory.js';
import { SAME_EVERY_TIME, output, run } from '../../support/oracle.js';

export function inTemporaryDirectory<T>(work: (path: string) => T): T {
  const path = mkdtempSync(join(tmpdir(), 'rockberry-dir-'));
  try {
    return work(path);
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

export interface MemoryDirectory extends DirectoryFile {
  readonly data: Uint8Array[];
  /** Reads since it was made. */
  reads: number;
}

export function memoryDirectory(inode: number, generation: number, data: Uint8Array[], hashed: boolean, maximum = Infinity): MemoryDirectory {
  let isHashed = hashed;
  return {
    inode, generation, data, reads: 0,
    get blocks() { return data.length; },
    get hashed() { return isHashed; },
    setHashed(value) { isHashed = value; },
    read(block) { this.reads++; return data[block]!.slice(); },
    write(block, bytes) { data[block] = bytes.slice(); },
    append(bytes) {
      if (data.length >= maximum) throw new Error('full');
      return data.push(bytes.slice()) - 1;
    },
    truncate(blocks) { data.length = blocks; },
  };
}

function field(text: string, name: string): string {
  return new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1]?.trim() ?? '';
}

export function uuidBytes(uuid: string): Uint8Array {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}

/** The format as dumpe2fs tells it. */
export function formatOf(image: string): DirectoryFormat {
  const text = output('dumpe2fs', ['-h', image]).toString();
  const features = field(text, 'Filesystem features').split(/\s+/);
  const seed = field(text, 'Checksum seed');
  return {
    blockSize: Number(field(text, 'Block size')),
    filetype: features.includes('filetype'),
    checksumSeed: !features.includes('metadata_csum') ? undefined : seed ? Number(seed) : crc32c(0xffffffff, uuidBytes(field(text, 'Filesystem UUID'))),
    indexed: features.includes('dir_index'),
    hashSeed: uuidBytes(field(text, 'Directory Hash Seed')),
    hashVersion: ['legacy', 'half_md4', 'tea'].indexOf(field(text, 'Default directory hash') || 'half_md4'),
    unsignedHash: field(text, 'Filesystem flags').includes('unsigned_directory_hash'),
    largeDir: features.includes('large_dir'),
  };
}

/** A directory of the image, its blocks found by debugfs and read from the image file. */
export function extractDirectory(image: string, path: string, format: DirectoryFormat): MemoryDirectory {
  const stat = output('debugfs', ['-R', `stat ${path}`, image]).toString();
  const blocks = output('debugfs', ['-R', `blocks ${path}`, image]).toString().trim().split(/\s+/).map(Number);
  const bytes = readFileSync(image);
  const data = blocks.slice(-Number(/Size: (\d+)/.exec(stat)![1]) / format.blockSize);
  const indexed = (Number(/Flags: (0x[0-9a-f]+)/.exec(stat)![1]) & 0x1000) !== 0;
  const generation = Number(/Generation: (\d+)/.exec(stat)![1]);
  return memoryDirectory(Number(/Inode: (\d+)/.exec(stat)![1]), generation,
    data.map((block) => new Uint8Array(bytes.subarray(block * format.blockSize, (block + 1) * format.blockSize))), indexed);
}

export interface Bench {
  readonly image: string;
  readonly format: DirectoryFormat;
  /** The inode that the directory will have, and one of a regular file for all its names. */
  readonly directory: MemoryDirectory;
  readonly target: number;
  /** Puts the directory into the image and returns what e2fsck -fn says and with what status. */
  check(links: number): { status: number; output: string };
}

/** An image and an empty directory for it, to be filled in memory and then judged by e2fsck. */
export function directoryBench(path: string, options: readonly string[]): Bench {
  const image = join(path, 'image');
  const dataFile = join(path, 'data');
  writeFileSync(dataFile, '');
  output('mke2fs', ['-q', '-F', ...SAME_EVERY_TIME, '-t', 'ext4', '-O', '^has_journal,^resize_inode', ...options, image, '80M']);
  const commands = (lines: string[]): string => run('debugfs', ['-w', '-f', '-', image], `${lines.join('\n')}\n`).output;
  commands([`write ${dataFile} target`]);
  const inodeOf = (name: string): number => Number(/Inode: (\d+)/.exec(output('debugfs', ['-R', `stat ${name}`, image]).toString())![1]);
  const target = inodeOf('target');
  const format = formatOf(image);
  const directory = memoryDirectory(target + 1, 0, [], false);
  createDirectory(directory, format, directory.inode, 2);
  return {
    image, format, directory, target,
    check(links) {
      writeFileSync(dataFile, Buffer.concat(directory.data));
      const text = commands([`write ${dataFile} dir`, `sif dir mode 040755`, `sif dir links_count 2`, `sif dir flags ${directory.hashed ? '0x81000' : '0x80000'}`,
        'unlink dir', `ln <${directory.inode}> dir`, `sif target links_count ${links + 1}`, 'sif <2> links_count 4', 'set_bg 0 used_dirs_count 3', 'set_bg 0 checksum calc']);
      if (inodeOf('dir') !== directory.inode) throw new Error(`debugfs gave the directory another inode: ${text}`);
      return run('e2fsck', ['-fn', image]);
    },
  };
}
