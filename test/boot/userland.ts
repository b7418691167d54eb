/** A profile for tests only: the samples' programs are placeholders, so a busybox stands in for them, and the modules of the kernel that qemu starts are put beside the image's own. */
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { busybox, kernelConfig, kernelRelease, loadOrder, moduleFolder, type KernelModule } from './kit.js';

/** What guest/report and rockberry-preflight call. */
const APPLETS = ['sh', '[', 'awk', 'basename', 'cat', 'chmod', 'cut', 'date', 'df', 'dirname', 'dmesg', 'echo', 'env', 'expr', 'false', 'grep', 'gzip', 'head', 'hostname', 'id', 'ls', 'mkdir', 'mktemp',
  'modprobe', 'mount', 'mv', 'nproc', 'od', 'poweroff', 'printf', 'readlink', 'rm', 'sed', 'sha256sum', 'sleep', 'sort', 'stat', 'sync', 'sysctl', 'tail', 'test', 'timeout', 'touch', 'tr', 'true', 'uname', 'wc', 'xargs'];

/** Those that the profiles load, and those that rockberry-preflight looks for. */
const MODULES = ['overlay', 'br_netfilter', 'nf_conntrack', 'vxlan', 'dummy', 'ip_vs', 'ip_vs_rr', 'ip_vs_wrr', 'ip_vs_sh', 'ip_vs_wlc', 'ip_vs_lc', 'ip_set', 'ip_tables', 'nf_conntrack_netlink',
  'ipt_REJECT', 'ipt_rpfilter', 'xt_addrtype', 'xt_comment', 'xt_conntrack', 'xt_mark', 'xt_multiport', 'xt_set'];

/** Writes the profile and what it places into `folder`; the profile's path. */
export function userland(folder: string): string {
  const usr = join(folder, 'usr');
  mkdirSync(join(usr, 'bin'), { recursive: true });
  copyFileSync(busybox, join(usr, 'bin/busybox'));
  for (const applet of APPLETS) symlinkSync('busybox', join(usr, 'bin', applet));
  placeModules(join(usr, 'lib/modules', kernelRelease()));
  const profile = join(folder, 'userland.yaml');
  const odd = { path: '/srv/odd', content: 'odd\n', mode: '04751', owner: 70001, group: 65537 };
  const steps = [{ files: [{ path: '/usr', source: usr }, { path: `/boot/config-${kernelRelease()}`, source: kernelConfig }, odd] }];
  writeFileSync(profile, JSON.stringify({ name: 'userland', description: 'programs that run in qemu', steps })); // JSON is YAML
  return profile;
}

/** The modules and a modules.dep, which `depmod` makes when Debian's package is installed: a path, and the paths of all that it needs, which load from the last to the first. */
function placeModules(folder: string): void {
  const modules = loadOrder(MODULES);
  const place = ({ path }: KernelModule): string => relative(moduleFolder(), path);
  const line = (module: KernelModule): string => [`${place(module)}:`, ...modules.filter((one) => module.needs.has(one.name)).reverse().map(place)].join(' ');
  for (const module of modules) {
    mkdirSync(dirname(join(folder, place(module))), { recursive: true });
    copyFileSync(module.path, join(folder, place(module)));
  }
  copyFileSync(join(moduleFolder(), 'modules.builtin'), join(folder, 'modules.builtin'));
  writeFileSync(join(folder, 'modules.dep'), modules.map((module) => `${line(module)}\n`).join(''));
}
