/** sshd_config(5): the first value of a keyword counts, files of Include in the place of the line, conditional Match blocks left out. */
import type { Node } from '../node.js';
import { remembered } from '../remembered.js';
import { globFits } from './glob.js';

export interface SshdSettings {
  /** The value in force, in lower case where sshd does not care; sshd's default when no file says it. */
  value(keyword: string): string;
  /** Every word of every line, for lists that grow (AllowUsers); of the first line for the others. */
  words(keyword: string): readonly string[];
}

/** Of OpenSSH 8.7, as EL9 has it (servconf.c, fill_default_server_options). */
const DEFAULTS: Readonly<Record<string, string>> = {
  pubkeyauthentication: 'yes', passwordauthentication: 'yes', kbdinteractiveauthentication: 'yes', usepam: 'no', permitrootlogin: 'prohibit-password', permitemptypasswords: 'no',
  strictmodes: 'yes', authorizedkeysfile: '.ssh/authorized_keys .ssh/authorized_keys2', authorizedkeyscommand: 'none',
};
const SYNONYMS: Readonly<Record<string, string>> = {
  challengeresponseauthentication: 'kbdinteractiveauthentication', skeyauthentication: 'kbdinteractiveauthentication', dsaauthentication: 'pubkeyauthentication',
};
const GROWING = ['allowusers', 'denyusers', 'allowgroups', 'denygroups'];
const MAX_FILES = 256; // with all that include each other; sshd itself stops at 16 in each other
const FOLDER = '/etc/ssh';

export const sshdSettings: (node: Node) => SshdSettings = remembered((node) => {
  const found = new Map<string, string[]>();
  read(node, `${FOLDER}/sshd_config`, found, { left: MAX_FILES });
  const words = (keyword: string): readonly string[] => found.get(keyword.toLowerCase()) ?? (DEFAULTS[keyword.toLowerCase()] ?? '').split(' ').filter((word) => word !== '');
  return { words, value: (keyword) => words(keyword).join(' ').toLowerCase().replace('without-password', 'prohibit-password') };
});

/** Whether a password opens the door, by its own method or through PAM. */
export function acceptsPasswords(settings: SshdSettings): boolean {
  return settings.value('PasswordAuthentication') === 'yes' || (settings.value('KbdInteractiveAuthentication') === 'yes' && settings.value('UsePAM') === 'yes');
}

interface Budget {
  left: number;
}

function read(node: Node, path: string, found: Map<string, string[]>, files: Budget): void {
  const text = files.left-- > 0 ? node.text(path) : undefined;
  let isConditional = false;
  for (const line of (text ?? '').split('\n')) {
    const [written, ...values] = wordsOf(line);
    const keyword = SYNONYMS[written?.toLowerCase() ?? ''] ?? written?.toLowerCase();
    if (keyword === undefined) continue;
    if (keyword === 'match') isConditional = values.join(' ').toLowerCase() !== 'all';
    else if (isConditional) continue;
    else if (keyword === 'include') for (const one of values.flatMap((value) => included(node, value))) read(node, one, found, files);
    else if (GROWING.includes(keyword)) found.set(keyword, [...(found.get(keyword) ?? []), ...values]);
    else if (!found.has(keyword)) found.set(keyword, values);
  }
}

/** "Key value", "Key=value", words in double quotes; "#" starts a comment. */
function wordsOf(line: string): string[] {
  const [keyword, rest] = /^\s*([^\s=#"]+)\s*=?\s*(.*)$/.exec(line)?.slice(1) ?? [];
  if (keyword === undefined) return [];
  const values = [...rest!.matchAll(/"([^"]*)"|([^\s"]+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
  const comment = values.findIndex((value) => value.startsWith('#'));
  return [keyword, ...(comment < 0 ? values : values.slice(0, comment))];
}

/** glob(3), sorted; a path that is not absolute is one of /etc/ssh. Patterns in the directory's name are left out. */
function included(node: Node, pattern: string): string[] {
  const path = pattern.startsWith('/') ? pattern : `${FOLDER}/${pattern}`;
  const slash = path.lastIndexOf('/');
  const [directory, name] = [path.slice(0, slash), path.slice(slash + 1)];
  if (!/[*?]/.test(name)) return [path];
  return node.names(directory).filter((one) => (!one.startsWith('.') || name.startsWith('.')) && globFits(one, name)).map((one) => `${directory}/${one}`);
}
