/** Kernel parameters that systemd-sysctl will set at boot (sysctl.d(5); src/sysctl/sysctl.c of systemd 252, the version of EL9). */
import type { Node } from '../node.js';
import { dropIns, usefulLines } from './drop-ins.js';
import { remembered } from '../remembered.js';
import { globFits } from './glob.js';

export interface Setting {
  /** With "/" between the parts: "net/ipv4/ip_forward". */
  readonly key: string;
  /** undefined: a line "-key" without a value, which keeps patterns from setting the key. */
  readonly value: string | undefined;
  readonly path: string;
}

/** One per key, in the order in which they are applied: the last assignment of a key counts, and stands where it is written. */
export const sysctlSettings: (node: Node) => readonly Setting[] = remembered((node) => {
  const settings = new Map<string, Setting>();
  for (const { path, text } of dropIns(node, 'sysctl.d')) {
    for (const line of usefulLines(text)) {
      const setting = parse(line, path);
      if (!setting || isSame(settings.get(setting.key), setting)) continue; // said twice: systemd keeps the first place
      settings.delete(setting.key);
      settings.set(setting.key, setting);
    }
  }
  return [...settings.values()];
});

/** What a key ("net.ipv4.ip_forward") will be set to, by its own line or else by the last pattern that fits; undefined: nothing sets it. */
export function sysctlValue(settings: readonly Setting[], key: string): Setting | undefined {
  const wanted = normal(key);
  const own = settings.find((setting) => setting.key === wanted);
  if (own) return own.value === undefined ? undefined : own;
  return settings.findLast((setting) => setting.value !== undefined && isPattern(setting.key) && fits(wanted, setting.key));
}

function isSame(old: Setting | undefined, { value }: Setting): boolean {
  return old !== undefined && old.value === value;
}

function parse(line: string, path: string): Setting | undefined {
  const equals = line.indexOf('=');
  if (equals < 0) return line.startsWith('-') ? { key: normal(line.slice(1).trim()), value: undefined, path } : undefined;
  const written = line.slice(0, equals).trim().replace(/^-/, ''); // "-": a failure is ignored
  return written === '' ? undefined : { key: normal(written), value: line.slice(equals + 1).trim(), path };
}

/** Where "/" comes first it separates and "." belongs to the names; otherwise the two change places (sysctl_normalize). */
function normal(key: string): string {
  if (/[./]/.exec(key)?.[0] === '/') return key;
  return key.replace(/[./]/g, (separator) => (separator === '.' ? '/' : '.'));
}

function isPattern(key: string): boolean {
  return /[*?]/.test(key);
}

/** glob(3): no "*" goes over a "/". Brackets are left out, nobody has them in a sysctl.d. */
function fits(key: string, pattern: string): boolean {
  const [parts, wanted] = [key.split('/'), pattern.split('/')];
  return parts.length === wanted.length && parts.every((part, at) => globFits(part, wanted[at]!));
}
