/** Kernel parameters, in a file of /etc/sysctl.d (sysctl.d(5)). Several sysctl steps may share a file: each sets its own keys and keeps the others. */
import { z } from 'zod';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { assign, assigned, type Syntax } from './assignments.js';
import { notAsAsked, readText, utf8, writeText } from './content.js';
import { checkOwner, namesIn } from './placed.js';
import type { Step } from './step.js';

const DIRECTORIES = ['/etc/sysctl.d', '/run/sysctl.d', '/usr/local/lib/sysctl.d', '/usr/lib/sysctl.d', '/lib/sysctl.d']; // the first that has a name wins
const DEFAULT_FILE = '90-rockberry.conf';

const key = z.string().max(256).regex(/^-?[A-Za-z0-9_]+([./][A-Za-z0-9_*:@-]+)+$/, 'expected the name of a kernel parameter, as "net.ipv4.ip_forward"');
const parameter = z.union([z.string().max(1024).regex(/^[^\n\r\0]+$/, 'expected a value on one line'), z.number()]).describe('Value, as "sysctl -w" takes it.');
const values = z.record(key, parameter).describe('Kernel parameters and their values.');
const file = z.strictObject({
  file: z.string().regex(/^[A-Za-z0-9_][\w.@-]*\.conf$/, 'expected a file name ending in ".conf"').describe(`Name in /etc/sysctl.d; default ${DEFAULT_FILE}.`).optional(),
  values,
});
const schema = z.union([file, values]).describe('Kernel parameters, directly or as {file, values}.');
export type SysctlOptions = z.infer<typeof schema>;

/** sysctl.d(5): a leading "-" means that a failure is ignored; where "/" comes before ".", "/" separates and "." belongs to the names. */
const sysctlSyntax: Syntax = {
  key(written) {
    const name = written.replace(/^-/, '');
    const first = /[./]/.exec(name)?.[0];
    return first === '/' ? name : name.replace(/[./]/g, (separator) => (separator === '.' ? '/' : '.'));
  },
  value: (written) => written,
  line: (name, value) => `${name} = ${value}`,
};

export const sysctlStep: Step<SysctlOptions> = {
  key: 'sysctl',
  summary: 'Sets kernel parameters at boot by a file in /etc/sysctl.d.',
  schema,
  describe: (options) => `kernel parameters ${[...settings(options).values].map(([name, value]) => `${name}=${value}`).join(', ')}`,
  apply(tree, options) {
    const { path, values: wanted } = settings(options);
    writeText(tree, path, assign(readText(tree, path) ?? '', wanted, sysctlSyntax), { mode: 0o644, uid: 0, gid: 0 });
  },
  verify(tree, options) {
    const { path, values: wanted } = settings(options);
    const found = assigned(readText(tree, path) ?? '', sysctlSyntax);
    const wrong = [...wanted].filter(([name, value]) => found.get(sysctlSyntax.key(name)) !== value);
    return [
      ...checkOwner(tree, 'sysctl', tree.resolve(path), { mode: 0o644, uid: 0, gid: 0 }),
      ...wrong.map(([name, value]) => notAsAsked('sysctl', path, `expected ${name} = ${value} in ${path}, found ${found.get(sysctlSyntax.key(name)) ?? 'no such line'}`)),
      ...overridden(tree, path, wanted),
    ];
  },
};

function settings(options: SysctlOptions): { path: string; values: Map<string, string> } {
  const isFile = typeof options.values === 'object'; // a parameter's value never is an object, and no parameter is called "values"
  const { file: name = DEFAULT_FILE, values: given } = isFile ? (options as z.infer<typeof file>) : { values: options as z.infer<typeof values> };
  return { path: `/etc/sysctl.d/${name}`, values: new Map(Object.entries(given).map(([parameterName, value]) => [utf8(parameterName), utf8(String(value))])) };
}

/** Files are read in the order of their names whatever their directory, and the last value counts (sysctl.d(5)); a later file with another value is told. */
function overridden(tree: Tree, path: string, wanted: ReadonlyMap<string, string>): Finding[] {
  const own = path.slice(path.lastIndexOf('/') + 1);
  const later = new Map<string, string>();
  for (const directory of DIRECTORIES) {
    for (const name of namesIn(tree, directory)) if (name > own && name.endsWith('.conf') && !later.has(name)) later.set(name, `${directory}/${name}`);
  }
  return [...later.values()].flatMap((other) => {
    const found = assigned(textIfFile(tree, other), sysctlSyntax);
    const others = [...wanted].filter(([name, value]) => (found.get(sysctlSyntax.key(name)) ?? value) !== value);
    return others.map(([name, value]): Finding => ({
      severity: 'warning', id: 'sysctl-overridden', subject: other,
      message: `expected ${name} = ${value} to be the last word, found ${found.get(sysctlSyntax.key(name))} in ${other}, which is read later`,
      hint: 'choose a file name that sorts after it',
    }));
  });
}

function textIfFile(tree: Tree, path: string): string {
  return tree.stat(tree.resolve(path))?.type === 'file' ? readText(tree, path)! : '';
}
