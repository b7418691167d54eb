/** Units enabled, disabled and masked: the links that systemctl would make, and a preset that says the same. */
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { notAsAsked, readText, writeText } from './content.js';
import { didYouMean } from './nearest.js';
import { placeLink } from './placed.js';
import type { Step } from './step.js';
import { hasLink, isInstalled, linksToDisable, linksToEnable, unitNames, UNITS, type Link } from './systemd.js';
import { nameParts, withSuffix } from './unit-file.js';

/**
 * Read by "systemctl preset-all", which systemd runs at a first boot (machine-id missing or "uninitialized", as in images other than Rocky's): without it
 * the distribution's "enable *" or "disable *" would undo this step. First match wins, so the name sorts before 90-default.preset (systemd.preset(5)).
 */
export const PRESET = '/etc/systemd/system-preset/10-rockberry.preset';

const units = (what: string) => z.array(z.string().min(1).max(255).regex(/^[A-Za-z0-9:_.\\@-]+$/, 'expected the name of a unit, as "sshd" or "chronyd.service"')
  .describe('Unit name; ".service" is implied.')).describe(what).optional();
const schema = z.strictObject({
  enable: units('Units to start at boot, by the links that their own [Install] asks for.'),
  disable: units('Units not to start at boot: every link to them in /etc/systemd/system goes.'),
  mask: units('Units that cannot be started at all.'),
  unmask: units('Units whose mask is taken away, before anything is enabled.'),
});
export type ServicesOptions = z.infer<typeof schema>;

export const servicesStep: Step<ServicesOptions> = {
  key: 'services',
  summary: 'Enables, disables and masks systemd units as systemctl would.',
  schema,
  describe: (options) => (['unmask', 'disable', 'enable', 'mask'] as const).filter((verb) => options[verb]?.length).map((verb) => `${verb} ${options[verb]!.join(', ')}`).join('; ') || 'no service changes',
  apply(tree, { enable = [], disable = [], mask = [], unmask = [] }) {
    for (const name of unmask.map(withSuffix)) if (isMasked(tree, name)) tree.remove(`${UNITS}/${name}`);
    for (const name of disable.map(withSuffix)) disableUnit(tree, name);
    for (const name of enable.map(withSuffix)) enableUnit(tree, name);
    for (const name of mask.map(withSuffix)) maskUnit(tree, name);
  },
  verify(tree, { enable = [], disable = [], mask = [], unmask = [] }) {
    return [
      ...enable.flatMap((name) => checkEnabled(tree, 'services', withSuffix(name))),
      ...disable.map(withSuffix).flatMap((name) => [...checkDisabled(tree, name), ...checkKnown(tree, name)]),
      ...mask.map(withSuffix).flatMap((name) => [...checkMasked(tree, name, true), ...checkKnown(tree, name)]),
      ...unmask.filter((name) => !mask.includes(name)).flatMap((name) => checkMasked(tree, withSuffix(name), false)),
    ];
  },
};

/** As `systemctl enable`, and an "enable" line in the preset. */
export function enableUnit(tree: Tree, name: string): void {
  const links = linksToEnable(tree, name).filter((link) => !hasLink(tree, link));
  links.forEach((link) => requireFree(tree, link));
  links.forEach(({ path, target }) => placeLink(tree, path, target));
  setPreset(tree, 'enable', name);
}

/** systemctl turns a link in .wants that leads elsewhere, but refuses to turn an alias. */
function requireFree(tree: Tree, { path, isAlias }: Link): void {
  const stat = tree.stat(path);
  if (!stat || (stat.type === 'symlink' && !isAlias)) return;
  const found = stat.type === 'symlink' ? `a link to ${tree.readLink(path)}` : `a ${stat.type}`;
  throw new RockberryError('refused', `expected room for a link at ${path}, found ${found}`, { hint: 'disable the other unit first' });
}

function disableUnit(tree: Tree, name: string): void {
  for (const path of linksToDisable(tree, name)) {
    tree.remove(path);
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (parent !== UNITS && tree.list(parent).length === 0) tree.remove(parent); // as systemctl: no empty .wants is left
  }
  setPreset(tree, 'disable', name);
}

export function maskUnit(tree: Tree, name: string): void {
  const path = `${UNITS}/${name}`;
  const stat = tree.stat(path);
  if (stat && !(stat.type === 'symlink' && tree.readLink(path) === '/dev/null')) {
    const found = stat.type === 'symlink' ? `a link to ${tree.readLink(path)}` : `a ${stat.type}`;
    throw new RockberryError('refused', `expected room for the mask of ${name} at ${path}, found ${found}`, { hint: 'remove it with a files step (absent) or disable the unit instead' });
  }
  placeLink(tree, path, '/dev/null');
}

function isMasked(tree: Tree, name: string): boolean {
  const path = `${UNITS}/${name}`;
  const stat = tree.stat(path);
  return stat?.type === 'symlink' ? tree.readLink(path) === '/dev/null' : stat?.type === 'file' && stat.size === 0;
}

/** Instances are left out: presets name a template, and its instances after it. */
function setPreset(tree: Tree, verb: 'enable' | 'disable', name: string): void {
  if (nameParts(name).instance) return;
  const lines = new Map((readText(tree, PRESET) ?? '').split('\n').map((line) => [line.split(/\s+/)[1], line] as const));
  lines.set(name, `${verb} ${name}`);
  const sorted = [...lines].filter(([unit]) => unit !== undefined).map(([, line]) => line).sort();
  writeText(tree, PRESET, sorted.map((line) => `${line}\n`).join(''));
}

/** Findings for a unit that should start at boot; also used by steps that bring their own unit. */
export function checkEnabled(tree: Tree, step: string, name: string): Finding[] {
  try {
    const missing = linksToEnable(tree, name).filter((link) => !hasLink(tree, link));
    return missing.map(({ path, target }) => notAsAsked(step, path, `expected ${name} to be enabled by a link from ${path} to ${target}, found none`));
  } catch (error) {
    if (error instanceof RockberryError) return [notAsAsked(step, name, error.message)];
    throw error;
  }
}

function checkDisabled(tree: Tree, name: string): Finding[] {
  return linksToDisable(tree, name).map((path) => notAsAsked('services', path, `expected ${name} to be disabled, found a link to it at ${path}`));
}

function checkMasked(tree: Tree, name: string, wanted: boolean): Finding[] {
  if (isMasked(tree, name) === wanted) return [];
  return [notAsAsked('services', `${UNITS}/${name}`, wanted ? `expected ${name} to be masked, found it is not` : `expected ${name} not to be masked, found that it is`)];
}

/** A unit that is not there need not be disabled, but the name may be a slip. */
function checkKnown(tree: Tree, name: string): Finding[] {
  if (isInstalled(tree, name)) return [];
  const hint = didYouMean(name, unitNames(tree).filter((unit) => unit !== name), 'nothing to do for this image');
  return [{ severity: 'info', id: 'services-unknown', subject: name, message: `expected a unit of the image, found no ${name}`, hint }];
}
