/** What the tests of growing and shrinking share: an image with files in it, what dumpe2fs says of it, and its contents as debugfs reads them. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { output, run } from '../../support/oracle.js';
import { Ext4Image } from '../../support/image-file.js';

/** A folder for mke2fs -d, made once in a directory: files of several sizes, a directory of many names, links. */
export function sourceTree(directory: string, names = 300, bytes = 700_000): string {
  const root = join(directory, 'tree');
  if (existsSync(root)) return root;
  mkdirSync(join(root, 'many/deeper'), { recursive: true });
  for (let at = 0; at < names; at++) writeFileSync(join(root, `many/a-name-of-some-length-${at}`), `${at}\n`.repeat(at));
  writeFileSync(join(root, 'big'), Buffer.alloc(bytes, 'some text, and more of it; '));
  writeFileSync(join(root, 'many/deeper/leaf'), 'leaf');
  symlinkSync('big', join(root, 'short'));
  symlinkSync('x'.repeat(200), join(root, 'long'));
  return root;
}

export function makeImage(directory: string, options: readonly string[], mebibytes: number, tree = sourceTree(directory)): Ext4Image {
  return new Ext4Image(directory, [...options, '-d', tree], mebibytes);
}

export type Figures = Readonly<Record<string, string>>;

/** All of dumpe2fs -h that a change of size may change, and the number of groups. */
export function figures(path: string): Figures {
  const text = output('dumpe2fs', [path]).toString();
  const names = ['Filesystem features', 'Inode count', 'Block count', 'Reserved block count', 'Free blocks', 'Free inodes', 'Reserved GDT blocks', 'First meta block group', 'Backup block groups', 'Filesystem state'];
  const found = names.map((name) => [name, new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '']);
  return { ...Object.fromEntries(found) as Record<string, string>, groups: String(text.match(/^Group \d+:/gm)!.length) };
}

/** undefined for a set of options that mke2fs refuses. */
export function whatMke2fsMakes(directory: string, options: readonly string[], kibibytes: number): Ext4Image | undefined {
  try {
    return new Ext4Image(directory, options, kibibytes / 1024);
  } catch {
    return undefined;
  }
}

/** A hash over every path with its contents, as debugfs reads them; without what is in the folders to be skipped. */
export function contents(directory: string, path: string, skip: readonly string[] = []): string {
  const dump = join(directory, 'rdump');
  mkdirSync(dump);
  run('debugfs', ['-R', `rdump / ${dump}`, path]);
  run('chmod', ['-R', 'u+rwX', dump]);
  const hash = createHash('sha256');
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const at = join(folder, entry.name);
      hash.update(`${at.slice(dump.length)}\0`);
      if (skip.includes(entry.name)) continue;
      if (entry.isDirectory()) walk(at);
      else if (entry.isSymbolicLink()) hash.update(readlinkSync(at));
      else hash.update(readFileSync(at));
    }
  };
  walk(dump);
  rmSync(dump, { recursive: true, force: true });
  return hash.digest('hex');
}

/** The same image as a file beside it, of another size when told. */
export function copyOf(image: Ext4Image, name: string, bytes?: number): string {
  const path = `${image.path}.${name}`;
  run('cp', ['--sparse=always', image.path, path]);
  if (bytes !== undefined) truncateSync(path, bytes);
  return path;
}

