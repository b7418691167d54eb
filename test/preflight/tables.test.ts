/** The tables of the script are those of verify, and so of their sources; and each row counts: take one away and the check must name it. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { K3S_OPTIONS } from '../../src/verify/tables/k3s.js';
import { FAMILIES } from '../../src/verify/tables/memory-cgroup.js';
import { NODE_MODULES } from '../../src/verify/tables/modules.js';
import type { OptionRow } from '../../src/verify/tables/options.js';
import { CONFIG_PATHS, CONTROLLERS, KNOWN_RELEASES, NOT_MISSED, VALIDATED_OPTIONS } from '../../src/verify/tables/system-validators.js';
import { needs } from '../support/oracle.js';
import { AVAILABLE, CONFIG, FIRMWARE, HEALTHY, KERNEL, MODULES, OWN, SCRIPT, configuration, dependencies, listening, preflight, type Node } from './node.js';

const given = needs('dash', 'mawk');
const source = readFileSync(SCRIPT, 'utf8');

const words = (text: string): string[] => text.trim().split(/\s+/);
const constant = (name: string): string[] => words(new RegExp(`^${name}='([^']*)'$`, 'm').exec(source)![1]!);
const written = (table: readonly OptionRow[], kind: string): string[] => table.filter((row) => row.class === kind && row.below === undefined).map(({ name, aliases }) => [name, ...aliases].join('|'));
const first = (names: readonly string[]): string[] => names.map((name) => name.split('|')[0]!);

const KUBEADM = first([...constant('KUBEADM'), ...constant('KUBEADM_V2')]);
const KUBEADM_V1 = constant('KUBEADM_V1');
const K3S = constant('K3S');

test('the options are those of system-validators and k3s check-config', () => {
  expect(constant('KUBEADM')).toEqual(written(VALIDATED_OPTIONS, 'required'));
  expect(KUBEADM_V1).toEqual(written(VALIDATED_OPTIONS, 'required-v1'));
  expect(constant('KUBEADM_V2')).toEqual(written(VALIDATED_OPTIONS, 'required-v2'));
  expect(constant('KUBEADM_OPTIONAL')).toEqual(written(VALIDATED_OPTIONS, 'optional').filter((name) => !NOT_MISSED.includes(name)));
  expect(K3S).toEqual(written(K3S_OPTIONS, 'required'));
  expect(first(written(K3S_OPTIONS, 'optional'))).toEqual(expect.arrayContaining(constant('K3S_OPTIONAL')));
});

test('the configuration is looked for where kubeadm does', () => {
  const loop = /for config_file in ([\s\S]*?); do/.exec(source)![1]!;
  expect(words(loop.replaceAll(/["\\]/g, ''))).toEqual(CONFIG_PATHS.map((path) => path.replaceAll('R', '$kernel')));
});

function says(id: string, node: Node, args: readonly string[] = []): string {
  const { status, message } = preflight({ ...HEALTHY, ...node }, args).result.checks.find((check) => check.id === id)!;
  return `${status}: ${message}`;
}

const only = (names: readonly string[]): Node => ({ [`/boot/config-${KERNEL}`]: configuration(names) });

/** Every other one, and the rest: exactly those that are taken away must be named, so each row is missed on its own account. */
const halves = (names: readonly string[]): string[][] => [0, 1].map((odd) => [...new Set(names)].filter((_, index) => index % 2 === odd));
const named = (said: string, before: string): string[] => {
  expect(said.slice(0, before.length)).toBe(before);
  return words(said.slice(before.length)).sort();
};

given.each(([['kernel-config', 'fail', 'kubespray', KUBEADM], ['kernel-config', 'fail', 'k3s', K3S], ['kernel-optional', 'warn', 'kubeadm', first(constant('KUBEADM_OPTIONAL'))]] as const).flatMap(([id, status, tool, names]) => halves(names).map((half) => [id, status, tool, half] as const)))('%s: %s, for %s, without %j', (id, status, tool, half) => {
  const said = says(id, only(CONFIG.filter((one) => !half.includes(one))), ['--for', tool]);
  expect(named(said, `${status}: /boot/config-${KERNEL} lacks `)).toEqual([...half].sort());
});

given('and nothing else', () => {
  const v1 = { '/proc/mounts': 'tmpfs /sys/fs/cgroup tmpfs ro 0 0\n' };
  expect(says('kernel-config', only(KUBEADM))).toMatch(/^ok/);
  expect(says('kernel-config', only(K3S), ['--for', 'rke2'])).toMatch(/^ok/);
  expect(says('kernel-config', { ...only([...KUBEADM.filter((name) => name !== 'CGROUP_BPF'), ...KUBEADM_V1]), ...v1 })).toMatch(/^ok/);
  for (const name of KUBEADM_V1) expect(says('kernel-config', { ...only([...KUBEADM, ...KUBEADM_V1].filter((one) => one !== name)), ...v1 })).toMatch(new RegExp(`^fail.* lacks ${name}$`));
});

given.each(CONTROLLERS.v2.required.filter((name) => name !== 'devices' && name !== 'freezer'))('cgroup v2 without %s', (name) => {
  const node = { '/sys/fs/cgroup/cgroup.controllers': words('cpuset cpu io memory hugetlb pids').filter((one) => one !== name).join(' ') };
  expect(says(name === 'memory' ? 'cgroup-memory' : 'cgroup-controllers', node)).toMatch(name === 'memory' ? /^fail/ : new RegExp(`^fail.* ${name}$`));
});

