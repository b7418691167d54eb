/** Networks and shared addresses of a cluster, as far as an inventory tells them: lint compares them, and an open firewall trusts them. */
import { familyOf, parseAddress } from '../../steps/addresses.js';
import type { Inventory, Value } from '../model.js';
import type { Given, Vars } from './hosts-and-groups.js';
import type { MergedHost } from './merge.js';
import type { FleetForm } from './own-form.js';
import { problem, quoted } from './problem.js';
import { plainValueOf } from './templates.js';

type Networks = Inventory['networks'];
type Kind = 'pods' | 'services';

/** Kubespray's variables (those for IPv6 only count with dual stack), and what the roles for k3s and RKE2 call theirs. */
const VARIABLES: Readonly<Record<Kind, readonly string[]>> = {
  pods: ['kube_pods_subnet', 'cluster_cidr', 'cluster-cidr', 'k3s_cluster_cidr', 'rke2_cluster_cidr'],
  services: ['kube_service_addresses', 'service_cidr', 'service-cidr', 'k3s_service_cidr', 'rke2_service_cidr'],
};
const DUAL_STACK: Readonly<Record<Kind, string>> = { pods: 'kube_pods_subnet_ipv6', services: 'kube_service_addresses_ipv6' };
const OPTIONS: Readonly<Record<Kind, string>> = { pods: 'cluster-cidr', services: 'service-cidr' };
/** Variables that hold options of k3s or RKE2: as arguments, as the text of its config.yaml, or as a mapping. */
const OPTION_HOLDERS = ['extra_server_args', 'server_config_yaml', 'k3s_server', 'rke2_server_options'];
const VIP_HOLDERS = ['kube_vip_address', 'loadbalancer_apiserver'];

export const NETWORK_VARIABLES: readonly string[] = [...VARIABLES.pods, ...VARIABLES.services, ...Object.values(DUAL_STACK), ...OPTION_HOLDERS, ...VIP_HOLDERS];

/** What our own form says, and what the variables of all nodes say. Errors: `profile` for a text that should be a network and is none. */
export function networksOf(hosts: readonly MergedHost[], form: FleetForm['networks']): Networks {
  const list = (given: string | string[] | undefined): string[] => [given ?? []].flat();
  const seen = new Set<Given>();
  const found: Record<Kind, Set<string>> = { pods: new Set(list(form?.pods)), services: new Set(list(form?.services)) };
  for (const { vars } of hosts) {
    for (const kind of ['pods', 'services'] as const) {
      for (const name of [...VARIABLES[kind], ...(isDualStack(vars) ? [DUAL_STACK[kind]] : [])]) networksIn(vars, name, seen).forEach((network) => found[kind].add(network));
      for (const name of OPTION_HOLDERS) optionsIn(plainValueOf(vars, name)?.value, OPTIONS[kind]).forEach((network) => found[kind].add(network));
    }
  }
  return { nodes: list(form?.nodes), pods: [...found.pods], services: [...found.services] };
}

function isDualStack(vars: Vars): boolean {
  return ['enable_dual_stack_networks', 'ipv6_stack'].some((name) => plainValueOf(vars, name)?.value === true);
}

/** A value that many nodes share is looked at once. */
function networksIn(vars: Vars, name: string, seen: Set<Given>): string[] {
  const given = plainValueOf(vars, name);
  if (!given || seen.has(given)) return [];
  seen.add(given);
  const texts = [given.value].flat().flatMap((one) => String(one).split(',')).map((text) => text.trim());
  const wrong = texts.find((text) => parseAddress(text) === undefined);
  if (wrong !== undefined) throw problem('profile', given.where, `expected a network such as 10.233.64.0/18 for ${quoted(name)}, found ${given.secret ? 'another value (not shown: it is secret)' : quoted(wrong)}`);
  return texts;
}

/** "--cluster-cidr=10.42.0.0/16", "cluster-cidr: 10.42.0.0/16", {cluster-cidr: 10.42.0.0/16}; what is no network is not ours to judge. */
function optionsIn(value: Value | undefined, option: string): string[] {
  if (value === undefined || value === null) return [];
  if (typeof value === 'object') return Array.isArray(value) ? value.flatMap((one: Value) => optionsIn(one, option)) : networksAmong(String((value as Record<string, Value>)[option] ?? ''));
  return [...String(value).matchAll(new RegExp(`(?:^|[\\s-])${option}[=:\\s]\\s*["']?([0-9A-Fa-f.:/,]{1,200})`, 'g'))].flatMap(([, text]) => networksAmong(text!));
}

function networksAmong(text: string): string[] {
  return text.split(',').filter((one) => parseAddress(one) !== undefined);
}

/** Addresses that the control plane shares. */
export function vipsOf(hosts: readonly MergedHost[], form: Pick<FleetForm, 'vip' | 'vips'> | undefined): string[] {
  const found = new Set([form?.vip ?? [], form?.vips ?? []].flat());
  for (const { vars } of hosts) {
    const balancer = plainValueOf(vars, 'loadbalancer_apiserver')?.value;
    const address = typeof balancer === 'object' && balancer !== null && 'address' in balancer ? balancer.address : undefined;
    for (const one of [plainValueOf(vars, 'kube_vip_address')?.value, address]) if (typeof one === 'string' && familyOf(one)) found.add(one);
  }
  return [...found];
}
