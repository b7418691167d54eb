/** The kernels that an image boots: their releases, configurations, modules and page size, by the tables of those who run on them. */
import { hierarchyAt, starts } from '../cgroup-starts.js';
import { boardNames, boots, kernelImages } from '../boots.js';
import { moduleLists } from '../formats/module-lists.js';
import { kernelPageSize } from '../formats/kernel-config.js';
import { canLoad, configOf, hasModule, isConfigVisible, modulesOf, runningKernels, type KernelConfig } from '../kernel-facts.js';
import { isSet, isUnknown, missingModules, missingOptions, missingRows, perConfig, perKernel } from '../kernel-tables.js';
import type { Kernel } from '../kernels.js';
import type { Node } from '../node.js';
import { verdict, type Problem, type Rule, type Verdict } from '../rule.js';
import { CALICO, CALICO_DOCS, CALICO_MODULES, CILIUM, CILIUM_OPTIONS, DEFAULT_NETWORK, OLDEST_KERNEL } from '../tables/cni.js';
import { FEATURES, IPVS, IPVS_SOURCE, isFrom } from '../tables/features.js';
import { K3S_CHECK_CONFIG, K3S_GONE, K3S_OPTIONS } from '../tables/k3s.js';
import { MOBY_CHECK_CONFIG, MOBY_OPTIONS } from '../tables/moby.js';
import { NODE_MODULES } from '../tables/modules.js';
import { KERNEL_VALIDATOR, KNOWN_RELEASES, NOT_MISSED, TYPES, VALIDATED_OPTIONS } from '../tables/system-validators.js';

const OTHER_KERNEL = 'use another kernel package: an option cannot be set after the build';

