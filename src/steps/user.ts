/** A user of the node, created as EL's `useradd -m -U` does or updated, with groups, password, SSH keys and a sudo rule. */
import { RockberryError } from '../errors.js';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { readAccounts, readGroups, type Account } from './accounts.js';
import { addMember, addSubordinateIds, editRecord, findRecord, freeGid, freeUid, loginDefinitions, numberOf } from './accounts-edit.js';
import { makeParents, notAsAsked, readText, utf8, writeText } from './content.js';
import { didYouMean } from './nearest.js';
import { checkOwner, checkPlaced, namesIn, place, removeFile, type Placed } from './placed.js';
import { parsePublicKey } from './ssh-key.js';
import type { Step } from './step.js';
import { isInstalled } from './systemd.js';
import { userSchema, type UserOptions } from './user-options.js';

const DAY = 86_400; // seconds; shadow(5) counts in days
const SKELETON_DEPTH = 16; // directories

export const userStep: Step<UserOptions> = {
  key: 'user',
  summary: 'Creates or updates a user: groups, shell, password hash or lock, SSH keys, sudo.',
  schema: userSchema,
  describe: ({ name, groups = [], authorized_keys: keys = [], sudo, lock, password_hash: hash }) => [
    `user ${name}`, ...(groups.length ? [`groups ${groups.join(', ')}`] : []), ...(hash ? ['password set'] : []), ...(lock ? ['password locked'] : []),
    ...(keys.length ? [`${keys.length} SSH ${keys.length === 1 ? 'key' : 'keys'}`] : []), ...(sudo ? [sudo === 'nopasswd' ? 'sudo without password' : 'sudo with password'] : []),
  ].join(', '),
  apply(tree, options) {
    const existing = find(tree, options.name);
    if (!existing && options.create === false) return;
    (options.groups ?? []).forEach((group) => requireGroup(tree, group));
    if (existing) updateAccount(tree, existing, options);
    else createAccount(tree, options);
    setPassword(tree, options);
    const account = find(tree, options.name)!;
    (options.groups ?? []).forEach((group) => addMember(tree, group, account.name));
    if (account.uid >= numberOf(loginDefinitions(tree), 'UID_MIN', 1000)) addSubordinateIds(tree, account.name);
    if (!existing || options.authorized_keys) makeHome(tree, account);
    if (options.authorized_keys) addKeys(tree, account, options.authorized_keys);
    if (options.sudo) placeSudo(tree, options);
    else if (options.sudo === false) removeFile(tree, sudoFile(options).path);
  },
  verify(tree, options) {
    const account = find(tree, options.name);
    if (!account && options.create === false) return [];
    if (!account) return [wrong('/etc/passwd', `expected a user ${options.name} in /etc/passwd, found none`)];
    return [...checkAccount(tree, account, options), ...checkPassword(tree, options), ...checkKeys(tree, account, options.authorized_keys), ...checkSudo(tree, options), ...checkWayIn(tree, options)];
  },
};

function find(tree: Tree, name: string): Account | undefined {
  return readAccounts(tree).find((account) => account.name === name);
}

function requireGroup(tree: Tree, name: string): void {
  const names = readGroups(tree).map((group) => group.name);
  if (names.includes(name)) return;
  const hint = didYouMean(name, names, `the image has: ${names.join(', ')}`);
  throw new RockberryError('profile', `expected a group of the image, found "${name}", which is not in its /etc/group`, { hint });
}

function createAccount(tree: Tree, options: UserOptions): void {
  const { name } = options;
  const uid = options.uid ?? freeUid(tree);
  const taken = readAccounts(tree).find((account) => account.uid === uid);
  if (taken) throw new RockberryError('profile', `expected a free number for user ${name}, found uid ${uid} in use by ${taken.name}`, { hint: 'leave uid out to take the next free one' });
  const gid = primaryGroup(tree, name, uid, options.gid);
  const home = options.home ?? `${useraddDefault(tree, 'HOME') ?? '/home'}/${name}`;
  const shell = options.shell ?? useraddDefault(tree, 'SHELL') ?? '/bin/bash';
  editRecord(tree, '/etc/passwd', name, () => [name, 'x', String(uid), String(gid), utf8(options.comment ?? ''), utf8(home), utf8(shell)]);
}

