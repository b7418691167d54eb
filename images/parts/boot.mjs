/** What the firmware's FAT holds. Firmware, kernels and device trees are placeholders; the text files are the real ones' text. */

const BOARDS = ['bcm2710-rpi-2-b', 'bcm2710-rpi-3-b', 'bcm2710-rpi-3-b-plus', 'bcm2710-rpi-cm3', 'bcm2710-rpi-zero-2-w', 'bcm2711-rpi-4-b', 'bcm2711-rpi-400', 'bcm2711-rpi-cm4'];
const placeholder = (name) => `placeholder for ${name}\n`;

/** An arm64 kernel's magic ("ARM\x64" at byte 56 of the Image header, Documentation/arm64/booting.rst), and nothing behind it. */
function kernelImage() {
  const header = Buffer.alloc(4096);
  header.writeUInt32LE(0x644d5241, 56);
  return header;
}

/** A flattened device tree with an empty root node (Devicetree Specification 0.4, chapter 5). */
function deviceTree() {
  const tree = Buffer.alloc(72);
  [0xd00dfeed, 72, 56, 72, 40, 17, 16, 0, 0, 16].forEach((word, at) => tree.writeUInt32BE(word, at * 4)); // header; reserve map at 40 is zeros
  [1, 0, 2, 9].forEach((word, at) => tree.writeUInt32BE(word, 56 + at * 4)); // BEGIN_NODE "" END_NODE END
  return tree;
}

export const KERNEL_CONFIG = `#
# Automatically generated file; DO NOT EDIT.
# Linux/arm64 6.1.31 Kernel Configuration (excerpt: a sample)
#
CONFIG_ARM64=y
CONFIG_LOCALVERSION="-v8"
CONFIG_SWAP=y
CONFIG_SYSVIPC=y
CONFIG_CGROUPS=y
CONFIG_MEMCG=y
CONFIG_MEMCG_KMEM=y
CONFIG_BLK_CGROUP=y
CONFIG_CGROUP_SCHED=y
CONFIG_FAIR_GROUP_SCHED=y
CONFIG_CFS_BANDWIDTH=y
CONFIG_CGROUP_PIDS=y
CONFIG_CGROUP_FREEZER=y
# CONFIG_CGROUP_HUGETLB is not set
CONFIG_CPUSETS=y
CONFIG_CGROUP_DEVICE=y
CONFIG_CGROUP_CPUACCT=y
CONFIG_CGROUP_BPF=y
CONFIG_NAMESPACES=y
CONFIG_UTS_NS=y
CONFIG_IPC_NS=y
CONFIG_USER_NS=y
CONFIG_PID_NS=y
CONFIG_NET_NS=y
CONFIG_SECCOMP=y
CONFIG_SECCOMP_FILTER=y
CONFIG_SECURITY_SELINUX=y
CONFIG_EXT4_FS=y
CONFIG_OVERLAY_FS=m
CONFIG_BRIDGE=m
CONFIG_BRIDGE_NETFILTER=m
CONFIG_VXLAN=m
CONFIG_VETH=m
CONFIG_WIREGUARD=m
CONFIG_NF_CONNTRACK=m
CONFIG_NF_TABLES=m
CONFIG_IP_SET=m
CONFIG_IP_VS=m
CONFIG_IP_VS_RR=m
CONFIG_ZRAM=m
CONFIG_VFAT_FS=y
`;

function firmware() {
  const files = { 'bootcode.bin': placeholder('bootcode.bin') };
  for (const name of ['start', 'start_cd', 'start_db', 'start_x', 'start4', 'start4cd', 'start4db', 'start4x']) files[`${name}.elf`] = placeholder(`${name}.elf`);
  for (const name of ['fixup', 'fixup_cd', 'fixup_db', 'fixup_x', 'fixup4', 'fixup4cd', 'fixup4db', 'fixup4x']) files[`${name}.dat`] = placeholder(`${name}.dat`);
  files['LICENCE.broadcom'] = placeholder('the licence of the firmware');
  return files;
}

function deviceTrees(boards = BOARDS) {
  const files = {};
  for (const board of boards) files[`${board}.dtb`] = deviceTree();
  files['overlays/README'] = 'Introduction\n============\nplaceholder\n';
  for (const name of ['disable-bt', 'disable-wifi', 'miniuart-bt', 'vc4-kms-v3d']) files[`overlays/${name}.dtbo`] = deviceTree();
  return files;
}

/** Family A, §3A of the facts: no config.txt. */
export function legacyBoot(kernelRelease, cmdline) {
  return {
    ...firmware(),
    'cmdline.txt': cmdline,
    'COPYING.linux-6.1': placeholder('the GNU GPL, version 2'),
    [`kernel-${kernelRelease}.img`]: kernelImage(),
    'kernel8.img': kernelImage(),
    [`config-${kernelRelease}`]: KERNEL_CONFIG,
    [`config-kernel-${kernelRelease}.inc`]: `kernel=kernel-${kernelRelease}.img\ninitramfs initramfs-${kernelRelease}.img followkernel\n`,
    'config-kernel.inc': `kernel=kernel-${kernelRelease}.img\ninitramfs initramfs-${kernelRelease}.img followkernel\n`,
    [`initramfs-${kernelRelease}.img`]: placeholder('initramfs'),
    ...deviceTrees(),
  };
}

/** Family B and its relatives: config.txt, two kernels. */
export function modernBoot(config, cmdline, prefix = '') {
  const kernels = {
    'cmdline.txt': cmdline,
    'kernel8.img': kernelImage(),
    'kernel_2712.img': kernelImage(),
    initramfs8: placeholder('initramfs8'),
    ...deviceTrees([...BOARDS, 'bcm2712-rpi-5-b']),
  };
  const placed = Object.fromEntries(Object.entries(kernels).map(([path, text]) => [`${prefix}${path}`, text]));
  return { ...firmware(), 'config.txt': config, ...placed };
}
