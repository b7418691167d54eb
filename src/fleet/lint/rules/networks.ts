/** The networks of the cluster: of nodes, pods and services, and the ranges that load balancers give out. None may hold what belongs to another. */
import type { Value } from '../../model.js';
import { nodeNetworks, type Fleet, type Member } from '../fleet.js';
import { byPlace, capacity, formatNetwork, parseIp, parseNetwork, parseRange, rangeFinder, type Family, type Ip, type IpRange, type Network } from '../networks.js';
import type { FleetProblem, FleetRule } from '../rule.js';
import { own, quoted, textOf } from '../words.js';

const VALIDATE = 'https://github.com/kubernetes-sigs/kubespray/blob/master/roles/validate_inventory/tasks/main.yml';

export const networkRules: readonly FleetRule[] = [
  { id: 'fleet-network-invalid', severity: 'error', title: 'what has to be a network is one', source: VALIDATE, check: checkForm },
  { id: 'fleet-network-overlap', severity: 'error', title: 'the networks of nodes, pods and services are apart', source: VALIDATE, check: checkOverlap },
  { id: 'fleet-network-small', severity: 'error', title: 'the network of the pods has room for every node', source: VALIDATE, check: checkRoom },
  {
    id: 'fleet-network-holds-node', severity: 'error', title: 'no node or virtual address is in the network of pods or services', check: checkHeld,
    source: 'https://kubernetes.io/docs/concepts/cluster-administration/networking/#kubernetes-ip-address-ranges',
  },
  { id: 'fleet-range-taken', severity: 'error', title: 'load balancers give out addresses that nobody has', source: 'https://metallb.io/configuration/', check: checkRanges },
];

const KINDS = ['nodes', 'pods', 'services'] as const;
type Kind = (typeof KINDS)[number];
interface Named extends Network { readonly kind: Kind; readonly text: string }

/** Each once. */
function networksOf(fleet: Fleet): Named[] {
  const { pods, services } = fleet.inventory.networks;
  const clusters = ([['pods', pods], ['services', services]] as const).flatMap(([kind, texts]) => texts.flatMap((text) => parseNetwork(text) ?? []).map((network) => [kind, network] as const));
  const all = [...nodeNetworks(fleet).map((network) => ['nodes', network] as const), ...clusters].map(([kind, network]): Named => ({ ...network, kind, text: formatNetwork(network) }));
  return [...new Map(all.map((one) => [`${one.kind} ${one.text}`, one])).values()];
}

function checkForm(fleet: Fleet): FleetProblem[] {
  const { networks } = fleet.inventory;
  const wrong = KINDS.flatMap((kind) => [...new Set(networks[kind])].filter((text) => !parseNetwork(text)).map((text) => [`the network of the ${kind}`, 'a network as 10.42.0.0/16', text] as const));
  const ranges = rangeTexts(fleet).filter(({ text }) => !parseRange(text)).map(({ variable, text }) => [variable, 'a range as 192.0.2.240-192.0.2.250, or a network', text] as const);
  return [...wrong, ...ranges].map(([what, expected, text]) => ({ subject: 'fleet', message: `expected ${expected} for ${what}, found ${quoted(text)}`, hint: 'correct it where the inventory sets it' }));
}

/** Two networks are nested or apart. Sorted, those around one are on a stack, which is no deeper than an address has bits, for each kind. */
function checkOverlap(fleet: Fleet): FleetProblem[] {
  const networks = networksOf(fleet);
  const problems: FleetProblem[] = [];
  for (const family of ['ipv4', 'ipv6']) {
    const around: Named[] = [];
    for (const one of networks.filter((network) => network.family === family).sort((a, b) => byPlace(a, b) || KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind))) {
      while (around.length > 0 && around.at(-1)!.last < one.first) around.pop();
      const other = around.findLast(({ kind }) => kind !== one.kind);
      if (other) problems.push(overlap(other, one));
      around.push(one);
    }
  }
  return problems;
}

function overlap(a: Named, b: Named): FleetProblem {
  const hint = 'move one of them: packets for its addresses would go to the other. It cannot be changed once the cluster is there';
  return { subject: 'fleet', message: `expected networks that are apart, found that of the ${a.kind}, ${a.text}, and that of the ${b.kind}, ${b.text}, with addresses in common`, hint };
}

/** Kubespray's variables (roles/kubespray_defaults), and the defaults of kube-controller-manager without it. */
const NODE_PREFIX: Readonly<Record<Family, readonly [variable: string, kubespray: number, others: number]>> = {
  ipv4: ['kube_network_node_prefix', 24, 24], ipv6: ['kube_network_node_prefix_ipv6', 120, 64],
};

