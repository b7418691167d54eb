/** The kernel rules: the healthy node, one seeded defect each, and every row of the tables taken away once. */
import { describe, expect, test } from 'vitest';
import type { Node } from '../../src/verify/node.js';
import type { Problem, Target } from '../../src/verify/rule.js';
import { kernelRules } from '../../src/verify/rules/kernel.js';
import { CALICO_MODULES, CILIUM_OPTIONS } from '../../src/verify/tables/cni.js';
import { K3S_OPTIONS } from '../../src/verify/tables/k3s.js';
import { MOBY_OPTIONS } from '../../src/verify/tables/moby.js';
import { NODE_MODULES } from '../../src/verify/tables/modules.js';
import { rowsFor } from '../../src/verify/tables/options.js';
import { NOT_MISSED, VALIDATED_OPTIONS } from '../../src/verify/tables/system-validators.js';
import { arm64Image, deviceTree } from './boot-material.js';
import { testRules, type Defect } from './cases.js';
import { configText, kernelFiles, modulesText } from './kernel-material.js';
import { memoryNode, problemsOf, type Files, type NodeParts } from './node.js';

const RELEASE = '6.12.25-v8.1.el9.altarch';
const WIDE = '6.12.25-v8-16k.1.el9.altarch';
const CONFIG = `/boot/config-${RELEASE}`;
const MODULES = `/usr/lib/modules/${RELEASE}`;
const LOAD = '/etc/modules-load.d/k8s.conf';

/** As arm64Image, with a page size in the header's flags: 0 does not tell, 1 is 4 KiB, 2 is 16 KiB. */
function kernel(release: string, pages: 0 | 1 | 2 = 1): { content: Uint8Array } {
  const content = arm64Image(release);
  content.writeUInt8(pages << 1, 24);
  return { content };
}

const BOOT: Files = {
  '/boot/cmdline.txt': 'root=LABEL=_/ cgroup_enable=memory\n', '/boot/kernel8.img': kernel(RELEASE), '/boot/bcm2711-rpi-4-b.dtb': { content: deviceTree() }, [LOAD]: '# for CNI\nbr_netfilter\nip-vs\n; old\n',
};
interface Parts extends NodeParts { readonly config?: Parameters<typeof configText>[0] | ''; readonly without?: readonly string[]; readonly hasModules?: boolean; readonly release?: string; readonly files?: Files }

function nodeOf({ config = {}, without = [], hasModules = true, release = RELEASE, files = {}, target = 'kubespray', kubernetes = { major: 1, minor: 34 }, ...options }: Parts = {}): Node {
  const texts = { config: config === '' ? '' : configText(config), modules: hasModules ? modulesText(...without) : '' };
  return memoryNode({ ...BOOT, '/boot/kernel8.img': kernel(release), ...kernelFiles(release, texts), ...files }, { target, kubernetes, ...options });
}
const say = (id: string, parts: Parts = {}): readonly Problem[] | string | undefined => problemsOf(kernelRules, id, nodeOf(parts));
const wide: Files = { '/boot/kernel_2712.img': kernel(WIDE, 2), '/boot/bcm2712-rpi-5-b.dtb': { content: deviceTree() }, ...kernelFiles(WIDE) };

