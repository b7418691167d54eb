/** Every kind of step, by its YAML key. */
import { cmdlineStep } from './cmdline.js';
import type { Step } from './step.js';

const STEPS: readonly Step<unknown>[] = [cmdlineStep];

export const stepKinds: ReadonlyMap<string, Step<unknown>> = new Map(STEPS.map((step) => [step.key, step]));
