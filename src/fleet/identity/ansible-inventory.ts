/**
 * The inventory, back to Ansible as YAML: the same groups and variables, and how to know the nodes by their host keys from the first connection on. Variables
 * stand with their hosts as they came out of the merge, those that are the same for all of them once. Ansible reads YAML 1.1.
 */
import { Document } from 'yaml';
import { RockberryError } from '../../errors.js';
import type { FleetNode, Inventory, Value } from '../model.js';
import { reachedBy } from './hosts.js';
import { isSecret, type KnownSecrets } from './inventory-secrets.js';
import type { ByName } from './published.js';

export interface InventoryOutOptions extends KnownSecrets {
  /** Where known_hosts is: absolute, or relative to the folder of the inventory that is written. */
  readonly knownHosts: string;
}

type Variables = ReadonlyMap<string, Value>;

const EXTRA = ['ansible_ssh_extra_args', 'ansible_sftp_extra_args', 'ansible_scp_extra_args'];

/**
 * Variables that are secret (see isSecret) are left out and named in a comment. Errors: `usage` for a path of known_hosts that ssh and Ansible could not read back.
 */
export function ansibleInventoryOut({ nodes, groups }: Pick<Inventory, 'nodes' | 'groups'>, identities: ByName, options: InventoryOutOptions): string {
  const checking = checkingArguments(options.knownHosts);
  const omitted = new Set<string>();
  const all = new Map(nodes.map((node) => [node.name, variablesOf(node, identities.has(node.name) ? checking : undefined, options, omitted)]));
  const common = commonVariables([...all.values()]);
  const hosts = new Map([...all].map(([name, variables]) => [name, without(variables, common)]));
  const children = new Map([...groups].filter(([group]) => group !== 'all' && group !== 'ungrouped').map(([group, names]) => [group, { hosts: new Map(names.map((name) => [name, new Map()])) }]));
  const document = new Document({ all: { ...(common.size > 0 && { vars: common }), hosts, children } }, { version: '1.1', aliasDuplicateObjects: false });
  document.commentBefore = comment(omitted);
  return document.toString({ lineWidth: 0, directives: false });
}

function comment(omitted: ReadonlySet<string>): string {
  const left = omitted.size === 0 ? '' : `\n Left out, for they are secret: ${[...omitted].sort().map((name) => JSON.stringify(name)).join(', ')}. Give them with a vault file, as before.`;
  return ` Made by rockberry from the fleet's inventory; it is made again with every build.${left}`;
}

function variablesOf(node: FleetNode, checking: string | undefined, options: InventoryOutOptions, omitted: Set<string>): Variables {
  const kept = new Map<string, Value>();
  for (const [name, value] of Object.entries(node.hostVars)) {
    if (isSecret(name, value, options)) omitted.add(name);
    else kept.set(name, value);
  }
  const { address } = reachedBy(node);
  if (!kept.has('ansible_host') && !kept.has('ansible_ssh_host') && address !== undefined && address !== node.name) kept.set('ansible_host', address);
  const { user } = node.variables;
  if (!kept.has('ansible_user') && !kept.has('ansible_ssh_user') && typeof user === 'string' && user !== '') kept.set('ansible_user', user);
  return checking === undefined ? kept : withChecking(kept, checking);
}

/**
 * ssh takes the first value it is given, and Ansible puts together: ssh_args of ansible.cfg, "StrictHostKeyChecking=no" where host_key_checking is off, common
 * args, extra args. So ours come before the inventory's own in the extra args (common args are the inventory's or, in Kubespray, a bastion's), and in common args
 * where it has some, which may turn the check off; the variable beats host_key_checking=False of Kubespray's ansible.cfg.
 */
function withChecking(variables: Variables, checking: string): Variables {
  const own = (name: string): string => (typeof variables.get(name) === 'string' && variables.get(name) !== '' ? ` ${variables.get(name) as string}` : '');
  const common = 'ansible_ssh_common_args';
  return new Map([
    ...variables, ['ansible_host_key_checking', true], ...EXTRA.map((name) => [name, `${checking}${own(name)}`] as const),
    ...(own(common) === '' ? [] : [[common, `${checking}${own(common)}`] as const]),
  ]);
}

/** The global file is ours too: "UserKnownHostsFile=/dev/null" in Kubespray's ssh_args comes first and wins. */
function checkingArguments(path: string): string {
  // Through a template of Ansible's, its shell-like splitting, ssh's own quotes, tokens and environment variables.
  if (path === '' || /["'\\$]|\{[{%#]|[\0-\x1f\x7f]/.test(path)) {
    throw new RockberryError('usage', `expected a path for known_hosts without quotes, backslashes, "$" and braces, found ${JSON.stringify(path)}`, { hint: 'use another folder for the fleet' });
  }
  const file = path.startsWith('/') ? path.replaceAll('%', '%%') : `{{ inventory_dir | replace("%", "%%") }}/${path.replaceAll('%', '%%')}`;
  return ['User', 'Global'].map((kind) => `-o '${kind}KnownHostsFile="${file}"'`).concat('-o StrictHostKeyChecking=yes').join(' ');
}

/** Those that every host has with the same value. */
function commonVariables([first, ...rest]: readonly Variables[]): Variables {
  const same = (name: string, value: Value): boolean => rest.every((other) => other.has(name) && JSON.stringify(other.get(name)) === JSON.stringify(value));
  return new Map(rest.length === 0 ? [] : [...first!].filter(([name, value]) => same(name, value)));
}

function without(variables: Variables, common: Variables): Variables {
  return new Map([...variables].filter(([name]) => !common.has(name)));
}
