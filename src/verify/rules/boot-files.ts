/** The files that the boot needs, board by board: the GPU's firmware, device tree, kernel with its modules, initramfs, and what config.txt names. */
import { boardNames, boots, bootedImage, kernelImages, type Boot } from '../boots.js';
import { deviceTrees } from '../device-trees.js';
import { bootFile, firmwareConfig } from '../firmware.js';
import type { KernelImage } from '../formats/kernel-image.js';
import type { Node } from '../node.js';
import { verdict, type Problem, type Rule, type Verdict } from '../rule.js';
import { bootFolderUrl, configUrl, onBoards } from './boot-boards.js';

const OTHER_BASE = 'use a complete image of the vendor as the base';
const LINE_LIMIT = 98; // characters of an entry (config_txt.html, "File format")

export const fileRules: readonly Rule[] = [
  {
    id: 'boot-partition', group: 'boot', title: 'there is a partition that the firmware boots from', source: bootFolderUrl,
    check: ({ image }) => (image.roles.boot ? { ok: `partition ${image.roles.boot.number}` } : {
      problems: [{
        severity: 'error', subject: 'partitions', message: 'expected one FAT partition with cmdline.txt, from which the firmware boots, found none',
        hint: 'an image that boots through EFI and GRUB is for other boards; use the vendor\'s Raspberry Pi image',
      }],
    }),
  },
  {
    id: 'boot-firmware', group: 'boot', title: 'the firmware of each board is complete', source: bootFolderUrl,
    check: (node) => onBoards(node, (boot) => firmwareProblems(node, boot), (list) => boardNames(list)),
  },
  { id: 'boot-device-trees', group: 'boot', title: 'each board\'s device tree is there and sound', source: 'https://docs.kernel.org/arch/arm64/booting.html', check: treesVerdict },
  {
    id: 'boot-kernel', group: 'boot', title: 'each board finds a 64-bit kernel', source: configUrl('kernel'),
    check: (node) => onBoards(node, (boot) => kernelProblems(node, boot), (list) => [...new Set(list.map(({ kernel }) => kernel.path))].join(', ')),
  },
  {
    id: 'boot-kernel-modules', group: 'boot', title: 'the kernel that boots has its modules in /lib/modules',
    source: 'https://docs.kernel.org/kbuild/modules.html', check: modulesVerdict,
  },
  {
    id: 'boot-kernel-config', group: 'boot', title: 'the kernel\'s configuration is where kubeadm looks for it',
    source: 'https://github.com/kubernetes/system-validators/blob/v1.12.1/validators/kernel_validator.go', check: configVerdict,
  },
  {
    id: 'boot-initramfs', group: 'boot', title: 'an initramfs that config.txt names is there', source: configUrl('initramfs'),
    check: (node) => onBoards(node, initramfsProblems, (list) => [...new Set(list.map(({ initramfs }) => (initramfs?.present ? initramfs.path : 'none is loaded')))].join(', ')),
  },
  { id: 'boot-config-includes', group: 'boot', title: 'what config.txt includes is there', source: configUrl('include'), check: includesVerdict },
  { id: 'boot-config-lines', group: 'boot', title: 'no setting of config.txt is cut', source: configUrl('file-format'), check: linesVerdict },
];

/** What the boot code of each processor loads. A Pi 5 has its firmware in flash memory, and boots only from where it finds config.txt. */
function firmwareNames({ board, setting }: Boot): string[] {
  if (board.processor === 'BCM2712') return ['config.txt'];
  const four = board.processor === 'BCM2711';
  const kind = setting('start_x') === '1' ? 'x' : setting('start_debug') === '1' ? 'db' : setting('gpu_mem') === '16' ? 'cd' : '';
  const suffix = four ? `4${kind}` : kind === '' ? '' : `_${kind}`;
  const pair = [setting('start_file') ?? `start${suffix}.elf`, setting('fixup_file') ?? `fixup${suffix}.dat`];
  return four ? pair : ['bootcode.bin', ...pair]; // the Pi 4 has its first stage in flash memory
}

function firmwareProblems(node: Node, boot: Boot): Problem[] {
  if (boot.setting('boot_ramdisk') === '1') return []; // all of it is inside boot.img
  const missing = firmwareNames(boot).filter((name) => {
    const file = bootFile(node, name);
    return file === undefined || (node.stat(file)?.size === 0 && name !== 'config.txt');
  });
  if (missing.length === 0) return [];
  const moved = missing.every((name) => node.stat(`${node.tree.bootDirectory}/efi/${name}`)?.type === 'file');
  return [{
    severity: 'error', subject: node.tree.bootDirectory, message: `expected ${missing.join(', ')} at the top of the boot partition, found ${moved ? 'them in efi/' : 'no such file'}`,
    hint: moved ? `a "dnf update" of the older Rocky image puts them there; move ${node.tree.bootDirectory}/efi/* up to ${node.tree.bootDirectory}/` : OTHER_BASE,
  }];
}

