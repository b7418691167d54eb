/** What each node must have for itself: cards that were cloned, and lines that were copied, have it twice. */
import { createHash } from 'node:crypto';
import { isAbsolute, normalize } from 'node:path';
import { parsePublicKey } from '../../../steps/ssh-key.js';
import { addressKey, grouped, type Fleet, type Member } from '../fleet.js';
import type { FleetProblem, FleetRule } from '../rule.js';
import { byText, own, quoted, some, textOf } from '../words.js';

const UNIQUE = 'https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/#verify-mac-address';

export const duplicateRules: readonly FleetRule[] = [
  { id: 'fleet-duplicate-hostname', severity: 'error', title: 'no two nodes have one name', source: UNIQUE, check: checkHostnames },
  { id: 'fleet-duplicate-address', severity: 'error', title: 'no two nodes have one address', source: 'https://www.rfc-editor.org/rfc/rfc5227', check: checkAddresses },
  { id: 'fleet-duplicate-mac', severity: 'error', title: 'no two nodes have one MAC', source: UNIQUE, check: checkMacs },
  {
    id: 'fleet-duplicate-serial', severity: 'error', title: 'no two nodes are one board', check: checkSerials,
    source: 'https://www.raspberrypi.com/documentation/computers/raspberry-pi.html#raspberry-pi-revision-codes',
  },
  {
    id: 'fleet-duplicate-host-key', severity: 'error', title: 'no two nodes have one SSH host key', source: 'https://man.openbsd.org/sshd.8#FILES',
    check: checkHostKeys,
  },
  {
    id: 'fleet-duplicate-machine-id', severity: 'error', title: 'no two nodes have one machine-id', check: checkMachineIds,
    source: 'https://www.freedesktop.org/software/systemd/man/252/machine-id.html',
  },
];

interface Telling { readonly what: string; readonly hint: string; shown(key: string): string }

/** A problem for each member of a group with more than one. */
function problemsOf(groups: ReadonlyMap<string, readonly Member[]>, { what, hint, shown }: Telling): FleetProblem[] {
  return [...groups].filter(([, group]) => group.length > 1).flatMap(([key, group]) => group.map((member) => {
    const others = group.slice(0, 4).filter((other) => other !== member).map(({ label }) => label);
    return { subject: member.subject, message: `expected ${what} of its own, found ${shown(key)} also at ${some(others, group.length - 1)}`, hint };
  }));
}

/** Host names are the same in upper and lower case (RFC 4343). Kubespray gives a node its inventory name, whatever the image called it. */
function checkHostnames({ members }: Fleet): FleetProblem[] {
  const groups = grouped(members, ({ node, hostname }) => [node.name, hostname].map((name) => name.toLowerCase().replace(/\.$/, '')));
  return problemsOf(groups, { what: 'a name', hint: 'rename one of them: nodes of one name push each other out of the cluster', shown: quoted });
}

/** One machine may forward several ports to as many nodes: then its address, as ansible_host, is theirs together. */
function checkAddresses({ byAddress }: Fleet): FleetProblem[] {
  const clashing = [...byAddress].filter(([key, group]) => {
    const isForwarded = group.every((member) => member.addresses.every(({ ip, use }) => use === 'way' || addressKey(ip) !== key));
    return !isForwarded || new Set(group.map(portOf)).size < group.length;
  });
  const texts = new Map(clashing.map(([key, [member]]) => [key, member!.addresses.find(({ ip }) => addressKey(ip) === key)!.text]));
  return problemsOf(new Map(clashing), { what: 'an address', hint: 'give each node an address of its own', shown: (key) => texts.get(key)! });
}

function portOf({ node: { hostVars } }: Member): string {
  return textOf(own(hostVars, 'ansible_port')) ?? textOf(own(hostVars, 'ansible_ssh_port')) ?? '22';
}

function checkMacs({ members }: Fleet): FleetProblem[] {
  const groups = grouped(members, ({ node }) => listed(node.mac?.toLowerCase().replaceAll('-', ':')));
  return problemsOf(groups, { what: 'a MAC', hint: 'read it from the board (ip link), or from the router\'s list', shown: quoted });
}

