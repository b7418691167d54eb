/**
 * sudoers(5): who may run a shell as root, and whether a password or a terminal is asked for. The last rule that fits counts (sudoers(5), "SUDOERS FILE
 * FORMAT"), in lists the last member that fits. What cannot be read is left out, as sudo does since 1.9.3, and told.
 */
import type { Node } from '../node.js';
import { remembered } from '../remembered.js';
import { globFits } from './glob.js';

export interface SudoFile {
  readonly path: string;
  /** Why sudo passes over it; undefined: it is read. */
  readonly ignored: string | undefined;
}

export interface SudoRule {
  readonly users: readonly string[];
  readonly hosts: readonly string[];
  readonly runas: readonly string[];
  /** undefined: neither tag is there, and Defaults decide. */
  readonly nopasswd: boolean | undefined;
  readonly command: string;
}

/** A line "Defaults": for whom ("", ":user", "@host", ">runas", "!command") and what. */
export interface Default {
  readonly scope: string;
  readonly names: readonly string[];
  readonly settings: readonly string[];
}

export interface Sudoers {
  /** In the order in which sudo reads them. */
  readonly files: readonly SudoFile[];
  readonly rules: readonly SudoRule[];
  readonly defaults: readonly Default[];
  readonly aliases: ReadonlyMap<string, readonly string[]>;
  /** Lines that are no sudoers, "path: text". */
  readonly problems: readonly string[];
}

export interface Person {
  readonly name: string;
  readonly uid: number;
  /** Names and, with "#", numbers. */
  readonly groups: readonly string[];
}

interface Budget {
  left: number;
}

interface State extends Budget {
  readonly files: SudoFile[];
  readonly rules: SudoRule[];
  readonly defaults: Default[];
  readonly aliases: Map<string, readonly string[]>;
  readonly problems: string[];
}

const MAX_FILES = 256; // sudo itself stops at 128 in each other
const MAX_ALIASES = 32; // in each other
const LONGEST_LINE = 8192; // characters
const [MAX_RULES, MAX_PROBLEMS, MAX_STEPS] = [2000, 20, 100_000]; // steps: list members looked at for one question
const SHELLS = ['/bin/sh', '/usr/bin/sh']; // what Ansible's become runs
const TAGS = '(?:NO)?(?:PASSWD|EXEC|SETENV|LOG_INPUT|LOG_OUTPUT|FOLLOW|MAIL|INTERCEPT)';
const TAG = new RegExp(`^(${TAGS})\\s*:\\s*`);
const ENDS_IN_TAG = new RegExp(`(?:^|[\\s:=,)])${TAGS}\\s*$`);
const OPTION = /^(ROLE|TYPE|CWD|CHROOT|TIMEOUT|NOTBEFORE|NOTAFTER|APPARMOR_PROFILE|PRIVS|LIMITPRIVS)\s*=\s*("[^"]*"|\S+)\s*/;

export const readSudoers: (node: Node) => Sudoers = remembered((node) => {
  const state: State = { files: [], rules: [], defaults: [], aliases: new Map(), problems: [], left: MAX_FILES };
  readFile(node, '/etc/sudoers', state);
  return state;
});

export interface ShellAnswer {
  /** May run /bin/sh as root. */
  readonly allowed: boolean;
  readonly needsPassword: boolean;
  readonly needsTerminal: boolean;
}

export function shellAsRoot(sudoers: Sudoers, person: Person, host: string): ShellAnswer {
  const user = (one: string): boolean => isPerson(one, person);
  const budget: Budget = { left: MAX_STEPS };
  const fits = (list: readonly string[], isOne: (one: string) => boolean): boolean => inList(sudoers, list, isOne, budget) === true;
  const isHost = (one: string): boolean => one === 'ALL' || one === host || one === host.split('.')[0];
  const isRoot = (one: string): boolean => ['ALL', 'root', '#0'].includes(one);
  const own = sudoers.rules.filter(({ users, hosts, runas }) => fits(users, user) && fits(hosts, isHost) && fits(runas, isRoot));
  const deciding = own.map((rule) => ({ rule, allowed: inList(sudoers, [rule.command], isShell, budget) })).findLast(({ allowed }) => allowed !== undefined);
  const scopes: Readonly<Record<string, (one: string) => boolean>> = { ':': user, '@': isHost, '>': isRoot };
  const settings = sudoers.defaults.filter(({ scope, names }) => scope === '' || fits(names, scopes[scope] ?? (() => false))).flatMap((one) => one.settings);
  const flag = (name: string, initial: boolean): boolean => {
    const last = settings.findLast((setting) => setting === name || setting === `!${name}`);
    return last === undefined ? initial : last === name;
  };
  return {
    allowed: deciding?.allowed === true,
    needsPassword: deciding?.rule.nopasswd === undefined ? flag('authenticate', true) : !deciding.rule.nopasswd,
    needsTerminal: flag('requiretty', false),
  };
}

