/**
 * A tar archive laid over the image: files, directories and links with their modes, numeric owners, times and extended attributes. The archive is read twice:
 * the first time every path is judged and the room is counted, the second time it is written.
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import type { Finding } from '../report.js';
import type { Attributes, Content, Tree } from '../fs/filesystem.js';
import { readArchive, type Member } from './archive.js';
import { descriptorContent, holdsContent } from './bulk.js';
import { makeParents, notAsAsked } from './content.js';
import { memberPaths, type Landing } from './member-paths.js';
import type { Step, StepContext } from './step.js';

const IN_MEMORY = 4 << 20; // bytes; a larger member is spooled to a file

const schema = z.strictObject({
  archive: z.string().min(1).describe('a tar, tar.gz, tar.xz or tar.zst file, relative to the profile'),
  to: z.string().regex(/^\//, { error: 'expected an absolute path' }).refine((text) => !text.split('/').includes('..'), { error: 'expected a path without ".."' }).optional()
    .describe('the directory of the image that it is laid over; default: /'),
  strip: z.int().min(0).max(64).optional().describe('leading parts of each path to leave out'),
});

type Options = z.output<typeof schema>;

export const overlayStep: Step<Options> = {
  key: 'overlay',
  summary: 'Lays a tar archive over the image, with modes, numeric owners, links, times and extended attributes',
  schema,
  describe: ({ archive, to }) => `unpack ${archive} over ${to ?? '/'}`,
  async apply(tree, options, context) {
    const landings = await judge(tree, options, context);
    await unpack(tree, landings, options, context);
  },
  async verify(tree, options, context) {
    const findings: Finding[] = [];
    const { to, strip, path } = settings(options, context);
    const last = new Map<string, number>();
    let count = 0;
    const first = memberPaths(tree, to, strip);
    const landings: (Landing | undefined)[] = [];
    await readArchive(path, async (member) => {
      landings.push(first(member));
      if (landings[count]) last.set(landings[count]!.path, count);
      count++;
    });
    let index = 0;
    await readArchive(path, async (member, data) => {
      const landing = landings[index];
      if (landing && last.get(landing.path) === index) await withContent(member, data, (content) => findings.push(...check(tree, landing, member, content)));
      index++;
    });
    return findings;
  },
};

function settings(options: Options, { directory }: StepContext): { path: string; to: string; strip: number } {
  return { path: resolve(directory, options.archive), to: options.to ?? '/', strip: options.strip ?? 0 };
}

/** Where each member lands; throws for the first that may not, or when all of them do not fit. */
async function judge(tree: Tree, options: Options, context: StepContext): Promise<(Landing | undefined)[]> {
  const { path, to, strip } = settings(options, context);
  const land = memberPaths(tree, to, strip);
  const { free } = tree.info();
  const landings: (Landing | undefined)[] = [];
  let needed = 0;
  await readArchive(path, async (member) => {
    const landing = land(member);
    landings.push(landing);
    if (landing?.kind !== 'file') return;
    needed += Math.max(0, member.size - (tree.stat(landing.path)?.size ?? 0));
    if (needed > free) {
      throw new RockberryError('no-space', `expected ${options.archive} to fit into the ${free} bytes that are free in the image, but it has more, from "${member.name}" on`);
    }
  });
  return landings;
}

async function unpack(tree: Tree, landings: readonly (Landing | undefined)[], options: Options, context: StepContext): Promise<void> {
  const directories: { path: string; attributes: Attributes }[] = [];
  let index = 0;
  await readArchive(settings(options, context).path, async (member, data) => {
    const landing = landings[index++];
    if (!landing) return;
    makeParents(tree, landing.path);
    if (landing.kind === 'directory') {
      makeDirectory(tree, landing.path, member);
      directories.push({ path: landing.path, attributes: { mtime: member.mtime } });
    } else await withContent(member, data, (content) => placeMember(tree, landing, member, content));
  });
  // A directory's time is that of its last change, so it comes after everything that was put into it.
  for (const { path, attributes } of directories.reverse()) tree.change(path, attributes);
}