given.each(CONTROLLERS.v1.required)('cgroup v1 without %s', (name) => {
  const listed = [...CONTROLLERS.v1.required, ...CONTROLLERS.v1.optional].filter((one) => one !== name).map((one) => `${one}\t1\t1\t1\n`).join('');
  const node = { '/proc/mounts': 'tmpfs /sys/fs/cgroup tmpfs ro 0 0\n', '/proc/cgroups': listed };
  expect(says(name === 'memory' ? 'cgroup-memory' : 'cgroup-controllers', node)).toMatch(name === 'memory' ? /^fail/ : new RegExp(`^fail.* ${name}$`));
});

given.each(['5.4.0-1', '5.10.110-v8+', '5.14.0-570.el9.aarch64', '5.15.84-v8+', '6.1.31-v8.1.el9.altarch', '6.12.34+rpt-rpi-v8', '10.0.1', '4.19.0', '6.12', ''])('the release %j', (release) => {
  const isKnown = KNOWN_RELEASES.some((known) => known.test(release));
  expect(says('kernel-version', { '/proc/sys/kernel/osrelease': `${release}\n` })).toMatch(isKnown ? /^ok/ : /^warn/);
});

// Without the parameter: a kernel of the family "upstream" is not told to take it, since it would not know it.
given.each([...FAMILIES.map(({ example }) => example), '6.12.34+rpt-rpi-v8', '6.12.40-v8-16k+', '6.12.25-2712', '6.6.77-v8+', '6.12.48+deb13-arm64', '6.1.0-1013-rpi', '6.14.5-300.fc42.aarch64'])('the family of %s', (release) => {
  const { family } = FAMILIES.find((one) => one.release.test(release))!;
  const node = { '/proc/sys/kernel/osrelease': `${release}\n`, '/sys/fs/cgroup/cgroup.controllers': 'cpu cpuset pids', '/proc/cmdline': `${FIRMWARE} ${OWN}\n`, '/boot/cmdline.txt': `${OWN}\n` };
  const { reason } = preflight({ ...HEALTHY, ...node }).result.checks.find(({ id }) => id === 'cgroup-memory')!;
  expect(reason).toBe(family === 'upstream' ? 'disabled' : 'absent');
});

const gone = (names: readonly string[]): Node => ({ [`${MODULES}/modules.dep`]: dependencies(AVAILABLE.filter((one) => !names.includes(one.replaceAll('-', '_')))), [`${MODULES}/modules.builtin`]: names.includes('overlay') ? '' : 'kernel/fs/overlayfs/overlay.ko\n', '/proc/modules': '', '/sys/module/br_netfilter': null });
const lost = `the kernel ${KERNEL} has no module `;

given.each((['kubespray', 'kubeadm', 'k3s', 'rke2'] as const).flatMap((target) => halves(NODE_MODULES.filter(({ targets }) => targets === undefined || targets.includes(target)).map(({ module }) => module)).map((half) => [target, half] as const)))('for %s without the modules %j: failed or warned of', (target, half) => {
  const { checks } = preflight({ ...HEALTHY, ...gone(half) }, ['--for', target]).result;
  const said = checks.filter(({ id, status, message }) => id.startsWith('modules') && id !== 'modules-loaded' && (status === 'fail' || status === 'warn') && message.startsWith(lost));
  expect(said.flatMap(({ message }) => words(message.slice(lost.length)))).toEqual(expect.arrayContaining(half));
});

/** kubespray, roles/kubernetes/node/tasks/main.yml (kube_proxy_mode: ipvs) and enable_nodelocaldns: it stops where one cannot be loaded. */
given.each(halves(words('overlay br_netfilter nf_conntrack vxlan dummy ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh ip_vs_wlc ip_vs_lc')))('Kubespray loads %s, and more', (...half) => {
  expect(named(says('modules', gone(half)), `fail: ${lost}`)).toEqual([...half].sort());
});

/** projectcalico/calico, felix checksystem.go. */
given.each(halves(words('ip_set ip_tables nf_conntrack_netlink ipt_REJECT ipt_rpfilter xt_addrtype xt_conntrack xt_mark xt_multiport xt_set')))('Calico needs %s, and more', (...half) => {
  expect(named(says('modules-network', gone(half)), `warn: ${lost}`)).toEqual([...half].sort());
});

const PORTS = { 'kubeadm control-plane': '6443 2379 2380 10250 10257 10259', 'kubeadm worker': '10250', 'k3s control-plane': '6443 6444 10250 2379 2380', 'k3s worker': '6444 10250', 'rke2 control-plane': '6443 9345 10250 2379 2380 2381', 'rke2 worker': '10250' };
given.each(Object.entries(PORTS))('ports of %s', (whose, ports) => {
  const [tool, role] = whose.split(' ') as [string, string];
  expect(says('ports', { '/proc/net/tcp': listening(...words(ports).map(Number), 22, 10249) }, ['--for', tool, '--role', role])).toBe(`fail: in use already: ${ports}`);
});