function checkRoom(fleet: Fleet): FleetProblem[] {
  const nodes = fleet.members.filter(({ role }) => role !== undefined);
  const isCalico = nodes.some(({ installer }) => installer === 'kubespray') && nodes.every(({ node }) => (textOf(own(node.hostVars, 'kube_network_plugin')) ?? 'calico') === 'calico');
  return networksOf(fleet).filter(({ kind }) => kind === 'pods').flatMap((network): FleetProblem[] => {
    const prefix = nodePrefix(nodes, network.family);
    const room = capacity(network, prefix);
    if (nodes.length === 0 || room >= BigInt(nodes.length)) return [];
    return [{
      subject: 'fleet', message: `expected room for ${nodes.length} nodes in the network of the pods, ${network.text}, with a /${prefix} for each, found room for ${room}`,
      hint: isCalico ? 'take a larger network; Calico gives out smaller blocks, and Kubespray does not count for it' : 'take a larger network, or a smaller one for each node', ...(isCalico && { severity: 'warning' as const }),
    }];
  });
}

/** Of several the largest network, which makes the least room. */
function nodePrefix(nodes: readonly Member[], family: Family): number {
  const [variable, kubespray, others] = NODE_PREFIX[family];
  const said = nodes.map(({ node }) => Number(textOf(own(node.hostVars, variable)) ?? Number.NaN)).filter((prefix) => Number.isInteger(prefix) && prefix > 0 && prefix <= 128);
  if (said.length > 0) return said.reduce((least, prefix) => Math.min(least, prefix));
  return nodes.some(({ installer }) => installer === 'kubespray') ? kubespray : others;
}

/** Where a whole network of nodes is inside, fleet-network-overlap says it once. */
function checkHeld(fleet: Fleet): FleetProblem[] {
  const networks = networksOf(fleet);
  const meetsNodes = rangeFinder(networks.filter(({ kind }) => kind === 'nodes'));
  const find = rangeFinder(networks.filter((network) => network.kind !== 'nodes' && !meetsNodes(network)));
  const hint = 'move the network: the cluster would send what is meant for the address to a pod or a service';
  return takenAddresses(fleet).flatMap(({ subject, what, ip }) => {
    const network = find({ family: ip.family, first: ip.value, last: ip.value });
    return network ? [{ subject, message: `expected ${what} outside of the network of the ${network.kind}, found it in ${network.text}`, hint }] : [];
  });
}

/** Addresses that nodes have, and virtual ones. */
function takenAddresses({ members, inventory }: Fleet): { subject: string; what: string; ip: Ip }[] {
  const ofNodes = members.flatMap(({ subject, addresses }) => {
    const texts = new Map(addresses.map(({ text, ip }) => [ip.value, { text, ip }]));
    return [...texts.values()].map(({ text, ip }) => ({ subject, what: `the address ${text}`, ip }));
  });
  const virtual = [...new Set(inventory.vips)].flatMap((text) => {
    const ip = parseIp(text);
    return ip ? [{ subject: 'fleet', what: `the virtual address ${text}`, ip }] : [];
  });
  return [...ofNodes, ...virtual];
}

interface RangeText { readonly variable: string; readonly text: string }

/** Kubespray's MetalLB (metallb_config, before that metallb_ip_range), and k3s-ansible's of MetalLB and kube-vip. */
function rangeTexts({ members }: Fleet): RangeText[] {
  const found = new Map<string, RangeText>();
  const take = (variable: string, value: Value | undefined): void => {
    for (const item of [value].flat() as Value[]) {
      for (const text of (textOf(item) ?? '').split(',').map((one) => one.trim()).filter((one) => one !== '')) found.set(text, { variable, text });
    }
  };
  for (const { node: { hostVars } } of members) {
    for (const variable of ['metallb_ip_range', 'metal_lb_ip_range', 'kube_vip_lb_ip_range']) take(variable, own(hostVars, variable));
    for (const pool of Object.values(mapping(mapping(own(hostVars, 'metallb_config')).address_pools))) take('metallb_config', mapping(pool).ip_range);
  }
  return [...found.values()];
}

function mapping(value: Value | undefined): Readonly<Record<string, Value>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, Value>>) : {};
}

function checkRanges(fleet: Fleet): FleetProblem[] {
  const ranges = rangeTexts(fleet).flatMap((one): (RangeText & IpRange)[] => {
    const range = parseRange(one.text);
    return range ? [{ ...one, ...range }] : [];
  });
  const find = rangeFinder(ranges);
  const taken = takenAddresses(fleet).flatMap(({ subject, what, ip }) => {
    const range = find({ family: ip.family, first: ip.value, last: ip.value });
    return range ? [{ subject, message: `expected ${what} outside of the range of ${range.variable}, found it in ${range.text}: a service would take it`, hint: 'shrink the range, or move the address' }] : [];
  });
  const findNetwork = rangeFinder(networksOf(fleet).filter(({ kind }) => kind !== 'nodes'));
  const inside = ranges.flatMap((range) => {
    const network = findNetwork(range);
    return network ? [{ subject: 'fleet', message: `expected the range of ${range.variable} outside of the network of the ${network.kind}, found ${quoted(range.text)} and ${network.text}`, hint: 'take a range of the nodes\' own network' }] : [];
  });
  return [...taken, ...inside];
}
