/** What Ansible, and so Kubespray, needs on a node: a login with a key, root without a password or a terminal, Python, and its bindings for SELinux. */
import type { Node } from '../node.js';
import { hasKey, logins, type Login } from '../people.js';
import { verdict, type Problem, type Rule, type Verdict } from '../rule.js';
import { startingUnit } from '../formats/boot-units.js';
import { sshdSettings } from '../formats/sshd-config.js';
import { readSudoers, shellAsRoot } from '../formats/sudoers.js';

const SUDOERS = 'https://www.sudo.ws/docs/man/sudoers.man/';
const KUBESPRAY = 'https://github.com/kubernetes-sigs/kubespray';
const ANSIBLE = 'https://docs.ansible.com/ansible-core/2.18';
const PROFILE = 'give "ssh_keys" (and "user") to the profile kubespray-node';
const LEAST_PYTHON = 8; // ansible-core 2.18 runs on Python 3.8 to 3.13 of the node
const PROGRAMS = '/usr/libexec/rockberry'; // of first_boot steps

export const ansibleRules: readonly Rule[] = [
  {
    id: 'access-ansible', group: 'access', title: 'Ansible can log in with a key and become root without a password',
    source: `${KUBESPRAY}/blob/master/docs/ansible/ansible.md`, targets: ['kubespray'], check: checkUser,
  },
  {
    id: 'access-requiretty', group: 'access', title: 'sudo works without a terminal',
    source: `${KUBESPRAY}/blob/master/ansible.cfg`, targets: ['kubespray'], check: checkTerminal,
  },
  {
    id: 'access-sudoers', group: 'access', title: 'sudo reads every file that is meant for it',
    source: `${SUDOERS}#Including_other_files_from_within_sudoers`, check: checkSudoers,
  },
  {
    id: 'access-sudo', group: 'access', title: 'sudo is installed',
    source: `${ANSIBLE}/playbook_guide/playbooks_privilege_escalation.html`, targets: ['kubespray'], check: checkSudo,
  },
  {
    id: 'access-python', group: 'access', title: 'Python is installed, new enough for Ansible',
    source: `${ANSIBLE}/reference_appendices/release_and_maintenance.html`, targets: ['kubespray'], check: checkPython,
  },
  {
    id: 'access-python-selinux', group: 'access', title: 'Python has the bindings for SELinux', targets: ['kubespray'], check: checkBindings,
    source: `${KUBESPRAY}/blob/master/roles/kubernetes/preinstall/tasks/0080-system-configurations.yml`,
  },
];

function hostName(node: Node): string {
  return (node.text('/etc/hostname') ?? '').split('\n').map((line) => line.trim()).find((line) => line !== '' && !line.startsWith('#')) ?? 'localhost';
}

function withKeys(node: Node): Login[] {
  const settings = sshdSettings(node);
  return logins(node).filter((login) => hasKey(node, settings, login));
}

/** Those who have a key and may run a shell as root without a password. root itself is such a user. */
function checkUser(node: Node): Verdict {
  const people = withKeys(node);
  if (people.length === 0) return verdict([{
    severity: 'error', subject: '/home', message: 'expected a user with an SSH key for Ansible, found none that sshd lets in with a key',
    hint: PROFILE,
  }], '');
  const sudoers = readSudoers(node);
  const ready = people.filter((login) => {
    const { allowed, needsPassword } = shellAsRoot(sudoers, login, hostName(node));
    return login.uid === 0 || (allowed && !needsPassword);
  });
  if (ready.length > 0) return { ok: ready.map(({ name }) => name).join(', ') };
  const names = people.map(({ name }) => name).join(', ');
  return verdict([{
    severity: 'error', subject: '/etc/sudoers',
    message: `expected a user with a key to run everything through sudo without a password, found that ${names} may not`,
    hint: `${PROFILE}, or add "sudo: nopasswd" to the user step`,
  }], '');
}

/** Kubespray's ansible.cfg has pipelining=True: sudo then has no terminal. */
function checkTerminal(node: Node): Verdict {
  const sudoers = readSudoers(node);
  const people = withKeys(node).filter(({ uid }) => uid !== 0);
  const judged = people.length > 0 ? people : logins(node).filter(({ uid }) => uid >= 1000);
  const hindered = judged.filter((login) => shellAsRoot(sudoers, login, hostName(node)).needsTerminal);
  return verdict(hindered.map(({ name }): Problem => ({
    severity: 'error', subject: '/etc/sudoers', message: `expected sudo to work without a terminal for ${name}, found "Defaults requiretty"`,
    hint: `add "Defaults:${name} !requiretty" to a file of /etc/sudoers.d that is read last`,
  })), 'no requiretty');
}

