/**
 * The kernel command line as text in, text out. The firmware reads the file's first line only (raspberrypi documentation, kernel-command-line-config.adoc);
 * the kernel splits it as next_arg in lib/cmdline.c does: words end at white space outside double quotes, quotes around a whole word or a value do not belong
 * to it, and "-" and "_" are the same in a name (parameq in kernel/params.c). What follows the word "--" goes to init (parse_args in kernel/params.c), so new
 * words go in front of it. Text is one character per byte (steps/content.ts): whatever is not edited keeps its bytes.
 */
import { RockberryError } from '../errors.js';

export interface CommandLineEdit {
  /** Words that must be there; what is missing is appended, in this order. */
  readonly add?: readonly string[];
  /** Words ("quiet", "console=tty1"), or names that go with every value they have ("elevator"). */
  readonly remove?: readonly string[];
  /** The one value of a name: its first occurrence is replaced, later ones go. */
  readonly set?: Readonly<Record<string, string | number>>;
}

/** Bytes in one line that the firmware passes on (raspberrypi/linux#140). */
export const LINE_LIMIT = 1024;

/** Comma lists whose members stand alone, and the list that takes back what the other one says (kernel/cgroup/cgroup.c). */
const OPPOSITE: Readonly<Record<string, string>> = { cgroup_enable: 'cgroup_disable', cgroup_disable: 'cgroup_enable' };
const BYTE_ORDER_MARK = '\xef\xbb\xbf';
const SPACE = '[ \\t\\xa0]'; // the kernel's isspace, without the control characters that are refused here; 0xa0 is white space in lib/ctype.c
const END_OF_KERNEL = '--';

interface Word {
  readonly gap: string; // white space in front of it
  readonly raw: string;
}

interface Parameter {
  readonly key: string; // "-" written as "_"
  readonly value: string | undefined;
}

interface Line {
  readonly words: Word[];
  tail: string; // white space after the last word
}

/** The first line without byte order mark and carriage return. Errors: `corrupt` for NUL and control characters. */
export function firstLine(text: string): string {
  return split(text).line;
}

/** Text after the first line that someone may believe to be in force; empty when there is none. */
export function ignoredText(text: string): string {
  return split(text).rest.trim();
}

/** The words of a line, as they are written. */
export function words(line: string): string[] {
  return parse(line).words.map(({ raw }) => raw);
}

/** Whether a text is exactly one word, as a profile must give it. */
export function isOneWord(text: string): boolean {
  const found = words(text);
  return found.length === 1 && found[0] === text && isBalanced(text) && /^[\x20-\x7e]+$/.test(text) && text !== END_OF_KERNEL;
}

/** The value that is in force for a name (the last one), undefined when the name is not there; a bare word has the value ''. */
export function valueOf(line: string, name: string): string | undefined {
  const last = kernelParameters(parse(line)).findLast(({ key }) => key === sameName(name));
  return last && (last.value ?? '');
}

/** Whether the line says this word; a member of a list counts ("cgroup_enable=cpuset,memory" has "cgroup_enable=memory"). */
export function hasWord(line: string, word: string): boolean {
  return missingMembers(parse(line), parameter(word)).length === 0;
}

/**
 * The file's text after the edit; removing comes first, then setting, then adding. The last line feed stays or stays away as it was, later lines keep their
 * bytes. Applied twice it changes nothing. Errors: `profile` when the line grows beyond LINE_LIMIT or the edit contradicts itself, `corrupt` as firstLine.
 */
export function editCommandLine(text: string, edit: CommandLineEdit): string {
  const { line, ending, rest } = split(text);
  const parsed = parse(line);
  checkQuotes(line);
  for (const word of edit.remove ?? []) remove(parsed, word);
  for (const [name, value] of Object.entries(edit.set ?? {})) set(parsed, name, String(value));
  for (const word of edit.add ?? []) add(parsed, word);
  const edited = parsed.words.map(({ gap, raw }) => gap + raw).join('') + parsed.tail;
  checkLength(line, edited);
  const unmet = unmetDemands(edited, edit);
  if (unmet.length > 0) {
    throw new RockberryError('profile', `expected an edit of the kernel command line that agrees with itself, but it cannot do both: ${unmet.join('; ')}`);
  }
  return edited + ending + rest;
}

