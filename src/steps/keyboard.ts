/**
 * The keyboard: KEYMAP in /etc/vconsole.conf (vconsole.conf(5)) for the console, and the same layout for X11 and Debian's console-setup, but only where the
 * image has their files.
 */
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { assign, assigned, shellSyntax } from './assignments.js';
import { notAsAsked, readText, writeText } from './content.js';
import { didYouMean } from './nearest.js';
import { namesIn } from './placed.js';
import type { Step } from './step.js';

const CONSOLE = '/etc/vconsole.conf';
const X11 = '/etc/X11/xorg.conf.d/00-keyboard.conf'; // where systemd-localed puts it
const DEBIAN = '/etc/default/keyboard';
const KEYMAPS = ['/usr/lib/kbd/keymaps', '/usr/share/keymaps', '/usr/share/kbd/keymaps'];
const DEPTH = 4; // legacy/i386/qwertz/de.map.gz

const name = (what: string) => z.string().max(64).regex(/^[A-Za-z0-9][A-Za-z0-9_.:,+()-]*$/, 'expected a name such as "de" or "us-intl"').describe(what);
const layouts = z.strictObject({
  keymap: name('Console keymap (KEYMAP); left out: the layout.').optional(),
  layout: name('X11 layout (XkbLayout); left out: X11 is not touched.').optional(),
  model: name('X11 model (XkbModel).').optional(),
  variant: name('X11 variant (XkbVariant).').optional(),
  options: name('X11 options (XkbOptions), joined by ",".').optional(),
  font: name('Console font (FONT); left out: as it is.').optional(),
}).refine(({ keymap, layout }) => keymap !== undefined || layout !== undefined, 'expected a keymap or a layout');
const schema = z.union([name('Keymap of the console and layout of X11: "de".'), layouts]).describe('A keymap ("de"), or console and X11 apart.');
export type KeyboardOptions = z.infer<typeof schema>;
type Layouts = z.infer<typeof layouts>;

export const keyboardStep: Step<KeyboardOptions> = {
  key: 'keyboard',
  summary: 'Sets the console keymap in /etc/vconsole.conf, and the layout of X11 where the image has a file for it.',
  schema,
  describe: (options) => `keyboard ${[...consoleVariables(options).values()].join(', ')}`,
  apply(tree, options) {
    requireKeymap(tree, consoleVariables(options).get('KEYMAP')!);
    writeText(tree, CONSOLE, assign(readText(tree, CONSOLE) ?? '', consoleVariables(options), shellSyntax));
    const x11 = readText(tree, X11);
    if (x11 !== undefined) writeText(tree, X11, editInputClass(x11, xkb(options)));
    const debian = readText(tree, DEBIAN);
    if (debian !== undefined) writeText(tree, DEBIAN, assign(debian, debianVariables(options), shellSyntax));
  },
  verify(tree, options) {
    const x11 = readText(tree, X11);
    const missing = [...xkb(options)].filter(([key, value]) => x11 !== undefined && !x11.includes(optionLine(key, value)));
    return [
      ...checkVariables(tree, CONSOLE, consoleVariables(options)),
      ...(readText(tree, DEBIAN) === undefined ? [] : checkVariables(tree, DEBIAN, debianVariables(options))),
      ...missing.map(([key, value]) => notAsAsked('keyboard', X11, `expected ${key} "${value}" in ${X11}, found another value or none`)),
    ];
  },
};

function split(options: KeyboardOptions): Layouts {
  return typeof options === 'string' ? { keymap: options, layout: options } : options;
}

function consoleVariables(options: KeyboardOptions): Map<string, string> {
  const { keymap, layout, font } = split(options);
  return new Map([['KEYMAP', (keymap ?? layout)!], ...(font === undefined ? [] : [['FONT', font] as const])]);
}

function xkb(options: KeyboardOptions): Map<string, string> {
  const { layout, model, variant, options: toggles } = split(options);
  const all: [string, string | undefined][] = [['XkbLayout', layout], ['XkbModel', model], ['XkbVariant', variant], ['XkbOptions', toggles]];
  return new Map(all.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** keyboard(5) of Debian's keyboard-configuration: XKBLAYOUT and so on. */
function debianVariables(options: KeyboardOptions): Map<string, string> {
  return new Map([...xkb(options)].map(([key, value]) => [key.toUpperCase(), value]));
}

function optionLine(key: string, value: string): string {
  return `Option "${key}" "${value}"`;
}

/** Sets options in the first section of an xorg.conf.d file that systemd-localed wrote; other lines keep their bytes. */
function editInputClass(text: string, values: ReadonlyMap<string, string>): string {
  let edited = text;
  for (const [key, value] of values) {
    const present = new RegExp(`Option[ \\t]+"${key}"[ \\t]+"[^"\\n]*"`, 'i');
    edited = present.test(edited) ? edited.replace(present, () => optionLine(key, value)) : edited.replace(/^([ \t]*)EndSection/m, (end) => `        ${optionLine(key, value)}\n${end}`);
  }
  return edited;
}

function requireKeymap(tree: Tree, keymap: string): void {
  const keymaps = KEYMAPS.flatMap((directory) => keymapsUnder(tree, directory, DEPTH));
  if (keymaps.length === 0 || keymaps.includes(keymap)) return; // Debian's images have none and use XKB for the console
  const hint = didYouMean(keymap, keymaps, 'use a name as in "localectl list-keymaps"');
  throw new RockberryError('profile', `expected a keymap that the image has, found "${keymap}", which is not under ${KEYMAPS[0]}`, { hint });
}

function keymapsUnder(tree: Tree, directory: string, depth: number): string[] {
  return namesIn(tree, directory).flatMap((entry) => {
    const found = /^(.+?)\.map(\.gz)?$/.exec(entry);
    if (found) return [found[1]!];
    return depth > 0 && tree.stat(`${directory}/${entry}`)?.type === 'directory' ? keymapsUnder(tree, `${directory}/${entry}`, depth - 1) : [];
  });
}

function checkVariables(tree: Tree, path: string, values: ReadonlyMap<string, string>): Finding[] {
  const found = assigned(readText(tree, path) ?? '', shellSyntax);
  const wrong = [...values].filter(([key, value]) => found.get(key) !== value);
  return wrong.map(([key, value]) => notAsAsked('keyboard', path, `expected ${key}=${value} in ${path}, found ${found.get(key) ?? 'no such line'}`));
}
