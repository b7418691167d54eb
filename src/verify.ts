/** Verify: is this image a node that Kubernetes accepts? Reads it, changes nothing; with profiles, also whether all that they ask for is there. */
import type { Backend } from './image/backend.js';
import { openImageFile, openUnchanged, type Image } from './image/image.js';
import { checkOutput, stageOutput } from './output/atomic.js';
import { loadProfiles, type BoundStep } from './profile.js';
import { maskedValue } from './profile/masking.js';
import { silentProgress, type Finding, type Progress } from './report.js';
import { verifyFilesystems, verifyOpened } from './verify/filesystems.js';
import { KUBERNETES, openNode, type NodeOptions, type Version } from './verify/node.js';
import { judge, type RuleResult, type Status } from './verify/readiness.js';
import type { Check } from './verify/result.js';
import type { Target } from './verify/rule.js';

export type { Version } from './verify/node.js';
export type { Target } from './verify/rule.js';

export interface VerifyOptions {
  readonly image: string;
  readonly profiles?: readonly string[];
  readonly set?: readonly string[];
  readonly varsFiles?: readonly string[];
  /** "name=FILE" for secret variables. */
  readonly secrets?: readonly string[];
  /** Secrets that were asked for. */
  readonly answers?: ReadonlyMap<string, string>;
  readonly target?: Target | undefined;
  readonly kubernetes?: Version;
  /** The filesystems are checked whole, as e2fsck and fsck.vfat do: reads most of the image. */
  readonly full?: boolean;
  /** Where writeReport() will write: refused before anything is opened. */
  readonly report?: string | undefined;
  readonly progress?: Progress;
  readonly backend?: Backend;
}

/** A line of the report: a rule, or a check of the image and the profiles. */
export type VerifyRow = Omit<RuleResult, 'group' | 'source'> & { readonly group: string; readonly source: string | null };
export type RuleStatus = Status;

export interface VerifyResult {
  readonly image: string;
  readonly target: Target | null;
  readonly kubernetes: string;
  readonly rules: readonly RuleResult[];
  /** Steps of the profiles, read back; and the filesystems' own checks. */
  readonly checks: readonly Check[];
  readonly counts: Readonly<Record<'ok' | 'errors' | 'warnings' | 'notes' | 'skipped', number>>;
}

/** Writes a report beside the result; an older one is replaced, the image never. */
export async function writeReport(path: string, text: string, image: string): Promise<void> {
  checkOutput(path, true, [image]);
  const staged = await stageOutput(path, once(Buffer.from(text)), { force: true });
  staged.commit();
}

async function* once(piece: Uint8Array): AsyncIterable<Uint8Array> {
  yield await Promise.resolve(piece);
}

export async function verify(options: VerifyOptions): Promise<VerifyResult> {
  const progress = options.progress ?? silentProgress;
  if (options.report !== undefined) checkOutput(options.report, true, [options.image]);
  const values = { set: options.set ?? [], varsFiles: options.varsFiles ?? [], secrets: options.secrets ?? [], answers: options.answers ?? new Map() };
  const profiles = options.profiles?.length ? loadProfiles(options.profiles, values) : undefined;
  progress.phase(`opening ${options.image}`);
  const image = await openImageFile(options.image, { progress, wide: true, ...(options.backend && { backend: options.backend }) });
  try {
    progress.phase(`verifying ${options.image}`);
    const target = options.target ?? profiles?.readiness;
    const placed = profiles ? await placedBy(image, profiles.steps) : [];
    const rules = judge(openNode(image, { target, placed, ...(options.kubernetes && { kubernetes: options.kubernetes }) }));
    const checks: Check[] = [options.full
      ? { name: 'filesystems are consistent', findings: verifyFilesystems(image) }
      : { name: 'filesystems open (--full checks all of them)', findings: verifyOpened(image) }];
    for (const step of profiles?.steps ?? []) checks.push({ name: step.title, findings: await step.verify(image.tree()) });
    return resultOf(options, target, profiles ? maskedValue(rules, profiles.mask) : rules, profiles ? maskedValue(checks, profiles.mask) : checks);
  } finally {
    progress.finish();
    image.close();
  }
}

/** What the steps place, found by applying them to another overlay on the same base: "unchanged" is placed too. */
async function placedBy(image: Image, steps: readonly BoundStep[]): Promise<NonNullable<NodeOptions['placed']>> {
  const copy = await openUnchanged(image);
  const tree = copy.tree();
  for (const step of steps) if (!step.needsMachine) await step.apply(tree); // what programs place only they know
  return tree.actions().map(({ path, action }) => ({ path, removed: action === 'removed' }));
}

function resultOf(options: VerifyOptions, target: Target | undefined, rules: readonly RuleResult[], checks: readonly Check[]): VerifyResult {
  const findings: Finding[] = [...rules, ...checks].flatMap((one) => one.findings);
  const count = (severity: Finding['severity']): number => findings.filter((finding) => finding.severity === severity).length;
  const { major, minor } = options.kubernetes ?? KUBERNETES;
  return {
    image: options.image, target: target ?? null, kubernetes: `${major}.${minor}`, rules, checks,
    counts: {
      ok: [...rules.filter(({ status }) => status === 'ok'), ...checks.filter((check) => check.findings.length === 0)].length,
      errors: count('error'), warnings: count('warning'), notes: count('info'), skipped: rules.filter(({ status }) => status === 'skipped').length,
    },
  };
}
