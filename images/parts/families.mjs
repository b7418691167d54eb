/** The image families: geometry, filesystems, contents. Section numbers are those of the project's facts about the Rocky Pi images. */
import { accounts } from './accounts.mjs';
import { base, otherRelease } from './base.mjs';
import { legacyBoot, legacyDeviceTrees, modernBoot } from './boot.mjs';
import { kernelConfig } from './kernel.mjs';
import { systemd } from './systemd.mjs';
import { TreeBuilder } from './tree.mjs';

const DISK_ID = '5f2d8c41';
const ROOT_UUID = '6c9d2b1e-3f40-4a5b-8c7d-9e0f1a2b3c4d';
const SWAP_UUID = '7d0e3c2f-4a51-4b6c-9d8e-af102b3c4d5e';
const VOLUME_ID = '5a7c1e20';
const VOLUME_UUID = '5A7C-1E20';
const MIB = 2048; // sectors

const LINUX_GUID = '0FC63DAF-8483-4772-8E79-3D69D8477DE4';
const SWAP_GUID = '0657FD6D-A4AB-43C4-84E5-0933C84B4F4F';
const EFI_GUID = 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B';

/** kernel-rpi-4k and kernel-rpi-16k; how the second one's release is spelled is a guess. */
const pair64 = (version, rest) => [{ release: `${version}-v8${rest}` }, { release: `${version}-v8-16k${rest}`, pages: 16 }];
const DEBIAN = [{ release: '6.12.25+rpt-rpi-v8' }, { release: '6.12.25+rpt-rpi-2712', pages: 16 }];

const mbr = (...partitions) => `label: dos\nlabel-id: 0x${DISK_ID}\nunit: sectors\n${partitions.join('\n')}\n`;

/** Partitions as [start, size, type GUID, name]; every GUID is fixed. */
function gpt(...partitions) {
  const lines = partitions.map(([start, size, type, name], at) => `start=${start}, size=${size}, type=${type}, uuid=0A1B2C3D-0000-4000-8000-00000000000${at + 1}, name="${name}"`);
  return `label: gpt\nlabel-id: 0A1B2C3D-4E5F-4607-8819-2A3B4C5D6E7F\nunit: sectors\n${lines.join('\n')}\n`;
}

function el9(options, fstab, boot) {
  const tree = new TreeBuilder();
  base(tree, options);
  accounts(tree);
  systemd(tree);
  tree.file('/etc/fstab', fstab);
  tree.directory(boot);
  return tree;
}

/** The kernels' configurations where /boot is a directory of the root filesystem. */
function withConfigs(tree, kernels) {
  for (const kernel of kernels) tree.file(`/boot/config-${kernel.release}`, kernelConfig(kernel), 0o600);
  return tree;
}

/** What tells the older packages from the newer ones without the rpm database: rocky-release-rpi's repository, and where raspberrypi2-kernel4 keeps device trees. */
function withOlderPackages(tree, { release }) {
  tree.file('/etc/yum.repos.d/Rocky-rpi.repo', '[rockyrpi]\nname=Rocky Linux $releasever - Raspberry Pi\nbaseurl=https://dl.rockylinux.org/pub/sig/$releasever/altarch/$basearch/altarch-rockyrpi/\ngpgcheck=1\nenabled=1\n');
  for (const [name, content] of Object.entries(legacyDeviceTrees())) tree.file(`/usr/share/raspberrypi2-kernel/${release}/boot/${name}`, content);
  return tree;
}

/** §2A, §3A: kickstart and appliance-creator. */
function legacy() {
  const kernel = { release: '6.1.31-v8.1.el9.altarch' };
  const fstab = `UUID=${ROOT_UUID}  / ext4    defaults,noatime 0 0\nUUID=${VOLUME_UUID}  /boot vfat    defaults,noatime 0 0\nUUID=${SWAP_UUID}  swap swap    defaults,noatime 0 0\n`;
  return {
    sectors: 7397376,
    table: mbr('start=8192, size=585728, type=c, bootable', 'start=593920, size=999424, type=82', 'start=1593344, size=5469157, type=83'),
    fat: {
      start: 8192, sectors: 585728, width: 16, volumeId: VOLUME_ID,
      files: legacyBoot(kernel, `console=ttyAMA0,115200 console=tty1 root=PARTUUID=${DISK_ID}-03 rootfstype=ext4 elevator=deadline rootwait\n`),
    },
    swap: { start: 593920, sectors: 999424, label: '_swap', uuid: SWAP_UUID },
    root: { start: 1593344, blocks: 683644, label: '_/', uuid: ROOT_UUID, nodes: withOlderPackages(el9({ version: '9.2', kernels: [kernel] }, fstab, '/boot'), kernel).sorted() },
    labelled: true,
  };
}

