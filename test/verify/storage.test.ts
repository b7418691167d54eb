/** The storage rules: one seeded defect each and more where there are several kinds, the ready node, and what is no defect. */
import { describe, expect, test } from 'vitest';
import type { ImagePartition } from '../../src/image/image.js';
import { storageRules } from '../../src/verify/rules/storage.js';
import { testRules, type Defect } from './cases.js';
import { PARTITIONS, partition, problemsOf, type NodeParts } from './node.js';
import { COMMAND_LINE, defect, installed, READY, readyNode, unit, wants, type Changes } from './ready-node.js';

const FSTAB = READY['/etc/fstab'] as string;
const SWAPPING = { '/etc/fstab': FSTAB.replace('#', '') };
const UNMASKED = { '/etc/systemd/system/swap.target': undefined };
const generators = '/usr/lib/systemd/system-generators';
const zram = { [`${generators}/zram-generator`]: 'x', '/usr/lib/systemd/zram-generator.conf': '[zram0]\nzram-size = ram / 2\n' };
const withOptions = (options: string): Changes => ({ '/etc/fstab': FSTAB.replace('defaults,noatime 0 0', `${options} 0 0`) });
const noGrowth = { [`${wants}/rockberry-grow-root.service`]: undefined };
const gptPartitions: readonly ImagePartition[] = [{ ...partition(1, 'vfat', 'EFI') }, { ...partition(2, 'swap', 'SWAP'), type: '0657FD6D-A4AB-43C4-84E5-0933C84B4F4F' }, partition(3, 'ext4', 'RPIROOT')];

function gpt(changes: Changes, parts: NodeParts = {}): ReturnType<typeof readyNode> {
  const node = readyNode(changes, { partitions: gptPartitions, ...parts });
  Object.assign(node.image.table, { scheme: 'gpt' });
  return node;
}
function free(bytes: number): ReturnType<typeof readyNode> {
  const node = readyNode(noGrowth);
  const info = node.tree.info();
  node.tree.info = () => ({ ...info, free: bytes });
  return node;
}

