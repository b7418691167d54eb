/** What OpenSSL, perl's crypt(3), sudo and sshd make of the same hashes and files. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isPassword, parseCrypt, type Crypt } from '../../src/verify/formats/crypt.js';
import { sshdSettings } from '../../src/verify/formats/sshd-config.js';
import { readSudoers, shellAsRoot } from '../../src/verify/formats/sudoers.js';
import { logins } from '../../src/verify/people.js';
import { hasProgram, needs, output, run } from '../support/oracle.js';
import { memoryNode, type Files } from './node.js';

const seed = 20_260_825;
function inDirectory<T>(work: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'rockberry-access-'));
  try {
    return work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

describe('crypt', () => {
  const salt = fc.string({ unit: fc.constantFrom(...'./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'), minLength: 1, maxLength: 8 });
  const password = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 140 }).filter((text) => !/[\0\n]/.test(text));

  needs('openssl')(`OpenSSL's hashes are known again (seed ${seed})`, { timeout: 300_000 }, () => {
    fc.assert(fc.property(fc.constantFrom('1', '5', '6'), salt, password, (scheme, salted, word) => {
      const hash = output('openssl', ['passwd', `-${scheme}`, '-salt', salted, '-stdin'], `${word}\n`).toString().trim();
      const crypt = parseCrypt(hash) as Crypt;
      expect(crypt).toMatchObject({ scheme, salt: salted });
      return isPassword(word, crypt) && !isPassword(`${word}x`, crypt);
    }), { seed, numRuns: 30 });
  });

  // The words and salts of Drepper's own test program (SHA-crypt.txt, "sha512crypt_tests"), hashed by this machine's crypt(3).
  const SETTINGS = ['$6$saltstring', '$6$rounds=10000$saltstringsaltst', '$6$rounds=5000$toolongsaltstrin', '$6$rounds=1400$anotherlongsalts', '$6$rounds=1000$asaltof16chars..', '$5$saltstring', '$5$rounds=1400$anotherlongsalts'];
  needs('perl').each(SETTINGS)('crypt(3) of %s', (setting) => {
    const word = 'a very much longer text to encrypt.  This one even stretches over morethan one line.';
    const hash = output('perl', ['-e', 'print crypt($ARGV[0], $ARGV[1])', word, setting]).toString();
    const crypt = parseCrypt(hash) as Crypt;
    expect([isPassword(word, crypt), isPassword('Hello world!', crypt)]).toEqual([true, false]);
  });

  test.each([['$y$j9T$salt$digest', 'yescrypt'], ['$2b$10$abc', 'bcrypt'], ['$gy$x$y', 'gost-yescrypt'], ['abcdefghijklm', 'an unknown method'], ['$6$salt$short', 'an unknown method'], ['', 'an unknown method']])('%s is %s', (hash, name) => {
    expect(parseCrypt(hash)).toBe(name);
  });
});

const PASSWD = 'root:x:0:0:root:/root:/bin/bash\nrocky:x:1000:1000::/:/bin/bash\nops:x:1001:1001::/:/bin/bash\n';
const GROUP = 'root:x:0:\nwheel:x:10:rocky\nrocky:x:1000:\nops:x:1001:\n';
const MAIN = 'Defaults   !visiblepw\nDefaults    env_keep =  "COLORS DISPLAY HOSTNAME"\nDefaults    env_keep += "MAIL PS1"\nDefaults secure_path = /sbin:/bin:/usr/sbin:/usr/bin\nroot\tALL=(ALL) \tALL\n';
const END = '#includedir /etc/sudoers.d\n';
const rule = (text: string): string => `${MAIN}${text}\n${END}`;
/** What /etc/sudoers says, and what is in /etc/sudoers.d. */
const CASES: Record<string, Record<string, string | { content: string; mode?: number; uid?: number; gid?: number }>> = {
  'nobody may': { main: rule('') },
  'with a password': { main: rule('rocky ALL=(ALL) ALL') },
  'without': { main: rule('rocky ALL=(ALL) NOPASSWD: ALL') },
  'the group': { main: rule('%wheel ALL=(ALL) NOPASSWD: ALL # all of them') },
  'the last rule counts': { main: rule('rocky ALL=(ALL) NOPASSWD: ALL\n%wheel ALL=(ALL) ALL') },
  'the last rule of the included files counts': { main: rule('rocky ALL=(ALL) ALL'), '90-a': 'rocky ALL=(ALL) NOPASSWD:ALL\n' },
  'files in the order of their names': { main: rule(''), '10-x': '%wheel ALL=(ALL) ALL\n', '9-y': 'rocky ALL=(ALL) NOPASSWD:ALL\n' },
  'a file with a dot': { main: rule('rocky ALL=(ALL) ALL'), '90.a': 'rocky ALL=(ALL) NOPASSWD:ALL\n' },
  'a file that ends in ~': { main: rule('rocky ALL=(ALL) ALL'), '90~': 'rocky ALL=(ALL) NOPASSWD:ALL\n' },
  'a file that everybody can write': { main: rule('rocky ALL=(ALL) ALL'), '90': { content: 'rocky ALL=(ALL) NOPASSWD:ALL\n', mode: 0o666 } },
  'a file that a group can write': { main: rule('rocky ALL=(ALL) ALL'), '90': { content: 'rocky ALL=(ALL) NOPASSWD:ALL\n', mode: 0o664, gid: 1001 } },
  'a file that root\'s group can write': { main: rule('rocky ALL=(ALL) ALL'), '90': { content: 'rocky ALL=(ALL) NOPASSWD:ALL\n', mode: 0o664 } },
  'a file of somebody else': { main: rule('rocky ALL=(ALL) ALL'), '90': { content: 'rocky ALL=(ALL) NOPASSWD:ALL\n', uid: 1001 } },
  'a file that everybody can read': { main: rule('rocky ALL=(ALL) ALL'), '90': { content: 'rocky ALL=(ALL) NOPASSWD:ALL\n', mode: 0o644 } },
  'the new include': { main: `${MAIN}@includedir /etc/sudoers.d\n`, '90': 'rocky ALL=(ALL) NOPASSWD:ALL\n' },
  'include in the middle': { main: `${MAIN}@includedir /etc/sudoers.d\nrocky ALL=(ALL) ALL\n`, '90': 'rocky ALL=(ALL) NOPASSWD:ALL\n' },
  'one file': { main: `${MAIN}#include /etc/sudoers.d/one\n`, one: 'rocky ALL=(ALL) NOPASSWD:ALL\n' },
  'no include': { main: MAIN, '90': 'rocky ALL=(ALL) NOPASSWD:ALL\n' },
  'aliases': { main: rule('User_Alias ADMINS = ops, %wheel : OTHERS = nobody\nCmnd_Alias ALLES = ALL\nRunas_Alias GODS = root\nHost_Alias HERE = ALL\nADMINS HERE = (GODS) NOPASSWD: ALLES') },
  'negation of a user': { main: rule('ALL, !rocky ALL=(ALL) NOPASSWD: ALL') },
  'negation, then the user': { main: rule('!ops, ALL ALL=(ALL) NOPASSWD: ALL') },
  'an alias negated': { main: rule('User_Alias BAD = rocky\nALL, !BAD ALL=(ALL) NOPASSWD: ALL') },
  'by number': { main: rule('#1000 ALL=(ALL) NOPASSWD: ALL') },
  'by the number of the group': { main: rule('%#10 ALL=(ALL) NOPASSWD: ALL') },
  'another host': { main: rule('rocky elsewhere=(ALL) NOPASSWD: ALL') },
  'this host': { main: rule(`rocky ${hostname().split('.')[0]} = (ALL) NOPASSWD: ALL`) },
  'two hosts in a rule': { main: rule('rocky elsewhere = (ALL) ALL : ALL = (ALL) NOPASSWD: ALL') },
  'as somebody else': { main: rule('rocky ALL=(ops) NOPASSWD: ALL') },
  'no list of users is root': { main: rule('rocky ALL= NOPASSWD: ALL') },
  'groups only': { main: rule('rocky ALL=(:ops) NOPASSWD: ALL') },
  'all but root': { main: rule('rocky ALL=(ALL, !root) NOPASSWD: ALL') },
  'tags go on': { main: rule('rocky ALL=(ALL) NOPASSWD: /bin/ls, ALL') },
  'tags change': { main: rule('rocky ALL=(ALL) NOPASSWD: /bin/ls, PASSWD: ALL') },
  'several tags': { main: rule('rocky ALL=(ALL) NOPASSWD:SETENV: ALL') },
  'a list of users goes on': { main: rule('rocky ALL=(ops) /bin/ls, (root) NOPASSWD: /bin/sh') },
  'the shell by name': { main: rule('rocky ALL=(ALL) NOPASSWD: /bin/sh, /usr/bin/sh') },
  'the shell with other arguments': { main: rule('rocky ALL=(ALL) NOPASSWD: /bin/sh /opt/script, /usr/bin/sh /opt/script') },
  'the shell by a pattern': { main: rule('rocky ALL=(ALL) NOPASSWD: /bin/s?, /usr/bin/s[h], /usr/bin/s*') },
  'a directory': { main: rule('rocky ALL=(ALL) NOPASSWD: /bin/, /usr/bin/') },
  'all but the shell': { main: rule('rocky ALL=(ALL) NOPASSWD: ALL, !/bin/sh, !/usr/bin/sh') },
  'the shell forbidden and allowed again': { main: rule('rocky ALL=(ALL) NOPASSWD: !/bin/sh, !/usr/bin/sh, ALL') },
  'other commands last': { main: rule('rocky ALL=(ALL) NOPASSWD: ALL\nrocky ALL=(ALL) PASSWD: /usr/bin/reboot') },
  'nobody is asked': { main: rule('Defaults !authenticate\nrocky ALL=(ALL) ALL') },
  'rocky is not asked': { main: rule('Defaults:rocky !authenticate\nrocky ALL=(ALL) ALL') },
  'ops is not asked': { main: rule('Defaults:ops !authenticate\nrocky ALL=(ALL) ALL') },
  'asked all the same': { main: rule('Defaults !authenticate\nrocky ALL=(ALL) PASSWD: ALL') },
  'a terminal': { main: rule('Defaults requiretty\nrocky ALL=(ALL) NOPASSWD: ALL') },
  'a terminal, but not for rocky': { main: rule('Defaults requiretty\nDefaults:rocky !requiretty\nrocky ALL=(ALL) NOPASSWD: ALL') },
  'a terminal again': { main: rule('Defaults:rocky !requiretty\nDefaults requiretty\nrocky ALL=(ALL) NOPASSWD: ALL') },
  'a terminal for the group, with more': { main: rule('Defaults:%wheel !lecture, requiretty, passprompt="Word, please: "\nrocky ALL=(ALL) NOPASSWD: ALL') },
  'a terminal for others': { main: rule('Defaults:ops,nobody requiretty\nrocky ALL=(ALL) NOPASSWD: ALL') },
  'a terminal for another command': { main: rule('Defaults!/usr/bin/reboot requiretty\nrocky ALL=(ALL) NOPASSWD: ALL') },
  'lines go on': { main: rule('rocky ALL = \\\n  (ALL) \\\n  NOPASSWD: ALL') },
  'a line that is none': { main: rule('rocky ALL\nrocky ALL=(ALL) NOPASSWD: ALL') },
  'spaces everywhere': { main: rule('rocky , ops   ALL = ( ALL : ALL )   NOPASSWD :   ALL') },
  'quotes': { main: rule('"rocky" ALL=(ALL) NOPASSWD: ALL') },
};

