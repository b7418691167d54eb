/** Kernel modules: loaded at boot (modules-load.d(5)), blacklisted or given options (modprobe.d(5)). Steps that share a file add to it. */
import { z } from 'zod';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { notAsAsked, readText, writeText } from './content.js';
import { namesIn } from './placed.js';
import type { Step } from './step.js';

const DEFAULT_FILE = 'rockberry.conf';
const KERNELS = ['/usr/lib/modules', '/lib/modules'];

const module_ = z.string().max(64).regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, 'expected the name of a kernel module, as "br_netfilter"');
const schema = z.strictObject({
  load: z.array(module_.describe('Module name.')).describe('Modules to load at every boot, in this order.').optional(),
  blacklist: z.array(module_.describe('Module name.')).describe('Modules that are not loaded by their aliases.').optional(),
  options: z.record(module_, z.string().max(1024).regex(/^[^\n\r\0\\]+$/, 'expected parameters on one line').describe('Parameters, as "numdummies=0".'))
    .describe('Parameters of modules.').optional(),
  file: z.string().regex(/^[A-Za-z0-9_][\w.@-]*\.conf$/, 'expected a file name ending in ".conf"')
    .describe(`File name in /etc/modules-load.d and /etc/modprobe.d; default ${DEFAULT_FILE}.`).optional(),
}).refine(({ load, blacklist, options }) => Boolean(load ?? blacklist ?? options), 'expected load, blacklist or options');
export type ModulesOptions = z.infer<typeof schema>;

export const modulesStep: Step<ModulesOptions> = {
  key: 'modules',
  summary: 'Loads kernel modules at boot, blacklists them or sets their parameters.',
  schema,
  describe: ({ load = [], blacklist = [], options = {} }) => [
    ...(load.length ? [`load kernel modules ${load.join(', ')}`] : []),
    ...(blacklist.length ? [`blacklist ${blacklist.join(', ')}`] : []),
    ...Object.entries(options).map(([name, parameters]) => `options ${name} ${parameters}`),
  ].join('; '),
  apply(tree, options) {
    for (const { path, lines } of filesOf(options)) {
      writeText(tree, path, withLines(readText(tree, path) ?? '', lines), { mode: 0o644, uid: 0, gid: 0 });
    }
  },
  verify(tree, options) {
    const missing = filesOf(options).flatMap(({ path, lines }) => {
      const present = (readText(tree, path) ?? '').split('\n').map(normal);
      return lines.filter((line) => !present.includes(normal(line))).map((line) => notAsAsked('modules', path, `expected the line "${line}" in ${path}, found none`));
    });
    return [...missing, ...checkKernels(tree, options.load ?? [])];
  },
};

function filesOf({ load = [], blacklist = [], options = {}, file = DEFAULT_FILE }: ModulesOptions): { path: string; lines: string[] }[] {
  const modprobe = [...blacklist.map((name) => `blacklist ${name}`), ...Object.entries(options).map(([name, parameters]) => `options ${name} ${parameters}`)];
  return [{ path: `/etc/modules-load.d/${file}`, lines: load }, { path: `/etc/modprobe.d/${file}`, lines: modprobe }].filter(({ lines }) => lines.length > 0);
}

/** Adds the lines that are missing. An options line for the same module is replaced: modprobe would join the two. */
function withLines(text: string, lines: readonly string[]): string {
  const modulesOf = new Set(lines.map(optionsOf).filter((name) => name !== undefined));
  const wanted = new Set(lines.map(normal));
  const kept = text.split('\n').filter((line) => wanted.has(normal(line)) || !modulesOf.has(optionsOf(line) ?? ''));
  const present = new Set(kept.map(normal));
  const added = lines.filter((line) => !present.has(normal(line))).map((line) => `${line}\n`).join('');
  const edited = kept.join('\n');
  return edited + (added !== '' && edited !== '' && !edited.endsWith('\n') ? '\n' : '') + added;
}

function optionsOf(line: string): string | undefined {
  return /^\s*options\s+(\S+)/.exec(line)?.[1]?.replaceAll('-', '_');
}

function normal(line: string): string {
  return line.trim().replace(/\s+/g, ' ');
}

/** A module that a kernel of the image has neither as a file nor built in does not load there: depmod's modules.dep and the kernel's modules.builtin. */
function checkKernels(tree: Tree, load: readonly string[]): Finding[] {
  const directory = KERNELS.find((path) => namesIn(tree, path).length > 0);
  if (!directory) return [];
  return namesIn(tree, directory).flatMap((release) => {
    const lists = ['modules.dep', 'modules.builtin'].map((name) => readText(tree, `${directory}/${release}/${name}`));
    if (lists[0] === undefined) return []; // no depmod ran: nothing is known
    const has = new Set(lists.flatMap((text) => (text ?? '').split('\n').map(moduleOf)));
    return load.filter((name) => !has.has(name.replaceAll('-', '_'))).map((name): Finding => ({
      severity: 'warning', id: 'modules-missing', subject: `${directory}/${release}`,
      message: `expected the module ${name} for the kernel ${release}, found it neither in modules.dep nor in modules.builtin`,
    }));
  });
}

/** "kernel/net/bridge/br_netfilter.ko.xz: …" → "br_netfilter"; "-" and "_" are the same in module names. */
function moduleOf(line: string): string {
  const path = line.split(':', 1)[0]!;
  const file = path.slice(path.lastIndexOf('/') + 1);
  return file.slice(0, Math.max(0, file.indexOf('.ko'))).replaceAll('-', '_');
}
