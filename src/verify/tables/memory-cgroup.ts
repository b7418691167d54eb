/**
 * Who turns the memory controller off on a Raspberry Pi, and what turns it on again: kernel × mechanism. Of "cgroup_enable=memory" and "cgroup_disable=memory"
 * each kernel makes something else. "cgroup_memory=1" is known to none of them (raspberrypi/linux#6980; PR #2201 kept it for 4.9 and 4.14 only).
 */

export type KernelFamily = 'raspberrypi' | 'upstream';
export type KernelVersion = readonly [major: number, minor: number, patch: number];

export interface Mechanism {
  readonly id: 'rpi-default-off' | 'rpi-gap' | 'rpi-ordered' | 'upstream';
  readonly family: KernelFamily;
  /** Included. */
  readonly from?: KernelVersion;
  /** Not included. */
  readonly below?: KernelVersion;
  /** For messages: "a Raspberry Pi kernel before 6.12". */
  readonly name: string;
  /** Whether the controller is on when nothing is said about it. */
  readonly isOnByDefault: boolean;
  /** cgroup_enable=: "wins" wherever it stands, is taken "in order" with cgroup_disable= (the last one counts), or is "unknown". */
  readonly enable: 'wins' | 'in order' | 'unknown';
  /** What makes it work. */
  readonly remedy: string;
  readonly source: string;
}

const ADD = 'put cgroup_enable=memory on the kernel command line: rockberry build -p cgroups';
const DEVICE_TREE = 'take cgroup_disable=memory out of /chosen/bootargs of the device tree, or use a Raspberry Pi kernel: this one does not know cgroup_enable';

export const MECHANISMS: readonly Mechanism[] = [
  {
    id: 'rpi-default-off', family: 'raspberrypi', below: [6, 12, 0], name: 'a Raspberry Pi kernel before 6.12', isOnByDefault: false, enable: 'wins', remedy: ADD,
    source: 'https://github.com/openwrt/openwrt/blob/793f8ab62cabd5de3cd9a1d4bf2102fdfa1dc724/target/linux/bcm27xx/patches-6.1/950-0084-cgroup-Disable-cgroup-memory-by-default.patch',
  },
  {
    // Between PR #6439 (October 2024) and PR #6524 (merged 2024-12-09, when 6.12.4 was new). Kernels of the same weeks with older numbers are told by their own file.
    id: 'rpi-gap', family: 'raspberrypi', from: [6, 12, 0], below: [6, 12, 4], name: 'a Raspberry Pi kernel of late 2024', isOnByDefault: true, enable: 'unknown',
    remedy: 'update the kernel to 6.12.4 or newer: nothing in cmdline.txt turns the controller on again with this one', source: 'https://github.com/raspberrypi/linux/pull/6439',
  },
  {
    id: 'rpi-ordered', family: 'raspberrypi', from: [6, 12, 4], name: 'a Raspberry Pi kernel from 6.12.4 on', isOnByDefault: true, enable: 'in order', remedy: ADD,
    source: 'https://github.com/raspberrypi/linux/pull/6524',
  },
  {
    id: 'upstream', family: 'upstream', name: 'a kernel without the Raspberry Pi patches', isOnByDefault: true, enable: 'unknown', remedy: DEVICE_TREE,
    source: 'https://docs.kernel.org/admin-guide/kernel-parameters.html',
  },
];

/** What a release says about who built the kernel; the first that matches. */
export const FAMILIES: readonly { readonly family: KernelFamily; readonly release: RegExp; readonly example: string; readonly source: string }[] = [
  { family: 'raspberrypi', release: /[-+.](v6|v7l?|v8|v8-16k|rpt|rpi\w*|2712|altarch)(?=[-+._]|$)/, example: '6.1.31-v8.1.el9.altarch', source: 'https://github.com/raspberrypi/linux/blob/rpi-6.12.y/arch/arm64/configs/bcm2711_defconfig' },
  { family: 'upstream', release: /\.(el|fc)\d+(_\d+)?\.(aarch64|x86_64)$/, example: '5.14.0-570.el9.aarch64', source: 'https://gitlab.com/redhat/centos-stream/rpms/kernel' },
  // Ubuntu's raspi kernels have the controller on without a word on the command line: k3s-io/k3s#8890.
  { family: 'upstream', release: /-(raspi|generic|generic-64k|lowlatency|arm64|arm64-16k|cloud-arm64|rt-arm64|default)$/, example: '6.8.0-1013-raspi', source: 'https://github.com/k3s-io/k3s/issues/8890' },
];

/** Names that cgroup_enable= and cgroup_disable= know: include/linux/cgroup_subsys.h, the older name of io, and the feature that can only be disabled. */
export const CONTROLLER_NAMES: readonly string[] = [
  'cpuset', 'cpu', 'cpuacct', 'io', 'blkio', 'memory', 'devices', 'freezer', 'net_cls', 'perf_event', 'net_prio', 'hugetlb', 'pids', 'rdma', 'misc', 'dmem', 'debug', 'pressure',
];