/** What an edit asks for and the line does not have, one sentence each. */
export function unmetDemands(line: string, edit: CommandLineEdit): string[] {
  const parsed = parse(line);
  const parameters = kernelParameters(parsed);
  const absent = (edit.add ?? []).filter((word) => missingMembers(parsed, parameter(word)).length > 0).map((word) => `"${word}" is missing`);
  const opposed = (edit.add ?? []).filter((word) => isOpposed(parameters, parameter(word))).map((word) => `"${word}" is taken back by its opposite`);
  const present = (edit.remove ?? []).filter((word) => parsed.words.slice(0, kernelCount(parsed)).some(({ raw }) => without(raw, word) !== raw)).map((word) => `"${word}" is still there`);
  const different = Object.entries(edit.set ?? {}).filter(([name, value]) => {
    const found = parameters.filter(({ key }) => key === sameName(name));
    return found.length !== 1 || found[0]!.value !== unquoted(String(value));
  }).map(([name]) => `"${name}" does not have the one value that was set`);
  return [...absent, ...opposed, ...present, ...different];
}

function split(text: string): { line: string; ending: string; rest: string } {
  const body = text.startsWith(BYTE_ORDER_MARK) ? text.slice(BYTE_ORDER_MARK.length) : text;
  const end = body.indexOf('\n');
  const line = (end < 0 ? body : body.slice(0, end)).replace(/\r+$/, '');
  const bad = /[\x00-\x08\x0a-\x1f\x7f]/.exec(line);
  if (bad) {
    const code = bad[0].charCodeAt(0).toString(16).padStart(2, '0');
    throw new RockberryError('corrupt', `expected text in the kernel command line, found the control character 0x${code} at byte ${bad.index}`);
  }
  return { line, ending: end < 0 ? '' : '\n', rest: end < 0 ? '' : body.slice(end + 1) };
}

function parse(line: string): Line {
  const found: Word[] = [];
  const pattern = new RegExp(`(${SPACE}*)((?:"[^"]*(?:"|$)|[^" \\t\\xa0])+)`, 'y');
  let end = 0;
  for (let match = pattern.exec(line); match; match = pattern.exec(line)) {
    found.push({ gap: match[1]!, raw: match[2]! });
    end = pattern.lastIndex;
  }
  return { words: found, tail: line.slice(end) };
}

/** As next_arg: the first "=" (not at the beginning) ends the name, quotes around the whole word or the value go. */
function parameter(raw: string): Parameter {
  const wordQuoted = raw.startsWith('"');
  const body = wordQuoted ? raw.slice(1, raw.length > 1 && raw.endsWith('"') ? -1 : undefined) : raw;
  const equals = body.indexOf('=');
  if (equals <= 0) return { key: sameName(body), value: undefined };
  return { key: sameName(body.slice(0, equals)), value: unquoted(body.slice(equals + 1)) };
}

function unquoted(value: string): string {
  return value.startsWith('"') ? value.slice(1, value.length > 1 && value.endsWith('"') ? -1 : undefined) : value;
}

function sameName(name: string): string {
  return name.replaceAll('-', '_');
}

/** How many words stand in front of "--"; the others are init's, not the kernel's, and are let alone. */
function kernelCount(line: Line): number {
  const end = line.words.findIndex(({ raw }) => raw === END_OF_KERNEL);
  return end < 0 ? line.words.length : end;
}

function kernelParameters(line: Line): Parameter[] {
  return line.words.slice(0, kernelCount(line)).map(({ raw }) => parameter(raw));
}

/** The part of a parameter that the line does not say yet: [''] for a whole word, the members for a list. */
function missingMembers(line: Line, wanted: Parameter): string[] {
  const present = kernelParameters(line).filter(({ key }) => key === wanted.key);
  if (Object.hasOwn(OPPOSITE, wanted.key) && wanted.value !== undefined) {
    const members = new Set(present.flatMap(({ value }) => value?.split(',') ?? []));
    return [...new Set(wanted.value.split(','))].filter((member) => member !== '' && !members.has(member));
  }
  return present.some(({ value }) => value === wanted.value) ? [] : [''];
}

