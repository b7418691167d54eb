/** The cgroups rules: the healthy node, one seeded defect each, and who turns the memory controller off, kernel by kernel. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hierarchyAt, starts } from '../../src/verify/cgroup-starts.js';
import type { Node } from '../../src/verify/node.js';
import type { Problem } from '../../src/verify/rule.js';
import { cgroupsRules } from '../../src/verify/rules/cgroups.js';
import { arm64Image, deviceTree, legacy, RELEASE, without } from './boot-material.js';
import { configText, kernelFiles } from './kernel-material.js';
import { memoryNode, problemsOf, type Files, type NodeParts } from './node.js';

const NEWER = '6.12.25-v8.1.el9.altarch';
const CMDLINE = '/boot/cmdline.txt';
const LINE = 'console=tty1 root=PARTUUID=5f2d8c41-03 rootfstype=ext4 rootwait';
const SYSTEMD: Files = { '/usr/lib/systemd/libsystemd-shared-252-46.el9.so': '' };

interface Parts extends NodeParts { readonly line?: string; readonly release?: string; readonly bootargs?: string; readonly config?: string; readonly files?: Files }

/** A node that boots one kernel on a Pi 3 and a Pi 4, whose device trees say `bootargs`. */
function nodeOf({ line = '', release = RELEASE, bootargs, config = configText(), files = {}, ...options }: Parts = {}): Node {
  return memoryNode({
    ...SYSTEMD, [CMDLINE]: `${LINE} ${line}\n`, '/boot/kernel8.img': { content: arm64Image(release) }, ...kernelFiles(release, { config }),
    '/boot/bcm2710-rpi-3-b.dtb': { content: deviceTree(bootargs) }, '/boot/bcm2711-rpi-4-b.dtb': { content: deviceTree(bootargs) }, ...files,
  }, options);
}
const ENABLED = 'cgroup_enable=cpuset cgroup_memory=1 cgroup_enable=memory';
const healthy = (): Node => nodeOf({ line: `${ENABLED} psi=1` });
const say = (id: string, parts: Parts): readonly Problem[] | string | undefined => problemsOf(cgroupsRules, id, nodeOf(parts));