const DEFECTS: readonly Defect[] = [
  defect('storage-swap', 'a line of fstab', { ...SWAPPING, ...UNMASKED }, 'error', '/etc/fstab', /found the line for UUID=00000002/),
  defect('storage-swap', 'the same for k3s', { ...SWAPPING, ...UNMASKED }, 'warning', '/etc/fstab', /found the line for UUID=00000002/, { target: 'k3s' }),
  defect('storage-swap', 'the same for nobody in particular', { ...SWAPPING, ...UNMASKED }, 'error', '/etc/fstab', /found the line/, { target: undefined }),
  defect('storage-swap', 'a line that the mask keeps down', SWAPPING, 'warning', '/etc/fstab', /which does not come up at boot/),
  defect('storage-swap', 'a line that the kernel command line keeps down', { ...SWAPPING, ...UNMASKED, '/boot/cmdline.txt': COMMAND_LINE.replace('\n', ' systemd.swap=0\n') }, 'warning', '/etc/fstab', /which does not come up at boot/),
  defect('storage-swap', 'the command line says it is on', { ...SWAPPING, ...UNMASKED, '/boot/cmdline.txt': COMMAND_LINE.replace('\n', ' systemd.swap=0 systemd.swap=1\n') }, 'error', '/etc/fstab', /found the line for UUID=00000002/),
  { rule: 'storage-swap-gpt', name: 'a swap partition without a line in fstab', node: () => gpt(UNMASKED), severity: 'error', subject: 'partition 2', message: /because fstab names no swap/ },
  { rule: 'storage-swap-gpt', name: 'the generator is there', node: () => gpt({ ...UNMASKED, [`${generators}/systemd-gpt-auto-generator`]: 'x' }, { target: 'rke2' }), severity: 'warning', subject: 'partition 2', message: /comes up by itself/ },
  defect('storage-swap-zram', 'a device in /usr', { ...zram, ...UNMASKED }, 'error', '/usr/lib/systemd/zram-generator.conf', /found a device/),
  defect('storage-swap-zram', 'a device in a drop-in', { ...zram, ...UNMASKED, '/etc/systemd/zram-generator.conf': '', '/etc/systemd/zram-generator.conf.d/a.conf': '[zram1]\n' }, 'error', '/etc/systemd/zram-generator.conf.d/a.conf', /found a device/),
  defect('storage-swap-unit', 'a swap unit', { ...UNMASKED, '/etc/systemd/system/swapfile.swap': '[Swap]\nWhat=/swapfile\n', '/etc/systemd/system/swap.target.wants/swapfile.swap': { target: '../swapfile.swap' } }, 'error', '/etc/systemd/system/swap.target.wants/swapfile.swap', /swapfile\.swap is wanted/),
  defect('storage-swap-unit', 'a swap unit that something else wants', { '/etc/systemd/system/a.swap': '[Swap]\nWhat=/a\n', [`${wants}/a.swap`]: { target: '../a.swap' } }, 'error', `${wants}/a.swap`, /a\.swap is wanted/),
  defect('storage-swap-unit', 'the swap file of Raspberry Pi OS', unit('dphys-swapfile.service'), 'error', 'dphys-swapfile.service', /makes a swap file/),
  defect('storage-swap-unit', 'rpi-swap', { ...UNMASKED, [`${generators}/rpi-swap-generator`]: 'x', '/etc/rpi/swap.conf': '[Main]\n#Mechanism=none\nMechanism=auto\n' }, 'error', '/etc/rpi/swap.conf', /rpi-swap makes swap/),
  defect('storage-swap-target', 'no mask', UNMASKED, 'info', '/etc/systemd/system/swap.target', /found it is not/),
  defect('storage-grow', 'nothing grows it', noGrowth, 'error', '/', /found 0\.5 GiB and nothing that grows it/),
  defect('storage-grow', 'a masked unit', { ...noGrowth, '/etc/systemd/system/rockberry-grow-root.service': { target: '/dev/null' } }, 'error', '/', /nothing that grows it/),
  defect('storage-grow', 'cloud-init is off', { ...noGrowth, ...unit('cloud-init.service'), '/etc/cloud/cloud.cfg': 'cloud_init_modules:\n - growpart\n', '/etc/cloud/cloud-init.disabled': '' }, 'error', '/', /nothing that grows it/),
  defect('storage-grow', 'cloud-init without growpart', { ...noGrowth, ...unit('cloud-init.service'), '/etc/cloud/cloud.cfg': 'cloud_init_modules:\n - growpart\n', '/etc/cloud/cloud.cfg.d/off.cfg': 'growpart:\n  mode: off\n' }, 'error', '/', /nothing that grows it/),
  defect('storage-grow', 'growfs without repart', { ...noGrowth, ...withOptions('defaults,x-systemd.growfs') }, 'error', '/', /nothing that grows it/),
  { rule: 'storage-grow', name: 'little room', node: () => free(5 * 2 ** 30), severity: 'warning', subject: '/', message: /expected 8\.0 GiB free .* found 5\.0 GiB/ },
  defect('storage-root', 'ro in fstab', withOptions('ro,noatime'), 'error', '/etc/fstab', /found "ro" in its line/),
  defect('storage-root', 'no line and no rw', { '/etc/fstab': '' }, 'error', '/boot/cmdline.txt', /it stays read-only/),
  defect('storage-root', 'rw, and ro after it', { '/etc/fstab': '', '/boot/cmdline.txt': COMMAND_LINE.replace('\n', ' rw ro\n') }, 'error', '/boot/cmdline.txt', /it stays read-only/),
  defect('storage-read-only', 'a read-only /var', { '/etc/fstab': `${FSTAB}LABEL=var /var ext4 defaults,ro 0 0\n` }, 'error', '/var', /found "ro"/),
  defect('storage-noexec', 'for CNI plugins', { '/etc/fstab': `${FSTAB}LABEL=opt /opt/ ext4 noexec 0 0\n` }, 'error', '/opt/', /run from \/opt\/cni\/bin/),
  defect('storage-noexec', 'for k3s', { '/etc/fstab': `${FSTAB}LABEL=var /var ext4 defaults,users 0 0\n` }, 'error', '/var', /run from \/var\/lib\/rancher/, { target: 'k3s' }),
  defect('storage-noexec', 'for volumes', { '/etc/fstab': `${FSTAB}LABEL=var /var/lib/kubelet ext4 exec,noexec 0 0\n` }, 'warning', '/var/lib/kubelet', /run from \/var\/lib\/kubelet/),
];

testRules(storageRules, () => readyNode(), DEFECTS);

