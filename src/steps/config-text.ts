/**
 * The firmware's config.txt as text in, text out (raspberrypi documentation, config_txt/what_is_config_txt.adoc and conditional.adoc): "key=value" lines, "#"
 * comments, and filters such as [pi4] that hold until a filter of the same type replaces them or [all] drops them all. Text is one character per byte.
 */
import { RockberryError } from '../errors.js';

export interface ConfigSetting {
  readonly key: string;
  readonly value: string;
  /** The filters in force: empty for everything, ["pi4"], ["EDID=VSC-TD2220", "pi2"]. */
  readonly filters: readonly string[];
  /** From 0. */
  readonly line: number;
}

export interface ConfigEdit {
  /** "all", or one filter without its brackets. */
  readonly section: string;
  readonly set?: Readonly<Record<string, string | number | boolean | readonly (string | number)[]>>;
  /** Names, or "name=value" for one value of a name that repeats. */
  readonly remove?: readonly string[];
}

/** Names that may stand there several times, each with its own effect. */
const REPEATED = new Set(['dtoverlay', 'dtparam', 'device_tree_overlay', 'device_tree_param', 'gpio', 'initramfs', 'include']);
const LINE_LIMIT = 98; // characters; the firmware ignores the rest
const ALL = 'all';

/** Every setting of the file with the filters it stands under. */
export function configSettings(text: string): ConfigSetting[] {
  const settings: ConfigSetting[] = [];
  let filters: readonly string[] = [];
  lines(text).forEach((raw, line) => {
    const header = sectionOf(raw);
    if (header !== undefined) filters = enter(filters, header);
    else {
      const setting = settingOf(raw);
      if (setting) settings.push({ ...setting, filters, line });
    }
  });
  return settings;
}

/** The text after the edit; comments, line ends and everything that was not named stay. Applied twice it changes nothing. */
export function editConfig(text: string, edit: ConfigEdit): string {
  const afterRemoval = (edit.remove ?? []).reduce((current, name) => removeSetting(current, edit.section, name), text);
  return wanted(edit).reduce((current, { key, value }) => ensureSetting(current, edit.section, key, value), afterRemoval);
}

/** What the edit asks for and the text does not have, one sentence each. */
export function unmetSettings(text: string, edit: ConfigEdit): string[] {
  const present = inSection(text, edit.section);
  const missing = wanted(edit).filter(({ key, value }) => {
    const values = present.filter((setting) => setting.key === key).map((setting) => setting.value);
    return REPEATED.has(key) ? !values.includes(value) : values.at(-1) !== value;
  });
  const left = (edit.remove ?? []).filter((name) => present.some((setting) => isNamed(setting, name)));
  return [...missing.map((setting) => `"${render(setting)}" is not in force under [${edit.section}]`), ...left.map((name) => `"${name}" is still under [${edit.section}]`)];
}

function wanted(edit: ConfigEdit): { key: string; value: string }[] {
  return Object.entries(edit.set ?? {}).flatMap(([key, value]) => (Array.isArray(value) ? value : [value]).map((one: string | number | boolean) => ({
    key, value: typeof one === 'boolean' ? (one ? '1' : '0') : String(one),
  })));
}

function lines(text: string): string[] {
  return text.split('\n');
}

function sectionOf(line: string): string | undefined {
  return /^\s*\[([^\]]*)\]/.exec(line)?.[1];
}

function settingOf(line: string): { key: string; value: string } | undefined {
  const body = line.trim();
  if (body === '' || body.startsWith('#')) return undefined;
  const spaced = /^(initramfs|include)\s+(.*)$/.exec(body); // these two have no "="
  if (spaced) return { key: spaced[1]!, value: spaced[2]! };
  const equals = body.indexOf('=');
  return equals < 0 ? { key: body, value: '' } : { key: body.slice(0, equals), value: body.slice(equals + 1) };
}

function render({ key, value }: { key: string; value: string }): string {
  return key === 'initramfs' || key === 'include' ? `${key} ${value}` : `${key}=${value}`;
}

/** A filter replaces one of its own type; [all] drops every filter, [none] holds until then. */
function enter(filters: readonly string[], header: string): readonly string[] {
  if (header === ALL) return [];
  return [...filters.filter((filter) => filterType(filter) !== filterType(header)), header];
}

function filterType(filter: string): string {
  if (/^(pi|cm)\w*\+?$/.test(filter)) return 'model';
  if (/^0x[0-9a-f]+$/i.test(filter)) return 'serial';
  return /^[A-Za-z-]+/.exec(filter)?.[0] ?? filter;
}

function isIn(filters: readonly string[], section: string): boolean {
  return section === ALL ? filters.length === 0 : filters.length === 1 && filters[0] === section;
}

function inSection(text: string, section: string): ConfigSetting[] {
  return configSettings(text).filter(({ filters }) => isIn(filters, section));
}

function isNamed({ key, value }: ConfigSetting, name: string): boolean {
  return name === key || name === render({ key, value });
}

function removeSetting(text: string, section: string, name: string): string {
  const gone = new Set(inSection(text, section).filter((setting) => isNamed(setting, name)).map(({ line }) => line));
  return gone.size === 0 ? text : lines(text).filter((_, index) => !gone.has(index)).join('\n');
}

function ensureSetting(text: string, section: string, key: string, value: string): string {
  const same = inSection(text, section).filter((setting) => setting.key === key);
  if (REPEATED.has(key) ? same.some((setting) => setting.value === value) : same.at(-1)?.value === value) return text;
  const line = render({ key, value });
  if (line.length > LINE_LIMIT) throw new RockberryError('profile', `expected at most ${LINE_LIMIT} characters in a line of config.txt, found ${line.length} in "${line}"`);
  const old = REPEATED.has(key) ? undefined : same.at(-1);
  if (!old) return insert(text, section, line);
  return lines(text).map((raw, index) => (index === old.line ? line + (raw.endsWith('\r') ? '\r' : '') : raw)).join('\n');
}

/** Puts a line at the end of the section's last part, or makes the section at the end of the file so that what follows it is for all again. */
function insert(text: string, section: string, line: string): string {
  const rows = lines(text);
  const ending = text.includes('\r\n') ? '\r' : '';
  const last = lastRow(rows, section);
  if (last !== undefined) {
    const before = rows.slice(0, last + 1).map((row, index) => (index === last && index === rows.length - 1 ? row + ending : row));
    const after = rows.slice(last + 1);
    return [...before, line + ending, ...(after.length === 0 ? [''] : after)].join('\n');
  }
  const base = text === '' || text.endsWith('\n') ? text : `${text}${ending}\n`;
  const open = endsInAll(rows) ? [] : [`[${ALL}]`];
  const block = section === ALL ? [...open, line] : [...open, `[${section}]`, line, `[${ALL}]`];
  return base + block.map((row) => `${row}${ending}\n`).join('');
}

/** The last row of the section's last part that is not blank: its header, a setting or a comment. For "all" only where the file ends in it. */
function lastRow(rows: readonly string[], section: string): number | undefined {
  let filters: readonly string[] = [];
  let last: number | undefined;
  rows.forEach((row, index) => {
    const header = sectionOf(row);
    if (header !== undefined) filters = enter(filters, header);
    if (isIn(filters, section) && row.trim() !== '') last = index;
  });
  if (section === ALL && !endsInAll(rows)) return undefined;
  return last;
}

function endsInAll(rows: readonly string[]): boolean {
  return rows.map(sectionOf).filter((header) => header !== undefined).reduce(enter, [] as readonly string[]).length === 0;
}
