/** Which node a card is: everything on it that belongs to one node only is a witness, and witnesses that contradict each other are a finding. */
import { createHash } from 'node:crypto';
import type { Tree } from '../../fs/filesystem.js';
import type { Finding } from '../../report.js';
import { digestsOn, isBlank, sha256, textAt } from './digests.js';
import type { Candidate, Expected } from './manifests.js';

/** What one thing on the card says. */
export interface Witness {
  /** "host name", "SSH host key (ed25519)", "machine-id" … */
  readonly of: string;
  readonly path: string;
  /** What was found, where it may be shown: the host name, a key's fingerprint. */
  readonly found: string | null;
  /** Names of the nodes that it belongs to, in the manifest's order. */
  readonly fits: readonly string[];
}

export interface NodeVerdict {
  /** null when no node fits, or several fit as well. */
  readonly name: string | null;
  /**
   * certain: an SSH host key or the machine-id is this node's and nothing else speaks against it; likely: names and files are; contradicted: something is another
   * node's; assumed: nothing on the card tells, and the manifest has one node only; unknown: nothing tells, or no node fits.
   */
  readonly certainty: 'certain' | 'likely' | 'contradicted' | 'assumed' | 'unknown';
  readonly witnesses: readonly Witness[];
}

const HOSTNAME = '/etc/hostname';
const OWNER = '/etc/rockberry/node'; // see fleet/identity/step.ts
const MACHINE_ID = '/etc/machine-id';
const SSH = '/etc/ssh';
const KEY_TYPES = ['ed25519', 'ecdsa', 'rsa'] as const;
const PROOFS = /^SSH host key|^machine-id$/;

/** How much a witness says: keys and the machine-id are made for one machine, a name can be typed, and files can be alike by chance. */
function weightOf(of: string): number {
  if (PROOFS.test(of)) return 8;
  return of === 'owner of the identity' ? 4 : of === 'host name' ? 3 : 2;
}

/** Reads the card; `candidates` have what is known of their files. */
export function whichNode(tree: Tree, { candidates }: Expected): NodeVerdict {
  const witnesses = [hostName(tree, candidates), owner(tree, candidates), machineId(tree, candidates), ...hostKeys(tree, candidates), ownFiles(tree, candidates)].flatMap((one) => one ?? []);
  const scores = candidates.map(({ name }) => witnesses.filter(({ fits }) => fits.includes(name)).reduce((sum, { of, fits }) => sum + weightOf(of) / fits.length, 0));
  const best = Math.max(...scores);
  const winners = candidates.filter((_, at) => scores[at] === best);
  if (witnesses.length === 0) return { name: candidates.length === 1 ? candidates[0]!.name : null, certainty: candidates.length === 1 ? 'assumed' : 'unknown', witnesses };
  if (best === 0 || winners.length > 1) return { name: null, certainty: 'unknown', witnesses };
  const { name } = winners[0]!;
  const against = witnesses.some(({ fits }) => !fits.includes(name));
  const proven = witnesses.some(({ of, fits }) => PROOFS.test(of) && fits.length === 1 && fits[0] === name);
  return { name, certainty: against ? 'contradicted' : proven ? 'certain' : 'likely', witnesses };
}

/** Contradictions, and a card that is no node's. */
export function nodeFindings({ name, certainty, witnesses }: NodeVerdict, { candidates, name: manifest }: Expected): Finding[] {
  const finding = (subject: string, message: string): Finding => ({
    severity: 'error', id: 'audit-node', subject, message, hint: 'look which card this is before it goes into a board: two nodes with one identity disturb each other',
  });
  if (name !== null) {
    return witnesses.filter(({ fits }) => !fits.includes(name)).map(({ of, path, found, fits }) => finding(path, `expected the ${of} of ${name}, found ${fits.length > 0 ? `that of ${fits.join(' or ')}` : 'that of no node'}${found === null || fits.length > 0 ? '' : ` ("${found}")`}`));
  }
  if (certainty === 'unknown' && witnesses.length === 0 && candidates.length > 1) return [finding('card', `expected something that tells which of the ${candidates.length} nodes of ${manifest} this is, found nothing`)];
  return witnesses.map(({ of, path, found, fits }) => finding(path, `expected the ${of} of ${candidates.length === 1 ? candidates[0]!.name : 'one node'}, found ${fits.length > 0 ? `that of ${fits.join(' or ')}` : `that of no node${found === null ? '' : ` ("${found}")`}`}`));
}