interface Defect { readonly id: string; readonly what: string; readonly parts: Parts; readonly severity: Problem['severity']; readonly says: RegExp; readonly subject?: string; readonly hint?: RegExp }
const on = `${ENABLED} psi=1`;
const DEFECTS: readonly Defect[] = [
  { id: 'cgroup-version', what: 'v1 is asked for, 1.36', parts: { line: `${on} systemd.unified_cgroup_hierarchy=0` }, severity: 'error', says: /but systemd\.unified_cgroup_hierarchy=0 asks systemd 252 for v1, and kubelet of Kubernetes 1\.36 does not start with it/, hint: /remove: \["systemd\.unified_cgroup_hierarchy"\]/ },
  { id: 'cgroup-version', what: 'v1 is asked for, 1.34', parts: { line: `${on} systemd.unified_cgroup_hierarchy=no`, kubernetes: { major: 1, minor: 34 } }, severity: 'warning', says: /maintenance mode/ },
  { id: 'cgroup-version', what: 'an old system', parts: { line: on, files: { '/usr/lib/systemd/libsystemd-shared-239.so': '' } }, severity: 'error', says: /systemd 239 mounts v1 unless/ },
  { id: 'cgroup-memory', what: '6.1 without a word', parts: {}, severity: 'error', subject: CMDLINE, says: new RegExp(`with kernel ${RELEASE}, but a Raspberry Pi kernel before 6\\.12 has it off unless it is told otherwise, and /boot/cmdline\\.txt does not say cgroup_enable=memory$`), hint: /build -p cgroups/ },
  { id: 'cgroup-memory', what: '6.1 with cgroup_memory=1 alone', parts: { line: 'cgroup_memory=1' }, severity: 'error', says: /does not say cgroup_enable=memory; cgroup_memory=1 does nothing in it$/ },
  { id: 'cgroup-memory', what: '6.12, off by the device tree', parts: { release: NEWER, bootargs: 'cgroup_disable=memory' }, severity: 'error', subject: CMDLINE, says: /cgroup_disable=memory in \/boot\/bcm2710-rpi-3-b\.dtb turns it off, and nothing after it turns it on again$/ },
  { id: 'cgroup-memory', what: '6.12, off by a later word', parts: { release: NEWER, line: 'cgroup_enable=memory cgroup_disable=memory' }, severity: 'error', says: /cgroup_disable=memory in \/boot\/cmdline\.txt turns it off: it comes after cgroup_enable=memory, and for a Raspberry Pi kernel from 6\.12\.4 on the last one counts/ },
  { id: 'cgroup-memory', what: 'the kernels of late 2024', parts: { release: '6.12.1-v8', bootargs: 'cgroup_disable=memory', line: 'cgroup_enable=memory' }, severity: 'error', subject: '/boot/bcm2710-rpi-3-b.dtb', says: /a Raspberry Pi kernel of late 2024 does not know cgroup_enable, which \/boot\/cmdline\.txt says$/, hint: /update the kernel/ },
  { id: 'cgroup-memory', what: 'a distribution\'s kernel on the firmware\'s device tree', parts: { release: '5.14.0-570.el9.aarch64', bootargs: 'cgroup_disable=memory', line: 'cgroup_enable=memory' }, severity: 'error', says: /a kernel without the Raspberry Pi patches does not know cgroup_enable/, hint: /device tree/ },
  { id: 'cgroup-memory', what: 'a distribution\'s kernel told so on its command line', parts: { release: '5.14.0-570.el9.aarch64', line: 'cgroup_disable=memory' }, severity: 'error', subject: CMDLINE, says: /turns it off/, hint: /remove: \["cgroup_disable=memory"\]/ },
  { id: 'cgroup-memory', what: 'a kernel that does not say what it is', parts: { release: '6.6.70' }, severity: 'warning', says: /it is off in a Raspberry Pi kernel before 6\.12, and nothing tells which this is/ },
  { id: 'cgroup-memory', what: 'a kernel that does not say what it is, off in every case', parts: { release: '6.6.70', line: 'cgroup_disable=memory' }, severity: 'error', says: /it is off in .* before 6\.12, in .* late 2024, in .* 6\.12\.4 on, in a kernel without/ },
  { id: 'cgroup-memory', what: 'a device tree that cannot be read', parts: { release: NEWER, files: { '/boot/bcm2711-rpi-4-b.dtb': 'damaged' } }, severity: 'warning', subject: '/boot/bcm2711-rpi-4-b.dtb', says: /whether the device tree says cgroup_disable=memory to kernel .* on Pi 4, but/ },
  { id: 'cgroup-controllers', what: 'cpuset off', parts: { line: `${on} cgroup_disable=cpuset`, release: NEWER }, severity: 'error', subject: CMDLINE, says: /expected the controller cpuset with kernel .*, but cgroup_disable=cpuset turns it off/ },
  { id: 'cgroup-controllers', what: 'pids off in a list', parts: { line: `${on} cgroup_disable=net_cls,pids` }, severity: 'error', says: /controller pids .* cgroup_disable=pids/ },
  { id: 'cgroup-controllers', what: 'freezer off with v1', parts: { line: `${on} cgroup_disable=freezer systemd.unified_cgroup_hierarchy=0` }, severity: 'error', says: /controller freezer/ },
  { id: 'cgroup-controllers', what: 'memory kept from v1', parts: { line: `${on} cgroup_no_v1=memory,net_cls systemd.unified_cgroup_hierarchy=0` }, severity: 'error', says: /cgroup_no_v1=memory keeps it from cgroup v1/ },
  { id: 'cgroup-parameters', what: 'both', parts: { line: 'cgroup_enable=memory cgroup_disable=memory' }, severity: 'warning', subject: CMDLINE, says: /expected one of cgroup_enable=memory and cgroup_disable=memory, found both/ },
  { id: 'cgroup-parameters', what: 'a slip of the pen', parts: { line: 'cgroup_enable=memmory' }, severity: 'warning', says: /the name of a controller in cgroup_enable=memmory, found one that no kernel has/ },
  { id: 'cgroup-optional', what: 'no hugetlb in the kernel', parts: { config: configText({ CGROUP_HUGETLB: 'n' }) }, severity: 'info', says: /built without CONFIG_CGROUP_HUGETLB, so there is no controller hugetlb/, subject: `/boot/config-${RELEASE}` },
  { id: 'cgroup-optional', what: 'io off by its older name', parts: { line: 'cgroup_disable=blkio' }, severity: 'info', says: /cgroup_disable=blkio turns the controller io off/ },
  { id: 'cgroup-psi', what: 'off until told otherwise', parts: { line: ENABLED, config: configText({ PSI_DEFAULT_DISABLED: 'y' }) }, severity: 'info', says: /pressure stall information is off/, hint: /psi: 1/ },
  { id: 'cgroup-psi', what: 'turned off', parts: { line: 'psi=0' }, severity: 'info', says: /pressure stall information is off/ },
  { id: 'cgroup-psi', what: 'turned off for groups', parts: { line: 'psi=1 cgroup_disable=pressure' }, severity: 'info', says: /cgroup_disable=pressure turns/ },
  { id: 'cgroup-psi', what: 'not in the kernel', parts: { line: 'psi=1', config: configText({ PSI: '' }) }, severity: 'info', says: /built without CONFIG_PSI/ },
  { id: 'cgroup-psi', what: 'a Raspberry Pi kernel without its configuration', parts: { config: '' }, severity: 'info', says: /pressure stall information is off/ },
  { id: 'cgroup-swapaccount', what: 'turned off', parts: { line: 'swapaccount=0' }, severity: 'info', says: /swapaccount=0 makes older kernels count no swap/ },
];