export const kernelRules: readonly Rule[] = [
  {
    id: 'kernel-release', group: 'kernel', title: 'the kernel is of a series that kubeadm knows', source: TYPES,
    check: (node) => perKernel(node, ({ release, modules }) => (KNOWN_RELEASES.some((known) => known.test(release)) ? [] : [{
      severity: 'warning', subject: modules, message: `expected a kernel 5.4, 5.10, 5.15 or from 6.0 on, found ${release}: kubeadm warns of it`,
      hint: 'nothing has to be done where the distribution supports this kernel; cgroup v2 is at its best from 5.10 on',
    }]), ({ release }) => release),
  },
  {
    id: 'kernel-config', group: 'kernel', title: 'kubeadm will find the kernel\'s configuration', source: KERNEL_VALIDATOR,
    check: (node) => perKernel(node, (kernel) => configProblems(node, kernel), (kernel) => `${kernel.release} in ${configOf(node, kernel.release)?.path ?? 'its module "configs"'}`),
  },
  {
    id: 'kernel-validators', group: 'kernel', title: 'the kernel has what kubeadm\'s SystemVerification asks for', source: TYPES,
    check: (node) => perConfig(node, (kernel, config) => validatorProblems(node, kernel, config), ({ release }) => `${release} has them all`),
  },
  {
    id: 'kernel-k3s', group: 'kernel', title: 'the kernel has what k3s check-config asks for', source: K3S_CHECK_CONFIG, targets: ['k3s', 'rke2'],
    check: (node) => perConfig(node, (kernel, config) => k3sProblems(node, kernel, config), ({ release }) => `${release} has them all`),
  },
  {
    id: 'kernel-moby', group: 'kernel', title: 'the kernel has what container runtimes ask for', source: MOBY_CHECK_CONFIG, targets: ['kubespray', 'kubeadm'],
    check: (node) => perConfig(node, (kernel, config) => missingOptions(
      missingRows(MOBY_OPTIONS.filter((row) => row.class === 'required' || isOfHierarchy(node, row.class)), kernel, config), kernel, config,
      { severity: 'info', who: 'Docker\'s check-config.sh calls generally necessary' },
    ), ({ release }) => `${release} has them all`),
  },
  {
    id: 'kernel-calico', group: 'kernel', title: 'the kernel has what Calico asks for', source: CALICO,
    check: (node) => perKernel(node, (kernel) => calicoProblems(node, kernel), ({ release }) => `${release} has all modules`),
  },
  {
    id: 'kernel-cilium', group: 'kernel', title: 'the kernel has what Cilium asks for', source: CILIUM,
    check: (node) => perConfig(node, (kernel, config) => [
      ...(isFrom(kernel, OLDEST_KERNEL) ? [] : [tooOld(kernel, 'Cilium', 'info')]),
      ...[...new Set(CILIUM_OPTIONS.map((row) => row.class))].flatMap((kind) => missingOptions(
        missingRows(CILIUM_OPTIONS.filter((row) => row.class === kind), kernel, config), kernel, config,
        { severity: 'info', who: kind === 'base' ? 'Cilium cannot do without' : `Cilium needs for ${kind}` },
      )),
    ], ({ release }) => `${release} has them all`),
  },
  {
    id: 'kernel-modules', group: 'kernel', title: 'the kernel has the modules that a node loads', source: 'https://kubernetes.io/docs/setup/production-environment/container-runtimes/',
    check: (node) => perKernel(node, (kernel) => moduleProblems(node, kernel), ({ release }) => `${release} has them all`),
  },
  {
    id: 'kernel-modules-load', group: 'kernel', title: 'what is to be loaded at boot can be', source: 'https://www.freedesktop.org/software/systemd/man/latest/modules-load.d.html',
    check: loadedAtBoot,
  },
  {
    id: 'kernel-page-size', group: 'kernel', title: 'pages have 4 KiB', source: 'https://www.raspberrypi.com/documentation/computers/config_txt.html#kernel', check: pageSizes,
  },
  {
    id: 'kernel-ipvs', group: 'kernel', title: 'kube-proxy\'s mode has a future', source: IPVS_SOURCE, targets: ['kubespray'],
    check: ({ kubernetes }) => {
      const release = `Kubernetes ${kubernetes.major}.${kubernetes.minor}`;
      const row = IPVS.findLast((one) => isFrom(kubernetes, one.kubernetes));
      return verdict(row === undefined ? [] : [{
        severity: row.severity, subject: release, message: `expected a mode of kube-proxy that stays, but ipvs, Kubespray's default, ${row.state}`,
        hint: 'kube_proxy_mode: nftables in the inventory; it needs a kernel from 5.13 on',
      }], `ipvs is not deprecated in ${release}`);
    },
  },
  {
    id: 'kernel-features', group: 'kernel', title: 'the kernel is new enough for what this Kubernetes can do', source: 'https://kubernetes.io/docs/reference/node/kernel-version-requirements/',
    check: (node) => perKernel(node, (kernel) => FEATURES.filter((one) => isFrom(node.kubernetes, one.kubernetes) && !isFrom(kernel, one.kernel)).map(({ name, kernel: since, source }): Problem => ({
      severity: 'info', subject: kernel.modules, message: `expected a kernel from ${since.join('.')} on for ${name}, found ${kernel.release}`, hint: source,
    })), ({ release }) => `${release} has them all`),
  },
];

/** v1 and v2 ask for different options; where command lines differ, both do. */
function isOfHierarchy(node: Node, kind: string): boolean {
  const found = starts(node).map((start) => hierarchyAt(node, start).hierarchy);
  return (found.length === 0 ? ['v2'] : found).some((hierarchy) => kind === `required-${hierarchy}`);
}

