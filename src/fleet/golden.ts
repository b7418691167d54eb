/**
 * One image for all nodes: it holds what each of them has alone, and the program that finds out at the first boot which of them the board is, and puts that in
 * place (profiles/files/rockberry-node). What all nodes have in common is in the image as always.
 */
import { equalBytes } from '../bytes/fields.js';
import { RockberryError } from '../errors.js';
import type { Tree } from '../fs/filesystem.js';
import type { BoundStep } from '../profile.js';
import type { Finding } from '../report.js';
import { shippedFile } from '../shipped.js';
import { makeParents, notAsAsked } from '../steps/content.js';
import { filesStep } from '../steps/files.js';
import { checkOwner, checkPlaced, namesIn, place, type Placed } from '../steps/placed.js';
import { checkEnabled, enableUnit } from '../steps/services.js';
import { checkEntries, INSTALLED, MARKER, NODES, PROGRAM, UNIT, UNIT_PATH, type GoldenEntry } from './golden/entry.js';
import { layoutOf, readEarly, type Layout } from './golden/layout.js';
import type { Where } from './model.js';

export interface GoldenOptions {
  /** The inventory, for messages. */
  readonly where: Where;
  /** Names of the secret variables whose values may be in the image; "ssh_host_keys" for private host keys among the nodes' files. */
  readonly allowSecrets: readonly string[];
  /** A node that has found its entry keeps those of all the others. */
  readonly keepEntries?: boolean;
}

const STEP = 'golden';
/** What minted host keys count as: with another node's, one can pretend to be that node. */
const HOST_KEYS = { secret: 'ssh_host_keys', path: /^\/etc\/ssh\/ssh_host_[^/]*_key$/ };
const DIRECTORIES = [NODES, `${NODES}/contents`, `${NODES}/entries`];

/**
 * The steps that make an image the golden one, and what there is to know about it. Errors: `refused` for secrets that were not allowed, `profile` for nodes
 * without a serial or a MAC, for two nodes with one board, for names and owners that cannot be; `unsupported` for more, larger or stranger files than a table holds.
 */
export function goldenSteps(entries: readonly GoldenEntry[], options: GoldenOptions): { steps: BoundStep[]; findings: Finding[] } {
  checkEntries(entries);
  refuseSecrets(entries, options);
  const layout = layoutOf(entries, options.keepEntries ?? false);
  const program: Placed = { path: PROGRAM, text: shippedFile('rockberry-node'), mode: 0o755 };
  const unit: Placed = { path: UNIT_PATH, text: shippedFile(UNIT), mode: 0o644 };
  const { where } = options;
  const steps = [
    bound(where, `program ${PROGRAM}`, (tree) => place(tree, program), (tree) => checkPlaced(tree, STEP, program)),
    bound(where, `unit ${UNIT}, enabled`, (tree) => placeUnit(tree, unit), (tree) => checkUnit(tree, unit)),
    bound(where, `table of ${entries.length} nodes in ${NODES}`, (tree) => placeNodes(tree, layout), (tree) => checkNodes(tree, layout)),
  ];
  return { steps, findings: [...secretFindings(entries, options), ...hostnameFindings(entries), ...restartFindings(entries)] };
}

function bound(where: Where, title: string, apply: (tree: Tree) => void | Promise<void>, verify: (tree: Tree) => Finding[]): BoundStep {
  return { step: STEP, title, where, describe: () => title, apply: async (tree) => apply(tree), verify: (tree) => Promise.resolve(verify(tree)) };
}

/** Every card of the fleet holds the values of all nodes, and cards get lost. */
function refuseSecrets(entries: readonly GoldenEntry[], { allowSecrets, where }: GoldenOptions): void {
  const refused = users(entries).filter(([secret]) => !allowSecrets.includes(secret));
  if (refused.length === 0) return;
  const found = refused.map(([secret, names]) => `${secret} (${some(names)})`).join(', ');
  throw new RockberryError('refused', `${where}: expected no secrets in an image that every node of the fleet gets, found ${found}`, {
    hint: `build an image or a patch for each node, or allow them by name: ${refused.map(([secret]) => secret).join(', ')}`,
  });
}

/** Secrets, sorted, with the names of the nodes that use them. */
function users(entries: readonly GoldenEntry[]): [secret: string, names: string[]][] {
  const byNode = entries.map(({ name, secrets, files }) => ({ name, secrets: [...secrets, ...(files.some(({ path }) => HOST_KEYS.path.test(path)) ? [HOST_KEYS.secret] : [])] }));
  const all = [...new Set(byNode.flatMap(({ secrets }) => secrets))].sort();
  return all.map((secret) => [secret, byNode.filter(({ secrets }) => secrets.includes(secret)).map(({ name }) => name)]);
}

