import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { userStep, withKey } from '../../src/steps/user.js';
import { memoryTree, testTime, textOf, touched, type Seed } from '../support/memory-tree.js';
import { needs, output, run } from '../support/oracle.js';
import { applyTwice } from './support.js';

const context = { directory: '/' };
const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';
const hash = `$6$saltsalt$${'a'.repeat(86)}`;
const today = Math.floor(testTime.seconds / 86400);
const rocky: Record<string, string | Seed> = {
  '/etc/passwd': 'root:x:0:0:root:/root:/bin/bash\nchrony:x:996:993::/var/lib/chrony:/sbin/nologin\nrocky:x:1000:1000:Rocky Linux default user:/home/rocky:/bin/bash\n',
  '/etc/shadow': { content: `root:!locked::0:99999:7:::\nchrony:!!:19490::::::\nrocky:${hash}:19490:0:99999:7:::\n`, mode: 0 },
  '/etc/group': 'root:x:0:\nwheel:x:10:rocky\nchrony:x:993:\nrocky:x:1000:\n',
  '/etc/gshadow': { content: 'root:::\nwheel:::rocky\nchrony:!::\nrocky:!::\n', mode: 0 },
  '/etc/subuid': 'rocky:100000:65536\n',
  '/etc/subgid': 'rocky:100000:65536\n',
  '/etc/login.defs': 'UID_MIN                  1000\nUID_MAX                 60000\nGID_MIN 1000\nGID_MAX 60000\nHOME_MODE       0700\nPASS_MAX_DAYS   99999\n',
  '/etc/default/useradd': 'GROUP=100\nHOME=/home\nSHELL=/bin/bash\n',
  '/etc/skel/.bashrc': '# rc\n',
  '/etc/skel/.config/x': { content: 'x', mode: 0o600 },
  '/etc/skel/link': { target: '.bashrc' },
  '/etc/sudoers': '## Rocky\n#includedir /etc/sudoers.d\n',
  '/etc/sudoers.d': { directory: true, mode: 0o750 },
  '/home/rocky': { directory: true, mode: 0o700, uid: 1000, gid: 1000 },
  '/bin/bash': { content: '', mode: 0o755 },
};

test('a new user, as useradd -m -U makes one', async () => {
  const tree = memoryTree(rocky);
  const options = { name: 'kube', comment: 'Kübe', groups: ['wheel'], authorized_keys: [`${key} me@laptop`, `${key} again`], sudo: 'nopasswd' };
  expect(await applyTwice(userStep, tree, options)).toEqual([]);
  expect(textOf(tree, '/etc/passwd')).toBe(`${rocky['/etc/passwd'] as string}kube:x:1001:1001:Kübe:/home/kube:/bin/bash\n`);
  expect(textOf(tree, '/etc/shadow')!.split('\n').at(-2)).toBe(`kube:!!:${today}:0:99999:7:::`);
  expect(textOf(tree, '/etc/group')).toBe('root:x:0:\nwheel:x:10:rocky,kube\nchrony:x:993:\nrocky:x:1000:\nkube:x:1001:\n');
  expect(textOf(tree, '/etc/gshadow')).toBe('root:::\nwheel:::rocky,kube\nchrony:!::\nrocky:!::\nkube:!::\n');
  expect(textOf(tree, '/etc/subuid')).toBe('rocky:100000:65536\nkube:165536:65536\n');
  expect(textOf(tree, '/etc/subgid')).toBe('rocky:100000:65536\nkube:165536:65536\n');
  expect(tree.stat('/etc/shadow')).toMatchObject({ mode: 0, uid: 0 });
  const owner = { uid: 1001, gid: 1001 };
  expect(tree.stat('/home/kube')).toMatchObject({ mode: 0o700, ...owner });
  expect(tree.stat('/home/kube/.config/x')).toMatchObject({ mode: 0o600, ...owner });
  expect(tree.stat('/home/kube/link')).toMatchObject({ type: 'symlink', ...owner });
  expect(tree.stat('/home/kube/.ssh')).toMatchObject({ mode: 0o700, ...owner });
  expect(tree.stat('/home/kube/.ssh/authorized_keys')).toMatchObject({ mode: 0o600, ...owner });
  expect(textOf(tree, '/home/kube/.ssh/authorized_keys')).toBe(`${key} me@laptop\n`);
  expect(textOf(tree, '/etc/sudoers.d/90-rockberry-kube')).toBe('kube ALL=(ALL) NOPASSWD: ALL\n');
  expect(tree.stat('/etc/sudoers.d/90-rockberry-kube')).toMatchObject({ mode: 0o440, uid: 0, gid: 0 });
});