function treesVerdict(node: Node): Verdict {
  const trees = deviceTrees(node);
  if (!node.image.roles.boot) return { skipped: 'there is no boot partition' };
  if (boots(node).length === 0) {
    return { problems: [{ severity: 'error', subject: node.tree.bootDirectory, message: `expected the device tree of a 64-bit Raspberry Pi, found ${trees.length === 0 ? 'no' : 'only other'} *.dtb files`, hint: OTHER_BASE }] };
  }
  const used = new Set(boots(node).map(({ deviceTree }) => deviceTree?.path));
  const others = trees.flatMap(({ path, problem }): Problem[] => (problem === undefined || used.has(path) ? [] : [{ severity: 'warning', subject: path, message: problem }]));
  const seen = onBoards(node, ({ deviceTree }): Problem[] => {
    const problem = deviceTree === undefined ? 'expected a device tree, found it turned off by device_tree= in config.txt'
      : deviceTree.present ? trees.find(({ path }) => path === deviceTree.path)?.problem : 'expected a device tree there, found no file';
    return problem === undefined ? [] : [{ severity: 'error', subject: deviceTree?.path ?? 'config.txt', message: problem, hint: 'an arm64 kernel does not start without one' }];
  }, boardNames);
  return 'problems' in seen ? { problems: [...seen.problems, ...others] } : 'ok' in seen ? verdict(others, seen.ok) : seen;
}

function kernelProblems(node: Node, boot: Boot): Problem[] {
  const { path, present } = boot.kernel;
  if (!present) return [{ severity: 'error', subject: path, message: 'expected the kernel there, found no file', hint: 'kernel= in config.txt names another one (config_txt step)' }];
  const image = bootedImage(node, boot);
  if (image === undefined || image.architecture === 'arm64') return [];
  if (image.architecture === 'arm') {
    return [{ severity: 'error', subject: path, message: 'expected a 64-bit kernel, found a 32-bit one', hint: 'set arm_64bit=1 (config_txt step), and have kernel8.img there' }];
  }
  const damaged = image.gzip || node.stat(path)?.size === 0;
  return [{ severity: damaged ? 'error' : 'warning', subject: path, message: `expected an arm64 kernel, found ${damaged ? 'a file that does not unpack to one' : 'something else'}`, hint: OTHER_BASE }];
}

function modulesVerdict(node: Node): Verdict {
  const told = kernelImages(node).filter((image) => image.release !== undefined);
  if (told.length === 0) return { skipped: 'no kernel file tells its release' };
  const booted = new Set(boots(node).map(({ kernel }) => kernel.path));
  const known = new Set(node.kernels().map(({ release }) => release));
  const have = node.kernels().length === 0 ? 'none' : [...known].join(', ');
  const problems = told.filter(({ release }) => !known.has(release!)).map(({ path, release }): Problem => ({
    severity: booted.has(path) ? 'error' : 'warning', subject: path, message: `expected modules of this kernel in /lib/modules/${release}, found ${have}`,
    hint: 'kernel and modules come from one package; install it again, or use a complete image of the vendor as the base',
  }));
  return verdict(problems, releasesOf(told).join(', '));
}

/** Where kubeadm looks besides /proc/config.gz, as far as an image has it (kernel_validator.go: possibleConfigPaths). */
function configVerdict(node: Node): Verdict {
  const told = releasesOf(boots(node).flatMap((boot) => bootedImage(node, boot) ?? []));
  const releases = told.length > 0 ? told : node.kernels().map(({ release }) => release);
  if (releases.length === 0) return { skipped: 'there is no kernel whose release is known' };
  const missing = releases.filter((release) => !configPaths(release).some((path) => node.stat(path)?.type === 'file'));
  return verdict(missing.map((release): Problem => ({
    severity: 'info', subject: `/boot/config-${release}`, message: 'expected the kernel\'s configuration there or in /lib/modules, found neither: kubeadm then needs /proc/config.gz',
    hint: 'load the module "configs" at boot where the kernel has it (modules step)',
  })), releases.join(', '));
}

function configPaths(release: string): string[] {
  return [
    `/boot/config-${release}`, `/usr/src/linux-${release}/.config`, '/usr/src/linux/.config', `/usr/lib/modules/${release}/config`, `/usr/lib/ostree-boot/config-${release}`,
    `/usr/lib/kernel/config-${release}`, `/usr/src/linux-headers-${release}/.config`, `/lib/modules/${release}/build/.config`,
  ];
}

function releasesOf(images: readonly KernelImage[]): string[] {
  return [...new Set(images.flatMap(({ release }) => release ?? []))].sort();
}

/** What auto_initramfs does not find is not loaded; whether that stops the boot is for boot-root-initramfs to say. */
function initramfsProblems({ initramfs }: Boot): Problem[] {
  if (!initramfs || initramfs.present || initramfs.automatic) return [];
  return [{ severity: 'warning', subject: initramfs.path, message: 'expected the initramfs that config.txt names, found no file', hint: 'correct "initramfs" in config.txt (config_txt step)' }];
}

function includesVerdict(node: Node): Verdict {
  const { files, missing } = firmwareConfig(node);
  if (files.length === 0) return { skipped: 'there is no config.txt' };
  return verdict(missing.map(({ path, value, line }): Problem => ({
    severity: 'warning', subject: path, message: `expected the file ${value}, which line ${line + 1} includes, on the boot partition, found none: the firmware goes on without it`,
    hint: 'place the file (files step), or remove the line (config_txt step)',
  })), files.join(', '));
}

function linesVerdict(node: Node): Verdict {
  const { files, settings } = firmwareConfig(node);
  if (files.length === 0) return { skipped: 'there is no config.txt' };
  const long = settings.filter(({ key, value }) => `${key}=${value}`.length > LINE_LIMIT);
  return verdict(long.map(({ path, key, value, line }): Problem => ({
    severity: 'warning', subject: path, message: `expected at most ${LINE_LIMIT} characters in line ${line + 1}, found ${key.length + value.length + 1}: the firmware ignores the end`,
    hint: 'split the line; dtparam= continues a dtoverlay=',
  })), `${settings.length} settings`);
}
