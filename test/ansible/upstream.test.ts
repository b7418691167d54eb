/** The patches for upstream, applied by patch(1) and run by real ansible-core, with the paths they read turned to trees that stand for nodes. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { parse, stringify } from 'yaml';
import { editCommandLine } from '../../src/steps/command-line.js';
import { scratch } from '../support/cli.js';
import { needs, output } from '../support/oracle.js';
import { nodeTree, readTree, VENDOR_LINE, type Node } from './node-tree.js';
import { ansibleEnvironment, runAnsible, SOURCE } from './support.js';

const upstream = needs('ansible-playbook', 'patch');

// kubernetes-sigs/kubespray 46dbdd39 (2026-08-21), roles/kubernetes/preinstall/tasks/0040-verify-settings.yml: the task that is replaced.
const KUBESPRAY = `---
- name: Before it
  debug: { msg: before }

# This command will fail if cgroups are not enabled on the node.
# For reference: https://kubernetes.io/docs/concepts/architecture/cgroups/#check-cgroup-version
- name: Stop if cgroups are not enabled on nodes
  command: stat -fc %T /sys/fs/cgroup/
  changed_when: false
  when: not ignore_assert_errors

- name: After it
  debug: { msg: after }
`;

function patched(patch: string, path: string, before?: string): string {
  const folder = scratch();
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  if (before !== undefined) writeFileSync(join(folder, path), before);
  output('patch', ['-p1', '-d', folder, '-i', join(SOURCE, 'upstream', patch), '--fuzz=0']);
  return readFileSync(join(folder, path), 'utf8');
}

interface Outcome { readonly status: number; readonly text: string; readonly changed: Record<string, number>; readonly failed: string[] }

/** Runs tasks on every tree, as the node that has its name, with one path of theirs below the tree. */
async function play(folder: string, tasks: string, path: string, hosts: Record<string, object>): Promise<Outcome> {
  const local = (_: unknown, value: unknown): unknown => (typeof value === 'string' ? value.replaceAll(path, `{{ tree }}${path}`) : value);
  writeFileSync(join(folder, 'tasks.yml'), stringify(parse(tasks), local));
  const handlers = [{ name: 'Reboot Pi', 'ansible.builtin.debug': { msg: 'REBOOT {{ inventory_hostname }}' } }];
  writeFileSync(join(folder, 'play.yml'), stringify([{ hosts: 'all', gather_facts: false, handlers, tasks: [{ import_tasks: 'tasks.yml' }] }]));
  const vars = { ansible_connection: 'local', ansible_python_interpreter: '{{ ansible_playbook_python }}', ignore_assert_errors: false };
  writeFileSync(join(folder, 'hosts.yml'), stringify({ all: { vars, hosts: Object.fromEntries(Object.entries(hosts).map(([name, more]) => [name, { tree: join(folder, name), ...more }])) } }));
  const { status, output: text } = await runAnsible(ansibleEnvironment(folder, '/none'), folder, 'ansible-playbook', ['-i', 'hosts.yml', 'play.yml']);
  const changed = Object.fromEntries([...text.matchAll(/^(\S+) +: ok=\d+ +changed=(\d+)/gm)].map(([, host, count]) => [host!, Number(count)]));
  return { status, text, changed, failed: [...text.matchAll(/^fatal: \[(\S+)\]/gm)].map(([, host]) => host!).sort() };
}

function trees(nodes: Record<string, Node>): string {
  const folder = scratch();
  for (const [name, node] of Object.entries(nodes)) nodeTree(join(folder, name), node);
  return folder;
}

