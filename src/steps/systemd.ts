/**
 * What systemctl does to a system that is not running (`systemctl --root=DIR enable, disable, mask`): only symbolic links under /etc/systemd/system, made
 * from each unit's own [Install]. Follows src/shared/install.c of systemd 252, the version of EL9; the tests compare with that program.
 */
import { RockberryError } from '../errors.js';
import type { Tree } from '../fs/filesystem.js';
import { readText } from './content.js';
import { didYouMean } from './nearest.js';
import { namesIn } from './placed.js';
import { expandSpecifiers, installOf, isUnitName, nameParts, templateOf, withInstance, type Install } from './unit-file.js';

export const UNITS = '/etc/systemd/system';
/** The first directory that has a name wins (systemd.unit(5)); those that exist only while a system runs are left out. */
const SEARCH_PATH = [UNITS, '/run/systemd/system', '/usr/local/lib/systemd/system', '/usr/lib/systemd/system', '/lib/systemd/system'];
const MAX_ALIASES = 64; // UNIT_FILE_FOLLOW_SYMLINK_MAX
const MAX_UNITS = 1024; // reached through Also=

export interface Unit {
  readonly name: string;
  /** The file; the template's for an instance. */
  readonly path: string;
  readonly isMasked: boolean;
}

export interface Link {
  readonly path: string;
  readonly target: string;
  /** A link for an alias does not replace one that leads to another unit; one in .wants does. */
  readonly isAlias: boolean;
}

/** The unit of that name, aliases in /usr followed; undefined when the image has none. */
export function findUnit(tree: Tree, name: string): Unit | undefined {
  let wanted = name;
  for (let links = 0; links < MAX_ALIASES; links++) {
    const path = pathOf(tree, wanted) ?? pathOf(tree, templateOf(wanted) ?? '');
    if (path === undefined) return undefined;
    const stat = tree.stat(path)!;
    if (stat.type === 'file') return { name: wanted, path, isMasked: stat.size === 0 };
    if (stat.type !== 'symlink') throw new RockberryError('path', `expected a unit file at ${path}, found a ${stat.type}`);
    const target = tree.readLink(path);
    if (target === '/dev/null') return { name: wanted, path, isMasked: true };
    const base = target.slice(target.lastIndexOf('/') + 1);
    const { instance } = nameParts(wanted);
    const next = instance && nameParts(base).instance === '' ? withInstance(base, instance) : base;
    if (next === wanted || next === templateOf(wanted)) return linkedUnit(tree, wanted, path);
    wanted = next;
  }
  throw new RockberryError('corrupt', `expected at most ${MAX_ALIASES} links from ${name} to its unit file, found a loop`);
}

/** A link to a file of the same name elsewhere ("systemctl link", or a directory merged into /usr). */
function linkedUnit(tree: Tree, name: string, path: string): Unit | undefined {
  const target = tree.resolve(path);
  const stat = tree.stat(target);
  return stat?.type === 'file' ? { name, path: target, isMasked: stat.size === 0 } : undefined;
}

function pathOf(tree: Tree, name: string): string | undefined {
  if (!isUnitName(name)) return undefined;
  return SEARCH_PATH.map((directory) => `${directory}/${name}`).find((path) => tree.stat(path));
}

/** The unit, or an error that names the nearest. */
export function requireUnit(tree: Tree, name: string): Unit {
  if (!isUnitName(name)) throw new RockberryError('profile', `expected the name of a unit, as "sshd.service", found "${name}"`);
  const unit = findUnit(tree, name);
  if (unit) return unit;
  const hint = didYouMean(name, unitNames(tree), 'install its package in the image or write the unit with a unit step before this one');
  throw new RockberryError('profile', `expected a unit of the image, found "${name}", which is in none of ${SEARCH_PATH.slice(0, 4).join(', ')}`, { hint });
}

/** Whether there is more of the unit than a mask. */
export function isInstalled(tree: Tree, name: string): boolean {
  const names = [name, templateOf(name)].filter((one) => one !== undefined);
  const paths = SEARCH_PATH.flatMap((directory) => names.map((one) => `${directory}/${one}`));
  return paths.some((path) => tree.stat(path)?.type === 'file' || (tree.stat(path)?.type === 'symlink' && tree.readLink(path) !== '/dev/null'));
}

export function unitNames(tree: Tree): string[] {
  return [...new Set(SEARCH_PATH.flatMap((directory) => namesIn(tree, directory)))].filter(isUnitName);
}

/** [Install] of the unit and of its drop-ins: X.d before X@.d where both have a name, the order of SEARCH_PATH, each file name once, by name. */
export function readInstall(tree: Tree, unit: Unit): Install {
  const owners = [unit.name, templateOf(unit.name)].filter((name) => name !== undefined);
  const files = new Map<string, string>();
  for (const directory of owners.flatMap((owner) => SEARCH_PATH.map((path) => `${path}/${owner}.d`))) {
    for (const name of namesIn(tree, directory)) if (name.endsWith('.conf') && !files.has(name)) files.set(name, `${directory}/${name}`);
  }
  const dropIns = [...files].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
  return installOf([unit.path, ...dropIns].map((path) => textOf(tree, path)));
}

function textOf(tree: Tree, path: string): string {
  return tree.stat(tree.resolve(path))?.type === 'file' ? readText(tree, path)! : ''; // a drop-in that is a link to /dev/null is masked
}