/** Of a list, the last member that fits decides: true, or false where it has a "!"; undefined when none does. */
function inList({ aliases }: Sudoers, list: readonly string[], isOne: (one: string) => boolean, budget: Budget): boolean | undefined {
  const look = (members: readonly string[], depth: number): boolean | undefined => {
    for (const written of members.toReversed()) {
      const bangs = /^[! ]*/.exec(written)![0];
      const name = written.slice(bangs.length);
      const inner = depth < MAX_ALIASES && budget.left-- > 0 ? aliases.get(name) : undefined;
      const found = inner ? look(inner, depth + 1) : isOne(name) || undefined;
      if (found !== undefined) return bangs.replaceAll(' ', '').length % 2 === 0 ? found : !found;
    }
    return undefined;
  };
  return look(list, 0);
}

function isPerson(one: string, { name, uid, groups }: Person): boolean {
  if (one === 'ALL' || one === name) return true;
  if (one.startsWith('%')) return groups.includes(one.slice(1).replace(/^:/, ''));
  return one === `#${uid}`;
}

/** "ALL", a path with patterns, or a directory; not with arguments of its own. */
function isShell(command: string): boolean {
  const [path, ...words] = command.replace(/^(sha\d+:\S+\s+)+/, '').split(/\s+/);
  if (path === undefined || path === 'ALL' || words.some((word) => word !== '*')) return path === 'ALL';
  return SHELLS.some((shell) => (path.endsWith('/') ? shell.slice(0, shell.lastIndexOf('/') + 1) === path : globFits(shell, path)));
}

function readFile(node: Node, path: string, state: State): void {
  const ignored = problemOf(node, path) ?? (state.left-- > 0 ? undefined : 'too many files include each other');
  state.files.push({ path, ignored });
  if (ignored !== undefined) return;
  for (const raw of node.text(path)!.replaceAll('\\\n', ' ').split('\n')) {
    if (raw.length > LONGEST_LINE || state.rules.length > MAX_RULES) state.problems.push(`${path}: more than is looked at`);
    else if (raw.trim() !== '') readLine(node, path, withoutComment(raw.replace(/\s+/g, ' ').trim()), state);
    if (state.problems.length > MAX_PROBLEMS) return;
  }
}

/** sudo reads files that belong to root and that nobody else can write (sudo_secure_file); "0440" is what visudo asks for. */
function problemOf(node: Node, path: string): string | undefined {
  const stat = node.stat(path);
  if (stat?.type !== 'file') return 'there is no such file';
  if (stat.uid !== 0) return `it belongs to uid ${stat.uid}, not to root`;
  if ((stat.mode & 0o002) !== 0) return `everybody can write it (mode 0${stat.mode.toString(8)})`;
  return (stat.mode & 0o020) !== 0 && stat.gid !== 0 ? `its group can write it (mode 0${stat.mode.toString(8)}, gid ${stat.gid})` : undefined;
}

/** "#include" is no comment, and neither is "#1000", a user by number. */
function withoutComment(text: string): string {
  if (/^[#@]include(dir)?\s/.test(text)) return text;
  const found = /^(?:"(?:[^"\\]|\\.)*"|\\.|#-?\d+(?=[\s,=:)]|$)|[^#"\\]|"|\\$)*/.exec(text);
  return found![0].trim();
}

