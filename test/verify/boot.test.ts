/** The boot group: a node that boots has nothing wrong, and each rule has defects that it names. */
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { verifyBoot } from '../../src/verify/boot.js';
import { bootRules } from '../../src/verify/rules/boot.js';
import type { Finding } from '../../src/report.js';
import { arm32Image, arm64Image, current, deviceTree, legacy, RELEASE, without } from './boot-material.js';
import { memoryNode, partition, PARTITIONS, problemsOf, type Files, type NodeParts } from './node.js';

const line = (text: string): Files => ({ ...legacy, '/boot/cmdline.txt': text });
const config = (text: string): Files => ({ ...current, '/boot/config.txt': text });
const fstab = (text: string): Files => ({ ...legacy, '/etc/fstab': text });
const ROOT = 'root=PARTUUID=5f2d8c41-03';

interface Defect {
  readonly id: string;
  readonly what: string;
  readonly files: Files;
  readonly parts?: NodeParts;
  readonly severity: Finding['severity'];
  readonly says: RegExp;
  /** How many problems the rule tells; one of them is the one above. */
  readonly count?: number;
}

const DEFECTS: readonly Defect[] = [
  { id: 'boot-partition', what: 'no FAT', files: legacy, parts: { partitions: [partition(3, 'ext4', '_/')] }, severity: 'error', says: /FAT partition with cmdline\.txt/ },

  { id: 'boot-firmware', what: 'Pi 4 without start4.elf', files: without(legacy, '/boot/start4.elf'), severity: 'error', says: /start4\.elf .*no such file \(Pi 4\)$/ },
  { id: 'boot-firmware', what: 'Pi 3 without bootcode.bin', files: without(legacy, '/boot/bootcode.bin'), severity: 'error', says: /bootcode\.bin .* \(Pi 3\)$/ },
  { id: 'boot-firmware', what: 'an empty fixup4.dat', files: { ...legacy, '/boot/fixup4.dat': '' }, severity: 'error', says: /fixup4\.dat/ },
  { id: 'boot-firmware', what: 'Pi 5 without config.txt', files: without(current, '/boot/config.txt'), severity: 'error', says: /config\.txt .* \(Pi 5\)$/ },
  { id: 'boot-firmware', what: 'the camera firmware that config.txt asks for', files: config('start_x=1\n'), severity: 'error', says: /start_x\.elf, fixup_x\.dat/, count: 2 },
  { id: 'boot-firmware', what: 'half of it in efi/', files: { ...without(legacy, '/boot/start4.elf', '/boot/fixup4.dat'), '/boot/efi/start4.elf': 'x' }, severity: 'error', says: /no such file \(Pi 4\)$/ },
  {
    id: 'boot-firmware', what: 'all of it in efi/, as after the update of forum topic 18773', severity: 'error', says: /found them in efi\//, count: 2,
    files: Object.fromEntries(Object.entries(legacy).map(([path, content]) => [path.replace(/^\/boot\/(bootcode|start|fixup)/, '/boot/efi/$1'), content])),
  },

  { id: 'boot-device-trees', what: 'none', files: without(legacy, '/boot/bcm2710-rpi-3-b.dtb', '/boot/bcm2711-rpi-4-b.dtb'), severity: 'error', says: /found no \*\.dtb/ },
  { id: 'boot-device-trees', what: 'only one of another board', files: { ...without(legacy, '/boot/bcm2710-rpi-3-b.dtb', '/boot/bcm2711-rpi-4-b.dtb'), '/boot/other.dtb': { content: deviceTree() } }, severity: 'error', says: /only other/ },
  { id: 'boot-device-trees', what: 'a cut one', files: { ...legacy, '/boot/bcm2711-rpi-4-b.dtb': { content: deviceTree().subarray(0, 60) } }, severity: 'error', says: /device tree .* \(Pi 4\)$/ },
  { id: 'boot-device-trees', what: 'a cut one that no board here uses', files: { ...legacy, '/boot/other.dtb': 'text' }, severity: 'warning', says: /structure|device tree/ },
  { id: 'boot-device-trees', what: 'turned off', files: config('device_tree=\n'), severity: 'error', says: /turned off/ },
  { id: 'boot-device-trees', what: 'named and missing', files: config('device_tree=mine.dtb\n'), severity: 'error', says: /found no file/ },

  { id: 'boot-kernel', what: 'missing', files: without(legacy, '/boot/kernel8.img'), severity: 'error', says: /found no file \(Pi 3, Pi 4\)$/ },
  { id: 'boot-kernel', what: 'named and missing', files: config('kernel=vmlinuz\n'), severity: 'error', says: /found no file/ },
  { id: 'boot-kernel', what: '32 bits wide on the Pi 3, where arm_64bit is off by default', files: { ...legacy, '/boot/kernel7.img': { content: arm32Image() } }, severity: 'error', says: /32-bit one \(Pi 3\)$/ },
  { id: 'boot-kernel', what: 'cut', files: { ...legacy, '/boot/kernel8.img': { content: gzipSync(arm64Image(RELEASE)).subarray(0, 60) } }, severity: 'error', says: /does not unpack/ },
  { id: 'boot-kernel', what: 'empty', files: { ...legacy, '/boot/kernel8.img': '' }, severity: 'error', says: /does not unpack/ },
  { id: 'boot-kernel', what: 'something else', files: { ...legacy, '/boot/kernel8.img': 'u-boot'.repeat(40) }, severity: 'warning', says: /something else/ },

  { id: 'boot-kernel-modules', what: 'of another release', files: { ...legacy, '/boot/kernel8.img': { content: arm64Image('6.6.77-1.el9') } }, severity: 'error', says: /modules\/6\.6\.77-1\.el9, found 6\.1\.31/ },
  { id: 'boot-kernel-modules', what: 'none at all', files: without(legacy, `/usr/lib/modules/${RELEASE}/modules.dep`), severity: 'error', says: /found none/, count: 2 },
  { id: 'boot-kernel-modules', what: 'of a packed kernel', files: { ...legacy, '/boot/kernel8.img': { content: gzipSync(arm64Image('6.12.1-v8')) } }, severity: 'error', says: /6\.12\.1-v8/ },
  { id: 'boot-kernel-modules', what: 'of a kernel that no board boots', files: { ...legacy, '/boot/kernel-5.15.1.img': { content: arm64Image('5.15.1') } }, severity: 'warning', says: /5\.15\.1/ },

  { id: 'boot-kernel-config', what: 'missing', files: without(legacy, `/boot/config-${RELEASE}`), severity: 'info', says: /configuration/ },

  { id: 'boot-initramfs', what: 'named and missing', files: config('initramfs initramfs9 followkernel\n'), severity: 'warning', says: /initramfs that config\.txt names/ },
  { id: 'boot-initramfs', what: 'the second of a list', files: config('initramfs initramfs8,more.cpio followkernel\n'), severity: 'warning', says: /found no file/ },

  { id: 'boot-config-includes', what: 'missing', files: without(current, '/boot/extra.txt'), severity: 'warning', says: /extra\.txt, which line 3 includes/ },
  { id: 'boot-config-includes', what: 'outside the boot partition', files: { ...config('include ../etc/passwd\n'), '/etc/passwd': 'root:x:0:0::/root:/bin/sh\n' }, severity: 'warning', says: /\.\.\/etc\/passwd/ },
  { id: 'boot-config-lines', what: 'too long', files: config(`dtoverlay=${'x'.repeat(89)}\n`), severity: 'warning', says: /at most 98 characters in line 1, found 99/ },

  { id: 'boot-cmdline-file', what: 'a second line with the fix', files: line(`${ROOT} rootwait\ncgroup_enable=memory\n`), severity: 'error', says: /ignores "cgroup_enable=memory", and with it cgroup_enable=memory/ },
  { id: 'boot-cmdline-file', what: 'a second line with something else', files: line(`${ROOT} rootwait\nquiet\n`), severity: 'warning', says: /ignores "quiet"$/ },
  { id: 'boot-cmdline-file', what: 'an empty first line', files: line(`\n${ROOT} rootwait\n`), severity: 'error', says: /first line, found none/, count: 2 },
  { id: 'boot-cmdline-file', what: 'a byte order mark', files: { ...legacy, '/boot/cmdline.txt': { content: Buffer.from(`\ufeffconsole=tty1 ${ROOT} rootwait\n`) } }, severity: 'warning', says: /byte order mark/ },
  { id: 'boot-cmdline-file', what: 'a byte order mark at root=', files: { ...legacy, '/boot/cmdline.txt': { content: Buffer.from(`\ufeff${ROOT} rootwait\n`) } }, severity: 'error', says: /byte order mark/ },
  { id: 'boot-cmdline-file', what: 'a carriage return', files: line(`${ROOT} rootwait\r\n`), severity: 'warning', says: /carriage return/ },

  { id: 'boot-cmdline-file', what: 'none', files: without(legacy, '/boot/cmdline.txt'), severity: 'error', says: /found no file/ },
  { id: 'boot-cmdline-file', what: 'none, and no board either', files: {}, severity: 'error', says: /found no file/ },
  { id: 'boot-cmdline-file', what: 'none for one board', files: config('auto_initramfs=1\n[pi5]\ncmdline=five.txt\n'), severity: 'error', says: /found no file.* \(Pi 5\)$/ },

  { id: 'boot-cmdline-length', what: 'more than the firmware reads', files: line(`${ROOT} rootwait ${'x'.repeat(1024)} cgroup_enable=memory\n`), severity: 'error', says: /at most 1024 bytes, found 10\d\d: the firmware drops ".*cgroup_enable=memory"/ },
  { id: 'boot-cmdline-length', what: 'more than the kernel keeps', files: { ...line(`${ROOT} rootwait ${'x'.repeat(900)}\n`), '/boot/bcm2711-rpi-4-b.dtb': { content: deviceTree('y'.repeat(1000)) } }, severity: 'warning', says: /less than 2048 bytes/ },

  { id: 'boot-cmdline-words', what: 'two roots', files: line(`root=/dev/sda2 ${ROOT} rootwait\n`), severity: 'warning', says: /root= once, found \/dev\/sda2 and PARTUUID=5f2d8c41-03/ },
  { id: 'boot-cmdline-words', what: 'ro and rw', files: line(`${ROOT} rootwait ro rw\n`), severity: 'warning', says: /ro or rw/ },
  { id: 'boot-cmdline-words', what: 'an open quote', files: line(`${ROOT} rootwait foo="bar cgroup_enable=memory\n`), severity: 'error', says: /closing quote/ },
  { id: 'boot-cmdline-words', what: 'no space before the fix', files: line(`${ROOT} rootwaitcgroup_enable=memory\n`), severity: 'error', says: /"rootwaitcgroup_enable=memory"/ },
  { id: 'boot-cmdline-words', what: 'the fix taken back, on a kernel that does not mind', files: line(`${ROOT} rootwait cgroup_enable=memory cgroup_disable=memory\n`), severity: 'warning', says: /last word/ },
  {
    id: 'boot-cmdline-words', what: 'the fix taken back, on a kernel that does', severity: 'error', says: /last word/,
    files: { ...line(`${ROOT} rootwait cgroup_enable=cpuset,memory cgroup_disable=memory\n`), '/usr/lib/modules/6.12.25-v8/modules.dep': '' },
  },

  { id: 'boot-device-tree-arguments', what: 'off, and not on again', files: { ...current, '/boot/cmdline.txt': 'root=LABEL=_/ rootwait\n' }, severity: 'error', says: /turns the memory controller off .*\(Pi 3, Pi 4, Pi 5\)$/ },
  { id: 'boot-device-tree-arguments', what: 'off on one board', files: { ...legacy, '/boot/bcm2710-rpi-3-b.dtb': { content: deviceTree('cgroup_disable=memory') } }, severity: 'error', says: /\(Pi 3\)$/ },

  { id: 'boot-root', what: 'missing', files: line('console=tty1 rootwait\n'), severity: 'error', says: /root= .*found none/ },
  { id: 'boot-root', what: 'missing, with an initramfs', files: { ...current, '/boot/cmdline.txt': 'console=tty1 rootwait\n' }, severity: 'warning', says: /found none/ },
  {
    id: 'boot-root', what: 'missing, with an initramfs for one board', severity: 'warning', says: /found none/,
    files: { ...without(current, '/boot/initramfs_2712'), '/boot/cmdline.txt': 'console=tty1 rootwait\n' },
  },
  { id: 'boot-root', what: 'of another disk', files: line('root=PARTUUID=00000000-03 rootwait\n'), severity: 'error', says: /no partition of this image/ },
  { id: 'boot-root', what: 'the swap', files: line('root=/dev/mmcblk0p2 rootwait\n'), severity: 'error', says: /partition 2 \(swap\)/ },
  { id: 'boot-root', what: 'the last one wrong', files: line(`${ROOT} rootwait root=/dev/mmcblk0p1\n`), severity: 'error', says: /partition 1 \(vfat\)/ },

  { id: 'boot-root-initramfs', what: 'a label and no initramfs', files: line('root=LABEL=_/ rootwait\n'), severity: 'error', says: /config\.txt names none \(Pi 3, Pi 4\)$/ },
  { id: 'boot-root-initramfs', what: 'a label and none for the Pi 5, as in Rocky\'s own image', files: without(current, '/boot/initramfs_2712'), severity: 'warning', says: /initramfs_2712 is not there \(Pi 5\)$/ },

  { id: 'boot-rootwait', what: 'missing', files: line(`${ROOT}\n`), severity: 'error', says: /expected rootwait/ },
  { id: 'boot-rootwait', what: 'behind "--"', files: line(`${ROOT} -- rootwait\n`), severity: 'error', says: /expected rootwait/ },
  { id: 'boot-rootwait', what: 'missing, with an initramfs', files: { ...current, '/boot/cmdline.txt': 'root=LABEL=_/\n' }, severity: 'info', says: /expected rootwait/ },

  { id: 'boot-root-writable', what: 'no entry for /', files: fstab('PARTUUID=5f2d8c41-01 /boot vfat defaults 0 0\n'), severity: 'error', says: /no entry for \// },
  { id: 'boot-root-writable', what: 'rw taken back, and no entry', files: { ...line(`${ROOT} rootwait rw ro\n`), '/etc/fstab': '' }, severity: 'error', says: /no rw/ },
  { id: 'boot-root-writable', what: 'ro', files: fstab('PARTUUID=5f2d8c41-03 / ext4 ro,noatime 0 0\n'), severity: 'error', says: /option ro/ },

  { id: 'boot-fstab', what: '/boot of another disk', files: fstab('PARTUUID=5f2d8c41-03 / ext4 defaults 0 0\nUUID=AAAA-BBBB /boot vfat defaults 0 0\n'), severity: 'error', says: /UUID=AAAA-BBBB for \/boot/ },
  { id: 'boot-fstab', what: 'swap that is gone', files: fstab('PARTUUID=5f2d8c41-03 / ext4 defaults 0 0\nLABEL=gone swap swap defaults 0 0\n'), severity: 'warning', says: /LABEL=gone/ },
  { id: 'boot-fstab', what: 'a disk that may be missing', files: fstab('PARTUUID=5f2d8c41-03 / ext4 defaults 0 0\n/dev/disk/by-label/data /data ext4 nofail 0 0\n'), severity: 'info', says: /by-label\/data/ },
  { id: 'boot-fstab', what: '/ on the boot partition', files: fstab('PARTUUID=5f2d8c41-01 / ext4 defaults 0 0\n'), severity: 'error', says: /the root filesystem, partition 3, but it names partition 1/ },
];

describe('each rule has its defects', () => {
  for (const { id, what, files, parts, severity, says, count = 1 } of DEFECTS) {
    test(`${id}: ${what}`, () => {
      const problems = problemsOf(bootRules, id, memoryNode(files, parts));
      expect(problems).toContainEqual(expect.objectContaining({ severity, message: expect.stringMatching(says) as string }));
      expect(problems).toHaveLength(count);
    });
  }

  test('every rule is among them', () => {
    expect([...new Set(DEFECTS.map(({ id }) => id))].sort()).toEqual(bootRules.map(({ id }) => id).sort());
  });
});

describe('what boots has nothing wrong', () => {
  for (const { id } of bootRules) {
    test(`${id}: the current image`, () => expect(problemsOf(bootRules, id, memoryNode(current))).toBeUndefined());
    test(`${id}: the older image`, () => {
      expect(problemsOf(bootRules, id, memoryNode(legacy))).toEqual(id.startsWith('boot-config-') ? 'there is no config.txt' : undefined);
    });
  }

  const FINE: readonly (readonly [id: string, what: string, files: Files, parts?: NodeParts])[] = [
    ['boot-firmware', 'a Pi 5 alone needs no file of the GPU', { '/boot/config.txt': '', '/boot/bcm2712-rpi-5-b.dtb': { content: deviceTree() } }],
    ['boot-firmware', 'a Pi 4 needs no bootcode.bin', { '/boot/start4.elf': 'x', '/boot/fixup4.dat': 'x', '/boot/bcm2711-rpi-4-b.dtb': { content: deviceTree() } }],
    ['boot-firmware', 'start_file names another', { '/boot/config.txt': 'start_file=a.elf\nfixup_file=a.dat\n', '/boot/a.elf': 'x', '/boot/a.dat': 'x', '/boot/bcm2711-rpi-4-b.dtb': { content: deviceTree() } }],
    ['boot-firmware', 'all of it in boot.img', { '/boot/config.txt': 'boot_ramdisk=1\n', '/boot/bcm2711-rpi-4-b.dtb': { content: deviceTree() } }],
    ['boot-kernel', 'arm_64bit=1 passes over the 32-bit kernel', { ...config('arm_64bit=1\n'), '/boot/kernel7.img': { content: arm32Image() }, '/boot/kernel7l.img': { content: arm32Image() } }],
    ['boot-kernel', 'packed', { ...legacy, '/boot/kernel8.img': { content: gzipSync(arm64Image(RELEASE)) } }],
    ['boot-cmdline-file', 'no line feed at the end', line(`${ROOT} rootwait`)],
    ['boot-cmdline-file', 'blank lines behind it', line(`${ROOT} rootwait\n\n \n`)],
    ['boot-cmdline-length', 'exactly 1024 bytes', line(`${ROOT} ${'x'.repeat(1023 - ROOT.length)}\n`)],
    ['boot-cmdline-words', 'several consoles, the same root twice, quotes', line(`console=a console=b ${ROOT} ${ROOT} foo="a b" rootwait\n`)],
    ['boot-cmdline-words', 'the fix behind what it takes back', line(`${ROOT} rootwait cgroup_disable=memory cgroup_enable=memory\n`)],
    ['boot-cmdline-words', 'two roots, one of them init\'s', line(`${ROOT} rootwait -- root=x\n`)],
    ['boot-root', 'by device name', line('root=/dev/mmcblk0p3 rootwait\n')],
    ['boot-root', 'by label', line('root=LABEL=_/ rootwait\n')],
    ['boot-root', 'the last one right', line(`root=/dev/mmcblk0p1 ${ROOT} rootwait\n`)],
    ['boot-rootwait', 'with a limit', line(`${ROOT} rootwait=30\n`)],
    ['boot-rootwait', 'rootdelay', line(`${ROOT} rootdelay=10\n`)],
    ['boot-root-writable', 'rw instead of fstab', { ...line(`${ROOT} rootwait rw\n`), '/etc/fstab': '' }],
    ['boot-fstab', 'what is no partition, and what is not mounted', fstab('tmpfs /tmp tmpfs defaults 0 0\nserver:/x /x nfs defaults 0 0\n/dev/zram0 swap swap defaults 0 0\nLABEL=gone /mnt ext4 noauto 0 0\nPARTUUID=5f2d8c41-03 / ext4 defaults 0 0\n')],
    ['boot-root-initramfs', 'a list of initramfs files', { ...config('initramfs initramfs8,initramfs_2712 followkernel\n') }],
    ['boot-initramfs', 'named and there', config('initramfs initramfs8 followkernel\n')],
    ['boot-initramfs', 'looked for and not there', without(current, '/boot/initramfs_2712')],
    ['boot-initramfs', 'none is asked for', config('')],
    ['boot-root', 'no partition at all', line('root=31:2 rootwait\n')],
    ['boot-cmdline-words', 'ro alone', line(`${ROOT} rootwait ro\n`)],
    ['boot-root-writable', 'ro taken back', { ...line(`${ROOT} rootwait ro rw\n`), '/etc/fstab': '' }],
    ['boot-kernel-config', 'beside the modules', { ...without(legacy, `/boot/config-${RELEASE}`), [`/usr/lib/modules/${RELEASE}/config`]: 'CONFIG_MEMCG=y\n' }],
    ['boot-partition', 'behind another partition', legacy, { partitions: [partition(1, 'swap', ''), partition(2, 'vfat', ''), PARTITIONS[2]!] }],
  ];
  for (const [id, what, files, parts] of FINE) {
    test(`${id}: ${what}`, () => expect(problemsOf(bootRules, id, memoryNode(files, parts))).toBeUndefined());
  }
});

describe('what cannot be judged is not', () => {
  test('without a boot partition only that is told', () => {
    const node = memoryNode(without(legacy, '/etc/fstab'), { partitions: [partition(3, 'ext4', '_/')], bootDirectory: '/boot/efi' });
    const told = bootRules.filter(({ id }) => Array.isArray(problemsOf(bootRules, id, node))).map(({ id }) => id);
    expect(told).toEqual(['boot-partition']);
  });

  test('a command line with a NUL is told once', () => {
    const node = memoryNode(line('root=\0'));
    expect(() => problemsOf(bootRules, 'boot-cmdline-file', node)).toThrow(/control character 0x00/);
    for (const id of ['boot-cmdline-length', 'boot-cmdline-words', 'boot-root']) expect(problemsOf(bootRules, id, node)).toMatch(/cannot be read/);
    for (const id of ['boot-rootwait', 'boot-root-initramfs']) expect(problemsOf(bootRules, id, node)).toBeUndefined();
  });

  test('kernels that do not tell their release', () => {
    const node = memoryNode({ ...without(legacy, `/boot/kernel-${RELEASE}.img`), '/boot/kernel8.img': { content: arm64Image() } });
    expect(problemsOf(bootRules, 'boot-kernel-modules', node)).toMatch(/release/);
  });
});

test('the hint of a line of fstab says what its severity means', () => {
  const hintOf = (entry: string): unknown => (problemsOf(bootRules, 'boot-fstab', memoryNode(fstab(`${entry}\n`))) as readonly { hint: string }[])[0]!.hint;
  expect(hintOf('LABEL=gone /data ext4 defaults 0 0')).toMatch(/emergency mode/);
  expect(hintOf('LABEL=gone swap swap defaults 0 0')).toMatch(/90 seconds/);
});

describe('root= on the result of a build', () => {
  const found = (text: string): string[] => verifyBoot(memoryNode(line(text)).image).map(({ id, severity, subject }) => `${id} ${severity} ${subject}`);
  test('right', () => expect(found(`${ROOT}\n`)).toEqual([]));
  test('missing', () => expect(found('rootwait\n')).toEqual(['boot-root-missing warning /boot/cmdline.txt']));
  test('wrong', () => expect(found('root=LABEL=other\n')).toEqual(['boot-root-unresolved error /boot/cmdline.txt']));
});

describe('what is said when all is well', () => {
  const said = (id: string, files: Files): string => {
    const verdict = bootRules.find((rule) => rule.id === id)!.check(memoryNode(files));
    return 'ok' in verdict ? verdict.ok : '';
  };
  test('who resolves root=', () => {
    expect(said('boot-root-initramfs', legacy)).toBe('by the kernel itself');
    expect(said('boot-root-initramfs', current)).toBe('by the initramfs');
    expect(said('boot-root-initramfs', { ...config('os_prefix=x\nauto_initramfs=1\n[pi5]\ncmdline=five.txt\n'), '/boot/five.txt': `${ROOT}\n` })).toBe('by the initramfs');
  });
  test('what the device trees put in front', () => {
    expect(said('boot-device-tree-arguments', legacy)).toBe('none of them has cgroup_disable=memory');
    expect(said('boot-device-tree-arguments', current)).toBe('cgroup_disable=memory in 3 of them, taken back by cgroup_enable=memory');
  });
  test('the configuration of the kernel that boots, not of every modules directory', () => {
    expect(said('boot-kernel-config', { ...legacy, '/usr/lib/modules/5.15.1/modules.dep': '' })).toBe(RELEASE);
  });
});

test('every source is a page of someone who knows', () => {
  for (const { source } of bootRules) {
    expect(['www.raspberrypi.com', 'docs.kernel.org', 'github.com', 'www.freedesktop.org']).toContain(new URL(source).hostname);
    expect(source).toMatch(/^https:/);
  }
});