function validatorProblems(node: Node, kernel: Kernel, config: KernelConfig): Problem[] {
  const required = missingRows(VALIDATED_OPTIONS.filter((row) => row.class === 'required' || isOfHierarchy(node, row.class)), kernel, config);
  const optional = missingRows(VALIDATED_OPTIONS.filter((row) => row.class === 'optional'), kernel, config);
  const asked = (isMissed: boolean, severity: Problem['severity']): Problem[] => {
    const found = optional.filter(({ name }) => isMissed !== NOT_MISSED.includes(name));
    return missingOptions(found, kernel, config, { severity, who: `has it for ${found.map(({ purpose }) => purpose).join(', ')}` });
  };
  return [...missingOptions(required, kernel, config, { severity: 'error', who: 'kubeadm does not start without', hint: OTHER_KERNEL }), ...asked(true, 'warning'), ...asked(false, 'info')];
}

function k3sProblems(node: Node, kernel: Kernel, config: KernelConfig): Problem[] {
  const missing = missingRows(K3S_OPTIONS, kernel, config).filter(({ name }) => K3S_GONE[name] === undefined || !isFrom(kernel, K3S_GONE[name]));
  const of = (kind: string, severity: Problem['severity'], who: string): Problem[] => {
    return missingOptions(missing.filter((row) => row.class === kind), kernel, config, { severity, who, hint: OTHER_KERNEL });
  };
  return [
    ...of('required', node.target === 'k3s' ? 'error' : 'warning', 'k3s check-config calls generally necessary'),
    ...of('optional', 'info', 'k3s check-config calls optional'),
  ];
}

function configProblems(node: Node, kernel: Kernel): Problem[] {
  if (isConfigVisible(node, kernel)) return [];
  const config = configOf(node, kernel.release);
  const found = config === undefined ? 'found it nowhere' : `found it in ${config.path} only, where kubeadm does not look`;
  return [{
    severity: 'warning', subject: config?.path ?? kernel.modules, message: `expected the configuration of the kernel ${kernel.release} in /boot/config-${kernel.release}, ${found}`,
    hint: 'kubeadm stops without it (SystemVerification); put the file there, with the files step, or use a kernel with CONFIG_IKCONFIG',
  }];
}

function calicoProblems(node: Node, kernel: Kernel): Problem[] {
  if (isUnknown(node, kernel)) return [unknown(kernel)];
  const network = node.target && DEFAULT_NETWORK[node.target];
  const isWanted = network === 'calico' || network === 'canal';
  const table = CALICO_MODULES.filter(({ mode }) => mode === undefined || node.target === 'kubespray');
  const problem = (kind: 'required' | 'optional', severity: Problem['severity']): Problem[] => {
    const missing = missingModules(table.filter((row) => row.class === kind), node, kernel);
    const names = missing.map(({ modules }) => modules.join(' or ')).join(', ');
    const message = `expected the modules ${names}, ${kind} for Calico, in the kernel ${kernel.release}, found none of them`;
    return missing.length === 0 ? [] : [{ severity, subject: kernel.modules, message }];
  };
  return [...(isFrom(kernel, OLDEST_KERNEL) ? [] : [tooOld(kernel, 'Calico', isWanted ? 'warning' : 'info')]), ...problem('required', isWanted ? 'error' : 'info'), ...problem('optional', 'info')];
}

function tooOld({ release, modules }: Kernel, who: string, severity: Problem['severity']): Problem {
  return { severity, subject: modules, message: `expected a kernel from ${OLDEST_KERNEL.join('.')} on, which ${who} asks for, found ${release}`, hint: who === 'Calico' ? CALICO_DOCS : CILIUM };
}

function unknown({ release, modules }: Kernel): Problem {
  return {
    severity: 'info', subject: modules, message: `expected modules.dep or a configuration of the kernel ${release}, found neither: nothing is known of its modules`,
    hint: 'depmod writes modules.dep when a kernel is installed',
  };
}

