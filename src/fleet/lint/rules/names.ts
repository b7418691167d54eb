/** Names of nodes: what RFC 1123, Linux and Kubespray take, and what YAML makes of them. */
import type { Fleet, Member } from '../fleet.js';
import type { FleetProblem, FleetRule } from '../rule.js';
import { quoted } from '../words.js';

/** Kubespray's own test (0040-verify-settings.yml). Only for names whose length was looked at before. */
const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LONGEST_LABEL = 63; // characters: RFC 1123 section 2.1, RFC 1035 section 2.3.4
const LONGEST = 253; // the same: 255 octets with the lengths of the labels
const LONGEST_HOST = 64; // HOST_NAME_MAX of Linux
/** Numbers, truth values and nothing, as YAML 1.1 reads words without quotes (PyYAML in Ansible); addresses, as inet_aton(3) reads digits. */
const OTHER_THAN_TEXT = /^([\d_.]+|0[xob][\da-f_]+|\d+e\d+|[yn]|true|false|yes|no|on|off|null)$/i;

export const nameRules: readonly FleetRule[] = [
  {
    id: 'fleet-name-invalid', severity: 'error', title: 'every name is one that DNS, Linux and Kubespray take', check: checkNames,
    source: 'https://github.com/kubernetes-sigs/kubespray/blob/master/roles/kubernetes/preinstall/tasks/0040-verify-settings.yml',
  },
  { id: 'fleet-name-number', severity: 'warning', title: 'no name is a number or another word that YAML reads as no text', source: 'https://yaml.org/type/', check: checkNumbers },
  {
    id: 'fleet-hostname-differs', severity: 'warning', title: 'every host name is the inventory\'s name', check: checkHostnames,
    source: 'https://github.com/kubernetes-sigs/kubespray/blob/master/roles/bootstrap_os/tasks/main.yml',
  },
];

/** Why a text is no host name; undefined when it is one. */
export function nameProblem(name: string): string | undefined {
  if (name.length > LONGEST) return `expected at most ${LONGEST} characters, found ${name.length}`;
  const label = name.split('.').find((one) => one.length > LONGEST_LABEL);
  if (label !== undefined) return `expected at most ${LONGEST_LABEL} characters between dots, found ${label.length}`;
  if (name.length > LONGEST_HOST) return `expected at most ${LONGEST_HOST} characters, which is Linux's limit, found ${name.length}`;
  if (!NAME.test(name)) return `expected lower-case letters, digits, "-" inside and ".", found ${quoted(name)}`;
  return name === 'localhost' || name.startsWith('localhost.') ? 'expected a name of its own, found localhost' : undefined;
}

function checkNames({ members }: Fleet): FleetProblem[] {
  const hint = 'give the node a name as node1 or node1.example.org';
  return members.flatMap((member) => namesOf(member).flatMap(([what, name]) => {
    const problem = nameProblem(name);
    return problem === undefined ? [] : [{ subject: member.subject, message: `${what}: ${problem}`, hint }];
  }));
}

function namesOf({ node, hostname }: Member): (readonly [what: string, name: string])[] {
  return [['name in the inventory', node.name], ...(hostname === node.name ? [] : [['variable hostname', hostname] as const])];
}

function checkNumbers({ members }: Fleet): FleetProblem[] {
  return members.filter(({ node }) => node.name.length <= LONGEST && OTHER_THAN_TEXT.test(node.name)).map(({ subject, node }) => ({
    subject, message: `expected a name that YAML reads as text, found ${quoted(node.name)}`, hint: `put a letter in front, as node-${node.name}; quotes help only in the files that have them`,
  }));
}

function checkHostnames({ members }: Fleet): FleetProblem[] {
  return members.filter(({ node, hostname }) => hostname !== node.name).map(({ subject, node, hostname }) => ({
    subject, message: `expected the inventory's name ${quoted(node.name)} as host name, found ${quoted(hostname)}: Kubespray renames the node, and others do not find it by its name`,
    hint: 'leave hostname out, or name the node so in the inventory',
  }));
}
