/** Addresses of nodes: that they are some, that a host can have them, and that they are where the others are. */
import { addressKey, type Fleet, type KnownAddress, type Member } from '../fleet.js';
import { byPlace, formatNetwork, holds, parseNetwork, rangeFinder, reservedUse, type IpRange, type Network } from '../networks.js';
import type { FleetProblem, FleetRule } from '../rule.js';
import { quoted, some, textOf } from '../words.js';

const KUBESPRAY_SETTINGS = 'https://github.com/kubernetes-sigs/kubespray/blob/master/roles/kubernetes/preinstall/tasks/0040-verify-settings.yml';

export const addressRules: readonly FleetRule[] = [
  { id: 'fleet-address-invalid', severity: 'error', title: 'what has to be an address is one', source: 'https://www.rfc-editor.org/rfc/rfc4291#section-2.2', check: checkForm },
  {
    id: 'fleet-address-special', severity: 'error', title: 'no address is loopback, link-local or multicast', check: checkSpecial,
    source: 'https://www.iana.org/assignments/iana-ipv4-special-registry/iana-ipv4-special-registry.xhtml',
  },
  {
    id: 'fleet-address-reserved', severity: 'error', title: 'no address is that of its network, or its broadcast', check: checkReserved,
    source: 'https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3',
  },
  { id: 'fleet-address-outside', severity: 'error', title: 'every address is in the network of the nodes', source: 'https://www.rfc-editor.org/rfc/rfc1122#section-3.3.1', check: checkOutside },
  { id: 'fleet-address-differs', severity: 'warning', title: 'the image gets the address that the inventory names', source: KUBESPRAY_SETTINGS, check: checkDiffering },
  { id: 'fleet-address-unset', severity: 'info', title: 'the image is told the address that the inventory names', source: KUBESPRAY_SETTINGS, check: checkUnset },
  {
    id: 'fleet-address-dhcp', severity: 'warning', title: 'every control plane has an address that stays', check: checkDhcp,
    source: 'https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-init/',
  },
  { id: 'fleet-prefix-mixed', severity: 'warning', title: 'nodes of one network have one prefix', source: 'https://www.rfc-editor.org/rfc/rfc950', check: checkPrefixes },
];

/** Not for a host: RFC 1122 section 3.2.1.3, RFC 3927, RFC 5771, RFC 1112 section 4, RFC 4291 section 2.4. */
const SPECIAL: readonly (readonly [what: string, range: IpRange])[] = ([
  ['unspecified', '0.0.0.0/8'], ['loopback', '127.0.0.0/8'], ['link-local', '169.254.0.0/16'], ['multicast', '224.0.0.0/4'], ['reserved', '240.0.0.0/4'],
  ['unspecified', '::/128'], ['loopback', '::1/128'], ['link-local', 'fe80::/10'], ['multicast', 'ff00::/8'],
] as const).map(([what, network]) => [what, parseNetwork(network)!]);

/** 'loopback', 'multicast' …; undefined for an address that a host can have. */
export function specialUse({ ip }: Pick<KnownAddress, 'ip'>): string | undefined {
  return SPECIAL.find(([, range]) => holds(range, ip))?.[0];
}

/** Those that the node itself has, each once, by the first variable that says it. */
function ownAddresses({ addresses }: Member): KnownAddress[] {
  return [...new Map(addresses.filter(({ use }) => use === 'own').map((one) => [addressKey(one.ip), one] as const).reverse()).values()];
}

function checkForm({ members }: Fleet): FleetProblem[] {
  return members.flatMap(({ subject, noAddresses }) => noAddresses.map(({ variable, text, expected }) => (
    { subject, message: `expected ${expected} for ${variable}, found ${quoted(text)}`, hint: `correct ${variable} of the node or its group` }
  )));
}

function checkSpecial({ members }: Fleet): FleetProblem[] {
  return members.flatMap((member) => ownAddresses(member).flatMap((address) => {
    const use = specialUse(address);
    if (use === undefined) return [];
    return [{ subject: member.subject, message: `expected an address that other nodes reach, found ${address.text} (${address.source}), which is ${use}`, hint: 'give the node an address of your network' }];
  }));
}

