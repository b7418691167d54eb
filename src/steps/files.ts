/**
 * Files, directories and links of the image: from the profile's text, a template, a file or a directory tree beside the profile, or gone. A link at the path
 * itself is replaced by what is asked for; links on the way are followed, inside the image. What is not given (mode, owner, group) stays as it was.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import type { Finding } from '../report.js';
import type { Attributes, Content, Stat, Tree } from '../fs/filesystem.js';
import { resolveGroup, resolveUser } from './accounts.js';
import { holdsContent, withHostFile } from './bulk.js';
import { makeParents, notAsAsked } from './content.js';
import { scanSource } from './source-tree.js';
import type { Step, StepContext } from './step.js';

const KINDS = ['content', 'template', 'source', 'absent', 'directory', 'link'] as const;
const TEMPLATE_LIMIT = 1 << 20; // bytes
const MODE = /^(0o?)?[0-7]{3,4}$/;

const path = z.string().regex(/^\/[^\0]*[^\0/]$/, { error: 'expected an absolute path that does not end in "/"' })
  .refine((text) => !text.split('/').slice(1).some((part) => part === '' || part === '.' || part === '..'), { error: 'expected a path without empty, "." and ".." parts' });
const account = z.union([z.string().min(1), z.int().min(0).max(0xffffffff)]);
const file = z.strictObject({
  path: path.describe('absolute, as the running system sees it'),
  content: z.string().optional().describe('the text of the file'),
  template: z.string().min(1).optional().describe('a Liquid file, relative to the profile'),
  source: z.string().min(1).optional().describe('a file or a directory tree, relative to the profile'),
  absent: z.literal(true).optional().describe('removed, a directory with everything in it'),
  directory: z.literal(true).optional(),
  link: z.string().min(1).optional().describe('target of a symbolic link, as it is written into the link'),
  mode: z.string().regex(MODE, { error: 'expected an octal mode such as "0644" (quoted, or with its leading zero)' }).optional(),
  owner: account.optional().describe('a user of the image by name, or a number'),
  group: account.optional().describe('a group of the image by name, or a number'),
}).refine((options) => KINDS.filter((kind) => options[kind] !== undefined).length === 1, { error: `expected exactly one of ${KINDS.join(', ')}` });

type FileOptions = z.output<typeof file>;

interface Wanted {
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'absent';
  readonly target?: string;
  readonly mode?: number;
  readonly owner?: string | number;
  readonly group?: string | number;
  /** Hands the content over, for files. */
  readonly content?: <T>(work: (content: Content) => T) => T;
}

export const filesStep: Step<FileOptions[]> = {
  key: 'files',
  summary: 'Places, replaces and removes files, directories and links',
  schema: z.array(file).min(1),
  describe: (options) => `files: ${options.map((one) => `${one.absent ? 'remove ' : ''}${one.path}`).join(', ')}`,
  apply(tree, options, context) {
    const all = options.map((one) => expand(one, context)); // everything on the host is looked at before anything is written
    for (const wanted of all.flat()) place(tree, wanted);
  },
  verify(tree, options, context) {
    const last = new Map(options.flatMap((one) => expand(one, context)).map((wanted) => [wanted.path, wanted])); // a later entry may replace an earlier one
    return [...last.values()].flatMap((wanted) => check(tree, wanted));
  },
};

/** One entry of the profile as what has to be in the image, directories first. */
function expand(options: FileOptions, context: StepContext): Wanted[] {
  const { path, owner, group } = options;
  const mode = options.mode === undefined ? undefined : parseInt(options.mode.replace('0o', ''), 8);
  const common = { path, owner, group, mode };
  if (options.absent) return [{ path, type: 'absent' }];
  if (options.directory) return [{ ...common, type: 'directory' }];
  if (options.link !== undefined) return [{ ...common, type: 'symlink', target: options.link, mode: undefined }];
  if (options.source === undefined) {
    const bytes = Buffer.from(options.content ?? rendered(options.template!, context), 'utf8');
    return [{ ...common, type: 'file', content: (work) => work(bytes) }];
  }
  return scanSource(resolve(context.directory, options.source)).map(({ relative, type, target, host, executable }) => ({
    path: relative === '' ? path : `${path}/${relative}`, owner, group, type, ...(target !== undefined && { target }),
    ...(type === 'file' && { mode: mode ?? (executable ? 0o755 : 0o644), content: <T>(work: (content: Content) => T) => withHostFile(host, work) }),
  }));
}