function readLine(node: Node, path: string, line: string, state: State): void {
  if (line === '') return;
  const include = /^[#@]include(dir)?\s+"?([^"]+?)"?$/.exec(line);
  if (include) return readIncluded(node, path, include[2]!, include[1] !== undefined, state);
  const read = /^Defaults\b/.test(line) ? readDefaults : /^(User|Runas|Host|Cmnd|Cmd)_Alias\s/.test(line) ? readAliases : readRule;
  if (!read(line, state)) state.problems.push(`${path}: ${line.slice(0, 80)}`);
}

function readIncluded(node: Node, from: string, written: string, isDirectory: boolean, state: State): void {
  const name = written.replaceAll('\\', '').trim();
  const path = name.startsWith('/') ? name : `${from.slice(0, from.lastIndexOf('/'))}/${name}`;
  if (!isDirectory) return readFile(node, path, state);
  for (const one of node.names(path)) {
    if (!/~$|\./.test(one)) readFile(node, `${path}/${one}`, state);
    else state.files.push({ path: `${path}/${one}`, ignored: one.endsWith('~') ? 'its name ends in "~"' : 'its name has a "."' });
  }
}

function readDefaults(line: string, state: State): boolean {
  const found = /^Defaults(?:([:@>!])\s*((?:[^\s,]+(?:\s*,\s*[^\s,]+)*)))?\s+(.+)$/.exec(line);
  if (!found) return false;
  const settings = split(found[3]!, ',').map((setting) => setting.replace(/\s*([+-]?=)\s*/, '$1').replace(/^!\s+/, '!'));
  state.defaults.push({ scope: found[1] ?? '', names: split(found[2] ?? '', ','), settings });
  return true;
}

function readAliases(line: string, state: State): boolean {
  return split(line.replace(/^\w+\s+/, ''), ':').every((one) => {
    const found = /^([A-Z][A-Z0-9_]*)\s*=\s*(.+)$/.exec(one);
    if (found) state.aliases.set(found[1]!, split(found[2]!, ','));
    return found !== null;
  });
}

/** "users hosts = commands : hosts = commands". A runas list and tags hold for the commands after them too. */
function readRule(line: string, state: State): boolean {
  const [first = '', ...others] = split(line, ':', (part) => part.includes('=') && !ENDS_IN_TAG.test(part));
  const [users, hosts, ...rest] = split(first.slice(0, Math.max(0, first.indexOf('='))).replace(/ ?, ?/g, ','), ' ');
  if (users === undefined || hosts === undefined || rest.length > 0) return false;
  const names = split(users, ',').map((one) => one.replace(/^([!\s]*)"(.*)"$/, '$1$2'));
  return [`${hosts} ${first.slice(first.indexOf('='))}`, ...others].every((part) => {
    const equals = part.indexOf('=');
    const [on, commands] = [split(part.slice(0, Math.max(0, equals)), ','), split(part.slice(equals + 1), ',')];
    if (on.length === 0 || commands.length === 0) return false;
    readCommands(names, on, commands, state);
    return true;
  });
}

function readCommands(users: readonly string[], hosts: readonly string[], commands: readonly string[], state: State): void {
  let runas: readonly string[] = ['root'];
  let nopasswd: boolean | undefined;
  for (const written of commands) {
    let rest = written;
    const list = /^\(([^)]*)\)\s*/.exec(rest);
    if (list) {
      runas = runasUsers(list[1]!);
      rest = rest.slice(list[0].length);
    }
    for (let tag = TAG.exec(rest) ?? OPTION.exec(rest); tag; tag = TAG.exec(rest) ?? OPTION.exec(rest)) {
      if (/PASSWD$/.test(tag[1]!)) nopasswd = tag[1] === 'NOPASSWD';
      rest = rest.slice(tag[0].length);
    }
    state.rules.push({ users, hosts, runas, nopasswd, command: rest });
  }
}

/** "(users : groups)": without users the command runs as the caller. */
function runasUsers(list: string): string[] {
  return split(list.split(':')[0]!, ',');
}

/** Split outside of quotes, parentheses and backslashes; a part that `isWhole` refuses is joined with the next. */
function split(text: string, separator: string, isWhole: (part: string) => boolean = () => true): string[] {
  const parts: string[] = [];
  let part = '';
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|\([^)]*\)|\\.|[^]/g)) {
    if (token === separator && isWhole(part)) {
      parts.push(part.trim());
      part = '';
    } else part += token;
  }
  return [...parts, part.trim()].filter((one) => one !== '');
}
