/** Second pass of a check: every directory's structure and names, link counts, and whether all of it hangs together. */
import { decodeText } from '../names.js';
import type { Census } from './census.js';
import { isNameless, UNKNOWN_TYPE } from './check-inodes.js';
import { InodeDirectory } from './directory-file.js';
import { entries, type DirectoryEntry, type DirectoryFormat } from './directory.js';
import { treeProblems } from './htree-check.js';
import { ROOT_INODE } from './inode.js';
import type { Volume } from './volume.js';

const DIRECTORY = 2;

interface Names {
  readonly volume: Volume;
  readonly census: Census;
  readonly format: DirectoryFormat;
  /** By number of a directory's inode: the directory that names it, and what its ".." says; 0 for none. */
  readonly parents: Uint32Array;
  readonly up: Uint32Array;
}

/** Reads all directories, in the order of their inodes. */
export function checkNames(volume: Volume, census: Census, format: DirectoryFormat): void {
  const { inodesCount } = volume.sb;
  const names: Names = { volume, census, format, parents: new Uint32Array(inodesCount + 1), up: new Uint32Array(inodesCount + 1) };
  for (const number of census.directories) {
    const read = census.attempt('ext4.directory', `inode ${number}`, () => checkDirectory(names, number));
    if (!read) census.namesMissing = true;
  }
  if (census.types[ROOT_INODE] !== DIRECTORY) census.error('ext4.inode', `inode ${ROOT_INODE}`, 'expected a root directory, found none');
  if (census.namesMissing) return; // what looks lost may have a name there
  checkParents(names);
  checkLinks(names);
}

function checkDirectory(names: Names, number: number): true {
  const { volume, census, format } = names;
  const file = new InodeDirectory(volume, volume.load(number));
  const subject = `inode ${number}`;
  const seen = new Set<string>();
  let position = 0;
  for (const entry of entries(file, format)) {
    const key = Buffer.from(entry.name).toString('latin1');
    if (seen.has(key)) census.error('ext4.directory', subject, `expected each name once, found ${decodeText(entry.name)} again`);
    seen.add(key);
    const dots = '.'.repeat(position + 1);
    if (position < 2 && key !== dots) {
      census.error('ext4.directory', subject, `expected "${dots}" as entry ${position + 1}, found ${decodeText(entry.name)}`);
    }
    if (key === '.' || key === '..') checkDots(names, number, key, entry);
    else checkEntry(names, number, entry);
    position++;
  }
  if (position < 2) census.error('ext4.directory', subject, `expected "." and "..", found ${position} entries`);
  if (file.hashed) for (const problem of treeProblems(file, format)) census.error('ext4.directory', subject, problem);
  return true;
}

function checkDots({ census, up }: Names, number: number, name: string, { inode }: DirectoryEntry): void {
  if (name === '..') up[number] = inode;
  else if (inode !== number) census.error('ext4.directory', `inode ${number}`, `expected "." to be the directory itself, found inode ${inode}`);
}

function checkEntry({ volume, census, format, parents }: Names, directory: number, { name, inode, fileType }: DirectoryEntry): void {
  const subject = `inode ${directory}`;
  const what = `entry ${decodeText(name)}`;
  const type = inode <= volume.sb.inodesCount ? census.types[inode]! : 0;
  if (type === 0 || isNameless(volume, inode)) {
    census.error('ext4.entry', subject, `${what}: expected an inode in use, found inode ${inode}`);
    return;
  }
  if (format.filetype && fileType !== type && type !== UNKNOWN_TYPE) {
    census.error('ext4.entry', subject, `${what}: expected file type ${type} as in inode ${inode}, found ${fileType}`);
  }
  census.names[inode]!++;
  if (type !== DIRECTORY) return;
  if (parents[inode] !== 0 || inode === ROOT_INODE) {
    census.error('ext4.entry', subject, `${what}: expected a directory with one name, found a second one of inode ${inode}`);
  }
  else parents[inode] = directory;
}

/** Every directory but the root has a name, in the directory that its ".." says, and from there a way up to the root. */
function checkParents({ census, parents, up }: Names): void {
  const reached = new Set([ROOT_INODE]);
  for (const number of census.directories) {
    const expected = number === ROOT_INODE ? ROOT_INODE : parents[number]!;
    if (expected === 0) continue; // has no name: checkLinks says so
    if (up[number] !== expected) census.error('ext4.directory', `inode ${number}`, `expected ".." to be inode ${expected}, found ${up[number]}`);
    const path: number[] = [];
    const onPath = new Set<number>();
    let at = number;
    for (; at !== 0 && !reached.has(at) && !onPath.has(at); at = parents[at]!) {
      path.push(at);
      onPath.add(at);
    }
    if (onPath.has(at)) census.error('ext4.unattached', `inode ${number}`, 'expected a way up to the root directory, found a circle');
    for (const each of path) reached.add(each);
  }
}

function checkLinks({ volume, census, parents }: Names): void {
  const children = new Uint32Array(parents.length);
  for (const number of census.directories) children[parents[number]!]!++;
  for (let number = ROOT_INODE; number < census.types.length; number++) {
    if (census.types[number] === 0 || isNameless(volume, number)) continue;
    const directory = census.types[number] === DIRECTORY;
    const links = census.links[number]!;
    if (census.names[number] === 0 && number !== ROOT_INODE) {
      census.error('ext4.unattached', `inode ${number}`, 'expected a name of an inode in use, found none');
    }
    else if (directory && links === 1 && volume.sb.roCompat('dir_nlink')) continue; // too many subdirectories to count
    else {
      const expected = directory ? 2 + children[number]! : census.names[number]!;
      if (links !== expected) {
        census.error('ext4.links', `inode ${number}`, `expected ${expected} links, as many as names lead to it, found ${links}`);
      }
    }
  }
}