const canIsolate = hasProgram('unshare') && run('unshare', ['-m', 'true']).status === 0;
if (!canIsolate) process.stderr.write('skipped: sudo in a mount namespace of its own (needs the right to unshare)\n');

describe.skipIf(!canIsolate)('sudo', () => {
  needs('sudo', 'setpriv', 'setsid').each(Object.entries(CASES))('%s', (_, files) => {
    const seeds: Files = { '/etc/passwd': PASSWD, '/etc/group': GROUP, '/etc/sudoers': { content: files.main as string, mode: 0o440 } };
    for (const [name, file] of Object.entries(files)) if (name !== 'main') Object.assign(seeds, { [`/etc/sudoers.d/${name}`]: typeof file === 'string' ? { content: file, mode: 0o440 } : { mode: 0o440, ...file } });
    const node = memoryNode(seeds);
    const found = shellAsRoot(readSudoers(node), logins(node).find(({ name }) => name === 'rocky')!, hostname());
    const real = inDirectory((directory) => sudoItself(directory, files));
    expect(found.needsTerminal).toBe(real.needsTerminal);
    if (real.needsTerminal) return;
    expect([found.allowed, found.allowed && !found.needsPassword]).toEqual([real.allowed, real.runs]);
  });
});

/** sudo with these files in the place of this machine's, in a mount namespace: as rocky, without a terminal, and root's view of what rocky may. */
function sudoItself(directory: string, files: (typeof CASES)[string]): { needsTerminal: boolean; runs: boolean; allowed: boolean } {
  const place = (name: string, content: string, mode: number, uid = 0, gid = 0): void => {
    writeFileSync(join(directory, name), content);
    chownSync(join(directory, name), uid, gid);
    chmodSync(join(directory, name), mode);
  };
  mkdirSync(join(directory, 'sudoers.d'));
  place('passwd', PASSWD, 0o644);
  place('group', GROUP, 0o644);
  place('shadow', ['root', 'rocky', 'ops'].map((name) => `${name}:*:19000:0:99999:7:::\n`).join(''), 0o640);
  for (const [name, file] of Object.entries(files)) {
    const { content, mode = 0o440, uid, gid } = typeof file === 'string' ? { content: file } : file;
    place(name === 'main' ? 'sudoers' : `sudoers.d/${name}`, content, mode, uid, gid);
  }
  const inside = (script: string): ReturnType<typeof run> => run('unshare', ['-m', 'sh', '-c', `cd "$1" && for f in sudoers sudoers.d passwd group shadow; do mount --bind "$f" "/etc/$f" || exit 9; done; ${script}`, 'sh', directory]);
  const ran = inside('exec setsid -w setpriv --reuid=1000 --regid=1000 --init-groups sudo -n /bin/sh -c true </dev/null');
  const listed = inside('exec sudo -n -l -U rocky /bin/sh -c true');
  expect([ran.status, listed.status]).not.toContain(9);
  return { needsTerminal: /must have a tty/.test(ran.output), runs: ran.status === 0, allowed: ran.status === 0 || listed.status === 0 }; // where sudo wants a terminal it does not list either
}