/** The group of that number or, without one, of the user's name; made where there is none. */
function primaryGroup(tree: Tree, name: string, uid: number, wanted: number | undefined): number {
  const groups = readGroups(tree);
  const existing = groups.find((group) => (wanted === undefined ? group.name === name : group.gid === wanted));
  if (existing) return existing.gid;
  if (groups.some((group) => group.name === name)) throw new RockberryError('profile', `expected group ${name} with number ${wanted}, found it with another`, { hint: 'leave gid out' });
  const gid = wanted ?? freeGid(tree, uid);
  editRecord(tree, '/etc/group', name, () => [name, 'x', String(gid), '']);
  if (tree.stat('/etc/gshadow')) editRecord(tree, '/etc/gshadow', name, () => [name, '!', '', '']);
  return gid;
}

function useraddDefault(tree: Tree, key: string): string | undefined {
  return new RegExp(`^${key}=(/\\S*[^\\s/])\\s*$`, 'm').exec(readText(tree, '/etc/default/useradd') ?? '')?.[1];
}

/** Numbers and home stay: files on the image belong to them. */
function updateAccount(tree: Tree, account: Account, { uid, gid, home, comment, shell }: UserOptions): void {
  for (const [what, wanted, found] of [['uid', uid, account.uid], ['gid', gid, account.gid], ['home', home && utf8(home), account.home]] as const) {
    if (wanted === undefined || wanted === found) continue;
    throw new RockberryError('refused', `expected ${what} ${wanted} for user ${account.name}, found ${found} in the image's /etc/passwd`, { hint: `leave ${what} out, or give the user another name` });
  }
  editRecord(tree, '/etc/passwd', account.name, (fields) => [
    ...fields!.slice(0, 4), comment === undefined ? account.comment : utf8(comment), account.home, shell === undefined ? account.shell : utf8(shell),
  ]);
}

/** shadow(5). "!!" is EL's mark for "no password yet"; "!" in front of a hash locks it. */
function setPassword(tree: Tree, options: UserOptions): void {
  const definitions = loginDefinitions(tree);
  const number = (key: string, otherwise: number): string => String(numberOf(definitions, key, otherwise));
  const today = String(Math.floor(tree.time.seconds / DAY));
  editRecord(tree, '/etc/shadow', options.name, (fields) => {
    const password = passwordField(fields?.[1], options);
    if (fields) return fields[1] === password ? fields : [fields[0]!, password, today, ...fields.slice(3)];
    return [options.name, password, today, number('PASS_MIN_DAYS', 0), number('PASS_MAX_DAYS', 99999), number('PASS_WARN_AGE', 7), '', '', ''];
  });
}

function passwordField(current = '!!', { password_hash: hash, lock }: UserOptions): string {
  const plain = hash ?? current.replace(/^!+/, '');
  const isLocked = lock ?? (hash === undefined && current.startsWith('!'));
  if (hash === undefined && current.startsWith('!') && (isLocked || plain === '')) return current; // locked already, or no password to unlock
  if (!isLocked) return plain;
  return plain === '' ? '!!' : `!${plain}`;
}

/** The home directory with a copy of /etc/skel, unless it is there. */
function makeHome(tree: Tree, { home, uid, gid }: Account): void {
  if (tree.stat(tree.resolve(home))) return;
  makeParents(tree, home);
  const mode = numberOf(loginDefinitions(tree), 'HOME_MODE', 0o700);
  tree.makeDirectory(home, { mode, uid, gid });
  copySkeleton(tree, '/etc/skel', home, { uid, gid }, SKELETON_DEPTH);
}

