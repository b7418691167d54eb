/** What the files of an image say about its kernels, read once per node: configurations, lists of modules, what is inside the kernels themselves. */
import { bootedImage, boots, kernelImages } from './boots.js';
import { aliasedModules, embeddedConfig, parseKernelConfig, parseModules, searchKernel, type KernelContents, type KernelOptions } from './formats/kernel-config.js';
import { KERNEL_LIMIT, kernelPieces } from './formats/kernel-image.js';
import { moduleName } from './formats/module-lists.js';
import type { Kernel } from './kernels.js';
import type { Node } from './node.js';
import { remembered } from './remembered.js';
import { FAMILIES, MECHANISMS, type KernelFamily, type KernelVersion, type Mechanism } from './tables/memory-cgroup.js';
import { CONFIG_PATHS } from './tables/system-validators.js';

export interface KernelConfig {
  readonly path: string;
  readonly options: KernelOptions;
}

export interface KernelModules {
  /** In modules.dep. */
  readonly files: ReadonlySet<string>;
  /** In modules.builtin. */
  readonly builtin: ReadonlySet<string>;
  /** The text of modules.alias. */
  readonly aliases: string;
}

/** The kernels that the boards boot, as far as their files tell and have modules here; where none does, every kernel with modules. */
export const runningKernels: (node: Node) => readonly Kernel[] = remembered((node) => {
  const releases = new Set(boots(node).map((boot) => bootedImage(node, boot)?.release));
  const running = node.kernels().filter(({ release }) => releases.has(release));
  return running.length > 0 ? running : node.kernels();
});

/** Where kubeadm would look on the node, then beside the firmware's files, then inside the module "configs" and the kernels. */
export const configOf = perRelease((node, release): KernelConfig | undefined => {
  for (const path of [...standardPaths(release), `${node.tree.bootDirectory}/config-${release}`]) {
    const text = node.text(path);
    if (text !== undefined) return { path, options: parseKernelConfig(text) };
  }
  return embedded(node, release);
});

/** Whether kubeadm, on the node, will find the configuration of a kernel: as a file, or because the kernel shows it as /proc/config.gz. */
export function isConfigVisible(node: Node, kernel: Kernel): boolean {
  const config = configOf(node, kernel.release);
  if (config === undefined) return hasModule(node, kernel, 'configs');
  if (standardPaths(kernel.release).includes(config.path) || config.options.get('IKCONFIG') === 'y') return true;
  return config.options.get('IKCONFIG') === 'm' && hasModule(node, kernel, 'configs');
}

/** What depmod wrote; undefined when it did not run, so that nothing is known. */
export function modulesOf(node: Node, kernel: Kernel): KernelModules | undefined {
  return modulesIn(node, kernel.modules);
}

/** Whether a kernel has a module: as a file, built in, or, where it is built in without a list that says so, by one of its options. */
export function hasModule(node: Node, kernel: Kernel, name: string, options: readonly string[] = []): boolean {
  const known = modulesOf(node, kernel);
  const wanted = moduleName(name);
  if (known && (known.files.has(wanted) || known.builtin.has(wanted))) return true;
  if (options.length === 0) return false;
  const config = configOf(node, kernel.release)?.options;
  return options.some((option) => config?.get(option) === 'y');
}

/** Whether modprobe would find something for the name: a module, or one that modules.alias has for it. */
export function canLoad(node: Node, kernel: Kernel, name: string): boolean {
  if (hasModule(node, kernel, name)) return true;
  return aliasedModules(modulesOf(node, kernel)?.aliases ?? '', name).some((module) => hasModule(node, kernel, module));
}

/**
 * Which row of the table holds for a kernel; undefined when neither its name nor its file tells. The file is asked only where the name leaves a doubt: looking
 * through a kernel takes a third of a second.
 */
export const mechanismOf = perRelease((node, release): Mechanism | undefined => {
  const version = versionOf(release);
  const family = FAMILIES.find((row) => row.release.test(release))?.family;
  const named = family && mechanism(family, version);
  if (named && named.id !== 'rpi-gap') return named;
  const knows = contentsOf(node, release)?.knowsCgroupEnable;
  if (knows === true) return MECHANISMS.find(({ id }) => id === (isBelow(version, [6, 12, 0]) ? 'rpi-default-off' : 'rpi-ordered'));
  return named ?? (knows === false ? mechanism('upstream', version) : undefined);
});

/** "6.12.25-v8" → [6, 12, 25]; what is not there is 0. */
export function versionOf(release: string): KernelVersion {
  const [, major = '0', minor = '0', patch = '0'] = /^(\d{1,3})\.(\d{1,3})(?:\.(\d{1,4}))?/.exec(release) ?? [];
  return [Number(major), Number(minor), Number(patch)];
}

const modulesIn = perRelease((node, folder): KernelModules | undefined => {
  const files = node.text(`${folder}/modules.dep`);
  if (files === undefined) return undefined;
  return { files: parseModules(files), builtin: parseModules(node.text(`${folder}/modules.builtin`) ?? ''), aliases: node.text(`${folder}/modules.alias`) ?? '' };
});

const contentsOf = perRelease((node, release): (KernelContents & { readonly path: string }) | undefined => {
  const path = kernelPaths(node, release).find((one) => node.stat(one)?.type === 'file');
  return path === undefined ? undefined : { path, ...searchKernel(kernelPieces(node.tree, node.tree.resolve(path))) };
});

function kernelPaths(node: Node, release: string): string[] {
  const known = kernelImages(node).filter((image) => image.release === release).map(({ path }) => path);
  return [...known, `/boot/vmlinuz-${release}`, `/lib/modules/${release}/vmlinuz`];
}

function embedded(node: Node, release: string): KernelConfig | undefined {
  const module = `/lib/modules/${release}/kernel/kernel/configs.ko`; // CONFIG_IKCONFIG=m, as the Raspberry Pi's; packed with xz or zstd it stays closed here
  const stat = node.stat(module);
  const inModule = stat?.type === 'file' && stat.size <= KERNEL_LIMIT ? embeddedConfig(node.tree.read(node.tree.resolve(module))) : undefined;
  if (inModule !== undefined) return { path: module, options: parseKernelConfig(inModule) };
  const { path, config } = contentsOf(node, release) ?? {};
  return path === undefined || config === undefined ? undefined : { path, options: parseKernelConfig(config) };
}

/** Without /proc/config.gz, which no image has. */
function standardPaths(release: string): string[] {
  return CONFIG_PATHS.filter((path) => !path.startsWith('/proc/')).map((path) => path.replaceAll('R', () => release));
}

function mechanism(family: KernelFamily, version: KernelVersion): Mechanism | undefined {
  return MECHANISMS.find((row) => row.family === family && (row.from === undefined || !isBelow(version, row.from)) && (row.below === undefined || isBelow(version, row.below)));
}

function isBelow(version: KernelVersion, limit: KernelVersion): boolean {
  const at = version.findIndex((number, index) => number !== limit[index]);
  return at >= 0 && version[at]! < limit[at]!;
}

/** Remembers an answer by node and name. */
function perRelease<T>(work: (node: Node, name: string) => T): (node: Node, name: string) => T {
  const known = remembered(() => new Map<string, { readonly value: T }>());
  return (node, name) => {
    const answers = known(node);
    const found = answers.get(name) ?? { value: work(node, name) };
    answers.set(name, found);
    return found.value;
  };
}
