/**
 * Packages by the image's own dnf. Whatever dnf.conf keeps from being updated stays, and so do kernel and firmware of the older Rocky family; what was asked for is
 * asked of rpm afterwards.
 */
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import type { Tree } from '../fs/filesystem.js';
import { readText } from './content.js';
import { excluded } from './dnf.js';
import { runIn, surroundings } from './run.js';
import type { Step } from './step.js';

/** No option, no path: "vim", "kernel-devel", "@development", "python3.11", "vim-2:8.2". */
const packageName = z.string().max(256).regex(/^[@\w][\w.+*?:~^-]*$/, 'expected the name of a package');
const list = z.array(packageName).default([]);
/**
 * Of Rocky's older family, which has its firmware in /boot: the newer kernel packages put theirs into /boot/efi, and the Pi does not start any more
 * (https://forums.rockylinux.org/t/18773). Excluded here whether or not dnf.conf has them.
 */
const OLDER = ['kernel-rpi*', 'raspberrypi2*'];
const isOlder = (tree: Tree): boolean => ['/etc/rocky-release', '/boot/bootcode.bin'].every((path) => tree.stat(tree.resolve(path)));

const schema = z.strictObject({
  install: list.describe('Packages, groups as "@name".'),
  remove: list.describe('Packages that go, with what needs them.'),
  update: z.union([z.boolean(), z.array(packageName).min(1)]).default(false).describe('true: all that dnf.conf does not exclude; or some packages.'),
  enable: z.array(z.string().max(128).regex(/^[\w.:-]+$/)).default([]).describe('Repositories that are off by default, as "crb".'),
  weak: z.boolean().default(false).describe('Whether recommended packages are installed, too.'),
  clean: z.boolean().default(true).describe('Whether dnf\'s cache is emptied afterwards.'),
  ...surroundings,
}).refine(({ install, remove, update }) => install.length + remove.length > 0 || update !== false, 'expected packages to install, remove or update');
export type PackagesOptions = z.infer<typeof schema>;

/** dnf takes "vim.aarch64" and "vim-8.2", which nothing provides by that name, as well as names that no package has, but one provides: rpm looks for the one or the other. */
const rpmHas = (names: readonly string[]): string => `for name in ${names.join(' ')}; do
  said=$(rpm -q "$name") || said=$(rpm -q --whatprovides "$name") || { echo "$said"; exit 1; }
  echo "$said"
done
`;

export const packagesStep: Step<PackagesOptions> = {
  key: 'packages',
  summary: 'Installs, removes and updates packages with the image\'s dnf; needs root on Linux (--backend loop).',
  schema,
  needsMachine: true,
  describe: ({ install, remove, update }) => [
    ...(remove.length > 0 ? [`remove ${remove.join(', ')}`] : []), ...(install.length > 0 ? [`install ${install.join(', ')}`] : []),
    ...(update === true ? ['update all packages'] : update === false ? [] : [`update ${update.join(', ')}`]),
  ].join('; '),
  async apply(tree, options, context) {
    const conf = readText(tree, '/etc/dnf/dnf.conf');
    if (conf === undefined) throw new RockberryError('unsupported', 'expected /etc/dnf/dnf.conf in the image, found none', { hint: 'the image has no dnf; use "run" with its own package manager' });
    const common = ['dnf', '-y', `--setopt=install_weak_deps=${options.weak ? 'True' : 'False'}`, ...options.enable.map((repository) => `--enablerepo=${repository}`)];
    const kept = isOlder(tree) ? OLDER.filter((pattern) => !excluded(conf).includes(pattern)).map((pattern) => `--exclude=${pattern}`) : [];
    const dnf = (...words: string[]): Promise<void> => runIn(tree, [...common, ...words], options, context);
    if (options.remove.length > 0) await dnf('remove', ...options.remove);
    if (options.update !== false) await dnf(...kept, 'upgrade', ...(options.update === true ? [] : options.update));
    if (options.install.length > 0) await dnf(...kept, 'install', ...options.install);
    if (options.clean) await dnf('clean', 'all');
    const named = options.install.filter((each) => /^[\w.+-]+$/.test(each)); // no groups, no patterns
    if (named.length > 0) await runIn(tree, { script: rpmHas(named) }, options, context);
  },
  verify: () => [], // rpm was asked when they were installed: its database is a format of its own
};
