/**
 * What must not be the same on two nodes: machine-id, host keys, seeds, leases, journals, histories (systemd's docs/BUILDING_IMAGES.md and what EL adds).
 * /etc/machine-id stays as an empty file: systemd then makes an id at boot and does not take the boot for a first one, which would apply presets
 * (machine-id(5), "First Boot Semantics"); a missing one cannot be made while root is read-only.
 */
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { notAsAsked } from './content.js';
import { checkPlaced, namesIn, place, type Placed } from './placed.js';
import type { Step } from './step.js';
import { isInstalled } from './systemd.js';

const MACHINE_ID: Placed = { path: '/etc/machine-id', text: '', mode: 0o444 };
const REGENERATORS = ['sshd-keygen@.service', 'sshd-keygen.service', 'regenerate_ssh_host_keys.service', 'sshdgenkeys.service'];

/** A directory and which of its entries go, with everything in them. */
const REMOVED: readonly (readonly [directory: string, names: RegExp])[] = [
  ['/etc/ssh', /^ssh_host_.*key(\.pub)?$/],
  ['/var/lib/systemd', /^(random-seed|credential\.secret)$/],
  ['/var/lib/NetworkManager', /^(secret_key|timestamps|seen-bssids|.*\.lease)$/],
  ['/var/lib/dhclient', /./],
  ['/var/lib/dhcp', /\.leases/],
  ['/var/lib/dhcpcd', /./],
  ['/var/lib/chrony', /^drift$/],
  ['/var/log/journal', /./],
  ['/var/lib/cloud', /^(?!seed$)/], // as "cloud-init clean": the seed is what someone put there on purpose
  ['/var/lib/rockberry', /\.done$/], // what is to run at the first boot runs again on the copy
];
const HISTORIES = /^\.((bash|zsh|sh|ash|python|mysql|psql|sqlite|node_repl)_history|lesshst|viminfo)$/;
const MAX_DEPTH = 64; // a directory that is its own grandchild never ends
const EMPTIED = ['/var/log/wtmp', '/var/log/btmp', '/var/log/lastlog'];

export const identityStep: Step<'reset'> = {
  key: 'identity',
  summary: 'Removes what must differ between nodes: machine-id, SSH host keys, seeds, leases, journals, histories.',
  schema: z.literal('reset').describe('"reset": the image has no identity of its own any more.'),
  describe: () => 'no identity: machine-id, host keys, seeds, leases, journals, histories',
  apply(tree) {
    place(tree, MACHINE_ID);
    for (const path of unwanted(tree)) removeTree(tree, path);
    for (const path of EMPTIED) if (sizeOf(tree, path) > 0) tree.truncate(path, 0);
  },
  verify(tree) {
    return [
      ...checkPlaced(tree, 'identity', MACHINE_ID),
      ...unwanted(tree).map((path) => notAsAsked('identity', path, `expected nothing at ${path}, found what belongs to one machine`)),
      ...EMPTIED.filter((path) => sizeOf(tree, path) > 0).map((path) => notAsAsked('identity', path, `expected ${path} to be empty, found ${sizeOf(tree, path)} bytes`)),
      ...checkKeyMaker(tree),
    ];
  },
};

/** What is there of the paths that have to go. */
function unwanted(tree: Tree): string[] {
  const homes = ['/root', ...namesIn(tree, '/home').map((name) => `/home/${name}`)];
  const seeds = [...new Set([tree.bootDirectory, '/boot', '/boot/efi'])].map((directory) => [`${directory}/loader`, /^random-seed$/] as const);
  const listed = [...REMOVED, ...seeds, ...homes.map((home) => [home, HISTORIES] as const)];
  const paths = listed.flatMap(([directory, names]) => namesIn(tree, directory).filter((name) => names.test(name)).map((name) => `${directory}/${name}`));
  const ofDbus = '/var/lib/dbus/machine-id'; // a link to /etc/machine-id where things are right
  return tree.stat(ofDbus)?.type === 'file' ? [...paths, ofDbus] : paths;
}

function removeTree(tree: Tree, path: string, depth = 0): void {
  if (depth > MAX_DEPTH) throw new RockberryError('corrupt', `expected at most ${MAX_DEPTH} directories in each other, found more at ${path.slice(0, 80)}`);
  if (tree.stat(path)?.type === 'directory') for (const { name } of tree.list(path)) removeTree(tree, `${path}/${name}`, depth + 1);
  tree.remove(path);
}

function sizeOf(tree: Tree, path: string): number {
  const stat = tree.stat(tree.resolve(path));
  return stat?.type === 'file' ? stat.size : 0;
}

/** sshd does not start without host keys: something has to make them. EL does so by units before sshd.service. */
function checkKeyMaker(tree: Tree): Finding[] {
  const hasServer = ['sshd.service', 'ssh.service'].some((name) => isInstalled(tree, name));
  if (!hasServer || REGENERATORS.some((name) => isInstalled(tree, name))) return [];
  const message = `expected a unit that makes SSH host keys, found none of ${REGENERATORS.join(', ')}`;
  return [{ severity: 'warning', id: 'identity-host-keys', subject: '/etc/ssh', message, hint: 'add a first_boot step that runs "ssh-keygen -A" and restarts sshd' }];
}
