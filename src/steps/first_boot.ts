/** A script that runs once, when the node boots for the first time. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { z } from 'zod';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { readSourceText } from './host-text.js';
import { checkOnce, placeOnce, type Once } from './once.js';
import type { Step, StepContext } from './step.js';
import { isInstalled } from './systemd.js';
import { isUnitName, withSuffix } from './unit-file.js';

const SIZE_LIMIT = 1 << 20; // bytes
/** What makes time-sync.target wait: the board has no clock, and TLS fails with a date in the past. */
const CLOCK_WAITERS = ['chrony-wait.service', 'systemd-time-wait-sync.service'];

const schema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,47}$/, 'expected a name of lower-case letters, digits and "-"')
    .describe('Name of the unit (rockberry-NAME.service) and of its marker; left out: from the source\'s name or the script\'s content.').optional(),
  script: z.string().min(1).max(SIZE_LIMIT).describe('Text of the script; without "#!" it is run by /bin/sh.').optional(),
  source: z.string().min(1).describe('File with the script, relative to the profile.').optional(),
  after: z.array(z.string().refine((name) => isUnitName(withSuffix(name)), 'expected the name of a unit').describe('Unit name.')).describe('Units that must have started before.').optional(),
  needs_network: z.boolean().describe('Wait until the network is up (network-online.target).').optional(),
  needs_time: z.boolean().describe('Wait until the clock is set (time-sync.target).').optional(),
}).refine(({ script, source }) => (script === undefined) !== (source === undefined), 'expected either script or source');
export type FirstBootOptions = z.infer<typeof schema>;

export const firstBootStep: Step<FirstBootOptions> = {
  key: 'first_boot',
  summary: 'Runs a script once, at the first boot, by a unit with its own done-marker.',
  schema,
  describe: ({ name, source, needs_network: network, needs_time: time }) => [
    `at first boot run ${name ?? (source === undefined ? 'a script' : basename(source))}`, ...(network ? ['with the network up'] : []), ...(time ? ['with the clock set'] : []),
  ].join(', '),
  apply(tree, options, context) {
    placeOnce(tree, onceOf(tree, options, context));
  },
  verify(tree, options, context) {
    const once = onceOf(tree, options, context);
    return [...checkOnce(tree, 'first_boot', once), ...checkInterpreter(tree, once), ...(options.needs_time ? checkClock(tree) : [])];
  },
};

function onceOf(tree: Tree, options: FirstBootOptions, context: StepContext): Once {
  const script = scriptOf(options, context);
  const name = options.name ?? nameOf(options.source, script);
  const waiter = CLOCK_WAITERS.find((unit) => isInstalled(tree, unit));
  const waited = [...(options.needs_network ? ['network-online.target'] : []), ...(options.needs_time ? ['time-sync.target', ...(waiter ? [waiter] : [])] : [])];
  return { name, description: `First boot: ${name}`, script, after: ['rockberry-grow-root.service', ...waited, ...(options.after ?? []).map(withSuffix)], wants: waited, before: [], isOrdered: true };
}

function scriptOf({ script, source }: FirstBootOptions, context: StepContext): string {
  const text = (script ?? readSourceText(source!, context)).replaceAll('\r\n', '\n'); // "#!/bin/sh\r" is no program
  const complete = text.startsWith('#!') ? text : `#!/bin/sh\n${text}`;
  return complete.endsWith('\n') ? complete : `${complete}\n`;
}

function nameOf(source: string | undefined, script: string): string {
  const fromSource = basename(source ?? '').toLowerCase().replace(/\.[a-z]+$/, '').replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '').slice(0, 48);
  return fromSource || `script-${createHash('sha256').update(script).digest('hex').slice(0, 8)}`;
}

function checkInterpreter(tree: Tree, { script, name }: Once): Finding[] {
  const interpreter = /^#!\s*(\/\S+)/.exec(script)?.[1];
  if (interpreter !== undefined && tree.stat(tree.resolve(interpreter))) return [];
  const message = `expected the interpreter of ${name} in the image, found no ${interpreter ?? 'absolute path after "#!"'}`;
  return [{ severity: 'warning', id: 'first-boot-interpreter', subject: interpreter ?? name, message }];
}

function checkClock(tree: Tree): Finding[] {
  if (CLOCK_WAITERS.some((unit) => isInstalled(tree, unit))) return [];
  const message = `expected a unit that waits for the clock, found none of ${CLOCK_WAITERS.join(', ')}: time-sync.target will not wait`;
  return [{ severity: 'warning', id: 'first-boot-clock', subject: 'time-sync.target', message, hint: 'install chrony in the image' }];
}