function moduleProblems(node: Node, kernel: Kernel): Problem[] {
  if (isUnknown(node, kernel)) return [unknown(kernel)];
  const table = NODE_MODULES.filter(({ targets }) => targets === undefined || (node.target !== undefined && targets.includes(node.target)));
  return table.filter(({ module, option }) => !hasModule(node, kernel, module, [option]) && !isOnlyConfigured(node, kernel, option)).map(({ module, purpose }): Problem => ({
    severity: 'error', subject: kernel.modules, message: `expected the module ${module} in the kernel ${kernel.release} for ${purpose}, found it neither in modules.dep nor built in`,
    hint: 'install the package that has the rest of this kernel\'s modules (kernel-modules-extra on Enterprise Linux), or another kernel',
  }));
}

/** "=m" is enough where depmod left no list. */
function isOnlyConfigured(node: Node, kernel: Kernel, option: string): boolean {
  const config = configOf(node, kernel.release);
  return modulesOf(node, kernel) === undefined && config !== undefined && isSet(config.options, option);
}

function loadedAtBoot(node: Node): Verdict {
  const { loaded, blacklisted, disabled } = moduleLists(node);
  const kernels = runningKernels(node).filter((kernel) => modulesOf(node, kernel) !== undefined);
  if (loaded.size === 0) return { skipped: 'nothing is to be loaded: no modules-load.d, no modules_load= on the command line' };
  if (kernels.length === 0) return { skipped: 'no kernel of the image has a modules.dep: nothing is known of its modules' };
  const barred = [...loaded].flatMap(([name, subject]): Problem[] => {
    const by = disabled.get(name) ?? blacklisted.get(name);
    return by === undefined ? [] : [{ severity: 'warning', subject, message: `expected the module ${name} to be loaded, but ${by} forbids it`, hint: `remove the line from ${by}` }];
  });
  const missing = kernels.flatMap((kernel) => [...loaded].filter(([name]) => !canLoad(node, kernel, name)).map(([name, subject]): Problem => ({
    severity: 'warning', subject, message: `expected the module ${name}, which is to be loaded at boot, in the kernel ${kernel.release}, found it neither in modules.dep nor built in`,
    hint: 'systemd-modules-load.service fails because of it; take the name out, or install the package that has the module',
  })));
  return verdict([...barred, ...missing], `${[...loaded.keys()].join(', ')} in ${kernels.map(({ release }) => release).join(', ')}`);
}

function pageSizes(node: Node): Verdict {
  const known = boots(node);
  const paths = known.length > 0 ? known.filter(({ kernel }) => kernel.present).map(({ kernel }) => kernel.path) : kernelImages(node).map(({ path }) => path);
  const sizes = [...new Set(paths)].flatMap((path) => {
    const size = pageSizeOf(node, path);
    return size === undefined ? [] : [{ path, size, boards: boardNames(known.filter(({ kernel }) => kernel.path === path)) }];
  });
  if (sizes.length === 0) return { skipped: 'no kernel file says how large its pages are' };
  return verdict(sizes.filter(({ size }) => size !== 4096).map(({ path, size, boards }): Problem => ({
    severity: 'warning', subject: path,
    message: `expected pages of 4 KiB${boards === '' ? '' : ` on ${boards}`}, found a kernel with pages of ${size / 1024} KiB: programs that are built for 4 KiB alone do not start in it`,
    hint: 'kernel=kernel8.img under [pi5] in config.txt boots the kernel with 4 KiB: config_txt: { section: pi5, set: { kernel: kernel8.img } }',
  })), sizes.map(({ path }) => path).join(', '));
}

/** From the header of the file; where it does not tell, from the configuration of the release that the file says it is. */
function pageSizeOf(node: Node, path: string): number | undefined {
  const size = kernelPageSize(node.tree.read(node.tree.resolve(path), 0, 4096));
  if (size !== undefined) return size;
  const release = kernelImages(node).find((image) => image.path === path)?.release;
  const options = release === undefined ? undefined : configOf(node, release)?.options;
  const kib = [4, 16, 64].find((one) => options?.get(`ARM64_${one}K_PAGES`) === 'y');
  return kib && kib * 1024;
}