upstream('kubespray: the task of today passes without the memory controller, the patched one names what is missing', async () => {
  const after = patched('0040-verify-settings.patch', 'roles/kubernetes/preinstall/tasks/0040-verify-settings.yml', KUBESPRAY);
  expect((parse(after) as { name: string }[]).map(({ name }) => name)).toEqual(['Before it', 'Read the cgroup v2 controllers', 'Stop if required cgroup v2 controllers are not enabled', 'After it']);
  const controllers = (text: string): Node => ({ files: { '/sys/fs/cgroup/cgroup.controllers': text } });
  const folder = trees({ healthy: { memory: true }, dark: {}, bare: controllers('io memory\n'), empty: controllers(''), excused: {} });
  mkdirSync(join(folder, 'v1/sys/fs/cgroup/memory'), { recursive: true });
  const hosts = { healthy: {}, dark: {}, bare: {}, empty: {}, excused: { ignore_assert_errors: true }, v1: {} };
  const today = await play(folder, KUBESPRAY, '/sys/fs/cgroup', hosts);
  expect([today.status, today.failed]).toEqual([0, []]);
  const tomorrow = await play(folder, after, '/sys/fs/cgroup', hosts);
  expect([tomorrow.status, tomorrow.failed, Object.values(tomorrow.changed)]).toEqual([2, ['bare', 'dark', 'empty'], [0, 0, 0, 0, 0, 0]]);
  const missing = [...tomorrow.text.matchAll(/Kubernetes requires: ([a-z, ]+)\./g)].map(([, names]) => names).sort();
  expect(missing).toEqual(['cpu, cpuset, memory, pids', 'cpu, cpuset, pids', 'memory']);
});

upstream('k3s-ansible: Rocky.yml edits the first line of the right file, once, as the engine does', async () => {
  const tasks = patched('k3s-ansible-Rocky.yml.patch', 'roles/raspberrypi/tasks/prereq/Rocky.yml');
  const lines: Record<string, string> = {
    older: `${VENDOR_LINE}\n`, dos: `${VENDOR_LINE}\r\ncgroup_enable=memory\n`, half: `cgroup_memory=1 ${VENDOR_LINE} xcgroup_enable=memory cgroup_enable=memory2`,
  };
  const stub = { '/boot/cmdline.txt': 'DO NOT EDIT THIS FILE\n' };
  const folder = trees({ ...Object.fromEntries(Object.entries(lines).map(([name, text]): [string, Node] => [name, { boot: '/boot', files: { '/boot/cmdline.txt': text } }])), newer: { boot: '/boot/efi', files: stub }, grub: {} });
  const hosts = Object.fromEntries([...Object.keys(lines), 'newer', 'grub'].map((name) => [name, {}]));
  const first = await play(folder, tasks, '/boot', hosts);
  expect([first.status, first.changed]).toEqual([0, { older: 1, dos: 1, half: 1, newer: 1, grub: 0 }]);
  expect(first.text.match(/REBOOT \w+/g)?.sort()).toEqual(['dos', 'half', 'newer', 'older'].map((name) => `REBOOT ${name}`));
  const trio = { add: ['cgroup_enable=cpuset', 'cgroup_memory=1', 'cgroup_enable=memory'] };
  for (const [name, text] of Object.entries(lines)) expect([name, readTree(join(folder, name), 'boot/cmdline.txt')]).toEqual([name, editCommandLine(text, trio)]);
  expect([readTree(join(folder, 'newer'), 'boot/efi/cmdline.txt'), readTree(join(folder, 'newer'), 'boot/cmdline.txt')]).toEqual([editCommandLine(`${VENDOR_LINE}\n`, trio), stub['/boot/cmdline.txt']]);
  const second = await play(folder, tasks, '/boot', hosts);
  expect([second.status, Object.values(second.changed).every((count) => count === 0)]).toEqual([0, true]);
});

// A task of another project's style is not ours to lint; our own collection is.
needs('ansible-lint')('ansible-lint: clean under its strictest profile, and it would say so if it were not', async () => {
  const folder = scratch();
  const collection = join(folder, 'ansible_collections/rockberry/node');
  cpSync(SOURCE, collection, { recursive: true, dereference: true });
  const environment = ansibleEnvironment(folder, folder);
  const lint = (): Promise<{ status: number; output: string }> => runAnsible(environment, collection, 'ansible-lint', ['--offline', '--nocolor', '--profile', 'production']);
  const clean = await lint();
  expect([clean.output.match(/Passed with production profile: 0 failure\(s\), 0 warning\(s\)/)?.length, clean.status], clean.output).toEqual([1, 0]);
  const tasks = join(collection, 'roles/preflight/tasks/check.yml');
  writeFileSync(tasks, readFileSync(tasks, 'utf8').replace('- name: Read the report\n  ansible', '- ansible'));
  expect(await lint()).toMatchObject({ status: 2, output: expect.stringMatching(/name\[missing\]/) });
});
