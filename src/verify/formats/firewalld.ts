/** What firewalld lets in (firewalld.zone(5), firewalld.service(5)): the files of /etc/firewalld before those of /usr/lib/firewalld. Rich rules are not read. */
import type { Node } from '../node.js';
import { startingUnit } from './boot-units.js';
import { parseKeyfile } from './network-manager.js';

export interface Ports {
  readonly protocol: string;
  readonly first: number;
  readonly last: number;
}

export interface Zone {
  readonly name: string;
  /** Everything that no rule names is let in. */
  readonly acceptsAll: boolean;
  readonly open: readonly Ports[];
  /** Networks whose packets belong to the zone. */
  readonly sources: readonly string[];
  readonly interfaces: readonly string[];
}

type Element = readonly [name: string, attributes: ReadonlyMap<string, string>];

const DIRECTORIES = ['/etc/firewalld', '/usr/lib/firewalld'];
const PORTS_OF_BOARD = ['end0', 'eth0']; // the Pi's own socket
const MAX_INCLUDES = 64; // services in each other

/** Zones as firewalld 1.x ships them, for an image that has lost the files; the others have ssh alone. */
const ZONES: Readonly<Record<string, readonly string[]>> = { public: ['ssh', 'dhcpv6-client', 'cockpit'], drop: [], block: [], trusted: [] };

/** config/services of firewalld 1.3 (https://github.com/firewalld/firewalld/tree/main/config/services): what Kubernetes needs, in case the image has no such file. */
export const SERVICES: Readonly<Record<string, readonly string[]>> = {
  ssh: ['22/tcp'], 'kube-apiserver': ['6443/tcp'], kubelet: ['10250/tcp'], 'kube-controller-manager-secure': ['10257/tcp'], 'kube-scheduler-secure': ['10259/tcp'],
  'etcd-client': ['2379/tcp'], 'etcd-server': ['2380/tcp'], 'kube-nodeport-services': ['30000-32767/tcp'], 'kube-worker': ['10250/tcp', '30000-32767/tcp'],
  'kube-control-plane-secure': ['2379/tcp', '2380/tcp', '6443/tcp', '10257/tcp', '10259/tcp'],
};

/** Whether it starts at boot. */
export function isFirewalldOn(node: Node): boolean {
  return startingUnit(node, 'firewalld.service') !== undefined;
}

/** "30000-32767/tcp" */
export function parsePorts(text: string): Ports {
  const [, first, last, protocol] = /^(\d+)(?:-(\d+))?\/(\w+)$/.exec(text) ?? [];
  return { protocol: protocol ?? '', first: Number(first), last: Number(last ?? first) };
}

/** Those of the wanted ports ("10250/tcp") that the zone does not let in. */
export function closedPorts(zone: Zone, wanted: readonly string[]): string[] {
  return zone.acceptsAll ? [] : wanted.filter((one) => !isOpen(zone.open, parsePorts(one)));
}

function isOpen(open: readonly Ports[], { protocol, first, last }: Ports): boolean {
  let next = first; // several ranges may cover one
  for (const range of [...open].sort((a, b) => a.first - b.first)) if (range.protocol === protocol && range.first <= next && range.last >= next) next = range.last + 1;
  return next > last;
}

/** The zone that packets to the board's own port fall into: by its connection, by a zone that names it, or else the default one. */
export function zoneOfBoard(node: Node): Zone {
  const bound = zoneNames(node).map((name) => readZone(node, name)).find(({ interfaces }) => interfaces.some((name) => PORTS_OF_BOARD.includes(name)));
  const byConnection = connectionZone(node);
  if (byConnection !== undefined) return readZone(node, byConnection);
  return bound ?? readZone(node, /^[ \t]*DefaultZone[ \t]*=[ \t]*(\S+)/m.exec(node.text('/etc/firewalld/firewalld.conf') ?? '')?.[1] ?? 'public');
}

/** Networks that some zone accepts all from. */
export function trustedSources(node: Node): string[] {
  return zoneNames(node).map((name) => readZone(node, name)).filter(({ acceptsAll }) => acceptsAll).flatMap(({ sources }) => sources);
}

function connectionZone(node: Node): string | undefined {
  const directory = '/etc/NetworkManager/system-connections';
  const connections = node.names(directory).map((name) => parseKeyfile(node.text(`${directory}/${name}`) ?? '').get('connection'));
  return connections.find((one) => one?.get('type') === 'ethernet' && one.get('zone'))?.get('zone');
}

function zoneNames(node: Node): string[] {
  const files = DIRECTORIES.flatMap((directory) => node.names(`${directory}/zones`)).filter((name) => name.endsWith('.xml'));
  return [...new Set(files)].map((name) => name.slice(0, -'.xml'.length)).sort();
}

function readZone(node: Node, name: string): Zone {
  const text = fileOf(node, 'zones', name);
  const elements = text === undefined ? undefined : elementsOf(text);
  const attribute = (element: string, key: string): string[] => (elements ?? []).filter(([one]) => one === element).flatMap(([, attributes]) => attributes.get(key) ?? []);
  const services = elements ? attribute('service', 'name') : (ZONES[name] ?? ['ssh']);
  return {
    name, acceptsAll: elements ? attribute('zone', 'target').includes('ACCEPT') : name === 'trusted',
    open: [...portsIn(elements ?? []), ...services.flatMap((service) => portsOf(node, service, new Set()))],
    sources: attribute('source', 'address'), interfaces: attribute('interface', 'name'),
  };
}

function portsOf(node: Node, service: string, seen: Set<string>): Ports[] {
  if (seen.has(service) || seen.size > MAX_INCLUDES) return [];
  seen.add(service);
  const text = fileOf(node, 'services', service);
  if (text === undefined) return (SERVICES[service] ?? []).map(parsePorts);
  const elements = elementsOf(text);
  const included = elements.filter(([name]) => name === 'include').flatMap(([, attributes]) => attributes.get('service') ?? []);
  return [...portsIn(elements), ...included.flatMap((one) => portsOf(node, one, seen))];
}

function fileOf(node: Node, kind: string, name: string): string | undefined {
  if (!/^[\w./-]+$/.test(name) || name.split('/').includes('..')) return undefined;
  return DIRECTORIES.map((directory) => node.text(`${directory}/${kind}/${name}.xml`)).find((text) => text !== undefined);
}

function portsIn(elements: readonly Element[]): Ports[] {
  return elements.filter(([name]) => name === 'port').map(([, attributes]) => parsePorts(`${attributes.get('port') ?? ''}/${attributes.get('protocol') ?? ''}`));
}

/** Start tags outside of comments and of <rule>, whose ports are let in only under its conditions. */
function elementsOf(text: string): Element[] {
  const plain = without(without(text, '<!--', '-->'), '<rule', '</rule>');
  return [...plain.matchAll(/<([a-z-]+)((?:\s+[\w:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*\/?>/g)].map(([, name, attributes]) => [
    name!, new Map([...attributes!.matchAll(/([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g)].map(([, key, double, single]) => [key!, double ?? single ?? ''])),
  ]);
}

function without(text: string, start: string, end: string): string {
  const [first, ...others] = text.split(start);
  return [first!, ...others.map((one) => (one.includes(end) ? one.slice(one.indexOf(end) + end.length) : ''))].join('');
}