describe('no defect', () => {
  test.each<[string, string, () => ReturnType<typeof readyNode>]>([
    ['storage-swap', 'noauto', () => readyNode({ ...UNMASKED, '/etc/fstab': `${FSTAB}/dev/sda1 none swap noauto 0 0\n` })],
    ['storage-swap-gpt', 'swap.target is masked', () => gpt({})],
    ['storage-swap-gpt', 'fstab names swap, so systemd looks no further', () => gpt({ ...UNMASKED, ...SWAPPING })],
    ['storage-swap-gpt', 'systemd was built without the generator', () => gpt({ ...UNMASKED, [`${generators}/systemd-fstab-generator`]: 'x' })],
    ['storage-swap-gpt', 'the command line turns it off', () => gpt({ ...UNMASKED, '/boot/cmdline.txt': 'systemd.gpt_auto=0\n' })],
    ['storage-swap-zram', 'an empty file in /etc', () => readyNode({ ...zram, ...UNMASKED, '/etc/systemd/zram-generator.conf': '' })],
    ['storage-swap-zram', 'only a comment', () => readyNode({ ...zram, ...UNMASKED, '/usr/lib/systemd/zram-generator.conf': '# [zram0]\n' })],
    ['storage-swap-unit', 'a masked swap unit', () => readyNode({ '/etc/systemd/system/a.swap': { target: '/dev/null' }, [`${wants}/a.swap`]: { target: '../a.swap' } })],
    ['storage-swap-unit', 'the swap file program is not enabled', () => readyNode(installed('dphys-swapfile.service'))],
    ['storage-swap-unit', 'rpi-swap is told to make none', () => readyNode({ ...UNMASKED, [`${generators}/rpi-swap-generator`]: 'x', '/etc/rpi/swap.conf': '[Main]\nMechanism=none\n' })],
    ['storage-grow', 'cloud-init', () => readyNode({ ...noGrowth, ...unit('cloud-init.service'), '/etc/cloud/cloud.cfg': 'cloud_init_modules:\n - growpart\n - resizefs\ngrowpart:\n  mode: auto\n' })],
    ['storage-grow', 'Raspberry Pi OS 12', () => readyNode({ ...noGrowth, '/boot/cmdline.txt': 'root=PARTUUID=x rootwait init=/usr/lib/raspberrypi-sys-mods/firstboot\n' })],
    ['storage-grow', 'Raspberry Pi OS 13', () => readyNode({ ...noGrowth, '/boot/cmdline.txt': 'root=PARTUUID=x rootwait resize\n' })],
    ['storage-grow', 'the vendor\'s rootfs-expand, enabled', () => readyNode({ ...noGrowth, ...unit('rootfs-expand.service') })],
    ['storage-grow', 'repart and growfs', () => readyNode({ ...noGrowth, ...withOptions('defaults,x-systemd.growfs'), '/etc/repart.d/50-root.conf': '[Partition]\nType=root\n' })],
    ['storage-grow', 'room enough', () => free(9 * 2 ** 30)],
    ['storage-root', 'no line, but rw', () => readyNode({ '/etc/fstab': '', '/boot/cmdline.txt': COMMAND_LINE.replace('\n', ' ro rw\n') })],
    ['storage-root', 'ro, and rw after it', () => readyNode(withOptions('ro,rw'))],
    ['storage-noexec', 'exec after user', () => readyNode({ '/etc/fstab': `${FSTAB}LABEL=var /var ext4 user,exec 0 0\n` })],
    ['storage-noexec', 'a mount further in', () => readyNode({ '/etc/fstab': `${FSTAB}LABEL=o /opt ext4 noexec 0 0\nLABEL=b /opt/cni/bin ext4 defaults 0 0\n` })],
    ['storage-noexec', 'elsewhere', () => readyNode({ '/etc/fstab': `${FSTAB}LABEL=o /var/lib/containerdish ext4 noexec 0 0\n` })],
  ])('%s: %s', (id, _, node) => {
    expect(problemsOf(storageRules, id, node())).toBeUndefined();
  });

  test('the partitions of the older image are an MBR', () => {
    expect(problemsOf(storageRules, 'storage-swap-gpt', readyNode(UNMASKED, { partitions: PARTITIONS }))).toBeUndefined();
  });
});

test('fstab of any length ends', () => {
  const node = readyNode({ '/etc/fstab': 'growpart:{'.repeat(100_000), '/etc/cloud/cloud.cfg': ' - growpart\n'.concat('growpart: {\n'.repeat(50_000)), ...unit('cloud-init.service'), ...noGrowth });
  for (const { id } of storageRules) problemsOf(storageRules, id, node);
}, 10_000);
