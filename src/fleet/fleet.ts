/**
 * A fleet: one inventory in, an output for every node. The base is opened once, steps that nodes have in common are applied once (forks.ts), and a node whose
 * inputs did not change is left as it is. A node that fails does not stop the others; what is done stays done whatever ends the program.
 */
import { mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { openBase, scanBase } from '../base.js';
import { tool } from '../beside.js';
import type { Cache } from '../cache/cache.js';
import { formatOfFile, type ImageFormat } from '../codec/codec.js';
import type { EncodeOptions } from '../codec/encode.js';
import { RockberryError } from '../errors.js';
import { requireRoles, type Image } from '../image/image.js';
import { checkOutput } from '../output/atomic.js';
import type { GivenValues } from '../profile/given.js';
import { maskedError } from '../profile/masking.js';
import { hasErrors, silentProgress, type Finding, type Progress } from '../report.js';
import { forks, type Forked } from './forks.js';
import { reasonToBuild } from './inputs.js';
import { makeGolden } from './golden-build.js';
import { readInventory } from './inventory.js';
import { openIdentities, type Identities, type IdentitiesOptions } from './identity/identities.js';
import type { Identity } from './identity/mint.js';
import type { ByName } from './identity/published.js';
import { lintFleet } from './lint.js';
import type { FleetNode, FleetReport, Inventory, NodeReport, PartitionReport } from './model.js';
import { ENDING_OF, makeImage, makePatch, type FleetBase } from './node-outputs.js';
import { nodeGlob } from './only.js';
import { planNodes, type PlannedNode, type Unplanned } from './planned.js';
import { namesOfShard, type Shard } from './shard.js';
import { openState, type FleetState } from './state.js';

export interface FleetOptions {
  readonly inventory: string;
  /** Instead of the inventory's own. */
  readonly image?: string;
  readonly directory: string;
  readonly as: FleetReport['as'];
  /** Names of secret variables whose values may be in a golden image. */
  readonly allowSecrets?: readonly string[];
  /** Nodes at once; default 2. */
  readonly jobs?: number;
  /** Names to build, "*" and "?" stand for any characters. */
  readonly only?: string;
  /** Builds although lint has errors. */
  readonly keepGoing?: boolean;
  readonly shard?: Shard;
  readonly given: GivenValues;
  readonly encode?: Pick<EncodeOptions, 'blockSize' | 'preset'>;
  readonly cache?: Cache;
  /** The file that keeps minted identities; nothing is minted without one. */
  readonly mint?: string;
  readonly identities?: IdentitiesOptions;
  readonly vaultPasswordFile?: string;
  readonly progress?: Progress;
  /** Told when a node's report changes. */
  readonly onNode?: (report: NodeReport) => void;
}

/** A fleet that was read, looked over and planned. */
export interface Prepared {
  readonly inventory: Inventory;
  readonly image: string;
  readonly format: ImageFormat;
  readonly findings: readonly Finding[];
  readonly identities: ByName;
  /** Nodes of this run, in the inventory's order. */
  readonly nodes: readonly FleetNode[];
}

/** `mint`: whether identities that are missing are made. */
export async function prepareFleet(options: FleetOptions, mint = true): Promise<Prepared> {
  const inventory = await readInventory(options.inventory, { ...(options.image !== undefined && { image: options.image }), ...(options.vaultPasswordFile !== undefined && { vaultPasswordFile: options.vaultPasswordFile }) });
  const { image } = inventory;
  if (image === undefined) throw new RockberryError('usage', `expected a base image for the fleet of ${inventory.path}, found none`, { hint: 'give it with --image FILE, or as "image:" in the inventory' });
  const mine = options.shard && namesOfShard(inventory.nodes.map(({ name }) => name), options.shard);
  const isWanted = nodeGlob(options.only);
  const nodes = inventory.nodes.filter(({ name }) => (mine?.has(name) ?? true) && isWanted(name));
  if (nodes.length === 0 && !mine) throw new RockberryError('usage', `expected nodes that match "${options.only ?? '*'}" in ${inventory.path}, found none`);
  const minted = options.mint === undefined ? undefined : await openIdentities(options.mint, options.identities);
  const identities = minted ? await identitiesFor(inventory, minted, { mayMint: mint && !options.shard, mustHave: mint }) : new Map<string, Identity>();
  const known = [...identities.values()].map(({ name, hostKeys }) => ({ name, fingerprints: hostKeys.map(({ fingerprint }) => fingerprint) }));
  const findings = await lintFleet(inventory, { given: options.given, identities: known });
  return { inventory, image, format: formatOfFile(image), findings: [...findings, ...(minted?.findings ?? [])], identities, nodes };
}

/** A shard never mints: other machines would make other keys for the same nodes. */
async function identitiesFor({ nodes }: Inventory, kept: Identities, { mayMint, mustHave }: { readonly mayMint: boolean; readonly mustHave: boolean }): Promise<ByName> {
  const names = nodes.map(({ name }) => name);
  if (mayMint) return (await kept.ensure(names)).identities;
  const all = await kept.all();
  const missing = names.filter((name) => !all.has(name));
  if (mustHave && missing.length > 0) {
    throw new RockberryError('usage', `expected an identity of every node in ${kept.path}, found none of ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ` and ${missing.length - 3} more` : ''}`, {
      hint: 'mint them all once, without --shard (rockberry fleet build … --mint FILE --only NAME mints for the whole inventory), and give the file to every shard',
    });
  }
  return all;
}

/** Builds what is not there yet. The report's nodes are those of the whole inventory, in its order. */
export async function buildFleet(options: FleetOptions, prepared: Prepared): Promise<FleetReport> {
  const progress = options.progress ?? silentProgress;
  refuseErrors(options, prepared);
  mkdirSync(options.directory, { recursive: true });
  const encode = options.encode ?? {};
  const { image: path, format } = prepared;
  progress.phase(`opening ${path}`);
  const base = await openBase(path, { format, cache: options.cache, encode, progress, many: true });
  try {
    requireRoles(base.image);
    const scan = base.splice ? await scanBase(base, options.cache, progress) : undefined;
    const fleet: FleetBase = { base, name: basename(path), scan, format, encode, directory: options.directory, ending: ENDING_OF[format] };
    const run = startRun(options, prepared, await base.sha256());
    const notes = options.as === 'golden' ? await buildGolden(run, fleet, options, progress) : await buildAll(run, fleet, options, progress);
    return reportOf(run, { ...prepared, findings: [...prepared.findings, ...notes] }, options, { base: { name: basename(path), sha256: await base.sha256(), bytes: base.fileBytes, imageBytes: base.image.overlay.size, format: base.image.decoded.format }, image: base.image });
  } finally {
    progress.finish();
    base.close();
  }
}

export function refuseErrors({ keepGoing }: Pick<FleetOptions, 'keepGoing'>, { findings, inventory }: Prepared): void {
  const errors = findings.filter(({ severity }) => severity === 'error');
  if (errors.length === 0 || keepGoing) return;
  const [{ subject, message, id }] = errors as [Finding];
  throw new RockberryError('profile', `${inventory.path}: expected a fleet without errors, found ${errors.length}; the first: ${subject}: ${message} [${id}]`, {
    hint: `see them all: rockberry fleet lint ${inventory.path}; build all the same: --keep-going`,
  });
}

export function endingOf({ as }: Pick<FleetOptions, 'as'>, format: ImageFormat): string {
  return as === 'patch' ? '.patch' : ENDING_OF[format];
}

interface Run {
  readonly state: FleetState;
  readonly reports: Map<string, NodeReport>;
  readonly wanted: readonly PlannedNode[];
}

/** What every node's report says before anything is built. */
export function startRun(options: FleetOptions, { inventory, format, nodes, identities }: Prepared, base: string): Run {
  const state = openState(options.directory);
  const planned = planNodes(inventory, nodes, { base, ending: endingOf(options, format), encode: options.encode ?? {}, given: options.given, identities });
  const reports = new Map(inventory.nodes.map((node) => [node.name, blank(node, 'left', 'not of this run')]));
  const wanted = planned.filter((one): one is PlannedNode => judgePlanned(one, { state, reports, isGolden: options.as === 'golden' }));
  return { state, reports, wanted };
}

/** Whether the node has to be built. */
function judgePlanned(one: PlannedNode | Unplanned, { state, reports, isGolden }: Pick<Run, 'state' | 'reports'> & { readonly isGolden: boolean }): boolean {
  const { node } = one;
  if ('error' in one) {
    reports.set(node.name, blank(node, 'failed', sentence(one.error)));
    return false;
  }
  const last = isGolden ? undefined : state.last(node.name);
  const there = isGolden ? undefined : state.get(node.name);
  const why = reasonToBuild(one.inputs, last && { digest: last.inputs, parts: last.parts }, there !== undefined);
  if (why === undefined && there) reports.set(node.name, { ...there.report, ...blankFacts(node), status: 'current', why: 'up to date' });
  else reports.set(node.name, { ...blank(node, 'planned', why ?? 'new'), output: one.output });
  return why !== undefined;
}

async function buildAll({ state, reports, wanted }: Run, fleet: FleetBase, options: FleetOptions, progress: Progress): Promise<readonly Finding[]> {
  const { as, jobs = 2, onNode } = options;
  const settle = (name: string, report: NodeReport): void => {
    reports.set(name, report);
    onNode?.(report);
  };
  for (const report of reports.values()) if (report.status !== 'planned') onNode?.(report);
  const running = new Set<Promise<void>>();
  for await (const forked of forks(fleet.base.image, wanted, progress)) {
    while (running.size >= jobs) await Promise.race(running);
    const task: Promise<void> = finish(forked, fleet, as).then((report) => {
      if (report.status === 'built') state.put(report.name, { inputs: forked.node.inputs.digest, parts: forked.node.inputs.parts, report });
      settle(report.name, report);
    }).finally(() => running.delete(task));
    running.add(task);
  }
  await Promise.all(running);
  return [];
}

/** One image, whatever was built before: it is looked at as a whole. A node that cannot be in it is an error. */
async function buildGolden({ reports, wanted }: Run, fleet: FleetBase, { inventory, allowSecrets = [], onNode }: FleetOptions, progress: Progress): Promise<readonly Finding[]> {
  const failed = [...reports.values()].find(({ status }) => status === 'failed');
  if (failed) throw new RockberryError('profile', `${failed.name}: ${failed.why}`);
  const { made, findings } = await makeGolden(fleet, wanted, { where: inventory, allowSecrets }, progress);
  for (const { node } of wanted) {
    const report = { ...blank(node, 'built', 'in the golden image'), ...made };
    reports.set(node.name, report);
    onNode?.(report);
  }
  return findings;
}

/** Never rejects for what is wrong with the node. */
async function finish(forked: Forked<PlannedNode>, fleet: FleetBase, as: FleetReport['as']): Promise<NodeReport> {
  const { node: planned } = forked;
  const failed = (error: unknown): NodeReport => ({ ...blank(planned.node, 'failed', sentence(maskedError(error, planned.profiles.mask))), output: planned.output });
  if ('error' in forked) return failed(forked.error);
  try {
    if (as === 'image') checkOutput(join(fleet.directory, planned.output), true);
    const made = as === 'image' ? await makeImage(fleet, planned, forked.image) : await makePatch(fleet, planned, forked.image);
    return { ...blank(planned.node, 'built', 'built'), ...made };
  } catch (error) {
    return failed(error);
  } finally {
    forked.image.overlay.close();
  }
}

function sentence(error: unknown): string {
  if (error instanceof RockberryError) return error.message;
  throw error;
}

function blankFacts({ name, groups, profiles, address, mac, serial, board }: FleetNode): Pick<NodeReport, 'name' | 'groups' | 'profiles' | 'address' | 'mac' | 'serial' | 'board'> {
  return { name, groups, profiles, address: address ?? null, mac: mac ?? null, serial: serial ?? null, board: board ?? null };
}

function blank(node: FleetNode, status: NodeReport['status'], why: string): NodeReport {
  return { ...blankFacts(node), status, why, output: null, sha256: null, bytes: null, imageBytes: null, changedBytes: null, files: [], findings: [], readiness: null };
}

export function partitionsOf(image: Image): PartitionReport[] {
  return image.partitions.filter(({ extended }) => !extended).map((partition) => ({
    number: partition.number, start: partition.start, length: partition.length, holds: partition.holds, label: partition.label, mountedAt: image.mountedAt(partition) ?? null,
  }));
}

interface OfBase { readonly base: FleetReport['base']; readonly image: Image }

function reportOf({ reports }: Run, { inventory, findings }: Prepared, { as, shard }: FleetOptions, { base, image }: OfBase): FleetReport {
  return { tool: tool(), as, inventory: basename(inventory.path), base, partitions: partitionsOf(image), shard: shard ?? null, nodes: inventory.nodes.map(({ name }) => reports.get(name)!), findings };
}

export function fleetFailed({ nodes, findings }: FleetReport): boolean {
  return nodes.some(({ status }) => status === 'failed') || hasErrors(findings);
}
