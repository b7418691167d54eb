/** The host's name, in /etc/hostname (hostname(5)) and as 127.0.1.1 in /etc/hosts (hosts(5)), so that the name resolves before there is a network. */
import { z } from 'zod';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { notAsAsked, readText, writeText } from './content.js';
import { checkPlaced, place, type Placed } from './placed.js';
import type { Step } from './step.js';

const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'; // RFC 1123 section 2.1
const NAME = new RegExp(`^(?!localhost(?:\\.|$))${LABEL}(?:\\.${LABEL})*$`, 'i');
const LONGEST = 64; // characters: HOST_NAME_MAX of Linux
const OWN_ADDRESS = '127.0.1.1';
// What the "setup" package of EL installs.
const EMPTY_HOSTS = '127.0.0.1   localhost localhost.localdomain localhost4 localhost4.localdomain4\n'
  + '::1         localhost localhost.localdomain localhost6 localhost6.localdomain6\n';

const schema = z.string().max(LONGEST, `expected a host name of at most ${LONGEST} characters`)
  .regex(NAME, 'expected a host name as RFC 1123 has it: letters, digits and "-", in labels joined by "."; not localhost')
  .describe('Host name, short or fully qualified, lower case: "node1" or "node1.example.org".');

export const hostnameStep: Step<string> = {
  key: 'hostname',
  summary: 'Sets the host name in /etc/hostname and gives it an address of its own (127.0.1.1) in /etc/hosts.',
  schema,
  describe: (name) => `host name ${name}`,
  apply(tree, name) {
    place(tree, hostnameFile(name));
    writeText(tree, '/etc/hosts', editHosts(readText(tree, '/etc/hosts') ?? EMPTY_HOSTS, name));
  },
  verify(tree, name) {
    return [...checkPlaced(tree, 'hostname', hostnameFile(name)), ...checkHosts(tree, name), ...checkCase(name)];
  },
};

function hostnameFile(name: string): Placed {
  return { path: '/etc/hostname', text: `${name}\n`, mode: 0o644 };
}

/** The text of /etc/hosts with one line for 127.0.1.1. Other lines keep their bytes, and so does a line that says it already in other spacing. */
export function editHosts(text: string, name: string): string {
  const own = [...namesOf(name)];
  let placed = false;
  const lines = text.split('\n').flatMap((line) => {
    const [address, ...names] = words(line);
    if (address !== OWN_ADDRESS) return [line];
    if (placed) return [];
    placed = true;
    return [names.join(' ') === own.join(' ') ? line : [OWN_ADDRESS, ...own].join(' ')];
  });
  const kept = lines.join('\n');
  if (placed) return kept;
  return `${kept}${kept === '' || kept.endsWith('\n') ? '' : '\n'}${[OWN_ADDRESS, ...own].join(' ')}\n`;
}

/** The canonical name first, as hosts(5) asks, then the short one. */
function namesOf(name: string): Set<string> {
  return new Set([name, name.split('.')[0]!]);
}

function words(line: string): string[] {
  return line.replace(/#.*/, '').split(/\s+/).filter((word) => word !== '');
}

function checkHosts(tree: Tree, name: string): Finding[] {
  const lines = (readText(tree, '/etc/hosts') ?? '').split('\n').map(words);
  const own = lines.filter(([address]) => address === OWN_ADDRESS);
  if (own.length === 1 && [...namesOf(name)].every((one) => own[0]!.includes(one))) return [];
  return [notAsAsked('hostname', '/etc/hosts', `expected one line "${OWN_ADDRESS} ${[...namesOf(name)].join(' ')}" in /etc/hosts, found ${own.length} for that address`)];
}

function checkCase(name: string): Finding[] {
  if (name === name.toLowerCase()) return [];
  const message = `expected a host name in lower case, found "${name}": kubelet registers the node in lower case`;
  return [{ severity: 'warning', id: 'hostname-case', subject: '/etc/hostname', message, hint: `use "${name.toLowerCase()}"` }];
}