const oldest = `rocky:${hash}:19490:0:99999:7:::`;
test.each([
  ['nothing asked', {}, oldest],
  ['lock', { lock: true }, `rocky:!${hash}:${today}:0:99999:7:::`],
  ['not locked already', { lock: false }, oldest],
  ['the same hash', { password_hash: hash }, oldest],
  ['a new hash', { password_hash: hash.replaceAll('a', 'b') }, `rocky:${hash.replaceAll('a', 'b')}:${today}:0:99999:7:::`],
  ['a new hash, locked', { password_hash: hash, lock: true }, `rocky:!${hash}:${today}:0:99999:7:::`],
])('password of an existing user: %s', async (_, options, line) => {
  const tree = memoryTree({ ...rocky, '/root/.ssh/authorized_keys': key }); // so that a lock shuts nobody out
  expect(await applyTwice(userStep, tree, { name: 'rocky', ...options })).toEqual([]);
  expect(textOf(tree, '/etc/shadow')!.split('\n')[2]).toBe(line);
});

const other = 'root:x:0:0:root:/root:/bin/bash\nrocky:x:1000:1000::/home/rocky:/bin/bash\nops:x:1001:1001::/home/ops:/bin/bash\n';
test.each<[string, string | undefined, Record<string, string | Seed>]>([
  ['nobody else', 'user-locked-out', {}],
  ['a user with a password', undefined, { '/etc/passwd': other, '/etc/shadow': `rocky:${hash}:1::::::\nops:${hash}:1::::::\n` }],
  ['a user with a locked password', 'user-locked-out', { '/etc/passwd': other, '/etc/shadow': `rocky:${hash}:1::::::\nops:!${hash}:1::::::\n` }],
  ['a user without a password', 'user-locked-out', { '/etc/passwd': other, '/etc/shadow': `rocky:${hash}:1::::::\nops::1::::::\n` }],
  ['a user with a password and no shell', 'user-locked-out', { '/etc/passwd': other.replace('/home/ops:/bin/bash', '/home/ops:/sbin/nologin'), '/etc/shadow': `rocky:${hash}:1::::::\nops:${hash}:1::::::\n` }],
  ['a key of their own', undefined, { '/home/rocky/.ssh/authorized_keys': `# mine\n${key}\n` }],
  ['a file without a key', 'user-locked-out', { '/home/rocky/.ssh/authorized_keys': '# none\n' }],
  ['cloud-init, which brings users at the first boot', undefined, { '/usr/lib/systemd/system/cloud-init.service': '[Unit]\n' }],
])('a lock that would leave %s is %s', async (_, id, changed) => {
  const tree = memoryTree({ ...rocky, ...changed });
  expect((await applyTwice(userStep, tree, { name: 'rocky', lock: true })).map((finding) => finding.id)).toEqual(id === undefined ? [] : [id]);
});

test('create: false leaves an image without the user alone', async () => {
  const tree = memoryTree(rocky);
  expect(await applyTwice(userStep, tree, { name: 'pi', create: false, lock: true, groups: ['no-such-group'] })).toEqual([]);
  expect(touched(tree)).toEqual([]);
});