const DEFECTS: readonly (Omit<Defect, 'node'> & { readonly parts: Parts })[] = [
  { rule: 'kernel-release', name: 'EL9\'s own', parts: { release: '5.14.0-570.el9.aarch64' }, severity: 'warning', subject: '/usr/lib/modules/5.14.0-570.el9.aarch64', message: /expected a kernel 5\.4, 5\.10, 5\.15 or from 6\.0 on, found 5\.14\.0-570/ },
  { rule: 'kernel-config', name: 'nowhere', parts: { config: '', without: ['configs'] }, severity: 'warning', subject: MODULES, message: /in \/boot\/config-6\.12\.25\S+, found it nowhere$/ },
  { rule: 'kernel-config', name: 'beside the firmware only', parts: { config: '', without: ['configs'], bootDirectory: '/boot/efi', files: { [`/boot/efi/config-${RELEASE}`]: configText({ IKCONFIG: 'n' }) } }, severity: 'warning', subject: `/boot/efi/config-${RELEASE}`, message: /where kubeadm does not look/ },
  { rule: 'kernel-validators', name: 'no MEMCG', parts: { config: { MEMCG: 'n' } }, severity: 'error', subject: CONFIG, message: /expected CONFIG_MEMCG in the kernel 6\.12\.25\S+, which kubeadm does not start without, found it not set/ },
  { rule: 'kernel-validators', name: 'no BPF for groups, v2', parts: { config: { CGROUP_BPF: '' } }, severity: 'error', subject: CONFIG, message: /CONFIG_CGROUP_BPF/ },
  { rule: 'kernel-validators', name: 'no freezer, v1', parts: { config: { CGROUP_FREEZER: 'n' }, files: { '/boot/cmdline.txt': 'systemd.unified_cgroup_hierarchy=0\n' } }, severity: 'error', subject: CONFIG, message: /CONFIG_CGROUP_FREEZER/ },
  { rule: 'kernel-validators', name: 'no CPU limits', parts: { config: { CFS_BANDWIDTH: 'n' } }, severity: 'warning', subject: CONFIG, message: /which has it for CPU limits of containers/ },
  { rule: 'kernel-validators', name: 'no aufs', parts: { config: { AUFS_FS: '' } }, severity: 'info', subject: CONFIG, message: /CONFIG_AUFS_FS/ },
  { rule: 'kernel-k3s', name: 'no comments in rules', parts: { config: { NETFILTER_XT_MATCH_COMMENT: 'n', KEYS: '' }, target: 'k3s' }, severity: 'error', subject: CONFIG, message: /expected CONFIG_KEYS, CONFIG_NETFILTER_XT_MATCH_COMMENT in .*, which k3s check-config calls generally necessary, found them not set/ },
  { rule: 'kernel-k3s', name: 'the same for RKE2', parts: { config: { KEYS: '' }, target: 'rke2' }, severity: 'warning', subject: CONFIG, message: /CONFIG_KEYS/ },
  { rule: 'kernel-k3s', name: 'an optional one', parts: { config: { RT_GROUP_SCHED: 'n' }, target: 'k3s' }, severity: 'info', subject: CONFIG, message: /CONFIG_RT_GROUP_SCHED .* calls optional/ },
  { rule: 'kernel-moby', name: 'no raw table', parts: { config: { IP6_NF_RAW: 'n' } }, severity: 'info', subject: CONFIG, message: /CONFIG_IP6_NF_RAW/ },
  { rule: 'kernel-calico', name: 'no sets in rules', parts: { without: ['xt_set'], config: { NETFILTER_XT_SET: 'n' } }, severity: 'error', subject: MODULES, message: /expected the modules xt_set or ipt_set, required for Calico/ },
  { rule: 'kernel-calico', name: 'the same where Calico is not the default', parts: { without: ['xt_set'], config: { NETFILTER_XT_SET: 'n' }, target: 'k3s' }, severity: 'info', subject: MODULES, message: /xt_set/ },
  { rule: 'kernel-calico', name: 'no IPv6', parts: { without: ['ip6_tables'], config: { IP6_NF_IPTABLES: 'n' } }, severity: 'info', subject: MODULES, message: /expected the modules ip6_tables, optional for Calico/ },
  { rule: 'kernel-calico', name: 'a kernel of the past', parts: { release: '5.4.83-v8' }, severity: 'warning', subject: '/usr/lib/modules/5.4.83-v8', message: /expected a kernel from 5\.10 on, which Calico asks for/ },
  { rule: 'kernel-cilium', name: 'no classifier', parts: { config: { NET_CLS_BPF: 'n' } }, severity: 'info', subject: CONFIG, message: /CONFIG_NET_CLS_BPF in .*, which Cilium cannot do without/ },
  { rule: 'kernel-cilium', name: 'no tunnels', parts: { config: { GENEVE: '' } }, severity: 'info', subject: CONFIG, message: /CONFIG_GENEVE in .*, which Cilium needs for tunnels/ },
  { rule: 'kernel-cilium', name: 'a kernel of the past', parts: { release: '5.4.83-v8' }, severity: 'info', subject: '/usr/lib/modules/5.4.83-v8', message: /which Cilium asks for/ },
  { rule: 'kernel-modules', name: 'no br_netfilter', parts: { without: ['br_netfilter'], config: { BRIDGE_NETFILTER: 'm' } }, severity: 'error', subject: MODULES, message: /expected the module br_netfilter in the kernel 6\.12\.25\S+ for net\.bridge/ },
  { rule: 'kernel-modules', name: 'no ipvs', parts: { without: ['ip_vs_wrr'], config: { IP_VS_WRR: '' } }, severity: 'error', subject: MODULES, message: /ip_vs_wrr .* Kubespray's default/ },
  { rule: 'kernel-modules', name: 'nothing is known', parts: { config: '', hasModules: false }, severity: 'info', subject: MODULES, message: /nothing is known of its modules/ },
  { rule: 'kernel-modules-load', name: 'a module that no kernel has', parts: { files: { [LOAD]: 'overlay\nbr_netfiler\n' } }, severity: 'warning', subject: LOAD, message: /expected the module br_netfiler, which is to be loaded at boot, in the kernel 6\.12\.25/ },
  { rule: 'kernel-modules-load', name: 'a module of the other kernel only', parts: { files: { ...wide, ...kernelFiles(WIDE, { modules: modulesText('ip_vs') }) } }, severity: 'warning', subject: LOAD, message: /ip_vs, which is to be loaded at boot, in the kernel 6\.12\.25-v8-16k/ },
  { rule: 'kernel-modules-load', name: 'a module that is blacklisted', parts: { files: { '/etc/modprobe.d/no.conf': 'blacklist br-netfilter\n' } }, severity: 'warning', subject: LOAD, message: /br_netfilter to be loaded, but \/etc\/modprobe\.d\/no\.conf forbids it/ },
  { rule: 'kernel-modules-load', name: 'a module that is disabled', parts: { files: { '/usr/lib/modprobe.d/no.conf': 'install ip_vs /bin/false\n' } }, severity: 'warning', subject: LOAD, message: /\/usr\/lib\/modprobe\.d\/no\.conf forbids it/ },
  { rule: 'kernel-page-size', name: 'the Pi 5\'s own kernel', parts: { files: wide }, severity: 'warning', subject: '/boot/kernel_2712.img', message: /expected pages of 4 KiB on Pi 5, found a kernel with pages of 16 KiB/ },
  { rule: 'kernel-page-size', name: 'by its configuration', parts: { files: { ...wide, '/boot/kernel_2712.img': kernel(WIDE, 0), ...kernelFiles(WIDE, { config: configText({ ARM64_4K_PAGES: 'n', ARM64_16K_PAGES: 'y' }) }) } }, severity: 'warning', subject: '/boot/kernel_2712.img', message: /16 KiB/ },
  { rule: 'kernel-ipvs', name: '1.35', parts: { kubernetes: { major: 1, minor: 35 } }, severity: 'info', subject: 'Kubernetes 1.35', message: /is deprecated since 1\.35/ },
  { rule: 'kernel-ipvs', name: '1.41', parts: { kubernetes: { major: 1, minor: 41 } }, severity: 'warning', subject: 'Kubernetes 1.41', message: /is off by default since 1\.40/ },
  { rule: 'kernel-ipvs', name: '1.43', parts: { kubernetes: { major: 1, minor: 43 } }, severity: 'error', subject: 'Kubernetes 1.43', message: /is gone since 1\.43/ },
  { rule: 'kernel-features', name: 'no user namespaces for pods', parts: { release: '6.1.31-v8' }, severity: 'info', subject: '/usr/lib/modules/6.1.31-v8', message: /expected a kernel from 6\.5 on for user namespaces of pods, found 6\.1\.31-v8/ },
];

describe('the rules', () => {
  testRules(kernelRules, () => nodeOf(), DEFECTS.map(({ parts, ...defect }) => ({ ...defect, node: () => nodeOf(parts) })));

  test.each(kernelRules.map(({ id }) => id).filter((id) => id !== 'kernel-ipvs'))('%s: an image without kernels is not judged', (id) => {
    expect(problemsOf(kernelRules, id, memoryNode({ '/etc/os-release': '' }))).toMatch(/^(the image has no kernel modules|nothing is to be loaded|no kernel file)/);
  });
});

/** Each row of each table, taken away alone, is named; nothing else is. */
describe('every row counts', () => {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(RELEASE)!.map(Number);
  const kernelVersion = { major: major!, minor: minor! };
  const messages = (id: string, parts: Parts): string => ((say(id, parts) ?? []) as readonly Problem[]).map(({ message }) => message).join('\n');

  test.each(VALIDATED_OPTIONS.filter((row) => row.class !== 'required-v1').map((row) => [row.name, row] as const))('kubeadm: %s', (name, row) => {
    const aliases = Object.fromEntries(row.aliases.map((alias) => [alias, ''] as const));
    const problems = say('kernel-validators', { config: { ...aliases, [name]: 'n' } }) as readonly Problem[];
    expect(problems).toEqual([expect.objectContaining({ severity: row.class !== 'optional' ? 'error' : NOT_MISSED.includes(name) ? 'info' : 'warning', message: expect.stringContaining(`CONFIG_${name} `) as string })]);
    expect(say('kernel-validators', { config: { ...aliases, [name]: 'm' } })).toBeUndefined();
    for (const alias of row.aliases) expect(say('kernel-validators', { config: { [name]: '', [alias]: 'y' } })).toBeUndefined();
  });

  test.each(VALIDATED_OPTIONS.filter((row) => row.class === 'required-v1').map(({ name }) => name))('kubeadm with v1: %s', (name) => {
    const files = { '/boot/cmdline.txt': 'systemd.unified_cgroup_hierarchy=0\n' };
    expect(messages('kernel-validators', { config: { [name]: '' }, files })).toContain(`CONFIG_${name} `);
    expect(messages('kernel-validators', { config: { CGROUP_BPF: '' }, files })).toBe('');
  });

  test('the first name that is there decides, as in the validators', () => {
    const both = (state: Parameters<typeof configText>[0]): Node => memoryNode({ ...BOOT, ...kernelFiles(RELEASE, { config: `${configText({ ...state, NETFILTER_XT_TARGET_REDIRECT: '' })}CONFIG_NETFILTER_XT_TARGET_REDIRECT=n\n` }) });
    expect(problemsOf(kernelRules, 'kernel-validators', both({ IP_NF_TARGET_REDIRECT: 'y' }))).toHaveLength(1);
    expect(say('kernel-validators', { config: { NETFILTER_XT_TARGET_REDIRECT: '', IP_NF_TARGET_REDIRECT: 'm' } })).toBeUndefined();
  });

  test.each(rowsFor(K3S_OPTIONS, kernelVersion).map(({ name }) => name).filter((name) => name !== 'INET_XFRM_MODE_TRANSPORT'))('k3s: %s', (name) => {
    expect(messages('kernel-k3s', { config: { [name]: '' }, target: 'k3s' })).toMatch(new RegExp(`CONFIG_${name} `));
  });

  test('k3s: what the kernel has no more is not missed, and what older ones have is', () => {
    expect(messages('kernel-k3s', { config: { INET_XFRM_MODE_TRANSPORT: '' }, target: 'k3s' })).toBe('');
    expect(messages('kernel-k3s', { config: { INET_XFRM_MODE_TRANSPORT: '' }, target: 'k3s', release: '4.19.97-v8' })).toContain('INET_XFRM_MODE_TRANSPORT');
    expect(messages('kernel-k3s', { config: { MEMCG_KMEM: '', DEVPTS_MULTIPLE_INSTANCES: '' }, target: 'k3s' })).toBe('');
    expect(messages('kernel-k3s', { config: { MEMCG_KMEM: '', DEVPTS_MULTIPLE_INSTANCES: '' }, target: 'k3s', release: '4.4.50-v7' })).toMatch(/DEVPTS[^]*MEMCG_KMEM/);
  });

  test.each(rowsFor(MOBY_OPTIONS, kernelVersion).filter((row) => row.class === 'required').map(({ name }) => name))('moby: %s', (name) => {
    expect(messages('kernel-moby', { config: { [name]: '' } })).toContain(`CONFIG_${name} `);
  });

  test.each(CILIUM_OPTIONS.map(({ name }) => name))('Cilium: %s', (name) => {
    expect(messages('kernel-cilium', { config: { [name]: '' } })).toContain(`CONFIG_${name} `);
  });

  test.each(CALICO_MODULES.map(({ modules, options }) => [modules.join('|'), modules, options] as const))('Calico: %s', (_, modules, options) => {
    const gone = Object.fromEntries(options.map((name) => [name, ''] as const));
    expect(messages('kernel-calico', { config: gone, without: modules })).toContain(modules[0]!);
    expect(messages('kernel-calico', { config: gone, without: modules, files: { [`${MODULES}/modules.builtin`]: `kernel/x/${modules.at(-1)!}.ko\n` } })).toBe('');
    expect(messages('kernel-calico', { config: { ...gone, [options.at(-1)!]: 'm' }, without: modules })).toBe('');
  });

  test('Calico: what ipvs needs is asked for where kube-proxy runs in that mode', () => {
    const parts: Parts = { config: { NETFILTER_XT_MATCH_IPVS: '' }, without: ['ipt_ipvs'] };
    expect(messages('kernel-calico', parts)).toContain('xt_ipvs');
    expect(messages('kernel-calico', { ...parts, target: 'rke2' })).toBe('');
  });

  test.each(NODE_MODULES.map(({ module, option, targets }) => [module, option, targets] as const))('modules: %s (%s)', (module, option, targets) => {
    const missing: Parts = { without: [module], config: { [option]: 'm' } };
    for (const target of ['kubespray', 'kubeadm', 'k3s', 'rke2'] as const satisfies readonly Target[]) {
      const isWanted = NODE_MODULES.some((row) => row.module === module && (row.targets === undefined || row.targets.includes(target)));
      expect(messages('kernel-modules', { ...missing, target }).includes(`module ${module} `)).toBe(isWanted);
    }
    expect(messages('kernel-modules', { ...missing, target: targets?.[0] ?? 'kubeadm', config: { [option]: 'y' } })).toBe('');
  });

  test('modules: without depmod\'s list the configuration is believed', () => {
    expect(say('kernel-modules', { hasModules: false, config: { IP_VS: 'm' } })).toBeUndefined();
    expect(messages('kernel-modules', { hasModules: false, config: { IP_VS: 'n' } })).toContain('module ip_vs ');
  });
});

describe('which kernels are judged', () => {
  test('those that boards boot; every one where the files do not tell', () => {
    const old = kernelFiles('5.14.0-570.el9.aarch64');
    expect(say('kernel-release', { files: old })).toBeUndefined();
    expect(say('kernel-release', { files: { ...old, '/boot/kernel8.img': 'placeholder' } })).toHaveLength(1);
  });

  test('config.txt decides which kernel a Pi 5 boots', () => {
    expect(say('kernel-page-size', { files: { ...wide, '/boot/config.txt': '[pi5]\nkernel=kernel8.img\n' } })).toBeUndefined();
    expect(say('kernel-page-size', { files: { ...wide, '/boot/config.txt': '[pi4]\nkernel=kernel8.img\n' } })).toHaveLength(1);
  });

  test('a kernel whose file says nothing of pages is not judged', () => {
    expect(say('kernel-page-size', { config: '', files: { '/boot/kernel8.img': 'placeholder' } })).toMatch(/no kernel file/);
  });

  test('nothing to load, or nothing known', () => {
    expect(say('kernel-modules-load', { files: { [LOAD]: '# nothing\n' } })).toMatch(/nothing is to be loaded/);
    expect(say('kernel-modules-load', { hasModules: false })).toMatch(/modules\.dep/);
  });
});