describe('sshd', () => {
  const KEYWORDS = ['PubkeyAuthentication', 'PasswordAuthentication', 'KbdInteractiveAuthentication', 'UsePAM', 'PermitRootLogin', 'PermitEmptyPasswords', 'StrictModes', 'AuthorizedKeysFile', 'AllowUsers', 'DenyGroups'];
  const FILES: Record<string, Record<string, string>> = {
    'nothing said': { main: '' },
    'the first counts': { main: 'PasswordAuthentication no\nPasswordAuthentication yes\npasswordauthentication yes\n' },
    'included first': { main: 'Include D/*.conf\nPasswordAuthentication yes\nPubkeyAuthentication no\n', '10-a.conf': 'PasswordAuthentication no\n', '20-b.conf': 'PasswordAuthentication yes\nStrictModes no\n' },
    'included last': { main: 'PasswordAuthentication yes\nInclude D/*.conf\n', '10-a.conf': 'PasswordAuthentication no\nPermitRootLogin yes\n', '10-a.conf.rpmsave': 'StrictModes no\n', '.hidden.conf': 'PubkeyAuthentication no\n' },
    'one file by name': { main: 'Include D/x D/none\n', x: 'PermitEmptyPasswords yes\n' },
    'blocks': { main: 'Match User other\nPubkeyAuthentication no\nPasswordAuthentication no\nMatch all\nPermitRootLogin no\n' },
    'a block ends with its file': { main: 'Include D/*.conf\nPasswordAuthentication no\n', 'a.conf': 'Match Address 192.0.2.1\nPubkeyAuthentication no\n' },
    'included in a block': { main: 'Match User other\nInclude D/*.conf\nMatch all\nPermitRootLogin no\n', 'a.conf': 'PubkeyAuthentication no\n' },
    'spellings': { main: 'PasswordAuthentication=no\nUsePAM = yes # with PAM\n\tPermitRootLogin   without-password\nAuthorizedKeysFile "/etc/keys/%u" .ssh/authorized_keys\nChallengeResponseAuthentication no\n' },
    'lists grow': { main: 'AllowUsers a b\nAllowUsers c@192.0.2.*\nDenyGroups x\n' },
  };

  needs('sshd', 'ssh-keygen').each(Object.entries(FILES))('sshd -T: %s', (_, files) => {
    inDirectory((directory) => {
      run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(directory, 'key')]);
      mkdirSync(join(directory, 'd'));
      const seeds: Record<string, string> = {};
      for (const [name, text] of Object.entries(files)) {
        const path = name === 'main' ? join(directory, 'config') : join(directory, 'd', name);
        const content = text.replaceAll('D/', `${directory}/d/`);
        writeFileSync(path, content);
        seeds[name === 'main' ? '/etc/ssh/sshd_config' : path] = content;
      }
      const program = ['/usr/sbin/sshd', '/usr/bin/sshd'].find(hasProgram)!;
      const { output: text, status } = run(program, ['-T', '-h', join(directory, 'key'), '-f', join(directory, 'config')]);
      expect(status, text).toBe(0);
      const lines = text.split('\n').map((line) => line.split(' '));
      const settings = sshdSettings(memoryNode(seeds));
      for (const keyword of KEYWORDS) {
        const expected = lines.filter(([name]) => name === keyword.toLowerCase()).flatMap(([, ...words]) => words).join(' ').replace('without-password', 'prohibit-password');
        expect([keyword, settings.value(keyword)]).toEqual([keyword, expected.toLowerCase()]);
      }
    });
  });
});
