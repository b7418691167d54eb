/** A step of a profile: what it accepts, what it does to a tree, and how to tell afterwards that it was done. */
import type { ZodType } from 'zod';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';

export interface StepContext {
  /** The profile file's folder on the host: local sources are found relative to it. */
  readonly directory: string;
  /** Renders a template text with the profile's variables; errors as RockberryError('profile'). */
  readonly render?: (text: string) => string;
  /** Hides the profile's secrets in what programs say. */
  readonly mask?: (text: string) => string;
}

/** Bytes; "auto": what the host's files take that the steps place. */
export interface StepGrowth {
  readonly size?: number;
  readonly free?: number | 'auto';
}

export interface Step<O> {
  /** The YAML key. */
  readonly key: string;
  /** One sentence for the documentation and for the JSON Schema. */
  readonly summary: string;
  readonly schema: ZodType<O>;
  /** One line for the plan: what will be done, with the values. */
  describe(options: O): string;
  /** It runs programs of the image: nothing but that tells what it would do, and the result is not reproducible. */
  readonly needsMachine?: true;
  /** How much larger the image has to be before any step is done. */
  growth?(options: O): StepGrowth;
  /** Idempotent: applied twice it changes nothing the second time. */
  apply(tree: Tree, options: O, context: StepContext): void | Promise<void>;
  /** Reads the result as a stranger would; empty when all is as asked. */
  verify(tree: Tree, options: O, context: StepContext): Finding[] | Promise<Finding[]>;
}
