/** chrony.conf(5): the directives with those of included files and directories, and what they say about where the time comes from. */
import type { Node } from '../node.js';
import { inForce } from './drop-ins.js';
import { globFits } from './glob.js';

export interface Directive {
  /** In lower case: chrony does not care. */
  readonly name: string;
  readonly values: readonly string[];
  readonly path: string;
}

const FILES = ['/etc/chrony.conf', '/etc/chrony/chrony.conf']; // EL, Debian
const MAX_FILES = 256; // with all that include each other; chronyd itself stops at 10 in each other
const DIRECTORIES: Readonly<Record<string, string>> = { confdir: '.conf', sourcedir: '.sources' };
/** What chronyd asks. */
const SOURCES = ['server', 'pool', 'peer', 'refclock'];

export interface ChronyConfig {
  readonly path: string;
  readonly directives: readonly Directive[];
}

/** undefined: the image has no chrony.conf. */
export function chronyConfig(node: Node): ChronyConfig | undefined {
  const path = FILES.find((one) => node.text(one) !== undefined);
  return path === undefined ? undefined : { path, directives: readFile(node, path, { left: MAX_FILES }) };
}

/** Servers, pools, peers and clocks. */
export function timeSources({ directives }: ChronyConfig): Directive[] {
  return directives.filter(({ name }) => SOURCES.includes(name));
}

interface Budget {
  left: number;
}

function readFile(node: Node, path: string, budget: Budget): Directive[] {
  return parse(node, budget.left-- > 0 ? (node.text(path) ?? '') : '', path, budget);
}

/** Directories: every file once, though a name counts in the first directory that has it; "*.sources" hold servers only. */
function parse(node: Node, text: string, path: string, budget: Budget): Directive[] {
  return text.split('\n').map((line) => line.trim()).filter((line) => line !== '' && !/^[!;#%]/.test(line)).flatMap((line) => {
    const [written, ...values] = line.split(/\s+/);
    const name = written!.toLowerCase();
    const below = name === 'include' ? files(node, values[0] ?? '') : DIRECTORIES[name] === undefined ? [] : inForce(node, values, DIRECTORIES[name]).map((one) => one.path);
    return [{ name, values, path }, ...below.flatMap((one) => readFile(node, one, budget))];
  });
}

function files(node: Node, pattern: string): string[] {
  const slash = pattern.lastIndexOf('/');
  const [directory, name] = [pattern.slice(0, slash), pattern.slice(slash + 1)];
  return slash < 0 ? [] : node.names(directory).filter((one) => globFits(one, name)).map((one) => `${directory}/${one}`);
}
