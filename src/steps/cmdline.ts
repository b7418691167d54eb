/**
 * The kernel command line of the image, in the file (or files) from which the firmware takes it: cmdline.txt on the boot FAT, or what os_prefix and cmdline in
 * config.txt name (raspberrypi documentation, config_txt/boot.adoc). A file of that name on the root filesystem is not the firmware's and is never touched.
 */
import { z } from 'zod';
import { RockberryError, withPlace } from '../errors.js';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { editCommandLine, firstLine, ignoredText, isOneWord, unmetDemands, type CommandLineEdit } from './command-line.js';
import { configSettings, type ConfigSetting } from './config-text.js';
import { encodeText, notAsAsked, readText } from './content.js';
import type { Step } from './step.js';

export interface CommandLineFile {
  readonly path: string;
  /** The whole file, one character per byte. */
  readonly text: string;
  /** What the kernel is given. */
  readonly line: string;
}

const DEFAULT_NAME = 'cmdline.txt';

const word = z.string().refine(isOneWord, { error: 'expected one word of printable ASCII, with white space only inside double quotes' })
  .describe('one kernel parameter, such as cgroup_enable=memory');
const value = z.union([z.string().regex(/^[\x20-\x7e]*$/).refine((text) => !text.includes('"'), { error: 'expected a value without quotes' }), z.number()]);
const schema = z.strictObject({
  add: z.array(word).optional().describe('parameters that must be there; what is missing is appended'),
  remove: z.array(word).optional().describe('parameters to remove: a word, or a name with every value it has'),
  set: z.record(z.string().regex(/^[^\s="]+$/), value).optional().describe('names with the one value they shall have'),
}).refine(({ add, remove, set }) => add !== undefined || remove !== undefined || set !== undefined, { error: 'expected at least one of add, remove, set' });

export const cmdlineStep: Step<CommandLineEdit> = {
  key: 'cmdline',
  summary: 'Edits the kernel command line that the firmware passes on',
  schema,
  describe: ({ add = [], remove = [], set = {} }) => `kernel command line: ${[
    ...remove.map((word) => `remove ${word}`), ...Object.entries(set).map(([name, value]) => `set ${name}=${value}`), ...add.map((word) => `add ${word}`),
  ].join(', ')}`,
  apply(tree, edit) {
    for (const { path, text } of requireCommandLines(tree)) tree.write(path, encodeText(withPlace(path, () => editCommandLine(text, edit))));
  },
  verify: (tree, edit) => requireCommandLines(tree).flatMap((file) => check(file, edit)),
};

/** Every file that the firmware may take the command line from, sorted; more than one where config.txt decides by board. Empty for an image without one. */
export function findCommandLines(tree: Tree): CommandLineFile[] {
  const paths = new Set(candidates(tree).map((path) => existing(tree, path)).filter((path) => path !== undefined));
  return [...paths].sort().map((path) => {
    const text = readText(tree, path) ?? '';
    return { path, text, line: withPlace(path, () => firstLine(text)) };
  });
}

function requireCommandLines(tree: Tree): CommandLineFile[] {
  const found = findCommandLines(tree);
  if (found.length > 0) return found;
  throw new RockberryError('unsupported', `expected the kernel command line in ${tree.bootDirectory}/${DEFAULT_NAME}, found no such file on the boot partition`, {
    hint: 'an image that boots through EFI and GRUB keeps its parameters in GRUB\'s configuration; use the vendor\'s Raspberry Pi image',
  });
}

function check({ path, text, line }: CommandLineFile, edit: CommandLineEdit): Finding[] {
  const unmet = unmetDemands(line, edit).map((message) => notAsAsked('cmdline', path, `expected the kernel command line as the profile asks, but ${message}`));
  const ignored = ignoredText(text);
  if (ignored === '') return unmet;
  return [...unmet, {
    severity: 'warning', id: 'cmdline-second-line', subject: path, message: `the firmware ignores everything after the first line, here "${ignored.slice(0, 80)}"`,
    hint: 'put the parameters on the first line, for example with cmdline: { add: [...] }',
  }];
}

function candidates(tree: Tree): string[] {
  const settings = readSettings(tree, 'config.txt', new Set());
  const names = possible(settings, 'cmdline', DEFAULT_NAME);
  const prefixes = possible(settings, 'os_prefix', settings.some(({ key, value }) => key === 'upstream_kernel' && value === '1') ? 'upstream/' : '');
  return names.flatMap((name) => (name.startsWith('/') ? [name.slice(1)] : prefixes.flatMap((prefix) => prefixed(tree, prefix, name))));
}

/** With a prefix the firmware uses the prefixed file if kernel and device tree are there too, and the plain one otherwise; so if in doubt, both. */
function prefixed(tree: Tree, prefix: string, name: string): string[] {
  const folder = `${tree.bootDirectory}/${prefix}`.replace(/\/[^/]*$/, '');
  const start = prefix.slice(prefix.lastIndexOf('/') + 1);
  const present = tree.stat(folder)?.type === 'directory' ? tree.list(folder).map((entry) => entry.name).filter((entry) => entry.startsWith(start)) : [];
  const viable = present.some((entry) => entry.endsWith('.dtb')) && present.some((entry) => /^(kernel|vmlinuz|image)/i.test(entry.slice(start.length)));
  return viable ? [prefix + name] : [prefix + name, name];
}

/** The values that a name may have: the last unconditional one, and every conditional one after it. */
function possible(settings: readonly ConfigSetting[], name: string, initial: string): string[] {
  const of = settings.filter(({ key, filters }) => key === name && !filters.includes('none'));
  const last = of.findLastIndex(({ filters }) => filters.length === 0);
  return [...new Set([last < 0 ? initial : of[last]!.value, ...of.slice(last + 1).map((setting) => setting.value)])];
}

/** The settings of config.txt with what it includes, in the order in which the firmware sees them; a file that includes itself is read once. */
function readSettings(tree: Tree, name: string, seen: Set<string>): ConfigSetting[] {
  const path = existing(tree, name);
  if (path === undefined || seen.has(path)) return [];
  seen.add(path);
  return configSettings(readText(tree, path) ?? '').flatMap((setting) => {
    if (setting.key !== 'include') return [setting];
    return readSettings(tree, setting.value, seen).map((inner) => ({ ...inner, filters: [...setting.filters, ...inner.filters] }));
  });
}

/** The path in the tree of a file that config.txt names, if it is there; a name that leaves the boot partition is not. */
function existing(tree: Tree, name: string): string | undefined {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || parts.length === 0) return undefined;
  const path = [tree.bootDirectory, ...parts].join('/').replace(/^\/\//, '/');
  return tree.stat(path)?.type === 'file' ? path : undefined;
}