describe('the rules', () => {
  test.each(cgroupsRules.map(({ id }) => id))('%s: all well on the healthy node', (id) => {
    expect(problemsOf(cgroupsRules, id, healthy())).toBeUndefined();
  });

  test.each(DEFECTS.map((defect) => [defect.id, defect.what, defect] as const))('%s: %s', (id, _, { parts, severity, says, subject, hint }) => {
    const problems = say(id, parts) as readonly Problem[];
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ severity, message: expect.stringMatching(says) as string, ...(subject !== undefined && { subject }), ...(hint && { hint: expect.stringMatching(hint) as string }) });
  });

  test('every rule has a defect that makes it fail, a source and a name of its group', () => {
    expect(cgroupsRules.filter(({ id }) => !DEFECTS.some((defect) => defect.id === id)).map(({ id }) => id)).toEqual([]);
    expect(cgroupsRules.filter(({ id, group, source }) => !/^cgroup-[a-z]+$/.test(id) || group !== 'cgroups' || !/^https:\/\/\S+$/.test(source))).toEqual([]);
    expect(new Set(cgroupsRules.map(({ id }) => id)).size).toBe(cgroupsRules.length);
  });

  test.each(cgroupsRules.map(({ id }) => id).filter((id) => id !== 'cgroup-psi'))('%s: an image whose boot loader keeps the command line is not judged', (id) => {
    expect(problemsOf(cgroupsRules, id, memoryNode({ '/boot/efi/EFI/BOOT/BOOTAA64.EFI': 'MZ' }))).toMatch(/boot loader/);
  });

  test('pressure is asked for from Kubernetes 1.36 on', () => {
    expect(say('cgroup-psi', { kubernetes: { major: 1, minor: 35 }, line: 'psi=0' })).toMatch(/1\.35 does not ask for it; 1\.36 does/);
    expect(say('cgroup-psi', { kubernetes: { major: 2, minor: 0 }, line: 'psi=0' })).toHaveLength(1);
  });
});

