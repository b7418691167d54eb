/**
 * Plain scalars as Ansible's YAML library reads them: PyYAML's YAML 1.1 (yaml/resolver.py, yaml/constructor.py). "yes" is true, 0644 is 420, 1:30 is 90, and
 * 1e5 is a text, for it has no point. A date stays its text: Ansible hands it on as one.
 */
import type { Value } from '../model.js';

const LONGEST = 1024; // characters; a longer number is nobody's
const BOOLEAN = /^(?:(yes|Yes|YES|true|True|TRUE|on|On|ON)|no|No|NO|false|False|FALSE|off|Off|OFF)$/;
const NULL = /^(?:~|null|Null|NULL|)$/;
const INTEGER = /^([-+]?)(?:0b([0-1_]+)|0([0-7_]+)|(0|[1-9][0-9_]*)|0x([0-9a-fA-F_]+)|([1-9][0-9_]*(?::[0-5]?[0-9])+))$/;
const FLOAT = /^([-+]?)(?:([0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?)|([0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*)|(\.(?:inf|Inf|INF)))$/;
const POINT_FIRST = /^\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?$/;
const NOT_A_NUMBER = /^\.(?:nan|NaN|NAN)$/;

/** The value of a scalar without quotes and without a tag. */
export function pythonScalar(text: string): Value {
  if (text.length > LONGEST) return text;
  if (NULL.test(text)) return null;
  const boolean = BOOLEAN.exec(text);
  if (boolean) return boolean[1] !== undefined;
  return integer(text) ?? float(text) ?? text;
}

function integer(text: string): number | undefined {
  const [, sign, binary, octal, decimal, hexadecimal, sixties] = INTEGER.exec(text) ?? [];
  const digits = (part: string): string => part.replaceAll('_', '');
  if (binary !== undefined) return signed(sign, parseInt(digits(binary), 2));
  if (octal !== undefined) return signed(sign, parseInt(digits(octal) || '0', 8));
  if (decimal !== undefined) return signed(sign, Number(digits(decimal)));
  if (hexadecimal !== undefined) return signed(sign, parseInt(digits(hexadecimal), 16));
  return sixties === undefined ? undefined : signed(sign, toBase60(digits(sixties)));
}

function float(text: string): number | undefined {
  if (NOT_A_NUMBER.test(text)) return NaN;
  if (POINT_FIRST.test(text)) return Number(text.replaceAll('_', ''));
  const [, sign, decimal, sixties, infinity] = FLOAT.exec(text) ?? [];
  if (decimal !== undefined) return signed(sign, Number(decimal.replaceAll('_', '')));
  if (sixties !== undefined) return signed(sign, toBase60(sixties.replaceAll('_', '')));
  return infinity === undefined ? undefined : signed(sign, Infinity);
}

function signed(sign: string | undefined, value: number): number {
  return sign === '-' ? 0 - value : value;
}

function toBase60(text: string): number {
  return text.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
}
