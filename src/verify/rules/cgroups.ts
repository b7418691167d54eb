/** Control groups: the version that systemd mounts, and the controllers that the kernel will have, by kernel, command line and device tree. */
import { valueOf } from '../../steps/command-line.js';
import { controllerState, hierarchyAt, kernelWords, mechanismAt, startName, starts, switches, type ControllerState, type Start, type Switch } from '../cgroup-starts.js';
import { configOf } from '../kernel-facts.js';
import { isSet } from '../kernel-tables.js';
import type { Node } from '../node.js';
import { verdict, type Problem, type Rule, type Verdict } from '../rule.js';
import { CGROUP_V1_SOURCE, isFrom, NO_CGROUP_V1, PSI, PSI_SOURCE } from '../tables/features.js';
import { CONTROLLER_NAMES, MECHANISMS, type Mechanism } from '../tables/memory-cgroup.js';
import { BUILT_INTO_V2, CGROUP_VALIDATOR, CONTROLLERS } from '../tables/system-validators.js';
import { NO_V1 } from '../tables/systemd-cgroups.js';

const NO_COMMAND_LINE = 'the image has no kernel command line of the firmware\'s: its boot loader keeps it';
const SHOWN = 3; // of the starts that are well

/** The older name of io, which both parameters take. */
const OTHER_NAMES: Readonly<Record<string, readonly string[]>> = { io: ['io', 'blkio'], blkio: ['io', 'blkio'] };

/** The option without which a kernel has no such controller; the required ones are asked for by kernel-validators. */
const OPTIONAL_OPTIONS: Readonly<Record<string, string>> = { hugetlb: 'CGROUP_HUGETLB', io: 'BLK_CGROUP', blkio: 'BLK_CGROUP' };

export const cgroupsRules: readonly Rule[] = [
  {
    id: 'cgroup-version', group: 'cgroups', title: 'systemd mounts cgroup v2', source: CGROUP_V1_SOURCE,
    check: (node) => perLine(node, (start) => versionProblems(node, start), (start) => {
      const { systemd, by } = hierarchyAt(node, start);
      return `v2, as ${by === undefined ? `${systemd} does by default` : `${by} in ${start.file.path} asks for`}`;
    }),
  },
  {
    id: 'cgroup-memory', group: 'cgroups', title: 'the memory controller will be on', source: 'https://github.com/raspberrypi/linux/pull/6524',
    check: (node) => perStart(node, (start) => memoryProblems(node, start), (start) => `on with ${startName(start)}: ${memoryReason(node, start)}`),
  },
  {
    id: 'cgroup-controllers', group: 'cgroups', title: 'no other controller that Kubernetes needs is turned off', source: CGROUP_VALIDATOR,
    check: (node) => perStart(node, (start) => controllerProblems(node, start), (start) => `${requiredAt(node, start).join(', ')} with ${startName(start)}`),
  },
  {
    id: 'cgroup-parameters', group: 'cgroups', title: 'cgroup_enable= and cgroup_disable= say what they mean', source: 'https://docs.kernel.org/admin-guide/kernel-parameters.html',
    check: (node) => perLine(node, parameterProblems, ({ file }) => `nothing contradicts itself in ${file.path}`),
  },
  {
    id: 'cgroup-optional', group: 'cgroups', title: 'the optional controllers are there', source: CGROUP_VALIDATOR,
    check: (node) => perStart(node, (start) => optionalProblems(node, start), (start) => `${CONTROLLERS[hierarchyAt(node, start).hierarchy].optional.join(', ')} with ${startName(start)}`),
  },
  {
    id: 'cgroup-psi', group: 'cgroups', title: 'the kernel counts pressure for kubelet', source: PSI_SOURCE,
    check: (node) => (isFrom(node.kubernetes, PSI)
      ? perStart(node, (start) => pressureProblems(node, start), (start) => `with ${startName(start)}`)
      : { skipped: `Kubernetes ${node.kubernetes.major}.${node.kubernetes.minor} does not ask for it; ${PSI.join('.')} does` }),
  },
  {
    id: 'cgroup-swapaccount', group: 'cgroups', title: 'swap of containers is counted', source: 'https://docs.kernel.org/admin-guide/cgroup-v2.html',
    check: (node) => perLine(node, swapProblems, ({ file }) => `swapaccount is left alone in ${file.path}`),
  },
];

/** Judges every combination of kernel, command line and device tree. */
function perStart(node: Node, problems: (start: Start) => readonly Problem[], ok: (start: Start) => string): Verdict {
  const all = starts(node);
  if (all.length === 0) return { skipped: NO_COMMAND_LINE };
  const shown = all.slice(0, SHOWN).map(ok);
  return verdict(all.flatMap(problems), [...new Set(shown), ...(all.length > SHOWN ? [`and ${all.length - SHOWN} more`] : [])].join('; '));
}

