/**
 * The inventory, back to Ansible as YAML: the same groups and variables, and how to know the nodes by their host keys from the first connection on. Variables
 * stand with their hosts as they came out of the merge, those that are the same for all of them once. Ansible reads YAML 1.1.
 */
import { Document, visit, type Tags } from 'yaml';
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

/** Text that needs no quotes in any YAML; "yes", "on" and the like the library knows. "=" it does not. */
const PLAIN = /^[A-Za-z_][\w./-]*$/;
/** Line ends of YAML 1.1 and not of 1.2; what has them stands in double quotes. */
const LINE_ENDS: Readonly<Record<string, string>> = { '\u0085': '\\N', '\u2028': '\\L', '\u2029': '\\P' };
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
  const document = new Document({ all: { ...(common.size > 0 && { vars: common }), hosts, children } }, { version: '1.1', aliasDuplicateObjects: false, customTags: withoutUnwanted });
  document.commentBefore = comment(omitted);
  visit(document, { Scalar: (_, scalar) => { if (typeof scalar.value === 'string' && !PLAIN.test(scalar.value)) scalar.type = 'QUOTE_DOUBLE'; } });
  return document.toString({ lineWidth: 0, directives: false }).replace(/[\u0085\u2028\u2029]/g, (character) => LINE_ENDS[character]!);
}

/**
 * What YAML 1.1 of the library does that is not wanted: a Map, which keeps the order even of hosts called "10" and "9", would be a list of pairs, and the text
 * "<<" a merge.
 */
const UNWANTED = new Set(['omap', 'merge', 'tag:yaml.org,2002:omap', 'tag:yaml.org,2002:merge']);
const withoutUnwanted = (tags: Tags): Tags => tags.filter((tag) => !UNWANTED.has(typeof tag === 'string' ? tag : tag.tag));

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
  const isAbsolute = path.startsWith('/');
  const user = isAbsolute ? path.replaceAll('%', '%%') : `{{ inventory_dir | replace("%", "%%") }}/${path.replaceAll('%', '%%')}`; // tokens are expanded in this one only
  const global = isAbsolute ? path : `{{ inventory_dir }}/${path}`;
  return `-o 'UserKnownHostsFile="${user}"' -o 'GlobalKnownHostsFile="${global}"' -o StrictHostKeyChecking=yes`;
}

/** Those that every host has with the same value. */
function commonVariables([first, ...rest]: readonly Variables[]): Variables {
  const same = (name: string, value: Value): boolean => rest.every((other) => other.has(name) && JSON.stringify(other.get(name)) === JSON.stringify(value));
  return new Map(rest.length === 0 ? [] : [...first!].filter(([name, value]) => same(name, value)));
}

function without(variables: Variables, common: Variables): Variables {
  return new Map([...variables].filter(([name]) => !common.has(name)));
}
