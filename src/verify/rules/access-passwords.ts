/** Passwords that everybody knows, or that are not there. Only hashes are compared, and none is shown. */
import type { Node } from '../node.js';
import { isLocked, logins, type Login } from '../people.js';
import { verdict, type Problem, type Rule, type Verdict } from '../rule.js';
import { startingUnit } from '../formats/boot-units.js';
import { isPassword, parseCrypt } from '../formats/crypt.js';
import { acceptsPasswords, sshdSettings } from '../formats/sshd-config.js';

/** User and password of vendors' images, as their own documentation gives them: Rocky, Raspberry Pi OS up to 2022-04, Ubuntu, AlmaLinux, CentOS, Debian. */
const PUBLIC: readonly (readonly [user: string, password: string])[] = [
  ['rocky', 'rockylinux'], ['pi', 'raspberry'], ['ubuntu', 'ubuntu'], ['almalinux', 'almalinux'], ['root', 'centos'], ['root', 'rocky'], ['root', 'root'], ['debian', 'debian'],
];
/** Rounds of hashing in all, about 4 s: a hash may ask for a thousand million. */
const BUDGET = 500_000;
const LOCK = 'the profile kubernetes-node locks it; or give password_hash, or add "user: {name: ..., lock: true}"';

export const passwordRules: readonly Rule[] = [
  {
    id: 'access-default-password', group: 'access', title: 'nobody has the password that the vendor published',
    source: 'https://github.com/rocky-linux/kickstarts/blob/r9/Rocky-9-RPI-Base.ks', check: checkDefaults,
  },
  {
    id: 'access-empty-password', group: 'access', title: 'nobody logs in without a password',
    source: 'https://man7.org/linux/man-pages/man5/shadow.5.html', check: checkEmpty,
  },
  { id: 'access-root-password', group: 'access', title: 'root has no password', source: 'https://man.openbsd.org/sshd_config#PermitRootLogin', check: checkRoot },
];

/** Over the network where sshd asks for passwords; else only at the console. */
function isOpen(node: Node): boolean {
  return acceptsPasswords(sshdSettings(node)) && startingUnit(node, 'sshd.service', 'ssh.service', 'sshd.socket', 'ssh.socket') !== undefined;
}

function checkDefaults(node: Node): Verdict {
  const withPassword = logins(node).filter((login) => login.password !== '' && !isLocked(login));
  const budget = { left: BUDGET };
  const judged = withPassword.map((login) => ({ login, found: publicPassword(login, budget) }));
  const severity = isOpen(node) ? 'error' : 'warning';
  const problems = judged.filter(({ found }) => found === true).map(({ login: { name } }): Problem => ({
    severity, subject: name,
    message: `expected a password of its own for ${name}, found the one of the vendor's image, which everybody knows${severity === 'error' ? ', and sshd takes it' : ''}`,
    hint: LOCK,
  }));
  if (problems.length > 0) return { problems };
  const unknown = judged.find(({ found }) => typeof found === 'string');
  if (unknown) return { skipped: `the password of ${unknown.login.name} is hashed with ${String(unknown.found)}, which is not computed here` };
  return { ok: withPassword.length === 0 ? 'nobody has a password' : 'none of the known ones' };
}

/** By hash and candidates: the nodes of a fleet have their base's in common, and each takes a tenth of a second. */
const answers = new Map<string, boolean>();
const MAXIMUM_KNOWN = 1000;

/** Whether it is a published one; a text where that cannot be told. The user's own first, then their name, then the others. */
function publicPassword({ name, password }: Login, budget: { left: number }): boolean | string {
  const crypt = parseCrypt(password);
  if (typeof crypt === 'string') return crypt;
  const candidates = new Set([...PUBLIC.filter(([user]) => user === name).map(([, word]) => word), name, ...PUBLIC.map(([, word]) => word)]);
  if (budget.left < crypt.rounds * candidates.size) return `${crypt.rounds} rounds`;
  budget.left -= crypt.rounds * candidates.size;
  const key = [password, ...candidates].join('\n');
  const answer = answers.get(key) ?? [...candidates].some((word) => isPassword(word, crypt));
  if (answers.size < MAXIMUM_KNOWN) answers.set(key, answer);
  return answer;
}

function checkEmpty(node: Node): Verdict {
  const empty = logins(node).filter(({ password }) => password === '');
  return verdict(empty.map(({ name }): Problem => ({
    severity: 'error', subject: name, message: `expected a password or a lock for ${name}, found neither: whoever is at the console is ${name}`,
    hint: `add "user: {name: ${name}, lock: true}"`,
  })), 'every account has a password or a lock');
}

function checkRoot(node: Node): Verdict {
  const root = logins(node).find(({ uid }) => uid === 0);
  if (!root || isLocked(root) || root.password === '') return { ok: root && isLocked(root) ? 'it is locked' : 'no hash' };
  const isRemote = isOpen(node) && sshdSettings(node).value('PermitRootLogin') === 'yes';
  return verdict([{
    severity: isRemote ? 'warning' : 'info', subject: '/etc/shadow', hint: 'add "user: {name: root, lock: true}"; keys and sudo still work',
    message: `expected root without a password, found one${isRemote ? ', and sshd lets root in with it' : ', the same on every node of this image'}`,
  }], '');
}