function copySkeleton(tree: Tree, from: string, to: string, owner: { uid: number; gid: number }, depth: number): void {
  for (const name of depth > 0 ? namesIn(tree, from) : []) {
    const [source, target] = [`${from}/${name}`, `${to}/${name}`];
    const { type, mode } = tree.stat(source)!;
    if (type === 'symlink') tree.makeLink(target, tree.readLink(source), owner);
    else if (type === 'file') tree.write(target, tree.read(source), { mode, ...owner });
    else if (type === 'directory') {
      tree.makeDirectory(target, { mode, ...owner });
      copySkeleton(tree, source, target, owner, depth - 1);
    }
  }
}

function addKeys(tree: Tree, { home, uid, gid }: Account, keys: readonly string[]): void {
  const directory = `${home}/.ssh`;
  const file = `${directory}/authorized_keys`;
  tree.makeDirectory(directory, { mode: 0o700, uid, gid });
  writeText(tree, file, keys.reduce((text, key) => withKey(text, utf8(key.trim())), readText(tree, file) ?? ''), { mode: 0o600, uid, gid });
}

/** The key once: with another comment it stays as it is, with other options its line is replaced, because sshd takes the first line that fits. */
export function withKey(text: string, line: string): string {
  const wanted = parsePublicKey(line)!;
  const lines = text.split('\n');
  const at = lines.findIndex((one) => parsePublicKey(one)?.blob === wanted.blob);
  if (at < 0) return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`;
  return parsePublicKey(lines[at]!)!.options === wanted.options ? text : lines.with(at, line).join('\n');
}

/** sudoers(5): sudo passes over files with a "." in their name. */
function sudoFile({ name, sudo }: UserOptions): Placed {
  const rule = sudo === 'nopasswd' ? 'NOPASSWD: ALL' : 'ALL';
  return { path: `/etc/sudoers.d/90-rockberry-${name.replaceAll('.', '_')}`, text: `${name} ALL=(ALL) ${rule}\n`, mode: 0o440 };
}

function placeSudo(tree: Tree, options: UserOptions): void {
  if (!tree.stat('/etc/sudoers.d')) tree.makeDirectory('/etc/sudoers.d', { mode: 0o750 });
  place(tree, sudoFile(options));
}

function wrong(path: string, message: string): Finding {
  return notAsAsked('user', path, message);
}

function checkAccount(tree: Tree, account: Account, options: UserOptions): Finding[] {
  const fields = [['uid', options.uid, account.uid], ['gid', options.gid, account.gid], ['comment', options.comment && utf8(options.comment), account.comment],
    ['home', options.home, account.home], ['shell', options.shell, account.shell]] as const;
  const differing = fields.filter(([, wanted, found]) => wanted !== undefined && wanted !== found);
  const groups = readGroups(tree);
  const missing = (options.groups ?? []).filter((name) => !groups.find((group) => group.name === name)?.members.includes(account.name));
  const home = tree.stat(tree.resolve(account.home));
  return [
    ...differing.map(([what, wanted, found]) => wrong('/etc/passwd', `expected ${what} ${wanted} for user ${account.name}, found ${found}`)),
    ...missing.map((group) => wrong('/etc/group', `expected ${account.name} in the group ${group}, found it is not`)),
    ...(home?.type === 'directory' && home.uid === account.uid ? [] : [wrong(account.home, `expected a home directory that belongs to ${account.name} at ${account.home}, found ${home ? `a ${home.type} of uid ${home.uid}` : 'nothing'}`)]),
    ...(tree.stat(tree.resolve(account.shell)) ? [] : [{ severity: 'warning', id: 'user-shell', subject: account.shell, message: `expected the shell of ${account.name} at ${account.shell}, found nothing` } as const]),
  ];
}

function checkPassword(tree: Tree, { name, password_hash: hash, lock, sudo }: UserOptions): Finding[] {
  const found = findRecord(tree, '/etc/shadow', name)?.[1];
  if (found === undefined) return [wrong('/etc/shadow', `expected ${name} in /etc/shadow, found no such line`)];
  const isLocked = found.startsWith('!');
  const findings: Finding[] = [];
  if (hash !== undefined && found.replace(/^!/, '') !== hash) findings.push(wrong('/etc/shadow', `expected the given password hash for ${name}, found another`));
  if (lock !== undefined && lock !== isLocked && found !== '!!') findings.push(wrong('/etc/shadow', `expected the password of ${name} to be ${lock ? '' : 'un'}locked, found it is not`));
  if (sudo === 'password' && isLocked) findings.push({ severity: 'warning', id: 'user-sudo-password', subject: name, message: `expected ${name} to have a password for sudo to ask for, found it locked`, hint: 'set password_hash or use "sudo: nopasswd"' });
  return findings;
}

function checkKeys(tree: Tree, { name, home, uid, gid }: Account, keys: readonly string[] | undefined): Finding[] {
  if (!keys) return [];
  const file = `${home}/.ssh/authorized_keys`;
  const identity = (line: string): string => `${parsePublicKey(line)?.options} ${parsePublicKey(line)?.blob}`;
  const present = new Set((readText(tree, file) ?? '').split('\n').map(identity));
  const missing = keys.filter((key) => !present.has(identity(utf8(key))));
  return [
    ...checkOwner(tree, 'user', `${home}/.ssh`, { mode: 0o700, uid, gid }),
    ...checkOwner(tree, 'user', file, { mode: 0o600, uid, gid }),
    ...(missing.length ? [wrong(file, `expected ${keys.length} SSH keys for ${name} in ${file}, found ${missing.length} of them missing`)] : []),
  ];
}

function checkSudo(tree: Tree, options: UserOptions): Finding[] {
  const file = sudoFile(options);
  if (options.sudo === undefined) return [];
  if (options.sudo === false) return tree.stat(file.path) ? [wrong(file.path, `expected no sudo rule for ${options.name}, found ${file.path}`)] : [];
  const isIncluded = /^[#@]includedir\s+\/etc\/sudoers\.d\s*$/m.test(readText(tree, '/etc/sudoers') ?? '');
  const unread: Finding = { severity: 'warning', id: 'user-sudoers', subject: '/etc/sudoers', message: 'expected /etc/sudoers to include /etc/sudoers.d, found that it does not', hint: 'install sudo in the image' };
  return [...checkPlaced(tree, 'user', file), ...(isIncluded ? [] : [unread])];
}

/** A lock must not be the last door that closes: somebody has to have a key, or a password that is neither empty nor locked. */
function checkWayIn(tree: Tree, { name, lock }: UserOptions): Finding[] {
  if (lock !== true || isInstalled(tree, 'cloud-init.service') || readAccounts(tree).some((account) => canLogIn(tree, account))) return [];
  return [{
    severity: 'error', id: 'user-locked-out', subject: name, message: `expected somebody who can log in once the password of ${name} is locked, found no account with an SSH key or a password`,
    hint: 'give ssh_keys (and user) or password_hash, or add a user step of your own',
  }];
}

function canLogIn(tree: Tree, { name, home, shell }: Account): boolean {
  if (/\/(nologin|false)$/.test(shell)) return false;
  const password = findRecord(tree, '/etc/shadow', name)?.[1] ?? '';
  return (password !== '' && !/^[!*]/.test(password)) || (textOfKeys(tree, home)).split('\n').some((line) => parsePublicKey(line) !== undefined);
}

function textOfKeys(tree: Tree, home: string): string {
  const path = `${home}/.ssh/authorized_keys`;
  return tree.stat(tree.resolve(path))?.type === 'file' ? readText(tree, path)! : '';
}
