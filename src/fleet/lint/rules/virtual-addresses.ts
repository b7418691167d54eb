/** Virtual addresses of the control plane (kube-vip, a load balancer), and the URL by which nodes join. */
import { addressKey, grouped, nodeNetworks, type Fleet, type Member } from '../fleet.js';
import { formatNetwork, parseIp, rangeFinder, type Ip } from '../networks.js';
import type { Installer } from '../roles.js';
import type { FleetProblem, FleetRule } from '../rule.js';
import { nameText, quoted, some, textOf } from '../words.js';

const KUBE_VIP = 'https://kube-vip.io/docs/about/architecture/';

export const virtualAddressRules: readonly FleetRule[] = [
  { id: 'fleet-vip-node', severity: 'error', title: 'no virtual address is also a node\'s', source: KUBE_VIP, check: checkNodes },
  { id: 'fleet-vip-outside', severity: 'warning', title: 'virtual addresses are in the network of the nodes', source: KUBE_VIP, check: checkNetwork },
  { id: 'fleet-server-missing', severity: 'error', title: 'agents have a server to join', source: 'https://docs.k3s.io/architecture', check: checkServers },
  { id: 'fleet-server-unknown', severity: 'error', title: 'the URL of the server leads to one', source: 'https://docs.k3s.io/cli/agent#cluster-options', check: checkUrls },
];

/** Distinct virtual addresses; names of load balancers are left out. */
function vipsOf({ inventory }: Fleet): { text: string; ip: Ip }[] {
  return [...new Set(inventory.vips)].flatMap((text) => {
    const ip = parseIp(text);
    return ip ? [{ text, ip }] : [];
  });
}

/** A machine of the inventory that is no node of the cluster may be its load balancer. */
function checkNodes(fleet: Fleet): FleetProblem[] {
  const isCluster = fleet.members.some(({ installer }) => installer !== undefined);
  return vipsOf(fleet).flatMap(({ text, ip }) => (fleet.byAddress.get(addressKey(ip)) ?? []).filter(({ installer }) => !isCluster || installer !== undefined).map(({ subject }) => ({
    subject, message: `expected an address that is not virtual, found ${text}, which is to move between the nodes of the control plane`,
    hint: 'take an address for it that no node has',
  })));
}

/** Announced by ARP or NDP, it is seen in that network only. */
function checkNetwork(fleet: Fleet): FleetProblem[] {
  const networks = nodeNetworks(fleet);
  const find = rangeFinder(networks);
  return vipsOf(fleet).filter(({ ip }) => networks.some(({ family }) => family === ip.family) && !find({ family: ip.family, first: ip.value, last: ip.value })).map(({ text }) => ({
    subject: 'fleet', message: `expected the virtual address in the network of the nodes (${some(networks.slice(0, 4).map(formatNetwork))}), found ${text}`,
    hint: 'take an address of that network; with BGP or a load balancer of its own it may be elsewhere',
  }));
}

const JOINING = ['k3s', 'rke2'] as const satisfies readonly Installer[];

function checkServers({ members }: Fleet): FleetProblem[] {
  return JOINING.flatMap((installer) => {
    const own = members.filter((member) => member.installer === installer);
    const lost = own.filter(({ role, values }) => role === 'worker' && textOf(values.get('server')) === undefined);
    if (lost.length === 0 || own.some(({ role }) => role === 'control-plane')) return [];
    const names = some(lost.slice(0, 3).map(({ label }) => label), lost.length);
    return [{ subject: 'fleet', message: `expected a server of ${installer} for its agents, found none in the inventory, and no URL of one at ${names}`, hint: `add a node with the profile ${installer}-server, or set server to the URL of a cluster that is there` }];
  });
}

/** Whom a name leads to: by its own name or its host name, whole or up to the first dot. */
function checkUrls(fleet: Fleet): FleetProblem[] {
  const byName = grouped(fleet.members, ({ node, hostname }) => [node.name, hostname].flatMap((name) => [name.toLowerCase(), name.toLowerCase().split('.')[0]!]));
  const vips = new Set(fleet.inventory.vips.map((text) => keyOf(text)));
  return fleet.members.flatMap((member) => {
    const url = member.installer === 'k3s' || member.installer === 'rke2' ? textOf(member.values.get('server')) : undefined;
    if (url === undefined) return [];
    const host = hostOf(url);
    if (host === undefined) return [{ subject: member.subject, message: 'expected a URL as https://192.0.2.11:6443 for server, found something else', hint: 'set server to the URL of a server' }];
    const ip = parseIp(host);
    const found = ip ? fleet.byAddress.get(keyOf(host)) : (byName.get(host) ?? byName.get(host.split('.')[0]!));
    return vips.has(keyOf(host)) ? [] : urlProblem(member, host, found);
  });
}

function urlProblem({ subject, installer }: Member, host: string, found: readonly Member[] | undefined): FleetProblem[] {
  const hint = 'set server to the URL of a server of this inventory, or of the virtual address';
  if (!found) return [{ subject, message: `expected the URL of a server or a virtual address of this inventory, found ${quoted(host)}, which is neither`, hint: `${hint}; another cluster's server may be right`, severity: 'warning' }];
  if (found.some((member) => member.installer === installer && member.role === 'control-plane')) return [];
  return [{ subject, message: `expected the URL of a server of ${installer}, found ${quoted(host)}, which is ${nameText(found[0]!.node.name)}, and that is none`, hint }];
}

function keyOf(text: string): string {
  const ip = parseIp(text);
  return ip ? addressKey(ip) : text.toLowerCase();
}

/** The host of a URL, lower case; IPv6 without brackets. */
function hostOf(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined;
  const host = new URL(url).hostname.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  return host === '' ? undefined : host;
}