/** By its own prefix, else by the network of the nodes that holds it. */
function checkReserved({ members, inventory }: Fleet): FleetProblem[] {
  const find = rangeFinder(inventory.networks.nodes.flatMap((text) => parseNetwork(text) ?? []));
  return members.flatMap((member) => ownAddresses(member).flatMap(({ ip, text, source }) => {
    const network = member.fixed && addressKey(member.fixed.ip) === addressKey(ip) ? member.fixed.network : find({ family: ip.family, first: ip.value, last: ip.value });
    const use = network && reservedUse(network, ip);
    if (!network || use === undefined) return [];
    const whose = use === 'anycast' ? 'the address of all routers' : `the ${use} address`;
    return [{ subject: member.subject, message: `expected the address of a host, found ${text} (${source}), which is ${whose} of ${formatNetwork(network)}`, hint: 'take another address, or correct the prefix' }];
  }));
}

function checkOutside({ members, inventory }: Fleet): FleetProblem[] {
  const networks = inventory.networks.nodes.flatMap((text) => parseNetwork(text) ?? []);
  const find = rangeFinder(networks);
  const families = new Set(networks.map(({ family }) => family));
  return members.flatMap((member) => ownAddresses(member).filter(({ ip }) => families.has(ip.family) && !find({ family: ip.family, first: ip.value, last: ip.value })).map(({ text, source, ip }) => ({
    subject: member.subject, hint: 'correct the address, or the network of the nodes',
    message: `expected an address in the network of the nodes (${some(networks.filter(({ family }) => family === ip.family).slice(0, 4).map(formatNetwork))}), found ${text} (${source})`,
  })));
}

/** Kubespray stops when `ip` is none of the node's addresses; a second interface would have to be set up by other means. */
function checkDiffering({ members }: Fleet): FleetProblem[] {
  return members.flatMap(({ subject, fixed, addresses }) => addresses.filter(({ source, ip }) => (
    fixed !== undefined && (source === 'ip' || source === 'ip6') && ip.family === fixed.ip.family && ip.value !== fixed.ip.value
  )).map(({ source, text }) => ({
    subject, message: `expected the fixed address of the image to be ${text} (${source}), found ${fixed!.text}: Kubespray stops at a node that does not have it`,
    hint: `make address and ${source} the same, or give the node its second address in a step of its own`,
  })));
}

/** With the MAC known, the DHCP server can know the node. */
function checkUnset({ members }: Fleet): FleetProblem[] {
  return members.filter(({ node, profiles, values }) => (
    node.address !== undefined && node.mac === undefined && profiles?.declarations.has('address') && textOf(values.get('address')) === undefined
  )).map(({ subject, node }) => ({
    subject, message: `expected the address ${quoted(node.address!)} in the image, found that the image asks DHCP: the node is there only when the DHCP server gives it just that`,
    hint: 'say its prefix: networks.nodes of our own inventories, prefix or netmask in Ansible\'s; or reserve the address at the DHCP server and note the MAC',
  }));
}

/** Certificates, etcd's members and everybody's kubeconfig name the address of a control plane. */
function checkDhcp({ members }: Fleet): FleetProblem[] {
  return members.filter(({ role, addresses, fixed }) => role === 'control-plane' && !fixed && !addresses.some(({ use }) => use !== 'way')).map(({ subject }) => ({
    subject, message: 'expected a fixed address for a control plane, found none: what DHCP gives it can change, and its certificates name the old one',
    hint: 'set its address, or reserve one at the DHCP server and name it in the inventory',
  }));
}

/** Nodes that differ in what they hold for local do not find each other, or only one way. Networks are nested or apart: a stack has those around. */
function checkPrefixes({ members }: Fleet): FleetProblem[] {
  const byNetwork = new Map<string, { network: Network; members: Member[] }>();
  for (const member of members) {
    if (!member.fixed) continue;
    const key = formatNetwork(member.fixed.network);
    const found = byNetwork.get(key) ?? { network: member.fixed.network, members: [] };
    found.members.push(member);
    byNetwork.set(key, found);
  }
  const sorted = [...byNetwork].sort(([, a], [, b]) => (a.network.family === b.network.family ? byPlace(a.network, b.network) : a.network.family < b.network.family ? -1 : 1));
  let around: [string, { network: Network; members: Member[] }] | undefined;
  return sorted.flatMap((entry) => {
    const [text, { network, members: inside }] = entry;
    if (!around || network.family !== around[1].network.family || network.first > around[1].network.last) {
      around = entry;
      return [];
    }
    const told = (list: readonly Member[]): string => some(list.slice(0, 3).map(({ label }) => label), list.length);
    return [{
      subject: 'fleet', message: `expected one prefix in one network, found ${around[0]} at ${told(around[1].members)}, and inside of it ${text} at ${told(inside)}`,
      hint: 'give all nodes of the network the same prefix',
    }];
  });
}
