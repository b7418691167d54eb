/** The fleet as the rules see it: every node with its addresses, its place in the cluster and the values of its profiles, in an order that is not the inventory's. */
import { RockberryError } from '../../errors.js';
import type { GivenValues } from '../../profile/given.js';
import { parseAddress } from '../../steps/addresses.js';
import type { FleetNode, Inventory } from '../model.js';
import { formatNetwork, networkOf, parseIp, parseNetwork, type Ip, type Network } from './networks.js';
import { nodeValues, profileReader, type ProfileSet, type ReadProfiles, type VariableProblem } from './profiles.js';
import { membershipOf, type Membership } from './roles.js';
import { byText, labelOf, naturalKey, own, textOf } from './words.js';

/** SSH host keys that are known already, of a state file or of earlier builds; fingerprints as ssh-keygen -l shows them ("SHA256:…"). */
export interface Identity {
  readonly name: string;
  readonly fingerprints: readonly string[];
}

export interface LintContext {
  /** What every node's profiles are given beside the inventory (--set, --vars, --secret, environment). It goes over the inventory's values. */
  readonly given?: GivenValues;
  readonly identities?: readonly Identity[];
}

/** 'own': the node has it; 'access': others reach it by this; 'way': Ansible connects to it, perhaps through a port of another machine. */
export type AddressUse = 'own' | 'access' | 'way';

export interface KnownAddress {
  readonly use: AddressUse;
  /** The variable that says it. */
  readonly source: string;
  readonly text: string;
  readonly ip: Ip;
}

/** A value that has to be an address and is none. */
export interface NoAddress { readonly variable: string; readonly text: string; readonly expected: string }

/** What the image is told: a fixed address with its network. */
export interface FixedAddress { readonly text: string; readonly ip: Ip; readonly network: Network }

export interface Member extends Membership {
  readonly node: FleetNode;
  /** "node NAME", as findings name it. */
  readonly subject: string;
  /** "NAME (inventory.ini:5)", as messages name it. */
  readonly label: string;
  /** The host name that the image gets; else what the inventory calls it. */
  readonly hostname: string;
  readonly addresses: readonly KnownAddress[];
  readonly noAddresses: readonly NoAddress[];
  readonly fixed: FixedAddress | undefined;
  /** Of its profiles' variables, without defaults; the inventory's own when the profiles cannot be read. */
  readonly values: ReadonlyMap<string, unknown>;
  readonly variableProblems: readonly VariableProblem[];
  /** undefined: it has no profiles, or they cannot be read. */
  readonly profiles: ProfileSet | undefined;
  readonly profileError: RockberryError | undefined;
}

export interface Fleet {
  readonly inventory: Inventory;
  readonly context: LintContext;
  /** By name. */
  readonly members: readonly Member[];
  /** Every address of every node, by addressKey. */
  readonly byAddress: ReadonlyMap<string, readonly Member[]>;
}

export function addressKey({ family, value }: Ip): string {
  return `${family} ${value}`;
}

export function fleetOf(inventory: Inventory, context: LintContext): Fleet {
  const read = profileReader(context.given ?? { set: [], varsFiles: [] });
  const order = new Map(inventory.nodes.map((node) => [node, `${naturalKey(node.name)}\0${node.where}`]));
  const nodes = [...inventory.nodes].sort((a, b) => byText(order.get(a)!, order.get(b)!));
  const members = nodes.map((node) => memberOf(node, inventory, read));
  return { inventory, context, members, byAddress: grouped(members, ({ addresses }) => addresses.map(({ ip }) => addressKey(ip))) };
}

/** The networks of the nodes: what the inventory says, else those of their fixed addresses. Each once. */
export function nodeNetworks({ inventory, members }: Fleet): Network[] {
  const said = inventory.networks.nodes.flatMap((text) => parseNetwork(text) ?? []);
  const networks = said.length > 0 ? said : members.flatMap(({ fixed }) => (fixed ? [fixed.network] : []));
  return [...new Map(networks.map((network) => [formatNetwork(network), network])).values()];
}

