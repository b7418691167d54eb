/**
 * No swap, because kubelet refuses to start with it: fstab's lines are commented out, swap.target is masked (what fstab, GPT auto-discovery and swap units
 * hang on to), and the makers of swap files and compressed swap in memory are told to make none.
 */
import { z } from 'zod';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { notAsAsked, readText, writeText } from './content.js';
import { checkPlaced, namesIn, place, placeLink, type Placed } from './placed.js';
import type { Step } from './step.js';

const FSTAB = '/etc/fstab';
const UNITS = '/etc/systemd/system';
const DPHYS = 'dphys-swapfile.service'; // Raspberry Pi OS up to 12

const schema = z.literal('off').describe('"off": no swap space of any kind at boot.');

export const swapStep: Step<'off'> = {
  key: 'swap',
  summary: 'Turns swap off for good: fstab, swap.target, zram and swap files.',
  schema,
  describe: () => 'no swap',
  apply(tree) {
    const fstab = readText(tree, FSTAB);
    if (fstab !== undefined) writeText(tree, FSTAB, withoutSwap(fstab));
    for (const unit of masked(tree)) placeLink(tree, `${UNITS}/${unit}`, '/dev/null');
    for (const file of configured(tree)) place(tree, file);
  },
  verify(tree) {
    const active = (readText(tree, FSTAB) ?? '').split('\n').filter(isSwap);
    return [
      ...active.map((line) => notAsAsked('swap', FSTAB, `expected no swap in ${FSTAB}, found "${line.trim()}"`)),
      ...masked(tree).filter((unit) => !isMasked(tree, unit)).map((unit) => notAsAsked('swap', `${UNITS}/${unit}`, `expected ${unit} to be masked, found it is not`)),
      ...configured(tree).flatMap((file) => checkPlaced(tree, 'swap', file)),
      ...swapUnits(tree),
    ];
  },
};

/** Comments out fstab's swap lines; the others keep their bytes. */
export function withoutSwap(fstab: string): string {
  return fstab.split('\n').map((line) => (isSwap(line) ? `#${line}` : line)).join('\n');
}

/** fstab(5): the third field is the type. */
function isSwap(line: string): boolean {
  return !/^\s*#/.test(line) && line.trim().split(/\s+/)[2] === 'swap';
}

function masked(tree: Tree): string[] {
  const hasDphys = ['/usr/lib/systemd/system', '/lib/systemd/system'].some((directory) => namesIn(tree, directory).includes(DPHYS));
  return ['swap.target', ...(hasDphys ? [DPHYS] : [])];
}

function isMasked(tree: Tree, unit: string): boolean {
  const path = `${UNITS}/${unit}`;
  return tree.stat(path)?.type === 'symlink' && tree.readLink(path) === '/dev/null';
}

/**
 * zram-generator's README: an empty file in /etc stands in front of the one in /usr and configures no device. rpi-swap's swap.conf(5), from Raspberry Pi OS
 * 13 on: Mechanism=none.
 */
function configured(tree: Tree): Placed[] {
  const generators = namesIn(tree, '/usr/lib/systemd/system-generators');
  const hasZram = generators.includes('zram-generator') || ['/usr/lib/systemd', '/etc/systemd'].some((directory) => namesIn(tree, directory).includes('zram-generator.conf'));
  return [
    ...(hasZram ? [{ path: '/etc/systemd/zram-generator.conf', text: '', mode: 0o644 }] : []),
    ...(generators.includes('rpi-swap-generator') ? [{ path: '/etc/rpi/swap.conf', text: '[Main]\nMechanism=none\n', mode: 0o644 }] : []),
  ];
}

/** A swap unit that someone wrote may be wanted by something else than swap.target. */
function swapUnits(tree: Tree): Finding[] {
  return namesIn(tree, UNITS).filter((name) => name.endsWith('.swap') && !isMasked(tree, name)).map((name): Finding => ({
    severity: 'warning', id: 'swap-unit', subject: `${UNITS}/${name}`, message: `expected no swap unit, found ${UNITS}/${name}`, hint: `add "services: {mask: [${name}]}"`,
  }));
}
