/** The access rules: one seeded defect each and more where there are several kinds, the ready node, and what is no defect. Every password here is a public one. */
import { describe, expect, test } from 'vitest';
import { accessRules } from '../../src/verify/rules/access.js';
import { testRules, type Defect } from './cases.js';
import { problemsOf, type Files } from './node.js';
import { defect, KEY, READY, readyNode, unit, wants, type Changes } from './ready-node.js';

/** openssl passwd -6 -salt rockberrysample rockylinux */
const ROCKYLINUX = '$6$rockberrysample$5611P/1lb31pV5u.9iFmCIJl2CjFwxvoB1g.sC36gPbRP.al5nnEIJ9/4BUcOCDIdMFrnEzIRZYstssYD2wGG/';
/** openssl passwd -5 -salt abc ubuntu; openssl passwd -1 -salt abc node1 (nobody's) */
const UBUNTU = '$5$abc$skW1/HeBIGTZlqpDr3V4sBnHGuhj4iRFW95LBAkFKk/';
const OWN = '$1$abc$Pd86lg0XavP5smzBZfHPQ/';
const YESCRYPT = '$y$j9T$abcdefghij$0123456789abcdefghijklmnopqrstuvwxyzABCDEFG';
const AUTHORIZED = '/home/rocky/.ssh/authorized_keys';
const noServer: Changes = { [`${wants}/sshd.service`]: undefined };
const noKey: Changes = { [AUTHORIZED]: undefined };
const keys = (content: string, more: object = {}): Changes => ({ [AUTHORIZED]: { content, mode: 0o600, uid: 1000, gid: 1000, ...more } });
const sshd = (text: string): Changes => ({ '/etc/ssh/sshd_config.d/01-x.conf': text });
const sudo = (content: string, more: object = {}): Files => ({ '/etc/sudoers.d/90-rockberry-rocky': { content, mode: 0o440, ...more } });
const shadow = (rocky: string, root = '!locked'): Changes => ({ '/etc/shadow': { content: `root:${root}::0:99999:7:::\nrocky:${rocky}:19493:0:99999:7:::\n`, mode: 0 } });
const python = (version: string): Changes => ({ '/usr/bin/python3': { target: `python${version}` }, [`/usr/bin/python${version}`]: { content: 'x', mode: 0o755 } });
const noBindings: Changes = { '/usr/lib64/python3.9/site-packages/selinux/__init__.py': undefined };

