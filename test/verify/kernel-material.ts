/** A kernel that has everything that any table asks for, for nodes to take one thing away from. */
import { CALICO_MODULES, CILIUM_OPTIONS } from '../../src/verify/tables/cni.js';
import { K3S_OPTIONS } from '../../src/verify/tables/k3s.js';
import { MOBY_OPTIONS } from '../../src/verify/tables/moby.js';
import { NODE_MODULES } from '../../src/verify/tables/modules.js';
import { VALIDATED_OPTIONS } from '../../src/verify/tables/system-validators.js';
import type { Files } from './node.js';

const OPTIONS = [...new Set([...VALIDATED_OPTIONS, ...K3S_OPTIONS, ...MOBY_OPTIONS, ...CILIUM_OPTIONS].map(({ name }) => name)), ...NODE_MODULES.map(({ option }) => option), 'CGROUP_HUGETLB', 'BLK_CGROUP', 'PSI', 'ARM64_4K_PAGES', 'IKCONFIG'];
const MODULES = [...new Set([...NODE_MODULES.map(({ module }) => module), ...CALICO_MODULES.map(({ modules }) => modules[0]!), 'configs'])];

/** Every option "y", but for those that are named: "m", "n", or '' for not at all. */
export function configText(change: Readonly<Record<string, 'y' | 'm' | 'n' | ''>> = {}): string {
  const states = new Map<string, string>([...OPTIONS.map((name) => [name, 'y'] as const), ...Object.entries(change)]);
  return [...states].filter(([, state]) => state !== '').map(([name, state]) => (state === 'n' ? `# CONFIG_${name} is not set\n` : `CONFIG_${name}=${state}\n`)).join('');
}

/** depmod's list, without those that are named. */
export function modulesText(...without: string[]): string {
  return MODULES.filter((name) => !without.includes(name)).map((name) => `kernel/x/${name}.ko.xz:\n`).join('');
}

/** The files of one kernel in the root filesystem; an empty text stands for no file. */
export function kernelFiles(release: string, { config = configText(), modules = modulesText() } = {}): Files {
  return {
    '/lib': { target: 'usr/lib' },
    ...(config !== '' && { [`/boot/config-${release}`]: config }),
    [`/usr/lib/modules/${release}/modules.order`]: '',
    ...(modules !== '' && { [`/usr/lib/modules/${release}/modules.dep`]: modules, [`/usr/lib/modules/${release}/modules.builtin`]: 'kernel/fs/ext4/ext4.ko\n' }),
  };
}
