/** NetworkManager.conf(5): the settings of all its files as one, and which interfaces they take away from NetworkManager. */
import type { Node } from '../node.js';
import { remembered } from '../remembered.js';
import { inForce, type DropIn } from './drop-ins.js';
import { globFits } from './glob.js';

const ETC = '/etc/NetworkManager/conf.d';
const OTHERS = ['/run/NetworkManager/conf.d', '/usr/lib/NetworkManager/conf.d'];
const LISTS = ['unmanaged-devices', 'plugins', 'no-auto-default', 'ignore-carrier'];

/** section → key → value. */
export type Keyfile = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** The settings in force: those of /usr/lib and /run, then NetworkManager.conf, then conf.d. Lists grow by "key+=" and shrink by "key-=". */
export const networkManagerSettings: (node: Node) => Keyfile = remembered((node) => {
  const all = inForce(node, [ETC, ...OTHERS], '.conf');
  const isLocal = ({ path }: DropIn): boolean => path.startsWith(`${ETC}/`);
  const main = node.text('/etc/NetworkManager/NetworkManager.conf');
  const texts = [...all.filter((one) => !isLocal(one)).map(({ text }) => text), main ?? '', ...all.filter(isLocal).map(({ text }) => text)];
  const settings = new Map<string, Map<string, string>>();
  for (const text of texts) {
    for (const [section, keys] of parseKeyfile(text)) for (const [key, value] of keys) assign(settings, section, key, value);
  }
  return settings;
});

/** GKeyFile: "[section]", "key=value", "#" at the start of a line. Of a key that a file has twice the last value counts, also of "key+=". */
export function parseKeyfile(text: string): Keyfile {
  const sections = new Map<string, Map<string, string>>();
  let current: Map<string, string> | undefined;
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    const title = /^\[([^\]]+)\]$/.exec(line)?.[1];
    const equals = line.indexOf('=');
    if (title !== undefined) sections.set(title, (current = sections.get(title) ?? new Map<string, string>()));
    else if (!line.startsWith('#') && equals > 0) current?.set(line.slice(0, equals).trim(), line.slice(equals + 1).trim());
  }
  return sections;
}

function assign(settings: Map<string, Map<string, string>>, section: string, key: string, value: string): void {
  const keys = settings.get(section) ?? new Map<string, string>();
  settings.set(section, keys);
  const name = key.replace(/[+-]$/, '');
  if (!LISTS.includes(name) || name === key) keys.set(key, value);
  else {
    const [old, given] = [listOf(keys.get(name)), listOf(value)];
    keys.set(name, (key.endsWith('+') ? [...old, ...given.filter((one) => !old.includes(one))] : old.filter((one) => !given.includes(one))).join(';'));
  }
}

function listOf(value = ''): string[] {
  return value.split(/[;,]/).map((one) => one.trim()).filter((one) => one !== '');
}

/** Whether NetworkManager leaves an interface of that name alone, by [keyfile] unmanaged-devices or a [device…] section with managed=0. */
export function isUnmanaged(settings: Keyfile, device: string): boolean {
  const sections = [...settings].filter(([section, keys]) => section.startsWith('device') && /^(0|no|false)$/.test(keys.get('managed') ?? ''));
  const lists = [settings.get('keyfile')?.get('unmanaged-devices'), ...sections.map(([, keys]) => keys.get('match-device') ?? '*')];
  return lists.some((list) => names(listOf(list), device));
}

/** "Device List Format": one that fits is enough, unless an "except:" fits too. Matches by anything but the name say nothing about it. */
function names(list: readonly string[], device: string): boolean {
  const excepted = list.filter((one) => one.startsWith('except:')).map((one) => one.slice('except:'.length));
  return list.some((one) => fits(one, device)) && !excepted.some((one) => fits(one, device));
}

function fits(match: string, device: string): boolean {
  if (match === '*' || match === device) return true;
  const name = /^interface-name:(=?)~?(.*)$/.exec(match);
  if (!name) return false;
  if (name[1] === '=') return name[2] === device;
  return globFits(device, name[2]!);
}