/** By digest where the manifest has one; a digest of blank content, which the node fills, says nothing. */
function byDigest(candidate: Candidate, path: string, text: string): boolean | undefined {
  const known = candidate.files.get(path)?.sha256;
  return known === undefined || known === null || isBlank(known) ? undefined : known === sha256(text);
}

function named(candidate: Candidate, found: string): boolean {
  return candidate.hostname !== null && (found === candidate.hostname || found.startsWith(`${candidate.hostname}.`));
}

function witness(of: string, path: string, found: string | null, candidates: readonly Candidate[], verdicts: readonly (boolean | undefined)[]): Witness | undefined {
  if (verdicts.every((verdict) => verdict === undefined)) return undefined;
  return { of, path, found, fits: candidates.filter((_, at) => verdicts[at]).map(({ name }) => name) };
}

function hostName(tree: Tree, candidates: readonly Candidate[]): Witness | undefined {
  const text = textAt(tree, HOSTNAME);
  const found = text?.trim() ?? '';
  if (text === undefined || found === '') return undefined;
  return witness('host name', HOSTNAME, found, candidates, candidates.map((one) => byDigest(one, HOSTNAME, text) ?? (one.hostname === null ? undefined : named(one, found))));
}

/** Written beside minted keys: whose they are. */
function owner(tree: Tree, candidates: readonly Candidate[]): Witness | undefined {
  const text = textAt(tree, OWNER);
  if (text === undefined) return undefined;
  const found = text.trim();
  return witness('owner of the identity', OWNER, found, candidates, candidates.map((one) => byDigest(one, OWNER, text) ?? (one.hostname === null ? undefined : named(one, found))));
}

function machineId(tree: Tree, candidates: readonly Candidate[]): Witness | undefined {
  const text = textAt(tree, MACHINE_ID);
  if (text === undefined || isBlank(sha256(text))) return undefined;
  return witness('machine-id', MACHINE_ID, null, candidates, candidates.map((one) => byDigest(one, MACHINE_ID, text)));
}

function hostKeys(tree: Tree, candidates: readonly Candidate[]): (Witness | undefined)[] {
  return KEY_TYPES.map((type) => {
    const path = `${SSH}/ssh_host_${type}_key.pub`;
    const text = textAt(tree, path) ?? '';
    const blob = text.trim().split(/\s+/)[1] ?? '';
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(blob)) return undefined;
    const fingerprint = `SHA256:${createHash('sha256').update(Buffer.from(blob, 'base64')).digest('base64').replace(/=+$/, '')}`; // as ssh-keygen -l prints it
    const verdicts = candidates.map((one) => byDigest(one, path, text) ?? (one.hostKeys.length === 0 ? undefined : one.hostKeys.includes(blob)));
    return witness(`SSH host key (${type})`, path, fingerprint, candidates, verdicts);
  });
}

/** Files of which the nodes have different contents, all together: the nodes that have most of them as they are on the card. */
function ownFiles(tree: Tree, candidates: readonly Candidate[]): Witness | undefined {
  if (candidates.length < 2) return undefined;
  const paths = [...new Set(candidates.flatMap(({ files }) => [...files.keys()]))].filter((path) => {
    if (path === HOSTNAME || path === OWNER || path === MACHINE_ID || path.startsWith(`${SSH}/ssh_host_`)) return false;
    return new Set(candidates.flatMap(({ files }) => files.get(path)?.sha256 ?? [])).size > 1;
  });
  const found = digestsOn(tree, paths);
  const matches = candidates.map(({ files }) => paths.filter((path) => found.get(path)?.sha256 != null && found.get(path)?.sha256 === files.get(path)?.sha256).length);
  const most = Math.max(...matches);
  if (most === 0) return undefined;
  return { of: paths.length === 1 ? 'content' : `contents of ${most} of ${paths.length} files`, path: paths[0]!, found: null, fits: candidates.filter((_, at) => matches[at] === most).map(({ name }) => name) };
}