const DEFECTS: readonly Defect[] = [
  defect('access-sshd', 'not enabled', noServer, 'error', 'sshd.service', /found that no unit of it does/),
  defect('access-sshd', 'not enabled, for k3s', noServer, 'warning', 'sshd.service', /found that no unit of it does/, { target: 'k3s' }),
  defect('access-sshd', 'masked', { '/etc/systemd/system/sshd.service': { target: '/dev/null' } }, 'error', 'sshd.service', /found that no unit of it does/),
  defect('access-sshd-keys', 'off in a file that sorts first', sshd('PubkeyAuthentication no\n'), 'error', '/etc/ssh/sshd_config', /found PubkeyAuthentication no/),
  defect('access-sshd-keys', 'off by its old name', sshd('DSAAuthentication=no # old\n'), 'error', '/etc/ssh/sshd_config', /found PubkeyAuthentication no/),
  defect('access-sshd-keys', 'keys are elsewhere', sshd('AuthorizedKeysFile "/etc/keys/%u"\n'), 'error', '/etc/ssh/sshd_config', /found AuthorizedKeysFile \/etc\/keys\/%u/),
  defect('access-ssh-keys', 'others can write the file', keys(`${KEY}\n`, { mode: 0o664 }), 'error', AUTHORIZED, /others can write .*authorized_keys \(mode 0664\)/),
  defect('access-ssh-keys', 'somebody else\'s directory', { '/home/rocky/.ssh': { directory: true, mode: 0o700, uid: 1001 } }, 'error', AUTHORIZED, /\.ssh belongs to uid 1001/),
  defect('access-ssh-keys', 'others can write the home', { '/home/rocky': { directory: true, mode: 0o777, uid: 1000 } }, 'error', AUTHORIZED, /others can write \/home\/rocky \(mode 0777\)/),
  defect('access-ssh-keys', 'a key that is cut short', keys(`${KEY}\n${KEY.slice(0, 60)}\n`), 'warning', AUTHORIZED, /line 2: expected/),
  defect('access-ssh-keys', 'a small RSA key', keys('ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQClrMD+aQMvJz2G+/GMSrMHsfuruV8fk+L7P/ADzv7rlnCV9Y1cqRy930TtaOdW+QiOn8RqszQdHwJlsrCEmbFsMcnqWU2LYn0JQQdftFY/QEx2sY8qrNNzh5YJNOMWnNi3NgeuqzJ+mI8pJD9XeSN8WPX4UDaVfWHyEC+QkPYtuw==\n'), 'warning', AUTHORIZED, /line 1: expected an RSA key of at least 2048 bits/),
  defect('access-login', 'nobody has a key or a password', noKey, 'error', '/etc/passwd', /found no account with a key or a usable password/),
  defect('access-login', 'for RKE2', noKey, 'warning', '/etc/passwd', /found no account/, { target: 'rke2' }),
  defect('access-login', 'sshd lets somebody else in', sshd('AllowUsers admin\n'), 'error', '/etc/passwd', /found no account/),
  defect('access-login', 'sshd does not take passwords', { ...noKey, ...shadow(OWN), ...sshd('PasswordAuthentication no\nKbdInteractiveAuthentication no\n') }, 'error', '/etc/passwd', /found no account/),
  defect('access-ansible', 'no key', { ...noKey, ...shadow(OWN) }, 'error', '/home', /found none that sshd lets in with a key/),
  defect('access-ansible', 'an empty file of keys', keys('# none\n\n'), 'error', '/home', /found none that sshd lets in with a key/),
  defect('access-ansible', 'sudo asks for a password', { ...sudo('rocky ALL=(ALL) ALL\n') }, 'error', '/etc/sudoers', /found that rocky may not/),
  defect('access-ansible', 'a later rule takes NOPASSWD back', { '/etc/sudoers.d/99-all': { content: '%wheel ALL=(ALL) ALL\n', mode: 0o440 } }, 'error', '/etc/sudoers', /found that rocky may not/),
  defect('access-ansible', 'the rule is in a file that sudo passes over', { ...sudo('\n'), '/etc/sudoers.d/90-rocky.conf': { content: 'rocky ALL=(ALL) NOPASSWD: ALL\n', mode: 0o440 } }, 'error', '/etc/sudoers', /found that rocky may not/),
  defect('access-ansible', 'only some commands', sudo('rocky ALL=(ALL) NOPASSWD: /usr/bin/dnf, /usr/bin/systemctl\n'), 'error', '/etc/sudoers', /found that rocky may not/),
  defect('access-ansible', 'not as root', sudo('rocky ALL=(nobody) NOPASSWD: ALL\n'), 'error', '/etc/sudoers', /found that rocky may not/),
  defect('access-requiretty', 'for everybody, after the exception', { '/etc/sudoers.d/99-tty': { content: 'Defaults requiretty\n', mode: 0o440 } }, 'error', '/etc/sudoers', /terminal for rocky/),
  defect('access-requiretty', 'for a group', { '/etc/sudoers.d/99-tty': { content: 'Defaults:%wheel env_reset, requiretty\n', mode: 0o440 } }, 'error', '/etc/sudoers', /terminal for rocky/),
  defect('access-sudoers', 'a dot in the name', { '/etc/sudoers.d/90-cloud.conf': { content: 'x ALL=ALL\n', mode: 0o440 } }, 'warning', '/etc/sudoers.d/90-cloud.conf', /its name has a "\."/),
  defect('access-sudoers', 'a copy', { '/etc/sudoers.d/90-old~': { content: 'x ALL=ALL\n', mode: 0o440 } }, 'info', '/etc/sudoers.d/90-old~', /its name ends in "~"/),
  defect('access-sudoers', 'somebody else\'s', sudo('rocky ALL=(ALL) NOPASSWD: ALL\n', { uid: 1000 }), 'warning', '/etc/sudoers.d/90-rockberry-rocky', /belongs to uid 1000/),
  defect('access-sudoers', 'everybody can write it', sudo('rocky ALL=(ALL) NOPASSWD: ALL\n', { mode: 0o666 }), 'warning', '/etc/sudoers.d/90-rockberry-rocky', /everybody can write it/),
  defect('access-sudoers', 'readable by everybody', sudo('rocky ALL=(ALL) NOPASSWD: ALL\n', { mode: 0o644 }), 'info', '/etc/sudoers.d/90-rockberry-rocky', /expected mode 0440, found 0644/),
  defect('access-sudoers', 'no rule', sudo('rocky ALL\n'), 'warning', '/etc/sudoers', /found one that it may not in \/etc\/sudoers\.d\/90-rockberry-rocky: rocky ALL/),
  defect('access-sudo', 'not installed', { '/usr/bin/sudo': undefined }, 'error', '/usr/bin/sudo', /found no such file/),
  defect('access-sudo', 'without set-uid', { '/usr/bin/sudo': { content: 'x', mode: 0o111 } }, 'error', '/usr/bin/sudo', /found mode 0111/),
  defect('access-python', 'not installed', { '/usr/bin/python3.9': undefined }, 'error', '/usr/bin/python3', /found no \/usr\/bin\/python3/),
  defect('access-python', 'too old', python('3.6'), 'error', '/usr/bin/python3', /found 3\.6/),
  defect('access-python-selinux', 'not installed', noBindings, 'error', '/usr/lib64', /selinux for python3\.9, found none/),
  defect('access-python-selinux', 'for another Python', python('3.11'), 'error', '/usr/lib64', /selinux for python3\.11/),
  defect('access-python-selinux', 'a script that does not start', { ...noBindings, '/usr/libexec/rockberry/tools': 'dnf -y install python3-libselinux\n' }, 'error', '/usr/lib64', /found none/),
  defect('access-default-password', 'the vendor\'s', shadow(ROCKYLINUX), 'error', 'rocky', /which everybody knows, and sshd takes it/),
  defect('access-default-password', 'another vendor\'s, by SHA-256', shadow(UBUNTU), 'error', 'rocky', /which everybody knows/),
  defect('access-default-password', 'in passwd itself', { '/etc/passwd': `rocky:${ROCKYLINUX}:1000:1000::/home/rocky:/bin/bash\n` }, 'error', 'rocky', /which everybody knows/),
  defect('access-default-password', 'root\'s', shadow('!', ROCKYLINUX), 'error', 'root', /which everybody knows/),
  defect('access-default-password', 'only at the console', { ...shadow(ROCKYLINUX), ...sshd('PasswordAuthentication no\nKbdInteractiveAuthentication no\n') }, 'warning', 'rocky', /which everybody knows$/),
  defect('access-empty-password', 'none', shadow(''), 'error', 'rocky', /found neither/),
  defect('access-empty-password', 'none in passwd', { '/etc/passwd': 'ops::1001:1001::/home/ops:/bin/sh\n' }, 'error', 'ops', /found neither/),
  defect('access-root-password', 'a password, over the network', { ...shadow('!', OWN), ...sshd('PermitRootLogin yes\n') }, 'warning', '/etc/shadow', /sshd lets root in with it/),
  defect('access-root-password', 'a password at the console', shadow('!', OWN), 'info', '/etc/shadow', /the same on every node/),
];

