/** Looks into a raw image with programs that others wrote: sfdisk, e2fsck, debugfs, fsck.vfat, mtools, selabel_lookup. */
import { closeSync, openSync, readSync, writeSync, ftruncateSync } from 'node:fs';
import { join } from 'node:path';
import { output, run, type Ran } from './oracle.js';

export interface Part { readonly start: number; readonly size: number; readonly type: string; readonly bootable?: boolean }

/** The table as sfdisk reads it; start and size in bytes. */
export function sfdiskParts(image: string): Part[] {
  const { partitiontable } = JSON.parse(output('sfdisk', ['--json', image]).toString()) as { partitiontable: { partitions: Part[] } };
  return partitiontable.partitions.map((part) => ({ ...part, start: part.start * 512, size: part.size * 512 }));
}

const PIECE = 1 << 20;
const ZEROS = Buffer.alloc(PIECE);

/** Whether all of it, at most 1 MiB, is zero. A callback for each byte would take minutes for a large image. */
export const isZeros = (piece: Buffer): boolean => piece.equals(ZEROS.subarray(0, piece.length));

/** Copies bytes from one open file to another, where holes stay holes. */
export function copyRange(from: number, start: number, to: number, offset: number, length: number): void {
  const piece = Buffer.alloc(PIECE);
  for (let at = 0; at < length; at += PIECE) {
    const count = readSync(from, piece, 0, Math.min(PIECE, length - at), start + at);
    if (!isZeros(piece.subarray(0, count))) writeSync(to, piece, 0, count, offset + at);
  }
}

/** Copies a partition into a file of its own, sparse, for oracles that take no offset. */
export function extractPart(image: string, { start, size }: Part, file: string): string {
  const [from, to] = [openSync(image, 'r'), openSync(file, 'w')];
  copyRange(from, start, to, 0, size);
  ftruncateSync(to, size);
  closeSync(from);
  closeSync(to);
  return file;
}

export const e2fsck = (image: string, part: Part): Ran => run('e2fsck', ['-fn', `${image}?offset=${part.start}`]);

/** One debugfs command; its output without the banner. */
export function debugfs(image: string, part: Part, command: string): string {
  return run('debugfs', ['-R', command, `${image}?offset=${part.start}`]).output.replace(/^debugfs [\d.]+.*\n?/, '');
}

export interface DebugfsStat { readonly type: string; readonly mode: number; readonly uid: number; readonly gid: number; readonly size: number; readonly target: string | undefined; readonly label: string | undefined }

export function debugfsStat(image: string, part: Part, path: string): DebugfsStat {
  const text = debugfs(image, part, `stat "${path}"`);
  const field = (pattern: RegExp): string => pattern.exec(text)?.[1] ?? '';
  const label = /= "([^"]*?)(?:\\000)?"/.exec(debugfs(image, part, `ea_get "${path}" security.selinux`))?.[1]; // `stat` leaves long values out
  return {
    type: field(/Type: (\w+)/), mode: parseInt(field(/Mode:\s+(\d+)/), 8), uid: Number(field(/User:\s+(\d+)/)), gid: Number(field(/Group:\s+(\d+)/)),
    size: Number(field(/Size: (\d+)/)), target: /Fast link dest: "(.*)"/.exec(text)?.[1], label,
  };
}

export const debugfsCat = (image: string, part: Part, path: string): Buffer => output('debugfs', ['-R', `cat "${path}"`, `${image}?offset=${part.start}`]);

export const mtype = (image: string, part: Part, path: string): Buffer => output('mtype', ['-i', `${image}@@${part.start}`, `::${path}`]);

const MODE: Record<string, string> = { regular: 'file', directory: 'dir', symlink: 'lnk_file' };

/** The label that libselinux gives a path by a policy's file_contexts (its .homedirs, .local and .subs files beside it are read too). */
export function policyLabel(policy: string, path: string, type: string): string {
  return output('matchpathcon', ['-n', '-f', policy, '-m', MODE[type] ?? 'file', path]).toString().trim();
}

/** Takes the image's policy folder out of it with debugfs; the path of its file_contexts. */
export function extractPolicy(image: string, part: Part, folder: string): string {
  run('debugfs', ['-R', `rdump /etc/selinux/targeted/contexts/files ${folder}`, `${image}?offset=${part.start}`]);
  return join(folder, 'files/file_contexts');
}