/** The members of each key, each once. */
export function grouped(members: readonly Member[], keys: (member: Member) => Iterable<string>): Map<string, Member[]> {
  const groups = new Map<string, Member[]>();
  for (const member of members) {
    for (const key of new Set(keys(member))) {
      const group = groups.get(key);
      if (group) group.push(member);
      else groups.set(key, [member]);
    }
  }
  return groups;
}

function memberOf(node: FleetNode, inventory: Inventory, read: ReadProfiles): Member {
  const found = node.profiles.length === 0 ? undefined : read(node.profiles);
  const profiles = found instanceof RockberryError ? undefined : found;
  const { values, problems } = profiles ? nodeValues(node, profiles, inventory.path) : { values: new Map<string, unknown>(Object.entries(node.variables)), problems: [] };
  const address = textOf(values.get('address'));
  return {
    node, subject: `node ${node.name}`, label: labelOf(node), profiles, profileError: found instanceof RockberryError ? found : undefined,
    values, variableProblems: problems, hostname: textOf(values.get('hostname')) ?? node.name,
    ...membershipOf(node, profiles, values), fixed: address === undefined ? undefined : fixedAddress(address),
    addresses: addressesOf(node, address, plainOf(inventory)), noAddresses: noAddressesOf(node, values, plainOf(inventory)),
  };
}

function fixedAddress(text: string): FixedAddress | undefined {
  const parsed = parseAddress(text);
  const ip = parsed && parseIp(parsed.address);
  return parsed && ip && { text, ip, network: networkOf(ip, parsed.prefix) };
}

/** Kubespray's names (docs/ansible/vars.md) and Ansible's (connection variables, old and new). */
const SOURCES: readonly (readonly [variable: string, use: AddressUse])[] = [
  ['ip', 'own'], ['ip6', 'own'], ['access_ip', 'access'], ['access_ip6', 'access'], ['ansible_host', 'way'], ['ansible_ssh_host', 'way'],
];

/** Ansible hands its variables on as they are; in our own inventories an address may come with its prefix. */
type Plain = (text: string | undefined) => string | undefined;

function plainOf({ kind }: Inventory): Plain {
  return kind.startsWith('ansible') ? (text) => text : (text) => (text !== undefined && parseAddress(text) ? text.split('/')[0] : text);
}

function addressesOf(node: FleetNode, fixed: string | undefined, plain: Plain): KnownAddress[] {
  const said = SOURCES.map(([variable, use]) => [variable, use, plain(textOf(own(node.hostVars, variable)))] as const);
  const known = [['address', 'own', fixed?.split('/')[0]] as const, ...said].flatMap(([source, use, text]): KnownAddress[] => {
    const ip = text === undefined ? undefined : parseIp(text);
    return ip ? [{ source, use, text: text!, ip }] : [];
  });
  const ip = parseIp(node.address ?? '');
  return !ip || known.some((one) => addressKey(one.ip) === addressKey(ip)) ? known : [...known, { source: 'address', use: 'own', text: node.address!, ip }];
}

/** ansible_host may be a name. */
function noAddressesOf(node: FleetNode, values: ReadonlyMap<string, unknown>, plain: Plain): NoAddress[] {
  const expected = 'an IP address without a prefix';
  const wanted = ['ip', 'ip6', 'access_ip', 'access_ip6'].map((variable) => ({ variable, text: plain(textOf(own(node.hostVars, variable))), expected }));
  const listed = ['gateway', 'dns'].flatMap((variable) => [values.get(variable)].flat().map((item) => ({ variable, text: textOf(item), expected })));
  const fixed = { variable: 'address', text: textOf(values.get('address')), expected: 'an address with its prefix, as 192.0.2.11/24' };
  const isWrong = ({ variable, text }: { variable: string; text: string | undefined }): boolean => text !== undefined && (variable === 'address' ? parseAddress(text) : parseIp(text)) === undefined;
  return [...wanted, fixed, ...listed].filter(isWrong).map(({ variable, text, expected }) => ({ variable, text: text!, expected }));
}