function secretFindings(entries: readonly GoldenEntry[], { allowSecrets }: GoldenOptions): Finding[] {
  const used = users(entries);
  const unused = allowSecrets.filter((secret) => !used.some(([name]) => name === secret));
  return [
    ...used.map(([secret, names]): Finding => ({
      severity: 'warning', id: 'golden-secret', subject: 'fleet',
      message: `expected no secrets in an image for all, found ${secret} of ${some(names)}, which was allowed: it is on every card`,
      hint: 'a node removes what is not its own at its first boot, but the blocks of a card keep what was in them; take secrets that can be revoked',
    })),
    ...unused.map((secret): Finding => ({
      severity: 'warning', id: 'golden-secret-unused', subject: 'fleet', message: `expected the name of a secret that a node uses, found "${secret}" allowed, which none does`,
    })),
  ];
}

function hostnameFindings(entries: readonly GoldenEntry[]): Finding[] {
  const nameless = entries.filter(({ files }) => !files.some(({ path }) => path === '/etc/hostname')).map(({ name }) => name);
  if (entries.length === 1 || nameless.length === 0) return [];
  const message = `expected an /etc/hostname of its own for every node, found none for ${some(nameless)}, which will have the image's name`;
  return [{ severity: 'warning', id: 'golden-hostname', subject: 'fleet', message, hint: 'give each node a host name of its own' }];
}

function restartFindings(entries: readonly GoldenEntry[]): Finding[] {
  const paths = new Map(entries.map((entry) => [entry.name, readEarly(entry)] as const).filter(([, path]) => path !== undefined));
  if (paths.size === 0) return [];
  const early = some([...new Set(paths.values())].map(String));
  const message = `${some([...paths.keys()])} will start again once at the first boot: ${early} is read before a node can have its own`;
  return [{ severity: 'info', id: 'golden-restart', subject: 'fleet', message }];
}

function some(names: readonly string[]): string {
  return names.length <= 3 ? names.join(', ') : `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`;
}

/** With the markers of a node that has booted gone. */
async function placeUnit(tree: Tree, unit: Placed): Promise<void> {
  await removeAll(tree, [MARKER, INSTALLED].filter((path) => tree.stat(path)));
  place(tree, unit);
  enableUnit(tree, UNIT);
}

function checkUnit(tree: Tree, unit: Placed): Finding[] {
  const markers = [MARKER, INSTALLED].filter((path) => tree.stat(path));
  return [
    ...checkPlaced(tree, STEP, unit), ...checkEnabled(tree, STEP, UNIT),
    ...markers.map((path) => notAsAsked(STEP, path, `expected no marker at ${path}, found that the node counts as known`)),
  ];
}

async function placeNodes(tree: Tree, layout: Layout): Promise<void> {
  await removeAll(tree, strangers(tree, layout));
  makeParents(tree, NODES);
  for (const path of DIRECTORIES) tree.makeDirectory(path, { mode: 0o700, uid: 0, gid: 0 });
  for (const [path, content] of layout) tree.write(path, content, { mode: 0o600, uid: 0, gid: 0 });
}

function checkNodes(tree: Tree, layout: Layout): Finding[] {
  return [
    ...DIRECTORIES.flatMap((path) => checkOwner(tree, STEP, path, { mode: 0o700, uid: 0, gid: 0 })),
    ...[...layout.keys()].flatMap((path) => checkOwner(tree, STEP, path, { mode: 0o600, uid: 0, gid: 0 })),
    ...[...layout].filter(([path, content]) => tree.stat(path)?.type !== 'file' || !equalBytes(tree.read(path), content))
      .map(([path]) => notAsAsked(STEP, path, `expected ${path} as this step writes it, found another content`)),
    ...strangers(tree, layout).map((path) => notAsAsked(STEP, path, `expected nothing at ${path}, found what is no part of the table`)),
  ];
}

/** What an earlier golden image left, or anything else that is in the way. */
function strangers(tree: Tree, layout: Layout): string[] {
  const isOther = (path: string): boolean => ![undefined, 'directory'].includes(tree.stat(path)?.type);
  if (isOther(NODES)) return [NODES];
  const present = DIRECTORIES.filter((path) => !isOther(path)).flatMap((directory) => namesIn(tree, directory).map((name) => `${directory}/${name}`));
  return present.filter((path) => (DIRECTORIES.includes(path) ? isOther(path) : !layout.has(path) || tree.stat(path)!.type !== 'file'));
}

/** Files, links, and directories with everything in them. */
async function removeAll(tree: Tree, paths: readonly string[]): Promise<void> {
  await filesStep.apply(tree, paths.map((path) => ({ path, absent: true as const })), { directory: '/' });
}
