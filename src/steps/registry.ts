/** Every kind of step, by its YAML key. */
import { cmdlineStep } from './cmdline.js';
import { configTxtStep } from './config_txt.js';
import { filesStep } from './files.js';
import { hostnameStep } from './hostname.js';
import { keyboardStep } from './keyboard.js';
import { localeStep } from './locale.js';
import { modulesStep } from './modules.js';
import { servicesStep } from './services.js';
import type { Step } from './step.js';
import { swapStep } from './swap.js';
import { sysctlStep } from './sysctl.js';
import { timezoneStep } from './timezone.js';
import { userStep } from './user.js';

const STEPS: readonly Step<unknown>[] = [
  cmdlineStep, configTxtStep, filesStep, hostnameStep, userStep, timezoneStep, localeStep, keyboardStep, servicesStep, sysctlStep, modulesStep, swapStep,
];

/** A step only ever gets options that its own schema has let through. */
export const stepKinds: ReadonlyMap<string, Step<unknown>> = new Map(STEPS.map((step) => [step.key, step]));
