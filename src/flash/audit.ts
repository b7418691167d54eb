/**
 * A card that comes back from the field: which node it is, and which files are not what was flashed. Nothing is written, to the card least of all: a filesystem
 * that was not unmounted is read with its journal replayed in memory.
 */
import { comparePartitions } from '../diff/partitions.js';
import { openImageFile, type Image } from '../image/image.js';
import { recoverImage, type Recovered } from '../image/recover.js';
import { silentProgress, type Finding, type Progress } from '../report.js';
import { compareListed, compareOthers, type Compared, type SetAside } from './audit/files.js';
import { readExpected, type Candidate, type Expected } from './audit/manifests.js';
import { nodeFindings, whichNode, type NodeVerdict } from './audit/node.js';
import { checkReference, compareFiles, openReference, withPatch, type Reference } from './audit/reference.js';

export type { SetAside } from './audit/files.js';
export type { NodeVerdict, Witness } from './audit/node.js';

export interface AuditOptions {
  /** The card, or an image of it. */
  readonly image: string;
  /** IMAGE.json, fleet.json in its folder, or a node's patch. */
  readonly manifest: string;
  /** What the image was built from, or the image that was flashed: then files that no profile touched are compared too. A patch needs it. */
  readonly base?: string;
  readonly progress?: Progress;
}

export interface AuditResult {
  readonly image: string;
  readonly manifest: { readonly name: string; readonly kind: Expected['kind'] };
  readonly node: NodeVerdict;
  /** Paths that profiles placed or removed and that were looked at. */
  readonly placed: number;
  /** Whether all other files were compared with the base. */
  readonly all: boolean;
  /** Ids audit-node, audit-missing, audit-present, audit-changed, audit-mode, audit-owner, audit-label, audit-target, audit-attributes, audit-added, audit-partition. */
  readonly findings: readonly Finding[];
  /** What a running system changes by itself, by path. */
  readonly setAside: readonly SetAside[];
  /** Filesystems that were read as a mount would leave them. */
  readonly recovered: readonly Recovered[];
  /** What could not be looked at, and what would help: one sentence each. */
  readonly notes: readonly string[];
}

/** Errors: those of opening an image and of readExpected; 'refused' when --base is another file than the manifest's. */
export async function audit(options: AuditOptions): Promise<AuditResult> {
  const progress = options.progress ?? silentProgress;
  const expected = await readExpected(options.manifest);
  progress.phase(`opening ${options.image}`);
  const opened = await openImageFile(options.image, { progress });
  let reference: Reference | undefined;
  try {
    const { image: card, recovered } = await recoverImage(opened);
    try {
      card.tree(); // no root filesystem: said before the base is read
      reference = options.base === undefined ? undefined : await openReference(options.base, progress);
      const result = await compare(card, expected, reference, progress);
      return { image: options.image, manifest: { name: expected.name, kind: expected.kind }, recovered, all: reference !== undefined && result.node.name !== null, ...result };
    } finally {
      card.overlay.close();
    }
  } finally {
    progress.finish();
    reference?.close();
    opened.close();
  }
}

type Comparison = Pick<AuditResult, 'node' | 'placed' | 'findings' | 'setAside' | 'notes'>;

async function compare(card: Image, given: Expected, reference: Reference | undefined, progress: Progress): Promise<Comparison> {
  progress.phase('looking which node it is');
  const expected = await completed(card, given, reference);
  const node = whichNode(card.tree(), expected);
  const strange = nodeFindings(node, expected);
  const candidate = expected.candidates.find(({ name }) => name === node.name) ?? (expected.candidates.length === 1 ? expected.candidates[0] : undefined);
  if (!candidate) return { node, placed: 0, findings: strange, setAside: [], notes: ['no file was compared, because it is not known which node this is'] };
  progress.phase('comparing what the profiles placed');
  const listed = compareListed(card.tree(), candidate);
  const others = reference ? againstReference(card, expected, candidate, reference, progress) : { findings: [], setAside: [] };
  return {
    node, placed: listed.paths, findings: [...strange, ...listed.findings, ...others.findings],
    setAside: [...listed.setAside, ...others.setAside].sort((a, b) => (a.path < b.path ? -1 : 1)), notes: notesOn(candidate, reference),
  };
}

/** A patch tells paths and contents only together with its base. Of a fleet's patches that of the node is read that the card seems to be. */
async function completed(card: Image, expected: Expected, reference: Reference | undefined): Promise<Expected> {
  if (!reference) return expected;
  const likely = expected.candidates.length === 1 ? expected.candidates[0]!.name : whichNode(card.tree(), expected).name;
  const candidates: Candidate[] = [];
  for (const candidate of expected.candidates) candidates.push(candidate.patch !== null && candidate.name === likely ? await withPatch(candidate, candidate.patch, reference) : candidate);
  return { ...expected, candidates };
}

function againstReference(card: Image, expected: Expected, candidate: Candidate, reference: Reference, progress: Progress): Omit<Compared, 'paths'> {
  checkReference(reference, expected, candidate);
  progress.phase('comparing all other files');
  const others = compareOthers(compareFiles(reference.image, card), candidate, card.tree().bootDirectory);
  const table = partitionChanges(reference.image, card);
  return { findings: [...table.findings, ...others.findings], setAside: [...table.setAside, ...others.setAside] };
}

/** A partition may have grown into the rest of the card; everything else about the table is a finding. */
function partitionChanges(base: Image, card: Image): Omit<Compared, 'paths'> {
  const findings: Finding[] = [];
  const setAside: SetAside[] = [];
  for (const { number, change, fields, before, after } of comparePartitions(base, card)) {
    const path = `partition ${number}`;
    const others = fields.filter((field) => field !== 'mountedAt' && (field !== 'size' || after!.size < before!.size)); // where it is mounted is fstab's word, a file's
    if (change === 'changed' && others.length === 0 && !fields.includes('size')) continue;
    if (change === 'changed' && others.length === 0) setAside.push({ path, reason: 'it was grown to the end of the card' });
    else {
      const what = change === 'changed' ? `the ${others.join(', ')} of the image, found another` : change === 'added' ? 'no such partition, found one' : 'a partition, found none';
      findings.push({ severity: 'error', id: 'audit-partition', subject: path, message: `expected ${what}` });
    }
  }
  return { findings, setAside };
}

function notesOn(candidate: Candidate, reference: Reference | undefined): string[] {
  if (reference) return [];
  if (candidate.patch !== null) return [`of ${candidate.name} only the paths were compared: a patch tells contents together with its base, which --base gives`];
  const nameless = candidate.files.size === 0 && candidate.placed.size > 0 ? [`of ${candidate.name} only the paths were compared: ${candidate.name}'s own manifest does not stand beside fleet.json`] : [];
  return [...nameless, 'files that no profile touched were not compared: --base gives the image to compare them with'];
}
