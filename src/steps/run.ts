/** Runs the image's own programs in the image. What they do is theirs: the result is not reproducible, and the manifest says so. */
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import type { Tree, TreeCommand } from '../fs/filesystem.js';
import { notAsAsked } from './content.js';
import type { Step, StepContext } from './step.js';

const HOUR = 3600; // seconds
const path = z.string().regex(/^\/[^\0]*$/, 'expected an absolute path');
const name = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected a name of letters, digits and _');

export const surroundings = {
  network: z.enum(['host', 'none']).default('host').describe('"host": the host\'s network and resolver; "none": no network.'),
  environment: z.record(name, z.union([z.string(), z.number(), z.boolean()]).transform(String)).default({}).describe('Variables, which may hold secrets.'),
  secrets: z.record(z.string().regex(/^[\w.-]{1,64}$/), z.string()).default({}).describe('Name to value: files /run/secrets/NAME while the commands run.'),
  binds: z.array(z.strictObject({ from: path.describe('Directory of the host.'), to: path.describe('Where it is seen in the image.'), read_only: z.boolean().default(false) })).default([])
    .describe('Directories of the host, such as a cache of packages.'),
  timeout: z.number().int().min(1).max(7 * 24 * HOUR).default(HOUR).describe('Seconds for each command.'),
};

const command = z.union([z.string().min(1), z.array(z.string()).min(1)]).describe('A line for the image\'s /bin/sh, or a program with its arguments.');
const schema = z.strictObject({
  commands: z.array(command).min(1).optional().describe('Run one after the other; the first that fails ends the build.'),
  script: z.string().min(1).optional().describe('A script for the image\'s /bin/sh -e.'),
  creates: path.optional().describe('A path that is there afterwards; when it is there before, nothing is run.'),
  ...surroundings,
}).refine(({ commands, script }) => (commands === undefined) !== (script === undefined), 'expected either "commands" or "script"');
export type RunOptions = z.infer<typeof schema>;

export const runStep: Step<RunOptions> = {
  key: 'run',
  summary: 'Runs commands of the image in the image; needs root on Linux (--backend loop).',
  schema,
  needsMachine: true,
  describe: ({ commands, script }) => `run ${commands ? commands.map(shown).join('; ') : `a script of ${script!.split('\n').length} lines`}`,
  async apply(tree, options, context) {
    if (options.creates !== undefined && tree.stat(tree.resolve(options.creates))) return;
    const given = options.commands ?? [{ script: options.script! }];
    for (const each of given) await runIn(tree, typeof each === 'string' ? { script: each } : each, options, context);
  },
  verify(tree, { creates }) {
    if (creates === undefined || tree.stat(tree.resolve(creates))) return [];
    return [notAsAsked('run', creates, `expected ${creates} after the commands, found nothing of that name`)];
  },
};

type Surroundings = Pick<RunOptions, keyof typeof surroundings>;

/** Throws `profile` when it does not end with 0. */
export async function runIn(tree: Tree, what: TreeCommand['command'], { network, environment, secrets, binds, timeout }: Surroundings, { mask = (text: string) => text }: StepContext): Promise<void> {
  if (!tree.machine) throw new RockberryError('unsupported', 'expected to run commands in the image, found that its filesystems are not mounted', { hint: 'as root on Linux, add --backend loop', needsKernel: true });
  const { status, ended, output } = await tree.machine.run({
    command: what, network, environment: new Map(Object.entries(environment)), secrets: new Map(Object.entries(secrets)),
    binds: binds.map(({ from, to, read_only: readOnly }) => ({ from, to, readOnly })), timeoutSeconds: timeout, mask,
  });
  if (status === 0 && ended === 'exit') return;
  const how = ended === 'timeout' ? `found it running after ${timeout} seconds` : ended === 'signal' ? `found that a signal ended it (${status})` : `found ${status}`;
  const last = output.filter((line) => line.trim() !== '').slice(-3).join(' | ');
  throw new RockberryError('profile', `expected exit status 0 of ${shown('script' in what ? what.script : what)}, ${how}${last === '' ? '' : `; it said: ${last}`}`);
}

/** The command in one short line. */
function shown(what: string | readonly string[]): string {
  const text = (typeof what === 'string' ? what : what.join(' ')).trim();
  const [first = ''] = text.split('\n');
  const line = first.length > 60 ? `${first.slice(0, 57)}…` : first;
  return JSON.stringify(text.includes('\n') ? `${line} …` : line);
}
