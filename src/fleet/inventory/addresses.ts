/** The address of a node, and the prefix of its network: what a fixed address needs. */
import { isReachable, familyOf, parseAddress } from '../../steps/addresses.js';
import type { Given } from './hosts-and-groups.js';
import { problem, quoted } from './problem.js';
import { valueOf, type Scope } from './templates.js';

export interface NodeAddress {
  readonly address: string;
  /** Undefined when nothing tells it. */
  readonly prefix: number | undefined;
  readonly secret: boolean;
}

/** ansible_host may be a name; the others are addresses or wrong. */
const MAY_BE_A_NAME = ['ansible_host'];
export const ADDRESS_VARIABLES = ['ip', 'access_ip', 'ansible_host'];
export const PREFIX_VARIABLES = ['rockberry_prefix', 'prefix', 'netmask'];

/** The first of the variables that is an address, else the node's own name if it is one. Errors: `profile` for a text that should be an address and is none. */
export function addressOf(scope: Scope, variables: readonly string[], networks: readonly string[]): NodeAddress | undefined {
  for (const variable of variables) {
    const given = valueOf(scope, variable);
    const text = given && typeof given.value === 'string' ? given.value.trim() : '';
    const whole = parseAddress(text);
    if (given && whole) return { address: whole.address, prefix: whole.prefix, secret: given.secret };
    if (given && familyOf(text)) return { address: text, prefix: prefixOf(scope, text, networks), secret: given.secret };
    if (given && !MAY_BE_A_NAME.includes(variable)) throw problem('profile', given.where, `expected an IP address for ${quoted(variable)} of the node ${quoted(scope.name)}, found ${found(given)}`);
  }
  return familyOf(scope.name) ? { address: scope.name, prefix: prefixOf(scope, scope.name, networks), secret: false } : undefined;
}

function found({ value, secret }: Given): string {
  if (secret) return 'another value (not shown: it is secret)';
  return typeof value === 'string' ? quoted(value) : 'something else than a text';
}

function prefixOf(scope: Scope, address: string, networks: readonly string[]): number | undefined {
  const bits = familyOf(address) === 'ipv4' ? 32 : 128;
  for (const variable of PREFIX_VARIABLES) {
    const given = valueOf(scope, variable);
    const text = String(given?.text ?? '').trim().replace(/^\//, '');
    const prefix = /^\d{1,3}$/.test(text) ? Number(text) : maskLength(text);
    if (prefix !== undefined && prefix >= 1 && prefix <= bits) return prefix;
    if (given && (variable !== 'prefix' || prefix !== undefined)) throw problem('profile', given.where, `expected a prefix length of 1 to ${bits} or a netmask for ${quoted(variable)} of the node ${quoted(scope.name)}, found ${found(given)}`);
  }
  const containing = networks.map((text) => parseAddress(text)!).filter((network) => network.family === familyOf(address) && isReachable(address, [network]));
  return containing.length === 1 ? containing[0]!.prefix : undefined;
}

/** "255.255.255.0" → 24 */
function maskLength(mask: string): number | undefined {
  if (familyOf(mask) !== 'ipv4') return undefined;
  const bits = mask.split('.').map((byte) => Number(byte).toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(bits) ? bits.replace(/0+$/, '').length : undefined;
}