/** What was seen on boards, by the reports named, and what the patches say (OpenWrt's copy of 950-0084, raspberrypi/linux PRs #6439 and #6524). */
describe('the memory controller', () => {
  const OFF = 'cgroup_disable=memory';
  const state = (release: string, bootargs: string | undefined, line: string): string => {
    const problems = say('cgroup-memory', { release, line, ...(bootargs !== undefined && { bootargs }) });
    return problems === undefined ? 'on' : (problems as readonly Problem[])[0]!.severity === 'error' ? 'off' : 'in doubt';
  };

  test.each<[what: string, release: string, bootargs: string | undefined, line: string, found: string]>([
    ['raspberrypi/linux#6980, 6.12.57-v8+', '6.12.57-v8+', `coherent_pool=1M ${OFF} snd_bcm2835.enable_hdmi=0`, 'usbcore.autosuspend=-1 cgroup_enable=memory', 'on'],
    ['raspberrypi/linux#6980, 6.12.34+rpt', '6.12.34+rpt-rpi-2712', `reboot=w ${OFF} numa_policy=interleave`, 'cgroup_memory=1 cgroup_enable=memory console=tty1', 'on'],
    ['raspberrypi/linux#6980, the last one counts', '6.12.34+rpt-rpi-2712', 'reboot=w', `cgroup_enable=memory cgroup_memory=1 ${OFF}`, 'off'],
    ['raspberrypi/linux#6980, without either', '6.12.34+rpt-rpi-2712', 'reboot=w', 'cgroup_memory=1', 'on'],
    ['balena-raspberrypi#1222, 6.12.1', '6.12.1-v8', OFF, 'cgroup_enable=memory', 'off'],
    ['balena-raspberrypi#1222, 6.12.20', '6.12.20-v8', OFF, 'cgroup_enable=memory', 'on'],
    ['kubespray#11163, Rocky 9', RELEASE, undefined, '', 'off'],
    ['kubespray#11163, with the three words', RELEASE, undefined, ENABLED, 'on'],
    ['950-0084: an explicit enable overrides a disable, before it', RELEASE, undefined, `cgroup_enable=memory ${OFF}`, 'on'],
    ['950-0084: and after it', RELEASE, OFF, 'cgroup_enable=memory', 'on'],
    ['950-0084: a list', RELEASE, undefined, 'cgroup_enable=cpuset,memory', 'on'],
    ['950-0084: empty members', RELEASE, undefined, 'cgroup_enable=,memory,', 'on'],
    ['k3s#8890, Ubuntu', '6.5.0-1013-raspi', undefined, '', 'on'],
    ['home-assistant#2124, an upstream kernel', '5.14.0-570.el9.aarch64', undefined, 'cgroup_enable=memory', 'on'],
    ['an upstream kernel on the firmware\'s tree', '6.12.94+deb13-arm64', OFF, 'cgroup_enable=memory', 'off'],
    ['the kernel\'s own words: quotes', RELEASE, undefined, '"cgroup_enable=memory"', 'on'],
    ['quotes around the value', RELEASE, undefined, 'cgroup_enable="cpuset,memory"', 'on'],
    ['"-" for "_"', RELEASE, undefined, 'cgroup-enable=memory', 'on'],
    ['another name', RELEASE, undefined, 'xcgroup_enable=memory cgroup_enable=memory2 cgroup.enable=memory', 'off'],
    ['inside somebody else\'s quotes', RELEASE, undefined, 'x="a cgroup_enable=memory b"', 'off'],
    ['behind "--"', RELEASE, undefined, '-- cgroup_enable=memory', 'off'],
    ['a kernel that does not say what it is, enabled', '6.6.70', undefined, 'cgroup_enable=memory', 'on'],
    ['a kernel that does not say what it is, on the firmware\'s tree', '6.6.70', OFF, 'cgroup_enable=memory', 'in doubt'],
  ])('%s', (_, release, bootargs, line, found) => {
    expect(state(release, bootargs, line)).toBe(found);
  });

  test('every board is judged with its own kernel and device tree, every kernel where the files do not tell', () => {
    const two: Files = {
      '/boot/kernel_2712.img': { content: arm64Image('6.12.25-v8-16k') }, '/boot/bcm2712-rpi-5-b.dtb': { content: deviceTree('cgroup_disable=memory') }, ...kernelFiles('6.12.25-v8-16k'),
    };
    const problems = say('cgroup-memory', { files: two }) as readonly Problem[];
    expect(problems.map(({ message }) => message)).toEqual([expect.stringContaining(`kernel ${RELEASE} on Pi 3, Pi 4, but`), expect.stringContaining('kernel 6.12.25-v8-16k on Pi 5, but')]);
    const node = memoryNode({ [CMDLINE]: `${LINE}\n`, ...kernelFiles(RELEASE), ...kernelFiles('5.14.0-570.el9.aarch64'), ...kernelFiles('6.12.25-v8') });
    expect(problemsOf(cgroupsRules, 'cgroup-memory', node)).toEqual([expect.objectContaining({ severity: 'error', message: expect.stringContaining(RELEASE) as string })]);
    expect(starts(node)).toHaveLength(3);
  });

  test('several command lines are judged each', () => {
    const parts: Parts = { files: { '/boot/config.txt': '[pi4]\ncmdline=other.txt\n', '/boot/other.txt': `${LINE} cgroup_enable=memory\n` } };
    expect(say('cgroup-memory', parts)).toEqual([expect.objectContaining({ subject: CMDLINE, message: expect.stringContaining('on Pi 3, but') as string })]);
    const both: Parts = { files: { '/boot/config.txt': '[pi4]\ncmdline=other.txt\n', '/boot/other.txt': LINE } };
    expect(say('cgroup-memory', both)).toHaveLength(2);
    expect(say('cgroup-version', { files: { '/boot/config.txt': '[pi4]\ncmdline=other.txt\n', '/boot/other.txt': `${LINE} systemd.unified_cgroup_hierarchy=0` } })).toEqual([expect.objectContaining({ subject: '/boot/other.txt' })]);
  });

  test('a board without its device tree is left out; without any, the kernels are judged all the same', () => {
    expect(problemsOf(cgroupsRules, 'cgroup-memory', memoryNode(legacy))).toHaveLength(1);
    expect(problemsOf(cgroupsRules, 'cgroup-memory', memoryNode(without(legacy, '/boot/bcm2710-rpi-3-b.dtb', '/boot/bcm2711-rpi-4-b.dtb')))).toHaveLength(1);
  });

  test('it says why it is on', () => {
    const rule = cgroupsRules.find(({ id }) => id === 'cgroup-memory')!;
    expect(rule.check(nodeOf({ line: ENABLED }))).toEqual({ ok: `on with kernel ${RELEASE}: cgroup_enable=memory in ${CMDLINE}` });
    expect(rule.check(nodeOf({ release: NEWER }))).toEqual({ ok: `on with kernel ${NEWER}: a Raspberry Pi kernel from 6.12.4 on has it on, and nothing turns it off` });
  });
});

