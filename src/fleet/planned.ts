/** The nodes of a fleet with what each of them is to be built from, bound and addressed by content; nothing of an image is read. */
import { dirname, resolve } from 'node:path';
import { tool } from '../beside.js';
import { requirePlainSteps } from '../build.js';
import type { EncodeOptions } from '../codec/encode.js';
import { loadProfiles, type LoadedProfiles, type ProfileStep } from '../profile.js';
import type { GivenValues } from '../profile/given.js';
import { requireNodeName } from './identity/mint.js';
import { identityStep, MINTED_PATHS } from './identity/step.js';
import type { ByName } from './identity/published.js';
import { inputsReader, type Inputs } from './inputs.js';
import type { FleetNode, Inventory } from './model.js';

export interface PlannedNode {
  readonly node: FleetNode;
  readonly profiles: LoadedProfiles;
  readonly steps: readonly ProfileStep[];
  readonly keys: readonly string[];
  readonly inputs: Inputs;
  /** Name of the file in the fleet's folder. */
  readonly output: string;
}

/** A node that cannot be built, and why. */
export interface Unplanned {
  readonly node: FleetNode;
  readonly error: unknown;
}

export interface PlanOptions {
  /** sha256 of the base's file. */
  readonly base: string;
  /** After the node's name: ".img.xz", ".patch". */
  readonly ending: string;
  readonly encode: EncodeOptions;
  /** Given on the command line, for all nodes. */
  readonly given: GivenValues;
  /** Minted, by name of the node; empty when nothing is. */
  readonly identities: ByName;
}

/** `identity: reset` comes first, and finds the minted identity when it looks again; a unit that makes host keys is not needed then. */
function besideIdentity(step: ProfileStep): ProfileStep {
  if (step.step !== 'identity') return step;
  return { ...step, verify: async (tree) => (await step.verify(tree)).filter(({ id, subject }) => !MINTED_PATHS.includes(subject) && id !== 'identity-host-keys') };
}

export function planNodes({ path }: Pick<Inventory, 'path'>, nodes: readonly FleetNode[], options: PlanOptions): (PlannedNode | Unplanned)[] {
  const { version } = tool();
  const read = inputsReader({ 'the version of rockberry': version, 'the base': options.base, 'the form of the output': JSON.stringify([options.ending, options.encode.blockSize, options.encode.preset]) });
  return nodes.map((node) => {
    try {
      requireNodeName(node.name);
      const values = { entries: node.variables, where: `${node.where}: node ${node.name}`, directory: dirname(resolve(path)) };
      const profiles = loadProfiles(node.profiles, { ...options.given, values });
      requirePlainSteps(profiles.steps, 'a fleet');
      const identity = options.identities.get(node.name);
      const steps = identity ? [...profiles.steps.map(besideIdentity), identityStep(identity)] : profiles.steps;
      return { node, profiles, steps, keys: steps.map(({ fingerprint }) => fingerprint), inputs: read(steps), output: `${node.name}${options.ending}` };
    } catch (error) {
      return { node, error };
    }
  });
}
