/** Kernel parameters and modules that pods need, as systemd will set and load them at boot. Kubespray, k3s and RKE2 bring most of them up themselves. */
import type { Node } from '../node.js';
import { verdict, type Problem, type Rule, type Verdict } from '../rule.js';
import { moduleLists } from '../formats/module-lists.js';
import { sysctlSettings, sysctlValue, type Setting } from '../formats/sysctl.js';

const RUNTIMES = 'https://kubernetes.io/docs/setup/production-environment/container-runtimes/#prerequisite-ipv4-forwarding-optional';
const PREINSTALL = 'https://github.com/kubernetes-sigs/kubespray/blob/master/roles/kubernetes/preinstall/tasks/0080-system-configurations.yml';
const SYSCTL = 'add it to a sysctl step; the profile kubernetes-node has it';
/** Where Kubespray writes (sysctl_file_path); on EL a link to ../sysctl.conf. Only a file that sorts after it overrules Kubespray. */
const KUBESPRAY_FILE = '99-sysctl.conf';
const MODULES = ['overlay', 'br_netfilter'];
/** What kubelet wants of the kernel with protectKernelDefaults (pkg/util/sysctl of kubernetes), which Kubespray sets (kubelet_protect_kernel_defaults). */
const KUBELET: readonly (readonly [key: string, value: string])[] = [
  ['vm.overcommit_memory', '1'], ['vm.panic_on_oom', '0'], ['kernel.panic', '10'], ['kernel.panic_on_oops', '1'],
  ['kernel.keys.root_maxkeys', '1000000'], ['kernel.keys.root_maxbytes', '25000000'],
];
const KERNEL_DEFAULTS: Readonly<Record<string, string>> = { 'vm.overcommit_memory': '0', 'vm.panic_on_oom': '0' };
const LEAST_INSTANCES = 8192; // Kubespray's; the kernel's own is 128, which a few dozen pods use up

export const forwardingRules: readonly Rule[] = [
  { id: 'network-forwarding', group: 'network', title: 'the kernel will forward IPv4 packets', source: RUNTIMES, check: checkForwarding },
  {
    id: 'network-modules', group: 'network', title: 'br_netfilter and overlay are loaded at boot',
    source: 'https://www.freedesktop.org/software/systemd/man/252/modules-load.d.html', check: checkModules,
  },
  {
    id: 'network-bridge', group: 'network', title: 'packets on bridges go through iptables',
    source: 'https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/network-plugins/#network-plugin-requirements',
    check: checkBridge,
  },
  {
    id: 'network-kernel-defaults', group: 'network', title: 'kernel parameters are as kubelet with protectKernelDefaults wants them',
    source: PREINSTALL, targets: ['kubespray', 'kubeadm', 'rke2'], check: checkKubelet,
  },
  { id: 'network-inotify', group: 'network', title: 'enough inotify instances for many pods', source: PREINSTALL, check: checkInotify },
];

/** Whether the installer sets it at its own start or run, unless a file is read later. */
function setsItself({ target }: Node): boolean {
  return target !== undefined && target !== 'kubeadm';
}

/** Whether a setting stands in the way although the installer sets it: k3s and RKE2 set it whenever they start, Kubespray in a file. */
function overrules(node: Node, { path }: Setting): boolean {
  return !setsItself(node) || (node.target === 'kubespray' && path.slice(path.lastIndexOf('/') + 1) > KUBESPRAY_FILE);
}

/** net.ipv4.ip_forward and net.ipv4.conf.all.forwarding are one switch (Documentation/networking/ip-sysctl.rst): the later one counts. */
function checkForwarding(node: Node): Verdict {
  const settings = sysctlSettings(node);
  const set = ['net.ipv4.ip_forward', 'net.ipv4.conf.all.forwarding'].map((key) => sysctlValue(settings, key)).filter((one) => one !== undefined);
  const last = set.sort((a, b) => settings.indexOf(a) - settings.indexOf(b)).at(-1);
  if (last?.value === '1') return { ok: `${last.path} says so` };
  const severity = last ? (overrules(node, last) ? 'error' : 'warning') : (setsItself(node) ? 'info' : 'error');
  const found = last ? `${last.value} in ${last.path}` : `no file that sets it: ${setsItself(node) ? `${node.target} will` : 'kubeadm refuses such a node'}`;
  return verdict([{ severity, subject: last?.path ?? '/etc/sysctl.d', message: `expected net.ipv4.ip_forward = 1, found ${found}`, hint: SYSCTL }], '');
}