test.each([['!!', false, '!!'], ['!!', true, '!!'], ['', true, '!!'], ['', undefined, ''], [`!${hash}`, false, hash], [`!${hash}`, undefined, `!${hash}`], ['*', true, '!*']])(
  'password field %j with lock %j becomes %j', async (before, lock, after) => {
    const tree = memoryTree({ ...rocky, '/etc/shadow': `rocky:${before}:19490:0:99999:7:::\n` });
    await applyTwice(userStep, tree, { name: 'rocky', ...(lock !== undefined && { lock }) });
    expect(textOf(tree, '/etc/shadow')!.split(':')[1]).toBe(after);
  });

test('an existing user keeps what is not named; only what changes is touched', async () => {
  const tree = memoryTree(rocky);
  await applyTwice(userStep, tree, { name: 'rocky', comment: 'me' });
  expect(touched(tree)).toEqual(['changed /etc/passwd']);
  expect(textOf(tree, '/etc/passwd')).toContain('rocky:x:1000:1000:me:/home/rocky:/bin/bash\n');
});

test('root: keys without a home to make, no subordinate numbers', async () => {
  const tree = memoryTree({ ...rocky, '/root': { directory: true, mode: 0o550 } });
  expect(await applyTwice(userStep, tree, { name: 'root', authorized_keys: [key] })).toEqual([]);
  expect(touched(tree)).toEqual(['created /root/.ssh', 'created /root/.ssh/authorized_keys']);
});

test('names with a dot get a sudoers file that sudo reads; false removes it', async () => {
  const tree = memoryTree(rocky);
  expect((await applyTwice(userStep, tree, { name: 'a.b', sudo: 'password' })).map(({ id }) => id)).toEqual(['user-sudo-password']);
  expect(textOf(tree, '/etc/sudoers.d/90-rockberry-a_b')).toBe('a.b ALL=(ALL) ALL\n');
  expect(await applyTwice(userStep, tree, { name: 'a.b', sudo: false })).toEqual([]);
  expect(tree.stat('/etc/sudoers.d/90-rockberry-a_b')).toBeUndefined();
});

test('numbers that are asked for; a group of the same name is used', async () => {
  const tree = memoryTree({ ...rocky, '/etc/group': 'wheel:x:10:\nkube:x:500:\n' });
  expect(await applyTwice(userStep, tree, { name: 'kube', uid: 1500 })).toEqual([]);
  expect(textOf(tree, '/etc/passwd')).toContain('kube:x:1500:500::/home/kube:/bin/bash\n');
});

