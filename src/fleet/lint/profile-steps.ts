/**
 * The steps of a node's profiles with its values put in, as a build would bind them. What a step says depends on the variables that its text mentions and on
 * nothing else: nodes that have the same values there share the answer, so that a step without variables is bound once for the whole fleet.
 */
import { Document, isMap, isSeq, YAMLMap, YAMLSeq, type Node } from 'yaml';
import { bindSteps } from '../../profile/bind.js';
import type { Problem } from '../../profile/document.js';
import type { ProfileFile } from '../../profile/files.js';
import { mentions } from '../../profile/template.js';
import type { ProfileSet } from './profiles.js';

/** Problems of all steps. `unsound` are variables whose value is missing or wrong: what depends on them is not judged. */
export type StepChecks = (values: ReadonlyMap<string, unknown>, unsound: ReadonlySet<string>) => readonly Problem[];

interface Piece {
  /** The profile with this one step. */
  readonly file: ProfileFile;
  readonly variables: readonly string[];
  readonly answers: Map<string, readonly Problem[]>;
}

/** What it says may show values: lintFleet masks the secret ones. */
export function stepChecks({ files, declarations }: ProfileSet): StepChecks {
  const pieces = files.flatMap((file) => steps(file).map((step): Piece => ({ file: withStep(file, step), variables: mentioned(file, step, [...declarations.keys()]), answers: new Map() })));
  return (values, unsound) => {
    const variables = new Map([...values].map(([name, value]) => [name, unsound.has(name) ? `<${name}>` : value]));
    return pieces.flatMap((piece) => {
      const key = JSON.stringify(piece.variables.map((name) => (unsound.has(name) ? null : [variables.get(name)])));
      const known = piece.answers.get(key);
      if (known) return known;
      const { problems } = bindSteps(piece.file, { variables, unknown: [...unsound], mask: (text) => text });
      piece.answers.set(key, problems);
      return problems;
    });
  };
}

function steps({ file }: ProfileFile): Node[] {
  const root = file.document.contents;
  const found = isMap(root) ? root.get('steps', true) : undefined;
  return isSeq(found) ? (found.items as Node[]) : [];
}

function withStep(profile: ProfileFile, step: Node): ProfileFile {
  const list = new YAMLSeq<Node>();
  list.items.push(step);
  const root = new YAMLMap<string, YAMLSeq<Node>>();
  root.set('steps', list);
  const document = new Document();
  document.contents = root;
  return { ...profile, file: { ...profile.file, document } };
}

/** By the step's own text; with aliases it may stand anywhere in the file. */
function mentioned({ file }: ProfileFile, step: Node, names: readonly string[]): string[] {
  const text = file.aliases.size > 0 || !step.range ? file.text : file.text.slice(step.range[0], step.range[2]);
  return names.filter((name) => mentions(text, name));
}
