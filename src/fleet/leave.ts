/** What a fleet build leaves in its folder beside the nodes' outputs: for people, for their tools, and for the next run. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { stageOutput } from '../output/atomic.js';
import { ansibleInventoryOut } from './identity/ansible-inventory.js';
import { secretNames } from '../profile.js';
import type { Prepared } from './fleet.js';
import { hostsBlock, knownHosts, sshfpRecords } from './identity/published.js';
import type { FleetReport, Inventory } from './model.js';
import { osList } from './report/os-list.js';
import { reportPage } from './report/page.js';
import { sha256Sums } from './report/sha256-sums.js';

export const REPORT = 'fleet.json';

export interface LeaveOptions {
  /** Where the images will be served from, for Raspberry Pi Imager; otherwise the folder itself. */
  readonly url?: string;
}

/** fleet.json, report.html, SHA256SUMS, os_list.json, hosts; with minted identities also known_hosts, sshfp, inventory.yml. Returns their names. */
export async function leaveBeside(directory: string, report: FleetReport, { inventory, identities }: Pick<Prepared, 'inventory' | 'identities'>, options: LeaveOptions): Promise<string[]> {
  return put(directory, {
    ...reportTexts(directory, report, options), hosts: hostsBlock(inventory.nodes),
    ...(identities.size > 0 && {
      known_hosts: knownHosts(inventory.nodes, identities), sshfp: sshfpRecords(inventory.nodes, identities),
      'inventory.yml': ansibleInventoryOut(inventory, identities, { knownHosts: 'known_hosts', ...secretsIn(inventory) }),
    }),
  });
}

/** Of shards that were joined: what follows from the report alone. */
export async function leaveMerged(directory: string, report: FleetReport, options: LeaveOptions): Promise<string[]> {
  return put(directory, reportTexts(directory, report, options));
}

function reportTexts(directory: string, report: FleetReport, { url }: LeaveOptions): Record<string, string> {
  return {
    [REPORT]: `${JSON.stringify(report, null, 2)}\n`, 'report.html': reportPage(report), SHA256SUMS: sha256Sums(report),
    ...(report.as !== 'patch' && { 'os_list.json': osList(report, { url: url ?? pathToFileURL(resolve(directory)).href }) }),
  };
}

/** Secret variables of the nodes' profiles, by name and by value, and whatever was encrypted: they are not written into an inventory. */
function secretsIn({ nodes, secretNames: encrypted = new Set() }: Inventory): { secretNames: ReadonlySet<string>; secretValues: readonly string[] } {
  const names = new Set(nodes.flatMap(({ profiles }) => secretNames(profiles)));
  const values = nodes.flatMap(({ variables }) => [...names].flatMap((name) => [variables[name]].flat())).filter((value) => value !== undefined && value !== null && value !== '');
  return { secretNames: new Set([...names, ...encrypted]), secretValues: [...new Set(values.map(String))] };
}

async function put(directory: string, texts: Readonly<Record<string, string>>): Promise<string[]> {
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(texts)) await putOne(join(directory, name), text);
  return Object.keys(texts);
}

async function putOne(path: string, text: string): Promise<void> {
  if (sameAs(path, text)) return;
  (await stageOutput(path, (async function* () { yield Buffer.from(text); })(), { force: true })).commit();
}

function sameAs(path: string, text: string): boolean {
  try {
    return readFileSync(path, 'utf8') === text;
  } catch {
    return false; // not there, or not to be read: it is written anew
  }
}