test.each([
  ['uid in use', { name: 'kube', uid: 1000 }, 'profile', 'uid 1000 in use by rocky'],
  ['unknown group', { name: 'kube', groups: ['weel'] }, 'profile', '"weel"'],
  ['another uid for an existing user', { name: 'rocky', uid: 5 }, 'refused', 'found 1000'],
])('%s is an error and changes nothing', (_, options, code, message) => {
  const tree = memoryTree(rocky);
  expect(() => userStep.apply(tree, userStep.schema.parse(options), context)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  expect(touched(tree)).toEqual([]);
});

test.each([
  ['appended', 'a b\n', `a b\n${key}\n`, key],
  ['no newline at the end', '# c', `# c\n${key}\n`, key],
  ['another comment stays', `${key} old\n`, `${key} old\n`, `${key} new`],
  ['other options replace', `${key} old\n`, `no-pty ${key}\n`, `no-pty ${key}`],
])('authorized_keys: %s', (_, before, after, line) => expect(withKey(before, line)).toBe(after));

test('verify sees what is missing', async () => {
  const tree = memoryTree(rocky);
  const findings = await userStep.verify(tree, { name: 'rocky', groups: ['chrony'], authorized_keys: [key], sudo: 'nopasswd', lock: true, shell: '/bin/zsh' }, context);
  expect(findings.map(({ subject }) => subject)).toEqual(['/etc/passwd', '/etc/group', '/etc/shadow', '/home/rocky/.ssh', '/home/rocky/.ssh/authorized_keys', '/home/rocky/.ssh/authorized_keys', '/etc/sudoers.d/90-rockberry-rocky']);
  expect(await userStep.verify(tree, { name: 'nobody' }, context)).toHaveLength(1);
});

test.each([
  { name: 'Root' }, { name: '1a' }, { name: 'a:b' }, { name: 'a', password_hash: 'hunter2' }, { name: 'a', password_hash: '$1$abc$0123456789012345678901' }, { name: 'a', comment: 'x:y' },
  { name: 'a', authorized_keys: ['-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA'] }, { name: 'a', home: '/home/../etc' }, { name: 'a', sudo: true }, { name: 'a', pasword: 'x' },
])('refuses %j without repeating a secret', (options) => {
  const parsed = userStep.schema.safeParse(options);
  expect(parsed.success).toBe(false);
  expect(JSON.stringify(parsed.error!.issues)).not.toMatch(/hunter2|AAAA/);
});

test.each([`$y$j9T$${'a'.repeat(22)}$${'b'.repeat(43)}`, `$2b$12$${'a'.repeat(53)}`, `$5$rounds=5000$salt$${'a'.repeat(43)}`])('takes the hash %s', (password_hash) => {
  expect(userStep.schema.safeParse({ name: 'a', password_hash }).success).toBe(true);
});

// useradd works in a directory (--prefix) only as root.
const useradd = process.getuid?.() === 0 ? needs('useradd') : test.skip;
useradd.each([
  ['as EL', {}, 'kube'],
  ['a gap in the numbers', { '/etc/passwd': 'a:x:1000:1000::/:/\nb:x:1005:1005::/:/\n', '/etc/subuid': 'a:100000:65536\nb:300000:65536\n' }, 'kube'],
  ['the number is taken among the groups', { '/etc/group': 'wheel:x:10:\nx:x:1001:\ny:x:1004:\n' }, 'kube'],
  ['nobody above the range', { '/etc/passwd': 'nobody:x:65534:65534::/:/\n' }, 'k-2'],
])('useradd makes the same lines: %s', async (_, changed, name) => {
  const files = { ...rocky, ...changed } as typeof rocky;
  const root = mkdtempSync(join(tmpdir(), 'rockberry-useradd-'));
  for (const [path, seed] of Object.entries(files)) {
    if (typeof seed !== 'string' && seed.content === undefined) continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), typeof seed === 'string' ? seed : seed.content!);
  }
  mkdirSync(join(root, 'home'), { recursive: true });
  const said = run('useradd', ['-P', root, '-m', '-U', '-G', 'wheel', '-c', 'A B', '-s', '/bin/bash', name]).output;
  const tree = memoryTree(files);
  await applyTwice(userStep, tree, { name, comment: 'A B', groups: ['wheel'], shell: '/bin/bash' });
  for (const path of ['/etc/passwd', '/etc/group', '/etc/gshadow', '/etc/subuid', '/etc/subgid']) expect(textOf(tree, path), `${path} ${said}`).toBe(readFileSync(join(root, path), 'utf8'));
  rmSync(root, { recursive: true });
});

needs('ssh-keygen')('ssh-keygen reads the keys', async () => {
  const tree = memoryTree(rocky);
  await applyTwice(userStep, tree, { name: 'rocky', authorized_keys: [`no-pty ${key} a`] });
  expect(output('ssh-keygen', ['-l', '-f', '-'], tree.read('/home/rocky/.ssh/authorized_keys')).toString()).toMatch(/^256 SHA256:\S+ a \(ED25519\)\n?$/);
});

needs('visudo')('visudo accepts the rule', async () => {
  const tree = memoryTree(rocky);
  await applyTwice(userStep, tree, { name: 'kube', sudo: 'nopasswd' });
  expect(run('visudo', ['-c', '-f', '-'], tree.read('/etc/sudoers.d/90-rockberry-kube'))).toMatchObject({ status: 0 });
});