function checkModules(node: Node): Verdict {
  const { loaded, blacklisted, disabled } = moduleLists(node);
  const needed = MODULES.filter((name) => !isBuiltIn(node, name));
  const severity = (name: string): Problem['severity'] => (setsItself(node) ? 'info' : name === 'overlay' ? 'warning' : 'error'); // containerd's own unit loads overlay
  const off = needed.filter((name) => disabled.has(name)).map((name): Problem => ({
    severity: 'error', subject: disabled.get(name)!,
    message: `expected the module ${name} to be loadable, found an "install" line for it that runs nothing`, hint: 'remove the line',
  }));
  const black = needed.filter((name) => loaded.has(name) && blacklisted.has(name)).map((name): Problem => ({
    severity: severity(name), subject: blacklisted.get(name)!, message: `expected the module ${name} to be loaded at boot, found it blacklisted`,
    hint: 'remove the line',
  }));
  const missing = needed.filter((name) => !loaded.has(name) && !disabled.has(name));
  const absent: Problem[] = missing.length === 0 ? [] : [{
    severity: severity(missing.at(-1)!), subject: '/etc/modules-load.d',
    message: `expected modules-load.d to load ${missing.join(' and ')} at boot, found no such line`,
    hint: 'add "modules: {load: [overlay, br_netfilter]}"; the profile kubernetes-node has it',
  }];
  return verdict([...off, ...black, ...absent], 'modules-load.d names them');
}

function isBuiltIn(node: Node, name: string): boolean {
  const kernels = node.kernels();
  return kernels.length > 0 && kernels.every(({ modules }) => (node.text(`${modules}/modules.builtin`) ?? '').split('\n').some((line) => line.endsWith(`/${name}.ko`)));
}

/** The kernel's own values are 1 once br_netfilter is loaded (net/bridge/br_netfilter_hooks.c), so nothing is wrong where nobody says 0. */
function checkBridge(node: Node): Verdict {
  const settings = sysctlSettings(node);
  const keys = ['net.bridge.bridge-nf-call-iptables', 'net.bridge.bridge-nf-call-ip6tables'];
  const found = keys.map((key) => ({ key, setting: sysctlValue(settings, key) }));
  const unset = found.filter(({ setting }) => !setting).map(({ key }) => key);
  const wrong = found.filter(({ setting }) => setting && setting.value !== '1').map(({ key, setting }): Problem => ({
    severity: overrules(node, setting!) ? 'error' : 'warning', subject: setting!.path,
    message: `expected ${key} = 1, found ${setting!.value}: traffic between pods and services gets lost`, hint: SYSCTL,
  }));
  return verdict([...wrong, ...notSet(unset.map((key) => `${key} = 1`), 'the kernel\'s own value is 1 as well, until something changes it')], 'for IPv4 and IPv6');
}

/** One note for all that no file says. */
function notSet(wanted: readonly string[], consequence: string): Problem[] {
  if (wanted.length === 0) return [];
  return [{ severity: 'info', subject: '/etc/sysctl.d', message: `expected ${wanted.join(', ')}, found no file that says so: ${consequence}`, hint: SYSCTL }];
}

/** Only Kubespray turns protectKernelDefaults on by itself, and sets the values first. What counts is a file that takes them back at the next boot. */
function checkKubelet(node: Node): Verdict {
  const settings = sysctlSettings(node);
  const all = KUBELET.map(([key, value]) => ({ key, value, setting: sysctlValue(settings, key) }));
  const found = all.filter(({ key, value, setting }) => (setting?.value ?? KERNEL_DEFAULTS[key]) !== value);
  const wrong = found.filter(({ setting }) => setting).map(({ key, value, setting }): Problem => ({
    severity: node.target === 'kubespray' && overrules(node, setting!) ? 'error' : 'info', subject: setting!.path,
    message: `expected ${key} = ${value}, found ${setting!.value}: kubelet with protectKernelDefaults does not start`, hint: SYSCTL,
  }));
  const unset = found.filter(({ setting }) => !setting).map(({ key, value }) => `${key} = ${value}`);
  return verdict([...wrong, ...notSet(unset, node.target === 'kubespray' ? 'Kubespray will' : 'kubelet with protectKernelDefaults does not start')], 'all of them');
}

function checkInotify(node: Node): Verdict {
  const key = 'fs.inotify.max_user_instances';
  const found = sysctlValue(sysctlSettings(node), key);
  if (Number(found?.value) >= LEAST_INSTANCES) return { ok: `${key} = ${found!.value}` };
  const isLow = found !== undefined;
  return verdict([{
    severity: isLow ? 'warning' : 'info', subject: found?.path ?? '/etc/sysctl.d', hint: SYSCTL,
    message: `expected ${key} of ${LEAST_INSTANCES} or more, found ${isLow ? `${found.value} in ${found.path}` : 'no file that sets it: the kernel\'s 128 end in "too many open files"'}`,
  }], '');
}