/** Judges every command line once, whatever boots with it. */
function perLine(node: Node, problems: (start: Start) => readonly Problem[], ok: (start: Start) => string): Verdict {
  const all = starts(node);
  const first = all.filter(({ file }, at) => all.findIndex((one) => one.file.path === file.path) === at);
  return first.length === 0 ? { skipped: NO_COMMAND_LINE } : verdict(first.flatMap(problems), first.map(ok).join('; '));
}

function versionProblems(node: Node, start: Start): Problem[] {
  const { kubernetes } = node;
  const { hierarchy, systemd, by } = hierarchyAt(node, start);
  if (hierarchy === 'v2') return [];
  const isRefused = isFrom(kubernetes, NO_CGROUP_V1);
  const why = by === undefined ? `${systemd} mounts v1 unless it is told otherwise` : `${by} asks ${systemd} for v1`;
  const release = `Kubernetes ${kubernetes.major}.${kubernetes.minor}`;
  const effect = isRefused ? `kubelet of ${release} does not start with it (failCgroupV1)` : `${release} keeps v1 in maintenance mode only`;
  const hint = by === undefined ? 'put systemd.unified_cgroup_hierarchy=1 on the kernel command line, or use a newer system' : `remove it: cmdline: { remove: ["${by.split('=')[0]!}"] }`;
  return [{ severity: isRefused ? 'error' : 'warning', subject: start.file.path, message: `expected cgroup v2, but ${why}, and ${effect}`, hint }];
}

function memoryProblems(node: Node, start: Start): Problem[] {
  const found = switches(start, ['memory']);
  const mechanism = mechanismAt(node, start);
  if (!mechanism) return doubtfulMemory(start, found);
  const state = controllerState(found, mechanism);
  const culprit = mechanism.enable === 'unknown' ? state.by?.path : undefined; // elsewhere the command line can set it right
  if (!state.isOn) return [{ severity: 'error', subject: culprit ?? start.file.path, message: memoryMessage(start, mechanism, state, found), hint: memoryHint(start, mechanism, state) }];
  if (state.by !== undefined || start.deviceTree?.problem === undefined || mechanism.id === 'rpi-default-off') return [];
  return [{
    severity: 'warning', subject: start.deviceTree.path,
    message: `expected to see whether the device tree says cgroup_disable=memory to ${startName(start)}, but ${start.deviceTree.problem}`, hint: mechanism.remedy,
  }];
}

/** The kernel tells nothing about itself: what all rows of the table agree on is known all the same. */
function doubtfulMemory(start: Start, found: readonly Switch[]): Problem[] {
  const off = MECHANISMS.filter((row) => !controllerState(found, row).isOn);
  if (off.length === 0) return [];
  return [{
    severity: off.length === MECHANISMS.length ? 'error' : 'warning', subject: start.file.path,
    message: `expected the memory controller on with ${startName(start)}, but it is off in ${off.map(({ name }) => name).join(', in ')}, and nothing tells which this is`,
    hint: off[0]!.remedy,
  }];
}

function memoryMessage(start: Start, { name, enable }: Mechanism, { by }: ControllerState, found: readonly Switch[]): string {
  const expected = `expected the memory controller on with ${startName(start)}, but`;
  const enabling = found.find(({ isOn }) => isOn);
  if (by === undefined) {
    const useless = valueOf(start.line, 'cgroup_memory') === undefined ? '' : '; cgroup_memory=1 does nothing in it';
    return `${expected} ${name} has it off unless it is told otherwise, and ${start.file.path} does not say cgroup_enable=memory${useless}`;
  }
  const turnsOff = `${expected} ${by.word} in ${by.path} turns it off`;
  if (enable === 'unknown') return `${turnsOff}, and ${name} does not know cgroup_enable${enabling ? `, which ${enabling.path} says` : ''}`;
  return enabling ? `${turnsOff}: it comes after ${enabling.word}, and for ${name} the last one counts` : `${turnsOff}, and nothing after it turns it on again`;
}

function memoryHint({ file }: Start, { enable, remedy }: Mechanism, { by }: ControllerState): string {
  return enable === 'unknown' && by?.path === file.path ? `remove it: cmdline: { remove: ["${by.word}"] }` : remedy;
}

function memoryReason(node: Node, start: Start): string {
  const mechanism = mechanismAt(node, start);
  const by = controllerState(switches(start, ['memory']), mechanism ?? MECHANISMS[0]!).by;
  return by ? `${by.word} in ${by.path}` : `${mechanism?.name ?? 'every kernel'} has it on, and nothing turns it off`;
}

/** Without memory, which has its own rule, and without what v2 has in any case. */
function requiredAt(node: Node, start: Start): string[] {
  const { hierarchy } = hierarchyAt(node, start);
  return CONTROLLERS[hierarchy].required.filter((name) => name !== 'memory' && (hierarchy === 'v1' || !BUILT_INTO_V2.includes(name)));
}

