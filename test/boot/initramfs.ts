/** An initramfs in the "newc" form (Documentation/driver-api/early-userspace/buffer-format.rst); its judge is the kernel that unpacks it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { busybox, loadOrder } from './kit.js';

const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;
const FILE = 0o100644;
const CONSOLE = 0o020600;

interface Member { readonly path: string; readonly mode: number; readonly data?: Uint8Array; readonly device?: readonly [major: number, minor: number] }

/** The disk on virt's PCI bus, and what it takes to mount a FAT. */
const MODULES = ['virtio_pci', 'virtio_blk', 'vfat', 'nls_cp437', 'nls_ascii', 'nls_utf8'];
const GUEST = join(import.meta.dirname, 'guest');

/** What the report tells of an image. */
export interface Wanted {
  /** Where fstab mounts the FAT. */
  readonly boot: string;
  readonly paths?: readonly string[];
  /** Those of the paths that are regular files, and symbolic links. */
  readonly files?: readonly string[];
  readonly links?: readonly string[];
}

/** busybox, the modules, and guest/init, which hands over to guest/report in the image's root. */
export function initramfs({ boot, paths = [], files = [], links = [] }: Wanted): Uint8Array {
  const modules = loadOrder(MODULES);
  const text = (lines: readonly string[]): Uint8Array => Buffer.from(lines.map((line) => `${line}\n`).join(''));
  return archive([
    ...['bin', 'dev', 'modules', 'newroot', 'proc', 'sys'].map((path) => ({ path, mode: DIRECTORY })),
    { path: 'dev/console', mode: CONSOLE, device: [5, 1] },
    { path: 'bin/busybox', mode: PROGRAM, data: readFileSync(busybox) },
    { path: 'init', mode: PROGRAM, data: readFileSync(join(GUEST, 'init')) },
    { path: 'report', mode: FILE, data: readFileSync(join(GUEST, 'report')) },
    ...Object.entries({ paths, 'paths.files': files, 'paths.links': links }).map(([path, lines]) => ({ path, mode: FILE, data: text(lines) })),
    { path: 'boot', mode: FILE, data: text([boot]) },
    { path: 'modules/order', mode: FILE, data: text(modules.map(({ name }) => name)) },
    ...modules.map(({ name, path }) => ({ path: `modules/${name}`, mode: FILE, data: readFileSync(path) })),
  ]);
}

function archive(members: readonly Member[]): Uint8Array {
  return Buffer.concat([...members, { path: 'TRAILER!!!', mode: 0 }].flatMap((member, at) => pieces(member, at + 1)));
}

/** Header and name together, and the data, each filled up to a multiple of four bytes. */
function pieces({ path, mode, data = new Uint8Array(), device: [major, minor] = [0, 0] }: Member, inode: number): Uint8Array[] {
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, major, minor, path.length + 1, 0];
  const head = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${path}\0`;
  return [Buffer.from(head), filler(head.length), data, filler(data.length)];
}

function filler(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}
