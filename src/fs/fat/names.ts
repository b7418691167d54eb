/**
 * Names on FAT. A short name is 11 bytes in code page 437 (what Linux mounts with, and what FatFs is told), a long one UTF-16 in entries before it.
 * Names are found without regard to case.
 */
import { RockberryError } from '../../errors.js';

const CP437_HIGH = 'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0';
/** FatFs: the characters that no name may have, besides the separators and control characters. */
const FORBIDDEN = /[\u0000-\u001f"*:<>?|\\/\u007f]/;
const LOWER_BODY = 0x08;
const LOWER_EXTENSION = 0x10;

/** Bytes of a short name or a label; 0x05 stands for a first byte 0xe5, which would mark the entry as free. */
export function oemText(raw: Uint8Array): string {
  const bytes = raw[0] === 0x05 ? Uint8Array.from([0xe5, ...raw.subarray(1)]) : raw;
  return Array.from(bytes, (byte) => (byte < 0x80 ? String.fromCharCode(byte) : CP437_HIGH[byte - 0x80]!)).join('');
}

/** "NAME.EXT" as it is stored. */
export function shortName(raw: Uint8Array): string {
  const text = oemText(raw.subarray(0, 11));
  const body = text.slice(0, 8).replace(/ +$/, '');
  const extension = text.slice(8).replace(/ +$/, '');
  return extension === '' ? body : `${body}.${extension}`;
}

/** A short name as it is shown: Windows NT keeps two bits for an all-lower-case name or extension, and Linux and mtools honour them. */
export function displayName(raw: Uint8Array, caseBits: number): string {
  const name = shortName(raw);
  const dot = name.lastIndexOf('.');
  const body = dot < 0 ? name : name.slice(0, dot);
  const extension = dot < 0 ? '' : name.slice(dot);
  return (caseBits & LOWER_BODY ? body.toLowerCase() : body) + (caseBits & LOWER_EXTENSION ? extension.toLowerCase() : extension);
}

/** The check sum of a short name that its long name's entries carry (FAT specification, "Long Directory Entries"). */
export function shortNameChecksum(raw: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < 11; at++) sum = (((sum & 1) << 7) + (sum >> 1) + raw[at]!) & 0xff;
  return sum;
}

/** Equal for two names that FAT takes for the same. Per character, as FatFs does it: "ß" stays one. */
export function foldName(name: string): string {
  if (/^[\0-\x7f]*$/.test(name)) return name.toUpperCase();
  return Array.from(name, (character) => {
    const upper = character.toUpperCase();
    return upper.length === character.length ? upper : character;
  }).join('');
}

/** Throws 'path' for a name that FAT cannot hold as it is. */
export function requireValidName(name: string, path: string): void {
  const problem = nameProblem(name);
  if (problem !== undefined) throw new RockberryError('path', `expected a name that a FAT filesystem can hold, found ${JSON.stringify(name)} in ${JSON.stringify(path)}, which ${problem}`);
}

function nameProblem(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name.length > 255) return `has ${name.length} characters (at most 255)`;
  const forbidden = FORBIDDEN.exec(name);
  if (forbidden) return `has the character ${JSON.stringify(forbidden[0])}`;
  if (/[. ]$/.test(name)) return 'ends with a dot or a space';
  if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(name)) return 'is not valid Unicode';
  return undefined;
}
