/** What `packages` and `run` ask of the machine, command by command; that they are really executed is shown in test/kernel. */
import { expect, test } from 'vitest';
import type { TreeCommand, TreeCommandResult } from '../../src/fs/filesystem.js';
import { packagesStep } from '../../src/steps/packages.js';
import { runStep } from '../../src/steps/run.js';
import { memoryTree } from '../support/memory-tree.js';

const done: TreeCommandResult = { status: 0, ended: 'exit', output: [], how: 'namespaces', emulated: false, changes: [] };

async function asked(files: Readonly<Record<string, string>>, options: unknown, result: Partial<TreeCommandResult> = {}): Promise<TreeCommand['command'][]> {
  const commands: TreeCommand['command'][] = [];
  const tree = Object.assign(memoryTree(files), { machine: { run: (command: TreeCommand) => (commands.push(command.command), Promise.resolve({ ...done, ...result })) } });
  await packagesStep.apply(tree, packagesStep.schema.parse(options), { directory: '/' });
  return commands;
}

const CONF = { '/etc/dnf/dnf.conf': '[main]\n' };
const OLDER = { ...CONF, '/etc/rocky-release': 'Rocky Linux release 9.2\n', '/boot/bootcode.bin': 'firmware' };
const COMMON = ['dnf', '-y', '--setopt=install_weak_deps=False'];

test('removes, updates, installs, in this order, and asks rpm', async () => {
  expect(await asked(CONF, { install: ['vim', '@development'], remove: ['nano'], update: true, enable: ['crb'] })).toEqual([
    [...COMMON, '--enablerepo=crb', 'remove', 'nano'], [...COMMON, '--enablerepo=crb', 'upgrade'], [...COMMON, '--enablerepo=crb', 'install', 'vim', '@development'], [...COMMON, '--enablerepo=crb', 'clean', 'all'],
    { script: expect.stringMatching(/^for name in vim; do\n.*rpm -q/) as unknown },
  ]);
});

test('never moves kernel and firmware of the older family, whether or not dnf.conf says so', async () => {
  expect((await asked(OLDER, { update: true, clean: false }))[0]).toEqual([...COMMON, '--exclude=kernel-rpi*', '--exclude=raspberrypi2*', 'upgrade']);
  expect((await asked({ ...OLDER, '/etc/dnf/dnf.conf': '[main]\nexclude=kernel-rpi* raspberrypi2*\n' }, { update: ['bash'], clean: false }))[0]).toEqual([...COMMON, 'upgrade', 'bash']);
});

test('an image without dnf, a failing dnf, names that are none', async () => {
  await expect(asked({}, { install: ['vim'] })).rejects.toThrow('expected /etc/dnf/dnf.conf in the image, found none');
  await expect(asked(CONF, { install: ['vim'] }, { status: 1, output: ['Error: Unable to find a match: vim'] })).rejects.toThrow(/exit status 0 of "dnf .*found 1; it said: Error: Unable to find a match: vim/);
  for (const name of ['--installroot=/', '../x.rpm', '/tmp/x.rpm', 'a b', '-y', '']) expect(packagesStep.schema.safeParse({ install: [name] }).success, name).toBe(false);
  for (const options of [{}, { update: false }, { install: [] }]) expect(packagesStep.schema.safeParse(options).success).toBe(false);
});

test('run without mounts says what to do', async () => {
  await expect(runStep.apply(memoryTree({}), runStep.schema.parse({ commands: ['true'] }), { directory: '/' })).rejects.toMatchObject({ needsKernel: true, hint: 'as root on Linux, add --backend loop' });
  for (const options of [{}, { commands: [] }, { commands: ['a'], script: 'b' }, { commands: ['a'], timeout: 0 }, { commands: ['a'], environment: { 'a b': 'c' } }]) expect(runStep.schema.safeParse(options).success).toBe(false);
});
