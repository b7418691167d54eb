/** What an image holds: the facts that someone wants before customizing it. Everything is read from the image itself; nothing is changed. */
import type { ImageFormat } from './codec/codec.js';
import { RockberryError } from './errors.js';
import type { Tree } from './fs/filesystem.js';
import { kernelNeed, openImageFile, type Image, type ImagePartition, type OpenImageOptions } from './image/image.js';
import { findCommandLines } from './steps/cmdline.js';
import { readAccounts } from './steps/accounts.js';
import { readText } from './steps/content.js';

export interface PartitionReport {
  readonly number: number;
  readonly type: string;
  readonly typeName: string;
  /** Bytes. */
  readonly start: number;
  readonly size: number;
  /** "ext4", "FAT16", "swap", or what else it holds. */
  readonly filesystem: string;
  readonly label: string;
  readonly uuid: string;
  readonly partuuid: string;
  /** Bytes; null where there is no filesystem that we read. */
  readonly free: number | null;
  readonly mountedAt: string | null;
  readonly role: 'boot' | 'root' | null;
}

export interface ImageReport {
  readonly image: string;
  readonly format: ImageFormat;
  readonly bytes: number;
  readonly imageBytes: number;
  readonly scheme: 'mbr' | 'gpt';
  readonly diskId: string;
  readonly partitions: readonly PartitionReport[];
  readonly os: { readonly name: string; readonly version: string; readonly id: string } | null;
  readonly commandLines: readonly { readonly path: string; readonly line: string }[];
  readonly configTxt: { readonly path: string; readonly text: string } | null;
  readonly kernels: readonly string[];
  readonly users: readonly { readonly name: string; readonly uid: number; readonly shell: string; readonly password: string }[];
  readonly enabledUnits: readonly string[];
  readonly selinux: { readonly mode: string; readonly policy: string } | null;
  /** Why something could not be told. */
  readonly problems: readonly string[];
}

export interface InspectOptions extends OpenImageOptions {
  /** An image whose root only the kernel reads is an error, for whoever can ask the kernel. */
  readonly kernelFirst?: boolean;
}

export async function inspect(path: string, options: InspectOptions = {}): Promise<ImageReport> {
  const image = await openImageFile(path, { ...options, wide: true });
  try {
    const need = options.kernelFirst ? kernelNeed(image) : undefined;
    if (need) throw need;
    return describe(image);
  } finally {
    image.close();
  }
}

function describe(image: Image): ImageReport {
  const tree = image.roles.root ? image.tree() : undefined;
  const problems = [...image.partitions.flatMap(({ problem }) => (problem ? [problem.message] : [])), ...image.roles.problems];
  /** One thing that cannot be read (an /etc/passwd that is a directory) is told, and the rest is still shown. */
  const read = <T>(work: (tree: Tree) => T, otherwise: T): T => {
    try {
      return tree ? work(tree) : otherwise;
    } catch (error) {
      if (!(error instanceof RockberryError)) throw error;
      problems.push(error.message);
      return otherwise;
    }
  };
  return {
    image: image.path,
    format: image.decoded.format,
    bytes: image.decoded.file.size,
    imageBytes: image.decoded.device.size,
    scheme: image.table.scheme,
    diskId: image.table.diskId,
    partitions: image.partitions.map((partition) => describePartition(image, partition)),
    os: read(osRelease, null),
    commandLines: image.roles.boot ? read((at) => findCommandLines(at).map(({ path, line }) => ({ path, line })), []) : [],
    configTxt: image.roles.boot ? read(configTxt, null) : null,
    kernels: read(kernels, []),
    users: read(usersWithLogin, []),
    enabledUnits: read(enabledUnits, []),
    selinux: read(selinux, null),
    problems,
  };
}

function describePartition(image: Image, partition: ImagePartition): PartitionReport {
  const { number, type, typeName, start, length, label, uuid, partuuid, holds } = partition;
  const info = partition.filesystem?.info();
  const role = partition === image.roles.boot ? 'boot' : partition === image.roles.root ? 'root' : null;
  return {
    number, type, typeName, start, size: length, filesystem: info?.variant ?? holds, label, uuid, partuuid,
    free: info?.free ?? null, mountedAt: image.mountedAt(partition) ?? null, role,
  };
}

/** KEY=value lines with optional quotes: os-release(5), and /etc/selinux/config. */
function assignments(text: string): Map<string, string> {
  const pairs = [...text.matchAll(/^\s*([A-Z_0-9]+)\s*=\s*(.*?)\s*$/gm)];
  return new Map(pairs.map(([, key, value]) => [key!, value!.replace(/^(["'])(.*)\1$/, '$2')]));
}

function osRelease(tree: Tree): ImageReport['os'] {
  const text = readText(tree, '/etc/os-release') ?? readText(tree, '/usr/lib/os-release');
  if (text === undefined) return null;
  const values = assignments(text);
  return { name: values.get('PRETTY_NAME') ?? values.get('NAME') ?? '', version: values.get('VERSION_ID') ?? '', id: values.get('ID') ?? '' };
}

function configTxt(tree: Tree): ImageReport['configTxt'] {
  const path = `${tree.bootDirectory}/config.txt`;
  const text = readText(tree, path);
  return text === undefined ? null : { path, text };
}

function kernels(tree: Tree): string[] {
  const modules = tree.resolve('/lib/modules');
  return tree.stat(modules)?.type === 'directory' ? tree.list(modules).filter(({ type }) => type === 'directory').map(({ name }) => name) : [];
}

const NO_LOGIN = /\/(nologin|false|sync|shutdown|halt)$/;

function usersWithLogin(tree: Tree): ImageReport['users'] {
  const shadow = new Map((readText(tree, '/etc/shadow') ?? '').split('\n').map((line) => line.split(':')).map(([name, hash]) => [name, hash]));
  return readAccounts(tree).filter(({ shell }) => shell !== '' && !NO_LOGIN.test(shell)).map(({ name, uid, shell }) => ({
    name, uid, shell, password: passwordState(shadow.get(name)),
  }));
}

/** shadow(5): "!" or "*" in front means that no password can match; an empty field means that none is asked for. The hash itself is never shown. */
function passwordState(hash: string | undefined): string {
  if (hash === undefined) return 'none';
  if (hash === '') return 'empty';
  return /^[!*]/.test(hash) ? 'locked' : 'set';
}

/** Every unit that a link in a .wants or .requires directory of /etc/systemd/system pulls in. */
function enabledUnits(tree: Tree): string[] {
  const folder = '/etc/systemd/system';
  if (tree.stat(tree.resolve(folder))?.type !== 'directory') return [];
  const pulling = tree.list(folder).filter(({ name, type }) => type === 'directory' && /\.(wants|requires)$/.test(name));
  const units = pulling.flatMap(({ name }) => tree.list(`${folder}/${name}`).map((entry) => entry.name));
  return [...new Set(units)].sort();
}

function selinux(tree: Tree): ImageReport['selinux'] {
  const text = readText(tree, '/etc/selinux/config');
  if (text === undefined) return null;
  const values = assignments(text);
  return { mode: values.get('SELINUX') ?? '', policy: values.get('SELINUXTYPE') ?? '' };
}
