/** The way in over the network. */
import type { Node } from '../node.js';
import { hasKey, hasPassword, keyFiles, logins } from '../people.js';
import { verdict, type Problem, type Rule, type Verdict } from '../rule.js';
import { startingUnit } from '../formats/boot-units.js';
import { sshdSettings } from '../formats/sshd-config.js';

const SSHD_CONFIG = 'https://man.openbsd.org/sshd_config';
const UNITS = ['sshd.service', 'ssh.service', 'sshd.socket', 'ssh.socket'];
const KEYS = 'give "ssh_keys" (and "user") to the profile kubespray-node, or add a user step with authorized_keys';

export const sshRules: readonly Rule[] = [
  {
    id: 'access-sshd', group: 'access', title: 'the SSH server starts at boot',
    source: 'https://docs.ansible.com/ansible/latest/inventory_guide/connection_details.html', check: checkServer,
  },
  { id: 'access-sshd-keys', group: 'access', title: 'the SSH server takes keys', source: `${SSHD_CONFIG}#PubkeyAuthentication`, check: checkKeyLogin },
  { id: 'access-ssh-keys', group: 'access', title: 'the SSH server will take every key that is there', source: `${SSHD_CONFIG}#StrictModes`, check: checkKeys },
  {
    id: 'access-login', group: 'access', title: 'somebody can log in',
    source: 'https://github.com/kubernetes-sigs/kubespray/blob/master/docs/ansible/ansible.md', check: checkLogin,
  },
];

/** Kubespray works through SSH; the others run without, and nobody can look at the node. */
function severity({ target }: Node): Problem['severity'] {
  return target === 'kubespray' ? 'error' : 'warning';
}

function checkServer(node: Node): Verdict {
  const found = startingUnit(node, ...UNITS);
  if (found !== undefined) return { ok: found };
  return verdict([{
    severity: severity(node), subject: 'sshd.service', message: 'expected the SSH server to start at boot, found that no unit of it does',
    hint: 'add "services: {enable: [sshd]}"',
  }], '');
}

function checkKeyLogin(node: Node): Verdict {
  const settings = sshdSettings(node);
  const problems: Problem[] = [];
  const add = (keyword: string, hint: string): void => {
    problems.push({
      severity: severity(node), subject: '/etc/ssh/sshd_config',
      message: `expected sshd to take the keys of ~/.ssh/authorized_keys, found ${keyword} ${settings.words(keyword).join(' ').slice(0, 80)}`, hint,
    });
  };
  const drop = 'place a file in /etc/ssh/sshd_config.d whose name sorts first (sshd takes the first value), as 01-keys.conf';
  if (settings.value('PubkeyAuthentication') !== 'yes') add('PubkeyAuthentication', drop);
  const isUsual = settings.words('AuthorizedKeysFile').some((path) => /^(%h\/)?\.ssh\/authorized_keys$/.test(path));
  if (!isUsual && settings.value('AuthorizedKeysCommand') === 'none') add('AuthorizedKeysFile', drop);
  return verdict(problems, 'from ~/.ssh/authorized_keys');
}

function checkKeys(node: Node): Verdict {
  const settings = sshdSettings(node);
  const files = logins(node).flatMap((login) => keyFiles(node, settings, login));
  const problems = files.flatMap(({ path, faults, refused }): Problem[] => {
    const modes: Problem = {
      severity: severity(node), subject: path, message: `expected modes that sshd trusts, found that ${refused}: it ignores the keys`,
      hint: 'use a user step: it makes ~/.ssh 0700 and authorized_keys 0600, both of the user',
    };
    const hint = 'put the line of a .pub file there';
    const lines = faults.slice(0, 3).map((fault): Problem => ({ severity: 'warning', subject: path, message: `expected a public key on each line; ${fault}`, hint }));
    return refused === undefined ? lines : [modes, ...lines];
  });
  const count = files.reduce((sum, { keys }) => sum + keys, 0);
  return verdict(problems, `${count} ${count === 1 ? 'key' : 'keys'}`);
}

function checkLogin(node: Node): Verdict {
  const settings = sshdSettings(node);
  const people = logins(node);
  const byKey = people.filter((login) => hasKey(node, settings, login)).map(({ name }) => name);
  const byPassword = people.filter((login) => hasPassword(settings, login)).map(({ name }) => name);
  const ways = [...byKey.map((name) => `${name} with a key`), ...byPassword.map((name) => `${name} with a password`)];
  if (ways.length > 0) return { ok: ways.slice(0, 5).join(', ') };
  if (startingUnit(node, 'cloud-init.service', 'cloud-init-main.service')) return { ok: 'cloud-init brings users and keys' };
  return verdict([{
    severity: severity(node), subject: '/etc/passwd',
    message: 'expected somebody who can log in through SSH, found no account with a key or a usable password', hint: KEYS,
  }], '');
}