function isOpposed(parameters: readonly Parameter[], wanted: Parameter): boolean {
  const members = wanted.value?.split(',') ?? [];
  return parameters.some(({ key, value }) => key === OPPOSITE[wanted.key] && value !== undefined && value.split(',').some((member) => members.includes(member)));
}

function add(line: Line, word: string): void {
  const wanted = parameter(word);
  const opposite = OPPOSITE[wanted.key];
  if (opposite !== undefined && wanted.value) for (const member of wanted.value.split(',')) remove(line, `${opposite}=${member}`);
  const missing = missingMembers(line, wanted);
  if (missing.length > 0) append(line, missing[0] === '' ? word : `${wanted.key}=${missing.join(',')}`);
}

function append(line: Line, raw: string): void {
  const end = kernelCount(line);
  if (end === line.words.length) {
    line.words.push({ gap: line.tail || (line.words.length > 0 ? ' ' : ''), raw });
    line.tail = '';
  } else {
    line.words.splice(end, 1, { gap: line.words[end]!.gap, raw }, { gap: ' ', raw: END_OF_KERNEL });
  }
}

function set(line: Line, name: string, value: string): void {
  const unquotedValue = unquoted(value);
  const word = assigned(name, unquotedValue);
  const first = kernelParameters(line).findIndex(({ key }) => key === sameName(name));
  if (first < 0) return append(line, word);
  if (parameter(line.words[first]!.raw).value !== unquotedValue) line.words[first] = { gap: line.words[first]!.gap, raw: word };
  for (let at = kernelCount(line) - 1; at > first; at--) if (parameter(line.words[at]!.raw).key === sameName(name)) drop(line, at);
}

function remove(line: Line, word: string): void {
  for (let at = kernelCount(line) - 1; at >= 0; at--) {
    const { gap, raw } = line.words[at]!;
    const left = without(raw, word);
    if (left === undefined) drop(line, at);
    else if (left !== raw) line.words[at] = { gap, raw: left };
  }
}

/** What is left of a word when another is removed: itself, a shorter list, or undefined for nothing. */
function without(raw: string, unwanted: string): string | undefined {
  const present = parameter(raw);
  const { key, value } = parameter(unwanted);
  if (present.key !== key) return raw;
  if (value === undefined || present.value === value) return undefined;
  if (!Object.hasOwn(OPPOSITE, key) || present.value === undefined) return raw;
  const members = present.value.split(',');
  const left = members.filter((member) => !value.split(',').includes(member));
  if (left.length === members.length) return raw;
  return left.length === 0 ? undefined : assigned(raw.slice(raw.startsWith('"') ? 1 : 0, raw.indexOf('=')), left.join(','));
}

/** A value in quotes where it has white space in it. */
function assigned(name: string, value: string): string {
  return new RegExp(SPACE).test(value) ? `${name}="${value}"` : `${name}=${value}`;
}

/** Takes a word out with the white space in front of it; the first word's own leading white space stays. */
function drop(line: Line, at: number): void {
  const [gone] = line.words.splice(at, 1);
  const next = line.words[at];
  if (at === 0 && next) line.words[0] = { gap: gone!.gap, raw: next.raw };
}

/** An open quote takes everything that follows into itself, also what we would append. */
function checkQuotes(line: string): void {
  if (isBalanced(line)) return;
  throw new RockberryError('corrupt', `expected a closing quote in the kernel command line, found none in ${line.slice(line.lastIndexOf('"'), line.lastIndexOf('"') + 40)}`);
}

function isBalanced(text: string): boolean {
  return text.split('"').length % 2 === 1;
}

function checkLength(before: string, after: string): void {
  if (after.length <= LINE_LIMIT) return;
  const code = before.length > LINE_LIMIT ? 'unsupported' : 'profile';
  throw new RockberryError(code, `expected at most ${LINE_LIMIT} bytes in the kernel command line, found ${after.length}`, {
    hint: 'the firmware passes no more on; remove parameters that are not needed',
  });
}