/** A model of the kernels' own code, word after word, written from the patches: a switch for the controller, and a mask for what was enabled. */
describe('as the kernels do it', () => {
  const WORDS = ['cgroup_enable=memory', 'cgroup_enable=cpuset,memory', 'cgroup_disable=memory', 'cgroup_disable=cpuset', 'cgroup_disable=memory,cpuset', 'cgroup_memory=1', 'quiet'];

  /** 950-0084: a disable does nothing once an enable was seen; after all words the kernel disables memory itself, under the same condition. */
  function older(words: readonly string[]): boolean {
    let isOn = true;
    let isMasked = false;
    const disable = (): void => { if (!isMasked) isOn = false; };
    for (const word of words) {
      if (!word.includes('memory') || word.startsWith('cgroup_memory')) continue;
      if (word.startsWith('cgroup_enable=')) { isMasked = true; isOn = true; }
      else disable();
    }
    disable();
    return isOn;
  }

  /** PR #6524: both set the switch. Without it (#6439, upstream) only the disable does. */
  const newer = (knows: boolean) => (words: readonly string[]): boolean => words.reduce((isOn, word) => {
    if (!word.includes('memory') || word.startsWith('cgroup_memory')) return isOn;
    return word.startsWith('cgroup_disable=') ? false : knows || isOn;
  }, true);

  test.each([[RELEASE, older], [NEWER, newer(true)], ['6.12.1-v8', newer(false)], ['5.14.0-570.el9.aarch64', newer(false)]] as const)('%s (seed printed on failure)', (release, model) => {
    const words = fc.array(fc.constantFrom(...WORDS), { maxLength: 5 });
    fc.assert(fc.property(words, words, (first, second) => {
      const problems = say('cgroup-memory', { release, bootargs: first.join(' '), line: second.join(' ') });
      expect(problems === undefined).toBe(model([...first, ...second]));
    }), { numRuns: 150 });
  });
});

