/** What the rules of the boot group share: one question for each board, told once for all boards with the same answer. */
import { RockberryError } from '../../errors.js';
import type { CommandLineFile } from '../../steps/cmdline.js';
import { boardNames, boots, type Boot } from '../boots.js';
import type { Node } from '../node.js';
import { verdict, type Problem, type Verdict } from '../rule.js';

const DOCUMENTATION = 'https://www.raspberrypi.com/documentation/computers';
/** A setting of config.txt, or a section about it. */
export const configUrl = (anchor: string): string => `${DOCUMENTATION}/config_txt.html#${anchor}`;
export const bootFolderUrl = `${DOCUMENTATION}/configuration.html#boot-folder-contents`;
export const commandLineUrl = `${DOCUMENTATION}/configuration.html#kernel-command-line-cmdline-txt`;

/** Problems of every board that the image has a device tree for; a problem of several boards is told once, with their names at its end. */
export function onBoards(node: Node, check: (boot: Boot) => readonly Problem[], ok: (list: readonly Boot[]) => string): Verdict {
  const list = boots(node);
  if (list.length === 0) return { skipped: 'there is no device tree of a 64-bit Raspberry Pi on the boot partition' };
  const found = new Map<string, { readonly problem: Problem; readonly on: Boot[] }>();
  for (const boot of list) {
    for (const problem of check(boot)) {
      const key = JSON.stringify(problem);
      const known = found.get(key) ?? { problem, on: [] };
      known.on.push(boot);
      found.set(key, known);
    }
  }
  return verdict([...found.values()].map(({ problem, on }) => ({ ...problem, message: `${problem.message} (${boardNames(on)})` })), ok(list));
}

/** Problems of every file that the firmware may take the command line from. */
export function onLines(node: Node, check: (file: CommandLineFile) => readonly Problem[], ok: (files: readonly CommandLineFile[]) => string): Verdict {
  const files = readableLines(node);
  if (files === undefined) return { skipped: 'the kernel command line cannot be read, see boot-cmdline-file' };
  return files.length === 0 ? { skipped: 'there is no kernel command line' } : verdict(files.flatMap(check), ok(files));
}

/** undefined when one of them cannot be read: the rule boot-cmdline-file says why. */
export function readableLines(node: Node): readonly CommandLineFile[] | undefined {
  if (!node.image.roles.boot) return [];
  try {
    return node.commandLines();
  } catch (error) {
    if (error instanceof RockberryError) return undefined;
    throw error;
  }
}

/** The command line that a board is given; undefined when the firmware finds none for it. */
export function lineOf(node: Node, { commandLine }: Boot): CommandLineFile | undefined {
  return readableLines(node)?.find(({ path }) => path === commandLine.path);
}
