/** The firmware's settings in config.txt on the boot FAT. Some images have no such file; then it is made. */
import { z } from 'zod';
import { withPlace } from '../errors.js';
import type { Tree } from '../fs/filesystem.js';
import { editConfig, unmetSettings, type ConfigEdit } from './config-text.js';
import { notAsAsked, readText, writeText } from './content.js';
import type { Step } from './step.js';

interface Options extends Omit<ConfigEdit, 'section'> {
  readonly section?: string;
}

const PRINTABLE = /^[\x20-\x7e]*$/;

const name = z.string().regex(/^[A-Za-z][\w-]*(:\d+)?$/);
const one = z.union([z.string().regex(PRINTABLE), z.number()]);
const schema = z.strictObject({
  section: z.string().regex(/^[\x21-\x5a\x5c\x5e-\x7e]+$/).optional().describe('the filter without its brackets, such as pi5; default: all'),
  set: z.record(name, z.union([one, z.boolean(), z.array(one)])).optional().describe('name: value; a list for names that repeat, such as dtoverlay; true is 1'),
  remove: z.array(z.string().min(1).regex(PRINTABLE)).optional().describe('names, or "name=value" for one value of a name that repeats'),
}).refine(({ set, remove }) => set !== undefined || remove !== undefined, { error: 'expected at least one of set, remove' });

export const configTxtStep: Step<Options> = {
  key: 'config_txt',
  summary: 'Sets and removes settings of the Raspberry Pi firmware',
  schema,
  describe: ({ section, set = {}, remove = [] }) => `config.txt${section ? ` [${section}]` : ''}: ${[
    ...remove.map((name) => `remove ${name}`), ...Object.entries(set).map(([name, value]) => `set ${name}=${[value].flat().join(', ')}`),
  ].join(', ')}`,
  apply(tree, options) {
    const before = readText(tree, path(tree));
    const after = withPlace(path(tree), () => editConfig(before ?? '', edit(options)));
    if (before !== undefined || after !== '') writeText(tree, path(tree), after);
  },
  verify: (tree, options) => unmetSettings(readText(tree, path(tree)) ?? '', edit(options)).map((message) => notAsAsked('config_txt', path(tree), `expected the setting as the profile asks, but ${message}`)),
};

function path(tree: Tree): string {
  return `${tree.bootDirectory}/config.txt`;
}

function edit(options: Options): ConfigEdit {
  return { ...options, section: options.section ?? 'all' };
}
