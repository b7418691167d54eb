/** By which names and addresses people and Ansible reach a node: only such that a line of known_hosts, a zone file and /etc/hosts can hold. */
import { familyOf } from '../../steps/addresses.js';
import type { FleetNode } from '../model.js';

export interface Reached {
  /** The inventory's name, and the host name that the image gets where it is another one. */
  readonly names: readonly string[];
  /** Without prefix, as getnameinfo(3) writes it; undefined when the inventory does not say. */
  readonly address: string | undefined;
  /** What Ansible dials, a name or an address; undefined when that is the inventory's name. */
  readonly dialed: string | undefined;
  readonly port: number;
}

const HOST_NAME = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?$/;
const SSH_PORT = 22;

export function reachedBy({ name, address, variables, hostVars }: FleetNode): Reached {
  const host = hostOf(hostVars.ansible_host ?? hostVars.ansible_ssh_host);
  return {
    names: unique([hostOf(name), hostOf(variables.hostname)]),
    address: address === undefined || !familyOf(address) ? undefined : canonical(address),
    dialed: host === hostOf(name) ? undefined : host,
    port: portOf(hostVars.ansible_port ?? hostVars.ansible_ssh_port),
  };
}

export function isAddress(text: string): boolean {
  return familyOf(text) !== undefined;
}

export function unique(values: readonly (string | undefined)[]): string[] {
  return [...new Set(values.filter((value) => value !== undefined))];
}

/** A name or an address; undefined for anything else, a template among them. */
function hostOf(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  return familyOf(value) ? canonical(value) : HOST_NAME.test(value) ? value : undefined;
}

/** ssh looks an IPv6 address up as the system writes it (RFC 5952), whichever way it was given. */
function canonical(address: string): string {
  return familyOf(address) === 'ipv6' ? new URL(`http://[${address}]/`).hostname.slice(1, -1) : address;
}

function portOf(value: unknown): number {
  const port = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value;
  return typeof port === 'number' && Number.isInteger(port) && port > 0 && port < 65_536 ? port : SSH_PORT;
}