function checkSerials({ members }: Fleet): FleetProblem[] {
  const groups = grouped(members, ({ node }) => listed(node.serial?.toLowerCase().replace(/^0x/, '').padStart(16, '0')));
  return problemsOf(groups, { what: 'a serial', hint: 'read it from the board: cat /proc/device-tree/serial-number', shown: quoted });
}

function listed(text: string | undefined): string[] {
  return text === undefined ? [] : [text];
}

/** Not shown: the id is confidential (machine-id(5)). */
function checkMachineIds({ members }: Fleet): FleetProblem[] {
  const names = ['machine_id', 'machineid', 'ansible_machine_id'];
  const groups = grouped(members, (member) => names.flatMap((name) => {
    const text = textOf(member.values.get(name) ?? own(member.node.hostVars, name))?.toLowerCase().replaceAll('-', '');
    return text !== undefined && /^[0-9a-f]{32}$/.test(text) ? [text] : [];
  }));
  return problemsOf(groups, { what: 'a machine-id', hint: 'leave it out: each node makes its own at the first boot, or fleet build --mint does', shown: () => 'the same one' });
}

/** Variables that hold a host key or its path: ssh_host_ed25519_key, ssh_host_key_file, ansible_ssh_host_key_rsa_public (a fact). */
const KEY_VARIABLE = /^(ansible_)?ssh_?host_(\w{1,20}_)?key/;
const NOT_A_KEY = /_(checking|keytype|algorithms?)$/;

function checkHostKeys({ members, context }: Fleet): FleetProblem[] {
  const known = new Map<string, string[]>();
  for (const { name, fingerprints } of context.identities ?? []) known.set(name, [...(known.get(name) ?? []), ...fingerprints]);
  const groups = grouped(members, (member) => [...variableKeys(member), ...(known.get(member.node.name) ?? [])]);
  const hint = 'give each node keys of its own: leave them out, or let fleet build --mint make them';
  return [...problemsOf(groups, { what: 'an SSH host key', hint, shown: shownKey }), ...strangers(members, known, groups, hint)];
}

/** Keys that nodes outside of this inventory have, in a state file that is used for both. */
function strangers(members: readonly Member[], known: ReadonlyMap<string, readonly string[]>, groups: ReadonlyMap<string, readonly Member[]>, hint: string): FleetProblem[] {
  const names = new Set(members.map(({ node }) => node.name));
  const others = [...known].filter(([name]) => !names.has(name)).sort(([a], [b]) => byText(a, b));
  return others.flatMap(([name, fingerprints]) => [...new Set(fingerprints)].flatMap((key) => (groups.get(key) ?? []).map(({ subject }) => (
    { subject, message: `expected an SSH host key of its own, found ${shownKey(key)} also at ${quoted(name)}, which is not in this inventory`, hint }
  ))));
}

function variableKeys({ node, values }: Member): string[] {
  const names = new Set([...Object.keys(node.hostVars), ...values.keys()].filter((name) => KEY_VARIABLE.test(name) && !NOT_A_KEY.test(name)));
  return [...names].flatMap((name) => listed(keyOf(textOf(values.get(name) ?? own(node.hostVars, name)))));
}

/** The fingerprint of a public key, a hash of a private one, or a path. */
function keyOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const blob = text.includes('\n') ? undefined : (parsePublicKey(text)?.blob ?? /^AAAA[A-Za-z0-9+/]{40,}/.exec(text)?.[0]);
  if (blob !== undefined) return `SHA256:${createHash('sha256').update(Buffer.from(blob, 'base64')).digest('base64').replace(/=+$/, '')}`;
  if (text.includes('PRIVATE KEY')) return `private ${createHash('sha256').update(text).digest('hex')}`;
  return isAbsolute(text) || /^[.~\w-]*\/|\.(pub|pem|key)$/.test(text) ? `file ${normalize(text)}` : undefined;
}

function shownKey(key: string): string {
  if (key.startsWith('private ')) return 'the same private key';
  return key.startsWith('file ') ? `the file ${quoted(key.slice(5))}` : quoted(key);
}
