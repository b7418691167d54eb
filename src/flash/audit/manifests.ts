/**
 * What a card should be, from whichever document there is: OUT.json beside an image, fleet.json of a fleet's folder (with what stands beside it), or the patch of
 * a node. All three may come from strangers: bounded, against schemas; names of files in them never leave the folder.
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { RockberryError } from '../../errors.js';
import { readReport } from '../../fleet/merge.js';
import type { FleetReport, NodeReport } from '../../fleet/model.js';
import { byteCount, fileName, parseDocument, readWhole, sha256Text } from '../../fleet/patch/document.js';
import { readPatch } from '../../fleet/patch.js';
import type { FileDigest } from '../../output/manifest.js';
import { openFileDevice } from '../../device/file.js';

/** One node that the card may be. */
export interface Candidate {
  readonly name: string;
  /** What its /etc/hostname says; null when the document does not tell. */
  readonly hostname: string | null;
  /** Base64 of its SSH host keys, from known_hosts beside fleet.json; empty when none are known. */
  readonly hostKeys: readonly string[];
  /** What the profiles made of each path; null for what must not be there. */
  readonly files: ReadonlyMap<string, FileDigest | null>;
  /** Paths of which only that is known: true for those that must be there. */
  readonly placed: ReadonlyMap<string, boolean>;
  /** Of the image file that was flashed; null when it is not known. */
  readonly imageSha256: string | null;
  /** Path of the node's patch on the host. */
  readonly patch: string | null;
}

export interface Expected {
  readonly kind: 'image' | 'fleet' | 'patch';
  /** The document's own name. */
  readonly name: string;
  readonly base: { readonly name: string; readonly sha256: string };
  readonly candidates: readonly Candidate[];
}

const MANIFEST_FORM = 1;
const MANIFEST_LIMIT = 64 * 2 ** 20; // bytes
const KNOWN_HOSTS_LIMIT = 16 * 2 ** 20; // bytes
const PATCH_HEAD = 'manifest.json\0'; // the first member of a patch's tar

const absolute = z.string().max(65_536).startsWith('/', { error: 'expected an absolute path' });
const mode = z.string().regex(/^[0-7]{4}$/, { error: 'expected a mode of four octal digits' }).transform((text) => parseInt(text, 8));
const digest = z.strictObject({ type: z.string().max(16), sha256: sha256Text.nullable(), mode, uid: byteCount, gid: byteCount, label: z.string().nullable(), target: z.string().optional() });
const change = z.strictObject({ path: absolute, action: z.enum(['created', 'changed', 'removed', 'unchanged']), old: digest.nullable(), new: digest.nullable() });
const file = z.strictObject({ name: fileName, sha256: sha256Text, bytes: byteCount, format: z.string() });
const imageManifest = z.strictObject({
  manifest: z.literal(MANIFEST_FORM), tool: z.strictObject({ name: z.string(), version: z.string() }), base: file, output: file, imageBytes: byteCount,
  profiles: z.array(z.strictObject({ name: z.string(), sha256: sha256Text })), variables: z.record(z.string(), z.unknown()),
  files: z.array(change), changed: z.array(z.strictObject({ offset: byteCount, length: byteCount })), findings: z.array(z.unknown()),
});
type ImageManifest = z.output<typeof imageManifest>;

/** Errors: `io` when it cannot be read; 'corrupt' for what is none of the three, or breaks its form; 'unsupported' for a form that is newer than this program. */
export async function readExpected(path: string): Promise<Expected> {
  if (isPatch(path)) return expectedOfPatch(path);
  const document = parseDocument(readWhole(path, 4 * MANIFEST_LIMIT).toString(), z.looseObject({}), path);
  if ('manifest' in document) return expectedOfImage(path);
  if ('nodes' in document && 'inventory' in document) return expectedOfFleet(path, readReport(path));
  throw new RockberryError('corrupt', `${path}: expected the manifest of an image (IMAGE.json), of a fleet (fleet.json) or a node's patch, found another document`, {
    hint: 'give the .json file that stands beside the image that was flashed',
  });
}

function isPatch(path: string): boolean {
  const device = openFileDevice(path);
  try {
    return device.size > PATCH_HEAD.length && Buffer.from(device.read(0, PATCH_HEAD.length)).toString('latin1') === PATCH_HEAD;
  } finally {
    device.close();
  }
}