testRules(accessRules, () => readyNode(), DEFECTS);

describe('no defect', () => {
  test.each<[string, string, Changes]>([
    ['access-sshd', 'Debian\'s name', { ...noServer, ...unit('ssh.service') }],
    ['access-sshd', 'by its socket', { ...noServer, ...unit('sshd.socket') }],
    ['access-sshd-keys', 'off only for some', sshd('Match User other\nPubkeyAuthentication no\nMatch Group x\nAuthorizedKeysFile none\n')],
    ['access-sshd-keys', 'the first value counts', { ...sshd('PubkeyAuthentication yes\n'), '/etc/ssh/sshd_config.d/99-x.conf': 'PubkeyAuthentication no\n' }],
    ['access-ssh-keys', 'sshd does not look at modes', { ...keys(`${KEY}\n`, { mode: 0o666 }), ...sshd('StrictModes no\n') }],
    ['access-ssh-keys', 'options in front', keys(`from="192.0.2.0/24",no-pty ${KEY}\n`)],
    ['access-login', 'a password', { ...noKey, ...shadow(OWN) }],
    ['access-login', 'cloud-init will bring keys', { ...noKey, ...unit('cloud-init.service') }],
    ['access-ansible', 'root with a key', { ...sudo('\n'), '/root/.ssh/authorized_keys': { content: `${KEY}\n`, mode: 0o600 } }],
    ['access-ansible', 'by an alias and a group', { ...sudo('User_Alias ADMINS = ops, %wheel\nCmnd_Alias EVERYTHING = ALL\nADMINS ALL = (root) NOPASSWD: EVERYTHING\n') }],
    ['access-ansible', 'nobody is asked', sudo('Defaults !authenticate\nrocky ALL=(ALL:ALL) ALL\n')],
    ['access-ansible', 'a later rule for others', { '/etc/sudoers.d/99-other': { content: 'other ALL=(ALL) PASSWD: ALL\nrocky ALL=(ALL) PASSWD: /usr/bin/reboot\n', mode: 0o440 } }],
    ['access-requiretty', 'for somebody else', { '/etc/sudoers.d/99-tty': { content: 'Defaults:other requiretty\nDefaults!/usr/bin/reboot requiretty\n', mode: 0o440 } }],
    ['access-python', 'a name that tells no version', { '/usr/bin/python3': { content: 'x', mode: 0o755 } }],
    ['access-python-selinux', 'installed on first boot', { ...noBindings, ...unit('rockberry-tools.service'), '/usr/libexec/rockberry/tools': '#!/bin/sh\ndnf -y install python3-libselinux\n' }],
    ['access-default-password', 'one of its own', shadow(OWN)],
    ['access-default-password', 'the vendor\'s, locked', shadow(`!${ROCKYLINUX}`)],
    ['access-default-password', 'of an account without a shell', { '/etc/passwd': (READY['/etc/passwd'] as string).replace('/home/rocky:/bin/bash', '/home/rocky:/sbin/nologin'), ...shadow(ROCKYLINUX) }],
  ])('%s: %s', (id, _, changes) => {
    expect(problemsOf(accessRules, id, readyNode(changes))).toBeUndefined();
  });

  test('what cannot be computed is said, not guessed', () => {
    expect(problemsOf(accessRules, 'access-default-password', readyNode(shadow(YESCRYPT)))).toBe('the password of rocky is hashed with yescrypt, which is not computed here');
    expect(problemsOf(accessRules, 'access-default-password', readyNode(shadow(ROCKYLINUX.replace('$6$', '$6$rounds=999999999$'))))).toMatch(/999999999 rounds, which is not computed here/);
    expect(problemsOf(accessRules, 'access-python-selinux', readyNode({ '/etc/redhat-release': undefined }))).toMatch(/does not set SELinux/);
  });
});