function makeDirectory(tree: Tree, path: string, member: Member): void {
  tree.makeDirectory(path, { mode: member.mode, uid: member.uid, gid: member.gid, ...xattrsOf(member) });
}

function placeMember(tree: Tree, { path, kind, existing }: Landing, member: Member, content: Content): void {
  const there = tree.stat(path);
  if (kind === 'link') {
    const inode = tree.stat(existing!)!.inode;
    if (there?.type === 'file' && there.inode === inode) return;
    if (there) tree.remove(path);
    return tree.makeHardLink(path, existing!);
  }
  if (kind === 'symlink') {
    if (there && there.type !== 'symlink') tree.remove(path);
    return tree.makeLink(path, member.linkName, { uid: member.uid, gid: member.gid, mtime: member.mtime, ...xattrsOf(member) }); // a link's mode means nothing
  }
  // A file with several names is replaced under this one only; a link gives way to the file.
  if (there && (there.type !== 'file' || (there.links > 1 && !holdsContent(tree, path, content)))) tree.remove(path);
  tree.write(path, content, attributesOf(member));
}

function attributesOf(member: Member): Attributes {
  return { mode: member.mode, uid: member.uid, gid: member.gid, mtime: member.mtime, ...xattrsOf(member) };
}

function xattrsOf({ xattrs }: Member): Attributes {
  return xattrs.size > 0 ? { xattrs } : {};
}

/** Collects a member's data, in memory or, when it is large, in a file that has no name any more. */
async function withContent(member: Member, data: AsyncIterable<Uint8Array>, work: (content: Content) => void): Promise<void> {
  if (member.size <= IN_MEMORY) {
    const pieces: Uint8Array[] = [];
    for await (const piece of data) pieces.push(piece);
    return work(Buffer.concat(pieces));
  }
  const descriptor = openSpool();
  try {
    let size = 0;
    for await (const piece of data) size += writeAll(descriptor, piece);
    work(descriptorContent(descriptor, size, member.name));
  } finally {
    closeSync(descriptor);
  }
}

function openSpool(): number {
  const directory = mkdtempSync(join(tmpdir(), 'rockberry-'));
  try {
    return openSync(join(directory, 'member'), 'wx+', 0o600);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function writeAll(descriptor: number, piece: Uint8Array): number {
  try {
    for (let done = 0; done < piece.length;) done += writeSync(descriptor, piece, done);
    return piece.length;
  } catch (error) {
    throw new RockberryError('io', `expected room for a temporary file in ${tmpdir()}, found: ${(error as Error).message}`, { cause: error });
  }
}

function check(tree: Tree, { path, kind, existing }: Landing, member: Member, content: Content): Finding[] {
  const wrong = (message: string): Finding[] => [notAsAsked('overlay', path, message)];
  const there = tree.stat(path);
  const type = kind === 'link' ? 'file' : kind;
  if (there?.type !== type) return wrong(`expected a ${type}, found ${there?.type ?? 'nothing'}`);
  if (kind === 'symlink') return tree.readLink(path) === member.linkName ? [] : wrong(`expected a link to ${member.linkName}, found one to ${tree.readLink(path)}`);
  if (kind === 'link') return tree.stat(existing!)?.inode === there.inode ? [] : wrong(`expected a second name of ${existing}, found another file`);
  if (kind === 'file' && !holdsContent(tree, path, content)) return wrong('expected the archive\'s content, found another');
  const real = tree.resolve(path);
  if (real === tree.bootDirectory || real.startsWith(`${tree.bootDirectory}/`)) return []; // FAT has no owners and modes
  if (there.mode === member.mode && there.uid === member.uid && there.gid === member.gid) return [];
  return wrong(`expected mode and owner ${member.mode.toString(8)} ${member.uid}:${member.gid}, found ${there.mode.toString(8)} ${there.uid}:${there.gid}`);
}