function readManifest(path: string): ImageManifest {
  const text = readWhole(path, MANIFEST_LIMIT).toString();
  const { manifest: form } = parseDocument(text, z.looseObject({ manifest: z.unknown() }), path);
  if (form !== MANIFEST_FORM) {
    throw new RockberryError('unsupported', `${path}: expected a manifest of form ${MANIFEST_FORM}, found ${typeof form === 'number' ? `form ${form}` : 'one without a number'}`, {
      hint: 'read it with the version of rockberry that made it',
    });
  }
  return parseDocument(text, imageManifest, path);
}

function expectedOfImage(path: string): Expected {
  const manifest = readManifest(path);
  const hostname = textOf(manifest.variables.hostname);
  return {
    kind: 'image', name: basename(path), base: manifest.base,
    candidates: [{ ...NOTHING, name: hostname ?? manifest.output.name, hostname, files: filesOf(manifest), imageSha256: manifest.output.sha256 }],
  };
}

const NOTHING: Omit<Candidate, 'name' | 'hostname'> = { hostKeys: [], files: new Map(), placed: new Map(), imageSha256: null, patch: null };

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

/** `isGolden`: what is not in the image comes to be there at the first boot, when the board has become a node. */
function filesOf({ files }: ImageManifest, isGolden = false): Map<string, FileDigest | null> {
  return new Map(files.filter(({ new: now }) => now !== null || !isGolden).map(({ path, new: now }) => [path, now && plain(now)]));
}

function plain({ target, ...rest }: z.output<typeof digest>): FileDigest {
  return { ...rest, ...(target !== undefined && { target }) };
}

async function expectedOfPatch(path: string): Promise<Expected> {
  const { manifest } = await readPatch(path);
  const hostname = textOf(manifest.variables.hostname) ?? manifest.node;
  return { kind: 'patch', name: basename(path), base: manifest.base, candidates: [{ ...NOTHING, name: manifest.node, hostname, imageSha256: manifest.output.sha256, patch: path }] };
}

function expectedOfFleet(path: string, report: FleetReport): Expected {
  const folder = dirname(path);
  const keys = hostKeysIn(join(folder, 'known_hosts'));
  const candidates = report.nodes.filter(({ status }) => status !== 'failed').map((node) => candidateOf(folder, report, node, keys));
  if (candidates.length === 0) throw new RockberryError('corrupt', `${path}: expected at least one node that did not fail, found none`);
  return { kind: 'fleet', name: basename(path), base: report.base, candidates };
}

/** An image's own manifest stands beside it and tells all of its files. A golden image is no node yet: what its nodes differ in is not in any document. */
function candidateOf(folder: string, report: FleetReport, node: NodeReport, keys: ReadonlyMap<string, readonly string[]>): Candidate {
  const beside = node.output === null || report.as === 'patch' ? undefined : join(folder, `${node.output}.json`);
  const manifest = beside !== undefined && existsSync(beside) ? readManifest(beside) : undefined;
  const known = manifest && manifest.output.sha256 === node.sha256 ? manifest : undefined; // of another build: it does not tell what was flashed
  const isGolden = report.as === 'golden';
  const hostname = isGolden ? null : textOf(known?.variables.hostname);
  const placed = node.files.filter(({ path }) => path.startsWith('/')).map(({ path, action }) => [path, action !== 'removed'] as const);
  return {
    name: node.name, hostname: hostname ?? node.name, hostKeys: [node.name, hostname, node.address].flatMap((name) => (name === null ? [] : keys.get(name) ?? [])),
    files: known ? filesOf(known, isGolden) : new Map<string, never>(), placed: new Map(known ? [] : placed.filter(([, there]) => there || !isGolden)),
    imageSha256: report.as === 'patch' ? null : node.sha256, patch: report.as === 'patch' && node.output !== null ? join(folder, node.output) : null,
  };
}

/** By each name of a line of known_hosts (sshd(8)): "names type base64"; "[name]:port" is the name. */
function hostKeysIn(path: string): Map<string, string[]> {
  const keys = new Map<string, string[]>();
  if (!existsSync(path)) return keys;
  for (const line of readWhole(path, KNOWN_HOSTS_LIMIT).toString().split('\n')) {
    const [names, , blob] = line.split(' ');
    if (names === undefined || blob === undefined || names.startsWith('#') || names.startsWith('@')) continue;
    for (const name of names.split(',').map((one) => one.replace(/^\[(.*)\]:\d+$/, '$1'))) {
      const known = keys.get(name) ?? [];
      if (!known.includes(blob)) known.push(blob);
      keys.set(name, known);
    }
  }
  return keys;
}