/** §2B, §3B: kiwi. Rocky 9's MBR was a GPT that gdisk converted; Rocky 10 keeps the GPT. Both mount the FAT on /boot/efi. */
function kiwi({ version, table, kernels, config, rootMib }) {
  const efi = { start: MIB, sectors: 500 * MIB };
  const swap = { start: 501 * MIB, sectors: 512 * MIB };
  const root = { start: 1013 * MIB, sectors: rootMib * MIB };
  const fstab = 'LABEL=RPIROOT / ext4 defaults 0 1\nLABEL=SWAP swap swap defaults 0 0\nLABEL=EFI /boot/efi vfat defaults 0 0\n';
  return {
    sectors: root.start + root.sectors + (table === gpt ? MIB : 0),
    table: table === gpt
      ? gpt([efi.start, efi.sectors, EFI_GUID, 'p.UEFI'], [swap.start, swap.sectors, SWAP_GUID, 'p.swap'], [root.start, root.sectors, LINUX_GUID, 'p.lxroot'])
      : mbr(`start=${efi.start}, size=${efi.sectors}, type=c`, `start=${swap.start}, size=${swap.sectors}, type=82`, `start=${root.start}, size=${root.sectors}, type=83`),
    fat: {
      ...efi, width: 16, label: 'EFI', volumeId: VOLUME_ID,
      files: modernBoot(kernels, config, 'console=ttyAMA0,115200 console=tty1 root=LABEL=RPIROOT rootfstype=ext4 rootwait\n'),
    },
    swap: { ...swap, label: 'SWAP', uuid: SWAP_UUID },
    root: { start: root.start, blocks: root.sectors / 8, label: 'RPIROOT', uuid: ROOT_UUID, nodes: withConfigs(el9({ version, kernels }, fstab, '/boot/efi'), kernels).sorted() },
    labelled: true,
  };
}

/** §7: a root of another distribution, small and without labels. */
function other(release, user, fstab, more = () => undefined) {
  const tree = new TreeBuilder();
  otherRelease(tree, { ...release, kernels: DEBIAN });
  withConfigs(tree, DEBIAN);
  accounts(tree, user, user);
  systemd(tree);
  tree.file('/etc/fstab', fstab);
  more(tree);
  return tree.sorted();
}

/** §7: FAT first, root second. */
function pair({ fat, nodes, label, labelled = false, rootMib = 512, mkfs }) {
  const start = fat.start + fat.sectors;
  return {
    sectors: start + rootMib * MIB,
    table: mbr(`start=${fat.start}, size=${fat.sectors}, type=c`, `start=${start}, size=${rootMib * MIB}, type=83`),
    fat: { volumeId: VOLUME_ID, ...fat },
    root: { start, blocks: rootMib * 256, label, uuid: ROOT_UUID, nodes, mkfs },
    labelled,
  };
}

function raspberryPiOs() {
  const stub = 'DO NOT EDIT THIS FILE\n\nThe file you are looking for has moved to /boot/firmware/cmdline.txt\n';
  const fstab = `proc            /proc           proc    defaults          0       0\nPARTUUID=${DISK_ID}-01  /boot/firmware  vfat    defaults          0       2\nPARTUUID=${DISK_ID}-02  /               ext4    defaults,noatime  0       1\n`;
  return pair({
    label: 'rootfs',
    mkfs: ['-O', '^64bit,^huge_file'],
    fat: {
      start: 8192, sectors: 512 * MIB, width: 32, label: 'bootfs',
      files: modernBoot(DEBIAN, 'dtparam=audio=on\nauto_initramfs=1\narm_64bit=1\n\n[cm4]\notg_mode=1\n\n[all]\n',
        `console=serial0,115200 console=tty1 root=PARTUUID=${DISK_ID}-02 rootfstype=ext4 fsck.repair=yes rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n`),
    },
    nodes: other({ id: 'debian', name: 'Debian GNU/Linux', version: '12', codename: 'bookworm' }, 'pi', fstab, (tree) => {
      tree.directory('/boot/firmware');
      tree.file('/boot/cmdline.txt', stub);
      tree.file('/boot/config.txt', stub.replace('cmdline', 'config'));
    }),
  });
}

