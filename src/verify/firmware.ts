/**
 * config.txt as the firmware reads it: with what it includes, in order, and for one board after the other (raspberrypi documentation, config_txt.html:
 * "include", "Conditional filters", "os_prefix").
 */
import { configSettings, type ConfigSetting } from '../steps/config-text.js';
import type { Node } from './node.js';
import { remembered } from './remembered.js';

export interface FirmwareSetting extends ConfigSetting {
  /** The file that says it: "/boot/config.txt". */
  readonly path: string;
}

export interface FirmwareConfig {
  /** Empty when there is no config.txt. */
  readonly settings: readonly FirmwareSetting[];
  /** config.txt and what it includes, those that are there. */
  readonly files: readonly string[];
  /** Includes whose file is not there. */
  readonly missing: readonly FirmwareSetting[];
}

const CONFIG = 'config.txt';
const MOST_FILES = 64; // what includes more is hostile

export const firmwareConfig: (node: Node) => FirmwareConfig = remembered((node) => {
  const files: string[] = [];
  const missing: FirmwareSetting[] = [];
  const read = (path: string): FirmwareSetting[] => {
    if (files.includes(path) || files.length === MOST_FILES) return []; // a file that includes itself is read once
    files.push(path);
    return configSettings(node.text(path) ?? '').flatMap((found): FirmwareSetting[] => {
      const setting = { ...found, path, value: found.value.trim() };
      if (setting.key !== 'include') return [setting];
      const inner = bootFile(node, setting.value);
      if (inner === undefined) missing.push(setting);
      return inner === undefined ? [] : read(inner).map((one) => ({ ...one, filters: [...setting.filters, ...one.filters] }));
    });
  };
  const first = bootFile(node, CONFIG);
  return { settings: first === undefined ? [] : read(first), files, missing };
});

/** Where a name that the firmware is given is in the tree, whether or not it is there; undefined for a name that leaves the boot partition. */
export function bootPath({ tree }: Node, name: string): string | undefined {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || parts.length === 0) return undefined;
  return [tree.bootDirectory.replace(/\/$/, ''), ...parts].join('/');
}

/** The path of a file on the boot partition, undefined when there is none. */
export function bootFile(node: Node, name: string): string | undefined {
  const path = bootPath(node, name);
  return path !== undefined && node.stat(path)?.type === 'file' ? path : undefined;
}

/** What os_prefix may be on any board, "" among them. "upstream_kernel=1" makes it "upstream/" where nothing else is said. */
export function osPrefixes(node: Node): readonly string[] {
  const { settings } = firmwareConfig(node);
  const named = settings.filter(({ key }) => key === 'os_prefix').map(({ value }) => value);
  const upstream = settings.some(({ key, value }) => key === 'upstream_kernel' && value === '1') ? ['upstream/'] : [];
  return [...new Set(['', ...named, ...upstream])];
}

/** The directories of the tree that hold kernels and device trees: the top of the boot partition, and those of every os_prefix. Sorted. */
export function osFolders(node: Node): readonly string[] {
  const folders = osPrefixes(node).flatMap((prefix) => bootPath(node, `${prefix}x`)?.replace(/\/[^/]*$/, '') ?? []);
  return [...new Set(folders)].filter((folder) => node.stat(folder)?.type === 'directory').sort();
}
