/** Every kind of step, by its YAML key, in the order in which documentation lists them. */
import { cmdlineStep } from './cmdline.js';
import { configTxtStep } from './config_txt.js';
import { dnfStep } from './dnf.js';
import { filesStep } from './files.js';
import { firstBootStep } from './first_boot.js';
import { growImageStep } from './grow_image.js';
import { growRootStep } from './grow_root.js';
import { hostnameStep } from './hostname.js';
import { identityStep } from './identity.js';
import { keyboardStep } from './keyboard.js';
import { localeStep } from './locale.js';
import { modulesStep } from './modules.js';
import { networkStep } from './network.js';
import { overlayStep } from './overlay.js';
import { packagesStep } from './packages.js';
import { runStep } from './run.js';
import { servicesStep } from './services.js';
import type { Step } from './step.js';
import { swapStep } from './swap.js';
import { sysctlStep } from './sysctl.js';
import { timezoneStep } from './timezone.js';
import { unitStep } from './unit.js';
import { userStep } from './user.js';

const STEPS: readonly Step<unknown>[] = [
  cmdlineStep, configTxtStep, filesStep, overlayStep, hostnameStep, userStep, networkStep, timezoneStep, localeStep, keyboardStep,
  servicesStep, unitStep, sysctlStep, modulesStep, swapStep, dnfStep, firstBootStep, growRootStep, identityStep, growImageStep, packagesStep, runStep,
];

/** A step only ever gets options that its own schema has let through. */
export const stepKinds: ReadonlyMap<string, Step<unknown>> = new Map(STEPS.map((step) => [step.key, step]));