function ubuntu() {
  const cmdline = 'console=serial0,115200 multipath=off dwc_otg.lpm_enable=0 console=tty1 root=LABEL=writable rootfstype=ext4 panic=10 rootwait fixrtc\n';
  return pair({
    label: 'writable',
    fat: { start: MIB, sectors: 512 * MIB, width: 32, label: 'system-boot', files: modernBoot(DEBIAN, '[all]\nos_prefix=current/\nkernel=kernel8.img\ncmdline=cmdline.txt\narm_64bit=1\n', cmdline, 'current/') },
    nodes: other({ id: 'ubuntu', name: 'Ubuntu', version: '25.10', codename: 'questing' }, 'ubuntu',
      'LABEL=writable\t/\text4\tdefaults\t0\t1\nLABEL=system-boot\t/boot/firmware\tvfat\tdefaults\t0\t1\n', (tree) => tree.directory('/boot/firmware')),
  });
}

function almalinux() {
  const fstab = `UUID=${ROOT_UUID} / ext4 defaults,noatime 0 0\nUUID=${VOLUME_UUID} /boot vfat defaults,noatime 0 0\n`;
  const kernels = pair64('6.12.20', '.1.el9');
  return pair({
    label: 'RPIROOT', labelled: true,
    fat: {
      start: MIB, sectors: 500 * MIB, width: 32, label: 'CIDATA',
      files: {
        ...modernBoot(kernels, 'arm_64bit=1\nauto_initramfs=1\n', `console=serial0,115200 console=tty1 root=PARTUUID=${DISK_ID}-02 rootfstype=ext4 rootwait\n`),
        ...Object.fromEntries(kernels.map((kernel) => [`config-${kernel.release}`, kernelConfig(kernel)])),
        'user-data': '#cloud-config\nusers:\n  - name: almalinux\n', 'meta-data': 'instance-id: sample\n', 'network-config': 'version: 2\n',
      },
    },
    nodes: el9({ version: '9.6', kernels, brand: 'AlmaLinux' }, fstab, '/boot').sorted(),
  });
}

/** An image that boots by EFI and GRUB: nothing reads a cmdline.txt, so it must be refused. */
function efiGrub() {
  const grub = 'search --no-floppy --set prefix --file /boot/grub2/grub.cfg\nconfigfile ($root)/boot/grub2/grub.cfg\n';
  return pair({
    label: 'rootfs', labelled: true,
    fat: { start: MIB, sectors: 300 * MIB, width: 32, label: 'EFI', files: { 'EFI/BOOT/BOOTAA64.EFI': 'MZ placeholder\n', 'EFI/BOOT/grub.cfg': grub, 'EFI/rocky/grub.cfg': grub } },
    nodes: el9({ version: '9.6', kernels: [{ release: '5.14.0-570.el9.aarch64' }] }, 'LABEL=rootfs / ext4 defaults 0 1\nLABEL=EFI /boot/efi vfat defaults 0 0\n', '/boot/efi').sorted(),
  });
}

/** Name -> how to make it; a function, so that `list` costs nothing. */
export const FAMILIES = {
  'rocky9-pi-sample': legacy,
  'rocky9-sbc-sample': () => kiwi({
    version: '9.6', table: mbr, kernels: pair64('6.12.25', '.1.el9.altarch'), rootMib: 2662,
    config: 'arm_64bit=1\nauto_initramfs=1\n\n[pi5]\ndtoverlay=vc4-kms-v3d\n',
  }),
  'rocky10-sbc': () => kiwi({
    version: '10.1', table: gpt, kernels: pair64('6.12.34', '.1.el10.altarch'), rootMib: 1920,
    config: 'arm_64bit=1\nauto_initramfs=1\ndtoverlay=vc4-kms-v3d\n',
  }),
  'rpios-like': raspberryPiOs,
  'ubuntu-like': ubuntu,
  'almalinux-like': almalinux,
  'efi-grub-like': efiGrub,
};