/** The unit and all that its Also= reaches, the unit first. What Also= names and the image does not have is left out. */
function withAlso(tree: Tree, first: Unit): Unit[] {
  const units = new Map([[first.name, first]]);
  for (const unit of units.values()) { // a Map's iteration sees what is added on the way
    if (unit.isMasked || units.size > MAX_UNITS) continue;
    for (const name of readInstall(tree, unit).also) {
      const other = findUnit(tree, expandSpecifiers(name, unit.name));
      if (other && !units.has(other.name)) units.set(other.name, other);
    }
  }
  return [...units.values()];
}

/** The links that `systemctl enable` makes. Masked, unknown, static: an error that says which. */
export function linksToEnable(tree: Tree, name: string): Link[] {
  const unit = requireUnit(tree, name);
  if (unit.isMasked) throw new RockberryError('profile', `expected a unit that can be enabled, found ${name} masked by ${unit.path}`, { hint: `add "unmask: [${name}]"` });
  const links = withAlso(tree, unit).filter(({ isMasked }) => !isMasked).flatMap((one) => linksOf(one, readInstall(tree, one)));
  if (links.length > 0) return links;
  const isTemplate = nameParts(unit.name).instance === '';
  const hint = isTemplate ? `name an instance, as "${withInstance(unit.name, 'NAME')}"` : 'it is started by other units; nothing needs to be enabled';
  throw new RockberryError('profile', `expected [Install] of ${unit.path} to say what wants ${name}, found that it does not`, { hint });
}

function linksOf(unit: Unit, install: Install): Link[] {
  const isTemplate = nameParts(unit.name).instance === '';
  const instance = install.defaultInstance && expandSpecifiers(install.defaultInstance, unit.name);
  const aliases = install.aliases.map((alias) => aliasPath(expandSpecifiers(alias, unit.name), unit.name)).filter((path) => path !== undefined);
  const named = isTemplate ? instance && withInstance(unit.name, instance) : unit.name;
  const wanted = (targets: readonly string[], kind: string): string[] => (named ? targets : []).map((target) => {
    const owner = expandSpecifiers(target, unit.name);
    if (!isUnitName(owner)) throw new RockberryError('corrupt', `expected the name of a unit in [Install] of ${unit.path}, found "${owner}"`);
    return `${UNITS}/${owner}.${kind}/${named}`;
  });
  return [
    ...aliases.map((path) => ({ path, target: unit.path, isAlias: true })),
    ...[...wanted(install.wantedBy, 'wants'), ...wanted(install.requiredBy, 'requires')].map((path) => ({ path, target: unit.path, isAlias: false })),
  ];
}

/** Where the link for an alias is; undefined for the unit's own name. An alias may also stand in a .wants or .requires directory. */
function aliasPath(alias: string, unit: string): string | undefined {
  const slash = alias.indexOf('/');
  const name = alias.slice(slash + 1);
  const owner = slash < 0 ? undefined : /^(.+)\.(wants|requires)$/.exec(alias.slice(0, slash))?.[1];
  if (!isUnitName(name) || (slash >= 0 && !(owner && isUnitName(owner))) || nameParts(name).type !== nameParts(unit).type) {
    throw new RockberryError('corrupt', `expected an alias of the same type for ${unit}, found Alias=${alias}`);
  }
  if (slash >= 0) return `${UNITS}/${alias}`;
  const { instance } = nameParts(unit);
  const full = instance && nameParts(name).instance === '' ? withInstance(name, instance) : name;
  return full === unit ? undefined : `${UNITS}/${full}`;
}

/** Whether the link is there: another spelling of the same file (relative, or by /lib) counts. */
export function hasLink(tree: Tree, { path, target }: Link): boolean {
  return tree.stat(path)?.type === 'symlink' && tree.resolve(path) === tree.resolve(target);
}

/**
 * The links that `systemctl disable` removes: every link under /etc/systemd/system that leads to one of the names (the unit's and its Also='s) or carries
 * it, and then every link to what was removed.
 */
export function linksToDisable(tree: Tree, name: string): string[] {
  const unit = isUnitName(name) ? findUnit(tree, name) : undefined;
  if (unit?.isMasked) return [];
  const marked = new Set(unit ? withAlso(tree, unit).filter(({ isMasked }) => !isMasked).map((one) => one.name) : [name]);
  const links = linksUnder(tree, UNITS).filter((path) => tree.readLink(path) !== '/dev/null');
  const removed = new Set<string>();
  for (let before = -1; before < removed.size; ) {
    before = removed.size;
    for (const path of links.filter((one) => !removed.has(one) && isMarked(tree, one, marked))) {
      removed.add(path);
      marked.add(path);
    }
  }
  return [...removed].sort();
}

function isMarked(tree: Tree, path: string, marked: ReadonlySet<string>): boolean {
  const base = baseName(path);
  if (marked.has(base) || marked.has(templateOf(base) ?? '')) return true;
  const target = tree.readLink(path);
  const absolute = target.startsWith('/') ? target : `${path.slice(0, path.lastIndexOf('/'))}/${target}`;
  return marked.has(absolute) || marked.has(baseName(target));
}

/** Links are in the directory itself and one below (X.wants, X.requires); nobody looks for units deeper. */
function linksUnder(tree: Tree, directory: string, depth = 2): string[] {
  if (depth === 0 || tree.stat(directory)?.type !== 'directory') return [];
  return tree.list(directory).flatMap(({ name, type }) => {
    const path = `${directory}/${name}`;
    return type === 'directory' ? linksUnder(tree, path, depth - 1) : type === 'symlink' ? [path] : [];
  });
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