function controllerProblems(node: Node, start: Start): Problem[] {
  const { hierarchy } = hierarchyAt(node, start);
  const hidden = hierarchy === 'v1' ? (valueOf(start.line, NO_V1)?.split(',') ?? []) : [];
  const noV1 = ['memory', ...requiredAt(node, start)].filter((name) => hidden.includes(name)).map((name): Problem => ({
    severity: 'error', subject: start.file.path, message: `expected the controller ${name} with ${startName(start)}, but cgroup_no_v1=${name} keeps it from cgroup v1, which this image mounts`,
    hint: 'remove cgroup_no_v1 from the kernel command line',
  }));
  return [...noV1, ...requiredAt(node, start).flatMap((name) => turnedOff(node, start, name).map(({ word, path }): Problem => ({
    severity: 'error', subject: path, message: `expected the controller ${name} with ${startName(start)}, but ${word} turns it off`, hint: `remove it: cmdline: { remove: ["${word}"] }`,
  })))];
}

/** The word that turns a controller off which is on by itself; none when it stays on. */
function turnedOff(node: Node, start: Start, name: string): Switch[] {
  const enable = mechanismAt(node, start)?.enable ?? 'unknown';
  const { isOn, by } = controllerState(switches(start, OTHER_NAMES[name] ?? [name]), { isOnByDefault: true, enable });
  return isOn || by === undefined ? [] : [by];
}

function parameterProblems(start: Start): Problem[] {
  const subject = start.file.path;
  const said = switches({ ...start, line: start.file.line, deviceTree: undefined }, CONTROLLER_NAMES);
  const both = CONTROLLER_NAMES.filter((name) => said.some(({ word }) => word === `cgroup_enable=${name}`) && said.some(({ word }) => word === `cgroup_disable=${name}`));
  const unknown = kernelWords(start.file.line).flatMap((word) => ['cgroup_enable', 'cgroup_disable'].flatMap((key) => (valueOf(word, key) ?? '').split(',')
    .filter((name) => name !== '' && !CONTROLLER_NAMES.includes(name)).map((name) => `${key}=${name}`)));
  return [
    ...both.map((name): Problem => ({
      severity: 'warning', subject, message: `expected one of cgroup_enable=${name} and cgroup_disable=${name}, found both, of which each kernel makes something else`,
      hint: `cmdline: { add: ["cgroup_enable=${name}"] } takes the other one out`,
    })),
    ...unknown.map((word): Problem => ({
      severity: 'warning', subject, message: `expected the name of a controller in ${word}, found one that no kernel has`, hint: `the names are ${CONTROLLER_NAMES.slice(0, 13).join(', ')}`,
    })),
  ];
}

function optionalProblems(node: Node, start: Start): Problem[] {
  return CONTROLLERS[hierarchyAt(node, start).hierarchy].optional.flatMap((name): Problem[] => {
    const [off] = turnedOff(node, start, name);
    if (off) return [{ severity: 'info', subject: off.path, message: `${off.word} turns the controller ${name} off with ${startName(start)}: kubeadm warns of it and goes on` }];
    const config = start.release === undefined ? undefined : configOf(node, start.release);
    const option = OPTIONAL_OPTIONS[name]!;
    if (config === undefined || isSet(config.options, option)) return [];
    return [{ severity: 'info', subject: config.path, message: `the kernel ${start.release} is built without CONFIG_${option}, so there is no controller ${name}: kubeadm warns of it and goes on` }];
  });
}

function pressureProblems(node: Node, start: Start): Problem[] {
  const note = (message: string, hint?: string): Problem[] => [{ severity: 'info', subject: start.file.path, message, ...(hint !== undefined && { hint }) }];
  const config = start.release === undefined ? undefined : configOf(node, start.release)?.options;
  if (config && config.get('PSI') !== 'y') return note(`the kernel ${start.release} is built without CONFIG_PSI: kubelet has no figures for pressure`);
  const [off] = switches(start, ['pressure']).filter(({ isOn }) => !isOn);
  if (off) return note(`${off.word} turns pressure stall information of groups off: kubelet has no figures for it`, 'remove it from the kernel command line');
  const said = valueOf(start.line, 'psi');
  const isOffByDefault = config ? config.get('PSI_DEFAULT_DISABLED') === 'y' : mechanismAt(node, start)?.family === 'raspberrypi';
  if (said === undefined ? !isOffByDefault : /^([1tTyY]|[oO][nN])/.test(said)) return []; // kstrtobool of lib/kstrtox.c
  return note(`pressure stall information is off with ${startName(start)}: kubelet has no figures for it`, 'put psi=1 on the kernel command line: cmdline: { set: { psi: 1 } }');
}

function swapProblems({ file }: Start): Problem[] {
  const said = valueOf(file.line, 'swapaccount');
  if (said === undefined || /^[1tTyY]|^[oO][nN]/.test(said)) return [];
  return [{
    severity: 'info', subject: file.path, message: `swapaccount=${said} makes older kernels count no swap of containers, which NodeSwap needs; newer ones ignore it`,
    hint: 'remove it: cmdline: { remove: ["swapaccount"] }',
  }];
}