function checkSudoers(node: Node): Verdict {
  if (node.stat('/etc/sudoers') === undefined) return { skipped: 'there is no /etc/sudoers' };
  const { files, problems } = readSudoers(node);
  const ignored = files.filter((file) => file.ignored !== undefined).map(({ path, ignored: why }): Problem => ({
    severity: /(~|\.(rpm(save|new|orig)|bak|dpkg-\w+))$/.test(path) ? 'info' : 'warning', subject: path,
    message: `expected sudo to read ${path}, found that ${why}: sudo passes over it`,
    hint: 'rename it, or give it to root with mode "0440"',
  }));
  const modes = files.filter((file) => file.ignored === undefined).flatMap(({ path }): Problem[] => {
    const { mode } = node.stat(path)!;
    if ((mode & 0o337) === 0) return [];
    return [{ severity: 'info', subject: path, message: `expected mode 0440, found 0${mode.toString(8)}: sudo reads it, visudo complains`, hint: 'set mode "0440"' }];
  });
  const unread = problems.slice(0, 3).map((line): Problem => ({
    severity: 'warning', subject: '/etc/sudoers', message: `expected rules that sudo understands, found one that it may not in ${line}`,
    hint: 'check the file with "visudo -cf"',
  }));
  return verdict([...ignored, ...unread, ...modes], `${files.length} ${files.length === 1 ? 'file' : 'files'}`);
}

function checkSudo(node: Node): Verdict {
  const stat = node.stat('/usr/bin/sudo');
  const isSetuid = stat?.type === 'file' && stat.uid === 0 && (stat.mode & 0o4111) === 0o4111;
  if (isSetuid) return { ok: '/usr/bin/sudo' };
  const found = stat?.type === 'file' ? `mode 0${stat.mode.toString(8)} and uid ${stat.uid}` : 'no such file';
  return verdict([{
    severity: 'error', subject: '/usr/bin/sudo', message: `expected sudo as a program that runs as root (mode 4111), found ${found}`,
    hint: 'install the package sudo in the image',
  }], '');
}

/** /usr/bin/python3 and its minor version, told by the name of the file behind the links. */
function python(node: Node): { readonly path: string; readonly minor: number | undefined } | undefined {
  const path = ['/usr/bin/python3', '/usr/local/bin/python3', '/usr/libexec/platform-python'].find((one) => {
    const stat = node.stat(one);
    return stat?.type === 'file' && (stat.mode & 0o111) !== 0;
  });
  if (path === undefined) return undefined;
  const minor = /python3\.(\d{1,3})$/.exec(node.tree.resolve(path))?.[1];
  return { path, minor: minor === undefined ? undefined : Number(minor) };
}

function checkPython(node: Node): Verdict {
  const found = python(node);
  const hint = 'install the package python3 in the image';
  if (!found) return verdict([{ severity: 'error', subject: '/usr/bin/python3', message: 'expected python3 for Ansible, found no /usr/bin/python3', hint }], '');
  if (found.minor === undefined || found.minor >= LEAST_PYTHON) return { ok: found.minor === undefined ? found.path : `Python 3.${found.minor}` };
  return verdict([{
    severity: 'error', subject: found.path, message: `expected Python 3.${LEAST_PYTHON} or newer for ansible-core 2.18, found 3.${found.minor}`, hint,
  }], '');
}

/** Kubespray's "Set selinux policy" runs on the RedHat family wherever there is an /etc/selinux/config, whatever it says, and imports selinux. */
function checkBindings(node: Node): Verdict {
  if (node.stat('/etc/redhat-release') === undefined || node.stat('/etc/selinux/config') === undefined) return { skipped: 'Kubespray does not set SELinux on such an image' };
  const found = python(node);
  if (!found) return { skipped: 'there is no Python' };
  const versions = found.minor === undefined ? node.names('/usr/lib64').filter((name) => /^python3\.\d+$/.test(name)) : [`python3.${found.minor}`];
  const path = versions.map((version) => `/usr/lib64/${version}/site-packages/selinux/__init__.py`).find((one) => node.stat(one) !== undefined);
  if (path !== undefined) return { ok: path };
  const script = node.names(PROGRAMS).find((name) => /\bpython3-libselinux\b/.test(node.text(`${PROGRAMS}/${name}`) ?? '') && startingUnit(node, `rockberry-${name}.service`));
  if (script !== undefined) return { ok: `rockberry-${script}.service installs them on first boot` };
  return verdict([{
    severity: 'error', subject: '/usr/lib64',
    message: `expected the module selinux for ${versions[0] ?? 'Python'}, found none: Kubespray stops at "Set selinux policy"`,
    hint: 'install python3-libselinux: in the image, or by a first_boot step with "dnf -y install python3-libselinux" (needs_network, needs_time)',
  }], '');
}
