/**
 * How an image starts, as far as control groups care: which kernel with which command line on which boards, what the device tree puts in front of it, and what
 * becomes of a controller then.
 */
import { valueOf, words } from '../steps/command-line.js';
import type { CommandLineFile } from '../steps/cmdline.js';
import { boardNames, bootedImage, boots, type Boot } from './boots.js';
import { deviceTrees, type DeviceTree } from './device-trees.js';
import { mechanismOf } from './kernel-facts.js';
import type { Node } from './node.js';
import { remembered } from './remembered.js';
import type { Mechanism } from './tables/memory-cgroup.js';
import type { Hierarchy } from './tables/system-validators.js';
import { FALSE, NO_V1, SYSTEMD_DEFAULTS, TRUE, UNIFIED } from './tables/systemd-cgroups.js';

export interface Start {
  /** undefined: no kernel of the image says what it is. */
  readonly release: string | undefined;
  readonly file: CommandLineFile;
  readonly deviceTree: DeviceTree | undefined;
  /** "Pi 4, Pi 400"; '' where it is all of them, or they are not known. */
  readonly boards: string;
  /** What the kernel is given, as far as the image decides it: the device tree's part first (raspberrypi documentation, PR #6439). */
  readonly line: string;
}

/** A word about one controller. */
export interface Switch {
  readonly isOn: boolean;
  /** "cgroup_disable=memory" */
  readonly word: string;
  readonly path: string;
}

export interface ControllerState {
  readonly isOn: boolean;
  /** What decides; undefined: the kernel's own default. */
  readonly by: Switch | undefined;
}

const RELEVANT = /cgroup|^"?(psi|swapaccount)\b/; // among the words of a device tree
const SYSTEMD_LIBRARY = /^libsystemd-shared-(\d{3})\b/;
const OLD_PLATFORM = /^PLATFORM_ID="?platform:el8"?$|^VERSION_ID="?7["._]/m;

/** One for each thing that can come together; boards for which it comes to the same are one. Empty without a command line of the firmware's. */
export const starts: (node: Node) => readonly Start[] = remembered((node) => {
  const known = boots(node);
  const found = known.length > 0 ? known.flatMap((boot) => startsOf(node, boot)) : startsAnywhere(node);
  const groups = new Map<string, Start[]>();
  for (const one of found) {
    const key = JSON.stringify([one.release, one.file.path, one.deviceTree?.problem, kernelWords(one.deviceTree?.bootargs ?? '').filter((word) => RELEVANT.test(word))]);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()].map((group) => ({ ...group[0]!, boards: group.length === found.length ? '' : group.map(({ boards }) => boards).join(', ') }));
});

/** "kernel 6.1.31-v8 on Pi 3, Pi 4", for a sentence. */
export function startName({ release, boards }: Pick<Start, 'release' | 'boards'>): string {
  return `${release === undefined ? 'a kernel that does not say its release' : `kernel ${release}`}${boards === '' ? '' : ` on ${boards}`}`;
}

/** Every word for or against a controller (or one of its names), in the order in which the kernel reads them; what follows "--" is not the kernel's. */
export function switches({ line, file, deviceTree }: Start, names: readonly string[]): Switch[] {
  const fromTree = deviceTree?.bootargs === undefined ? 0 : kernelWords(deviceTree.bootargs).length;
  return kernelWords(line).flatMap((word, at) => {
    const path = at < fromTree ? deviceTree!.path : file.path;
    return ([['cgroup_enable', true], ['cgroup_disable', false]] as const).flatMap(([key, isOn]) => {
      const members = valueOf(word, key)?.split(',') ?? [];
      return names.filter((name) => members.includes(name)).map((name): Switch => ({ isOn, word: `${key}=${name}`, path }));
    });
  });
}

/** What the table's row makes of them. */
export function controllerState(found: readonly Switch[], { isOnByDefault, enable }: Pick<Mechanism, 'isOnByDefault' | 'enable'>): ControllerState {
  const heard = enable === 'unknown' ? found.filter(({ isOn }) => !isOn) : found;
  const deciding = enable === 'wins' ? (heard.find(({ isOn }) => isOn) ?? heard.at(-1)) : heard.at(-1);
  return deciding ? { isOn: deciding.isOn, by: deciding } : { isOn: isOnByDefault, by: undefined };
}

export function mechanismAt(node: Node, { release }: Start): Mechanism | undefined {
  return release === undefined ? undefined : mechanismOf(node, release);
}

export interface HierarchyState {
  readonly hierarchy: Hierarchy;
  /** For a sentence: "systemd 252", "systemd". */
  readonly systemd: string;
  /** The word that asks for it; undefined: systemd's own default. */
  readonly by: string | undefined;
}

export function hierarchyAt(node: Node, { line }: Pick<Start, 'line'>): HierarchyState {
  const version = systemdVersion(node);
  const systemd = version === undefined ? 'systemd' : `systemd ${version}`;
  const row = SYSTEMD_DEFAULTS.findLast(({ from }) => (version ?? (isOldPlatform(node) ? 239 : 252)) >= from)!;
  const wanted = row.isChoice ? valueOf(line, UNIFIED)?.toLowerCase() : undefined;
  if (wanted !== undefined && TRUE.includes(wanted)) return { hierarchy: 'v2', systemd, by: `${UNIFIED}=${wanted || '1'}` };
  if (wanted !== undefined && FALSE.includes(wanted)) return { hierarchy: 'v1', systemd, by: `${UNIFIED}=${wanted}` };
  if (row.isChoice && valueOf(line, NO_V1) === 'all') return { hierarchy: 'v2', systemd, by: `${NO_V1}=all` };
  return { hierarchy: row.hierarchy, systemd, by: undefined };
}

/** Words of the kernel's part of a line. */
export function kernelWords(line: string): string[] {
  const all = words(line);
  const end = all.indexOf('--');
  return end < 0 ? all : all.slice(0, end);
}

/** From the name of its library, which every distribution keeps in one of these directories. */
function systemdVersion(node: Node): number | undefined {
  const names = ['/usr/lib/systemd', '/lib/systemd', '/usr/lib/aarch64-linux-gnu/systemd'].flatMap((folder) => node.names(folder));
  const version = names.map((name) => SYSTEMD_LIBRARY.exec(name)?.[1]).find((found) => found !== undefined);
  return version === undefined ? undefined : Number(version);
}

function isOldPlatform(node: Node): boolean {
  return OLD_PLATFORM.test(node.text('/etc/os-release') ?? '');
}

function startsOf(node: Node, boot: Boot): Start[] {
  const file = node.commandLines().find(({ path }) => path === boot.commandLine.path);
  if (!file) return [];
  const deviceTree = deviceTrees(node).find(({ path }) => path === boot.deviceTree?.path);
  const release = bootedImage(node, boot)?.release;
  return releases(node, release).map((one) => start(one, file, deviceTree, boardNames([boot])));
}

function startsAnywhere(node: Node): Start[] {
  return node.commandLines().flatMap((file) => releases(node, undefined).map((release) => start(release, file, undefined, '')));
}

function releases(node: Node, release: string | undefined): (string | undefined)[] {
  if (release !== undefined || node.kernels().length === 0) return [release];
  return node.kernels().map((kernel) => kernel.release);
}

function start(release: string | undefined, file: CommandLineFile, deviceTree: DeviceTree | undefined, boards: string): Start {
  return { release, file, deviceTree, boards, line: [deviceTree?.bootargs, file.line].filter((part) => part !== undefined && part !== '').join(' ') };
}
