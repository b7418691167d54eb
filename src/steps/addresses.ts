/** IP addresses as a profile writes them: "192.0.2.11/24", "2001:db8::11/64". */
import { BlockList, isIP } from 'node:net';
import { RockberryError } from '../errors.js';

export interface NetworkAddress {
  readonly address: string;
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
}

/** 'ipv4', 'ipv6' or undefined. An address with a zone ("fe80::1%eth0") is none: a file for the next boot cannot hold it. */
export function familyOf(address: string): 'ipv4' | 'ipv6' | undefined {
  const version = address.includes('%') ? 0 : isIP(address);
  return version === 0 ? undefined : version === 4 ? 'ipv4' : 'ipv6';
}

export function parseAddress(text: string): NetworkAddress | undefined {
  const [address = '', prefix = '', ...rest] = text.split('/');
  const family = familyOf(address);
  if (!family || rest.length > 0 || !/^\d{1,3}$/.test(prefix)) return undefined;
  const bits = Number(prefix);
  return bits >= 1 && bits <= (family === 'ipv4' ? 32 : 128) ? { address, prefix: bits, family } : undefined;
}

/** Refuses the address of the network itself and its broadcast address (RFC 950, RFC 919); /31 and /32 have neither. */
export function requireHost({ address, prefix, family }: NetworkAddress): void {
  if (family === 'ipv6' || prefix > 30) return;
  const host = address.split('.').reduce((value, byte) => value * 256 + Number(byte), 0) % 2 ** (32 - prefix);
  if (host !== 0 && host !== 2 ** (32 - prefix) - 1) return;
  throw new RockberryError('profile', `expected the address of a host, found ${address}/${prefix}, which is the ${host === 0 ? 'network' : 'broadcast'} address of its network`);
}

/** Whether the gateway can be reached directly: it is in the network of one of the addresses, or link-local (RFC 4291 section 2.5.6). */
export function isReachable(gateway: string, addresses: readonly NetworkAddress[]): boolean {
  const family = familyOf(gateway)!;
  const networks = new BlockList();
  if (family === 'ipv6') networks.addSubnet('fe80::', 10, 'ipv6');
  for (const one of addresses) if (one.family === family) networks.addSubnet(one.address, one.prefix, family);
  return networks.check(gateway, family);
}
