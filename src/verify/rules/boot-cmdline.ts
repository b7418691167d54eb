/** The kernel command line as text: one plain line, short enough, and nothing in it that takes back something else. */
import { hasWord, ignoredText, LINE_LIMIT, valueOf, words } from '../../steps/command-line.js';
import type { CommandLineFile } from '../../steps/cmdline.js';
import { boots } from '../boots.js';
import { deviceTrees } from '../device-trees.js';
import type { Node } from '../node.js';
import { verdict, type Problem, type Rule, type Verdict } from '../rule.js';
import { commandLineUrl, lineOf, onBoards, onLines } from './boot-boards.js';

const CMDLINE_STEP = 'put it right with a cmdline step; a profile that adds its parameters (cgroups, kubernetes-node) writes one clean line';

const CMDLINE_FILE = 'place cmdline.txt (files step), or correct cmdline= in config.txt (config_txt step)';

/** Bytes that the firmware of a Pi 5 puts in front, device tree's bootargs and all (measured: project facts, section 5). */
const PREPENDED = 225;
const COMMAND_LINE_SIZE = 2048; // arch/arm64/include/uapi/asm/setup.h, with the final NUL

export const cmdlineRules: readonly Rule[] = [
  {
    id: 'boot-cmdline-file', group: 'boot', title: 'the kernel command line is one line of plain text', source: commandLineUrl,
    check: filesVerdict,
  },
  {
    id: 'boot-cmdline-length', group: 'boot', title: 'the command line fits into what the firmware and the kernel take', source: 'https://github.com/raspberrypi/linux/issues/140',
    check: (node) => onLines(node, (file) => lengthProblems(node, file), (files) => files.map(({ line }) => `${line.length} of ${LINE_LIMIT} bytes`).join(', ')),
  },
  {
    id: 'boot-cmdline-words', group: 'boot', title: 'no parameter of the command line takes back another',
    source: 'https://docs.kernel.org/admin-guide/kernel-parameters.html',
    check: (node) => onLines(node, (file) => wordProblems(node, file), (files) => files.map(({ line }) => `${words(line).length} parameters`).join(', ')),
  },
  {
    id: 'boot-device-tree-arguments', group: 'boot', title: 'the device trees\' bootargs leave the memory controller on', source: 'https://github.com/raspberrypi/linux/pull/6439',
    check: bootargsVerdict,
  },
];

function filesVerdict(node: Node): Verdict {
  if (!node.image.roles.boot) return { skipped: 'there is no boot partition' };
  const files = node.commandLines();
  const onEach = onBoards(node, ({ commandLine: { path, present } }) => (present ? [] : [missing(path)]), () => '');
  const absent = 'problems' in onEach ? onEach.problems : files.length === 0 ? [missing(node.tree.bootDirectory)] : [];
  return verdict([...absent, ...files.flatMap(fileProblems)], files.map(({ path }) => path).join(', '));
}

function missing(path: string): Problem {
  return { severity: 'error', subject: path, message: 'expected the kernel command line there, found no file: the firmware takes one of its own, which names another root', hint: CMDLINE_FILE };
}

function fileProblems({ path, text, line }: CommandLineFile): Problem[] {
  const problem = (severity: Problem['severity'], message: string): Problem => ({ severity, subject: path, message, hint: CMDLINE_STEP });
  const ignored = ignoredText(text);
  const first = text.split('\n')[0]!;
  const lost = words(ignored.replace(/\s+/g, ' ')).filter((word) => /^(root|rootwait|cgroup[_-]enable)(=|$)/.test(word) && !hasWord(line, word));
  return [
    ...(line.trim() === '' ? [problem('error', 'expected kernel parameters on the first line, found none')] : []),
    ...(ignored === '' ? [] : [problem(lost.length > 0 ? 'error' : 'warning', `expected one line, found more: the firmware ignores "${ignored.slice(0, 80)}"${lost.length > 0 ? `, and with it ${lost.join(' ')}` : ''}`)]),
    ...(text.startsWith('\xef\xbb\xbf') ? [problem(/^(root|cgroup[_-]enable)=/.test(line) ? 'error' : 'warning', `expected text without a byte order mark, found one: it becomes part of the first parameter, ${words(line)[0] ?? ''}`)] : []),
    ...(first.includes('\r') ? [problem('warning', 'expected the line to end in a line feed, found a carriage return')] : []),
  ];
}