/** src/shared/cgroup-setup.c, cg_is_unified_wanted; src/basic/proc-cmdline.c and parse-util.c for the words. */
describe('v1 or v2', () => {
  const hierarchy = (version: number | undefined, line: string, files: Files = {}): string => {
    const node = memoryNode({ [CMDLINE]: line, ...(version === undefined ? {} : { [`/usr/lib/systemd/libsystemd-shared-${version}.so`]: '' }), ...files });
    return hierarchyAt(node, { line }).hierarchy;
  };

  test.each<[version: number | undefined, line: string, found: string]>([
    [252, 'quiet', 'v2'], [252, 'systemd.unified_cgroup_hierarchy=0', 'v1'], [252, 'systemd.unified_cgroup_hierarchy=1', 'v2'], [252, 'systemd.unified_cgroup_hierarchy', 'v2'],
    [252, 'systemd.unified_cgroup_hierarchy=false', 'v1'], [252, 'systemd.unified-cgroup-hierarchy=OFF', 'v1'], [252, 'systemd.unified_cgroup_hierarchy=maybe', 'v2'],
    [252, 'systemd.unified_cgroup_hierarchy=0 systemd.unified_cgroup_hierarchy=1', 'v2'], [252, 'systemd.unified_cgroup_hierarchy=0 cgroup_no_v1=all', 'v1'],
    [252, 'systemd.legacy_systemd_cgroup_controller=1', 'v2'], [252, 'cgroup_no_v1=memory', 'v2'], [252, '-- systemd.unified_cgroup_hierarchy=0', 'v2'],
    [239, 'quiet', 'v1'], [239, 'cgroup_no_v1=all', 'v2'], [239, 'cgroup_no_v1=all,named', 'v1'], [239, 'systemd.unified_cgroup_hierarchy=yes', 'v2'], [243, 'quiet', 'v2'],
    [258, 'systemd.unified_cgroup_hierarchy=0', 'v2'], [undefined, 'quiet', 'v2'], [undefined, 'systemd.unified_cgroup_hierarchy=0', 'v1'],
  ])('systemd %s, %s: %s', (version, line, found) => {
    expect(hierarchy(version, line)).toBe(found);
  });

  test('Enterprise Linux 8 is told by its name where the library is not found', () => {
    expect(hierarchy(undefined, 'quiet', { '/etc/os-release': 'NAME="Rocky Linux"\nPLATFORM_ID="platform:el8"\n' })).toBe('v1');
    expect(hierarchy(undefined, 'quiet', { '/etc/os-release': 'NAME="Rocky Linux"\nPLATFORM_ID="platform:el9"\n' })).toBe('v2');
  });

  test('the name of the library gives the version, whatever follows it', () => {
    expect(hierarchyAt(nodeOf(), { line: '' })).toEqual({ hierarchy: 'v2', systemd: 'systemd 252', by: undefined });
    expect(hierarchyAt(memoryNode({ '/usr/lib/systemd/systemd-shared-252': '' }), { line: '' }).systemd).toBe('systemd');
  });
});
