/** Who can log in to the node, by what, as passwd(5), shadow(5), group(5) and sshd say. */
import { readAccounts, readGroups } from '../steps/accounts.js';
import { publicKeyProblem } from '../steps/ssh-key.js';
import { acceptsPasswords, type SshdSettings } from './formats/sshd-config.js';
import { globFits } from './formats/glob.js';
import type { Node } from './node.js';
import { remembered } from './remembered.js';

export interface Login {
  readonly name: string;
  readonly uid: number;
  readonly home: string;
  /** Names, and numbers as "#10". */
  readonly groups: readonly string[];
  /** The field of shadow(5), or that of passwd(5) where it holds the hash itself; never to be shown. */
  readonly password: string;
}

export interface KeyFile {
  readonly path: string;
  /** Lines that sshd takes. */
  readonly keys: number;
  /** Numbers and faults of the others; they do not repeat the line. */
  readonly faults: readonly string[];
  /** Why sshd passes over the file (StrictModes); undefined: it reads it. */
  readonly refused: string | undefined;
}

const MOST = 100; // accounts with a shell; more are hostile or a mistake
const MOST_LINES = 1000; // of one file of keys

/** Accounts with a shell, in the order of /etc/passwd. */
export const logins: (node: Node) => readonly Login[] = remembered((node) => {
  const { tree } = node;
  const groups = readGroups(tree);
  const plain = new Map((node.text('/etc/passwd') ?? '').split('\n').map((line) => line.split(':')).map(([name, password]) => [name, password] as const));
  const shadow = new Map((node.text('/etc/shadow') ?? '').split('\n').map((line) => line.split(':')).map(([name, password]) => [name, password] as const));
  const withShell = readAccounts(tree).filter(({ shell }) => !/\/(nologin|false|sync|shutdown|halt)$/.test(shell));
  return withShell.slice(0, MOST).map(({ name, uid, gid, home }) => {
    const own = groups.filter((group) => group.gid === gid || group.members.includes(name));
    const field = plain.get(name) ?? '';
    const numbers = [gid, ...own.map((group) => group.gid)].map((number) => `#${number}`);
    return { name, uid, home, groups: [...own.map((group) => group.name), ...numbers], password: field === 'x' ? (shadow.get(name) ?? '!') : field };
  });
});

/** shadow(5): "!" or "*" in front is no hash of anything. */
export function isLocked({ password }: Login): boolean {
  return /^[!*]/.test(password);
}

/** Whether sshd lets that user in at all: AllowUsers and its kin, PermitRootLogin, and without PAM the lock of the password. */
export function isAdmitted(settings: SshdSettings, login: Login, by: 'key' | 'password'): boolean {
  const { name, uid, groups } = login;
  const named = (keyword: string, names: readonly string[]): boolean => settings.words(keyword).some((pattern) => names.some((one) => globFits(one, pattern.split('@')[0]!)));
  if (named('DenyUsers', [name]) || named('DenyGroups', groups)) return false;
  if (settings.words('AllowUsers').length > 0 && !named('AllowUsers', [name])) return false;
  if (settings.words('AllowGroups').length > 0 && !named('AllowGroups', groups)) return false;
  if (isLocked(login) && settings.value('UsePAM') !== 'yes') return false;
  const rootMay = settings.value('PermitRootLogin');
  return uid !== 0 || rootMay === 'yes' || (by === 'key' && rootMay === 'prohibit-password');
}

/** Whether a key opens: there is one that sshd takes, in a file that it reads. */
export function hasKey(node: Node, settings: SshdSettings, login: Login): boolean {
  if (settings.value('PubkeyAuthentication') !== 'yes' || !isAdmitted(settings, login, 'key')) return false;
  return keyFiles(node, settings, login).some(({ keys, refused }) => keys > 0 && refused === undefined);
}

export function hasPassword(settings: SshdSettings, login: Login): boolean {
  const isEmpty = login.password === '';
  return acceptsPasswords(settings) && isAdmitted(settings, login, 'password') && !isLocked(login) && (!isEmpty || settings.value('PermitEmptyPasswords') === 'yes');
}

/** The files of AuthorizedKeysFile that are there. */
export function keyFiles(node: Node, settings: SshdSettings, login: Login): KeyFile[] {
  const paths = settings.words('AuthorizedKeysFile').filter((word) => word.toLowerCase() !== 'none').map((word) => {
    const named = word.replaceAll('%h', login.home).replaceAll('%u', login.name).replaceAll('%U', String(login.uid)).replaceAll('%%', '%');
    return named.startsWith('/') ? named : `${login.home.replace(/\/+$/, '')}/${named}`;
  });
  return [...new Set(paths)].flatMap((path) => {
    const text = node.text(path);
    return text === undefined ? [] : [readKeys(node, settings, login, path, text)];
  });
}

function readKeys(node: Node, settings: SshdSettings, login: Login, path: string, text: string): KeyFile {
  const lines = text.split('\n').slice(0, MOST_LINES).map((line, at) => ({ line: line.trim(), number: at + 1 })).filter(({ line }) => line !== '' && !line.startsWith('#'));
  const faults = lines.flatMap(({ line, number }) => {
    const problem = publicKeyProblem(line);
    return problem === undefined ? [] : [`line ${number}: ${problem}`];
  });
  return { path, keys: lines.length - faults.length, faults, refused: settings.value('StrictModes') === 'no' ? undefined : refusal(node, login, path) };
}

/** safe_path of OpenSSH's misc.c: the file and every directory up to the home belong to the user or root, and nobody else may write them. */
function refusal(node: Node, { home, uid }: Login, file: string): string | undefined {
  const top = home.replace(/\/+$/, '');
  const parts = file.startsWith(`${top}/`) ? file.slice(top.length).split('/') : [''];
  const paths = parts.map((_, at) => (top !== '' && file.startsWith(`${top}/`) ? top + parts.slice(0, at + 1).join('/') : file));
  for (const path of paths.reverse()) {
    const stat = node.stat(path);
    if (!stat) continue;
    if (stat.uid !== 0 && stat.uid !== uid) return `${path} belongs to uid ${stat.uid}`;
    if ((stat.mode & 0o022) !== 0) return `others can write ${path} (mode 0${stat.mode.toString(8)})`;
  }
  return undefined;
}