function lengthProblems(node: Node, { path, line }: CommandLineFile): Problem[] {
  if (line.length > LINE_LIMIT) {
    return [{ severity: 'error', subject: path, message: `expected at most ${LINE_LIMIT} bytes, found ${line.length}: the firmware drops "${line.slice(LINE_LIMIT).trim().slice(0, 80)}"`, hint: 'remove parameters that are not needed (cmdline step)' }];
  }
  const bootargs = Math.max(0, ...deviceTrees(node).map((tree) => tree.bootargs?.length ?? 0));
  const whole = bootargs + PREPENDED + line.length;
  if (whole < COMMAND_LINE_SIZE) return [];
  return [{
    severity: 'warning', subject: path,
    message: `expected less than ${COMMAND_LINE_SIZE} bytes with what comes in front, found about ${whole}: ${bootargs} of a device tree, ${PREPENDED} of the firmware, ${line.length} of the file`,
    hint: 'the kernel cuts the end without a word; remove parameters that are not needed (cmdline step)',
  }];
}

/** Of these the kernel, or systemd, takes the last one. */
const SINGLE = ['root', 'rootfstype', 'rootflags', 'init', 'rdinit', 'panic', 'selinux', 'enforcing', 'systemd.unit'];

function wordProblems(node: Node, { path, line }: CommandLineFile): Problem[] {
  const kernel = kernelWords(line);
  const problem = (severity: Problem['severity'], message: string): Problem => ({ severity, subject: path, message, hint: CMDLINE_STEP });
  const values = (name: string): string[] => [...new Set(kernel.filter((word) => valueOf(word, name) !== undefined).map((word) => valueOf(word, name)!))];
  const repeated = SINGLE.filter((name) => values(name).length > 1);
  const glued = kernel.filter((word) => /^[^"]*[^"\s,]cgroup[_-](enable|disable|memory)=/.test(word));
  const order = kernel.filter((word) => hasWord(word, 'cgroup_enable=memory') || hasWord(word, 'cgroup_disable=memory'));
  return [
    ...(line.split('"').length % 2 === 0 ? [problem('error', 'expected a closing quote, found none: everything behind the open one is a single parameter')] : []),
    ...repeated.map((name) => problem('warning', `expected ${name}= once, found ${values(name).join(' and ')}: the last one counts`)),
    ...(kernel.includes('ro') && kernel.includes('rw') ? [problem('warning', 'expected ro or rw, found both: the last one counts')] : []),
    ...glued.map((word) => problem('error', `expected white space in front of the cgroup parameter, found it inside "${word}"`)),
    ...(order.some((word) => hasWord(word, 'cgroup_enable=memory')) && hasWord(order.at(-1)!, 'cgroup_disable=memory')
      ? [problem(lastWins(node) ? 'error' : 'warning', 'expected cgroup_enable=memory to have the last word, found cgroup_disable=memory behind it')] : []),
  ];
}

/** From 6.12 on the last of cgroup_enable and cgroup_disable counts (raspberrypi/linux PR #6524); before, cgroup_enable=memory does wherever it stands. */
function lastWins(node: Node): boolean {
  const kernels = node.kernels();
  return kernels.length === 0 || kernels.some(({ major, minor }) => major > 6 || (major === 6 && minor >= 12));
}

/** What stands behind "--" is for init. */
function kernelWords(line: string): string[] {
  const all = words(line);
  return all.includes('--') ? all.slice(0, all.indexOf('--')) : all;
}

function bootargsVerdict(node: Node): Verdict {
  const trees = deviceTrees(node);
  const disabling = boots(node).filter(({ deviceTree }) => disables(trees.find(({ path }) => path === deviceTree?.path)?.bootargs));
  return onBoards(node, (boot) => {
    const file = lineOf(node, boot);
    if (!disabling.includes(boot) || (file && hasWord(file.line, 'cgroup_enable=memory'))) return [];
    return [{
      severity: 'error', subject: file?.path ?? boot.commandLine.path,
      message: 'expected cgroup_enable=memory on the command line, found none, and the device tree turns the memory controller off with cgroup_disable=memory',
      hint: 'build with -p cgroups, or any profile that extends it',
    }];
  }, () => (disabling.length === 0 ? 'none of them has cgroup_disable=memory' : `cgroup_disable=memory in ${disabling.length} of them, taken back by cgroup_enable=memory`));
}

function disables(bootargs: string | undefined): boolean {
  return bootargs !== undefined && hasWord(bootargs, 'cgroup_disable=memory');
}