test('no hash and no line of a key stands in what the rules say', () => {
  const node = readyNode({ ...shadow(ROCKYLINUX, UBUNTU), ...keys(`${KEY.slice(0, 60)}\n-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n`) });
  const said = JSON.stringify(accessRules.map(({ id }) => problemsOf(accessRules, id, node)));
  for (const secret of [ROCKYLINUX.slice(20), UBUNTU.slice(8), KEY.slice(20, 60), 'c2VjcmV0']) expect(said).not.toContain(secret);
  expect(said).toContain('PRIVATE key');
});

test('files that are made to take time end', () => {
  const aliases = Array.from({ length: 30 }, (_, at) => `User_Alias A${at} = A${at + 1}, A${at + 1}, A${at + 1}`).join('\n');
  const many = Array.from({ length: 5000 }, (_, at) => `u${at}:x:${at + 2000}:1::/h:/bin/sh`).join('\n');
  const include = 'Include /etc/ssh/sshd_config.d/*.conf\n'.repeat(100);
  const node = readyNode({
    '/etc/sudoers': { content: `${aliases}\nA0 ALL=(ALL) NOPASSWD: ALL\n${'\\'.repeat(8000)}\n${' '.repeat(1 << 20)}\n@includedir /etc/sudoers.d\n`, mode: 0o440 }, '/etc/sudoers.d/loop': { content: '@includedir /etc/sudoers.d\n'.repeat(100), mode: 0o440 },
    '/etc/sudoers.d/rules': { content: 'x ALL=ALL, !ALL, ALL\n'.repeat(20_000), mode: 0o440 }, '/etc/passwd': `${READY['/etc/passwd'] as string}${many}\n`,
    '/etc/ssh/sshd_config': include, '/etc/ssh/sshd_config.d/a.conf': include, '/etc/ssh/sshd_config.d/b.conf': include,
    ...keys(`${'a'.repeat(10_000)} ${'"\\'.repeat(5000)}\n`.repeat(200)), ...shadow(ROCKYLINUX.replace('$6$', '$6$rounds=40000$')),
  });
  for (const { id } of accessRules) problemsOf(accessRules, id, node);
}, 30_000);
