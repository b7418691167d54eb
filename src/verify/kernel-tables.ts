/** Judging the kernels of an image by a table of options or modules. */
import { configOf, hasModule, modulesOf, runningKernels, type KernelConfig } from './kernel-facts.js';
import type { KernelOptions } from './formats/kernel-config.js';
import type { Kernel } from './kernels.js';
import type { Node } from './node.js';
import { verdict, type Problem, type Verdict } from './rule.js';
import type { ModuleRow } from './tables/cni.js';
import { rowsFor, type OptionRow } from './tables/options.js';

export const NO_KERNELS = 'the image has no kernel modules in /usr/lib/modules: nothing tells which kernels it has';

/** Every kernel that a board boots. */
export function perKernel(node: Node, problems: (kernel: Kernel) => readonly Problem[], ok: (kernel: Kernel) => string): Verdict {
  const kernels = runningKernels(node);
  if (kernels.length === 0) return { skipped: NO_KERNELS };
  return verdict(kernels.flatMap(problems), kernels.map(ok).join('; '));
}

/** Every kernel whose configuration can be read; kernel-config tells of the others. */
export function perConfig(node: Node, problems: (kernel: Kernel, config: KernelConfig) => readonly Problem[], ok: (kernel: Kernel) => string): Verdict {
  const kernels = runningKernels(node);
  if (kernels.length === 0) return { skipped: NO_KERNELS };
  const known = kernels.flatMap((kernel) => {
    const config = configOf(node, kernel.release);
    return config ? [{ kernel, config }] : [];
  });
  if (known.length === 0) return { skipped: `the configuration of ${kernels.map(({ release }) => release).join(', ')} is not in the image` };
  return verdict(known.flatMap(({ kernel, config }) => problems(kernel, config)), known.map(({ kernel }) => ok(kernel)).join('; '));
}

export function isSet(options: KernelOptions, name: string): boolean {
  const state = options.get(name);
  return state === 'y' || state === 'm';
}

/** The rows that a kernel of this version should have and this configuration has not; as in system-validators, the first name that is there decides. */
export function missingRows(table: readonly OptionRow[], kernel: Kernel, { options }: KernelConfig): OptionRow[] {
  return rowsFor(table, kernel).filter(({ name, aliases }) => {
    const present = [name, ...aliases].find((one) => options.has(one));
    return present === undefined || !isSet(options, present);
  });
}

/** Names for a sentence: "CONFIG_PSI, CONFIG_KEYS". */
export function optionNames(found: readonly OptionRow[]): string {
  return found.map(({ name }) => `CONFIG_${name}`).join(', ');
}

export interface Asked {
  readonly severity: Problem['severity'];
  /** Who asks for the options, as the end of "which …": "kubeadm does not start without". */
  readonly who: string;
  readonly hint?: string;
}

/** One problem for all rows of a kind; none when there are none. */
export function missingOptions(found: readonly OptionRow[], kernel: Kernel, config: KernelConfig, about: Asked): Problem[] {
  if (found.length === 0) return [];
  return [{
    severity: about.severity, subject: config.path, ...(about.hint !== undefined && { hint: about.hint }),
    message: `expected ${optionNames(found)} in the kernel ${kernel.release}, which ${about.who}, found ${found.length === 1 ? 'it' : 'them'} not set`,
  }];
}

/** Whether nothing at all is known of a kernel's modules: neither depmod's list nor a configuration. */
export function isUnknown(node: Node, kernel: Kernel): boolean {
  return modulesOf(node, kernel) === undefined && configOf(node, kernel.release) === undefined;
}

/** As calicoctl: a module file, a built-in module, or a kernel option that is set, will do. */
export function missingModules(table: readonly ModuleRow[], node: Node, kernel: Kernel): ModuleRow[] {
  const options = configOf(node, kernel.release)?.options;
  return table.filter((row) => !row.modules.some((name) => hasModule(node, kernel, name)) && !row.options.some((name) => options !== undefined && isSet(options, name)));
}