function rendered(template: string, { directory, render }: StepContext): string {
  const host = resolve(directory, template);
  let text: string;
  try {
    text = readFileSync(host, 'utf8');
  } catch (error) {
    throw new RockberryError('profile', `expected a readable template at ${host}, found: ${(error as Error).message}`, { cause: error });
  }
  if (text.length > TEMPLATE_LIMIT) throw new RockberryError('profile', `expected at most ${TEMPLATE_LIMIT} characters in the template ${host}, found ${text.length}`);
  return render ? render(text) : text;
}

function place(tree: Tree, wanted: Wanted): void {
  const { path, type } = wanted;
  const there = tree.stat(path);
  if (type === 'absent') return there ? removeAll(tree, path) : undefined;
  if (there && there.type !== type && (there.type === 'directory' || (type === 'directory' && there.type !== 'symlink'))) {
    throw new RockberryError('path', `expected a ${type} or nothing at ${path}, found a ${there.type}`, { hint: 'remove it first: an entry with absent: true before this one' });
  }
  if (there && there.type !== type && !(type === 'directory' && isDirectory(tree, path))) tree.remove(path);
  const attributes = attributesOf(tree, wanted);
  makeParents(tree, path);
  if (type === 'directory') tree.makeDirectory(path, attributes);
  else if (type === 'symlink') tree.makeLink(path, wanted.target!, attributes);
  else wanted.content!((content) => tree.write(path, content, attributes));
}

function attributesOf(tree: Tree, { mode, owner, group }: Wanted): Attributes {
  return {
    ...(mode !== undefined && { mode }), ...(owner !== undefined && { uid: resolveUser(tree, owner) }), ...(group !== undefined && { gid: resolveGroup(tree, group) }),
  };
}

/** A link to a directory stands for the directory (/lib on a merged-usr system). */
function isDirectory(tree: Tree, path: string): boolean {
  return tree.stat(tree.resolve(path))?.type === 'directory';
}

/** Removes a file, a link, or a directory with everything in it. Links are never followed. */
function removeAll(tree: Tree, path: string): void {
  if (path === tree.bootDirectory || tree.bootDirectory.startsWith(`${path}/`)) {
    throw new RockberryError('refused', `expected a path that can go, found ${path}, where the boot partition is`);
  }
  if (tree.stat(path)?.type === 'directory') for (const { name } of tree.list(path)) removeAll(tree, `${path}/${name}`);
  tree.remove(path);
}

function check(tree: Tree, wanted: Wanted): Finding[] {
  const { path, type } = wanted;
  const there = type === 'directory' ? tree.stat(tree.resolve(path)) : tree.stat(path);
  const wrong = (message: string): Finding[] => [notAsAsked('files', path, message)];
  if (type === 'absent') return there ? wrong(`expected nothing, found a ${there.type}`) : [];
  if (there?.type !== type) return wrong(`expected a ${type}, found ${there?.type ?? 'nothing'}`);
  if (type === 'symlink' && tree.readLink(path) !== wanted.target) return wrong(`expected a link to ${wanted.target}, found one to ${tree.readLink(path)}`);
  if (type === 'file' && !wanted.content!((content) => holdsContent(tree, path, content))) return wrong('expected the content that was asked for, found another');
  return isOnBoot(tree, path) ? [] : checkAttributes(there, attributesOf(tree, wanted)).flatMap(wrong);
}

function checkAttributes(there: Stat, { mode, uid, gid }: Attributes): string[] {
  return [
    ...(mode !== undefined && mode !== there.mode ? [`expected the mode ${mode.toString(8)}, found ${there.mode.toString(8)}`] : []),
    ...(uid !== undefined && uid !== there.uid ? [`expected the owner ${uid}, found ${there.uid}`] : []),
    ...(gid !== undefined && gid !== there.gid ? [`expected the group ${gid}, found ${there.gid}`] : []),
  ];
}

/** FAT has no owners and modes. */
function isOnBoot(tree: Tree, path: string): boolean {
  const real = tree.resolve(path);
  return real === tree.bootDirectory || real.startsWith(`${tree.bootDirectory}/`);
}
