/** Services: what starts at boot, what must not, and what installs Kubernetes. */
import type { Rule } from '../rule.js';
import { bootRules } from './services-boot.js';
import { kubernetesRules } from './services-kubernetes.js';
import { updateRules } from './services-updates.js';

export const servicesRules: readonly Rule[] = [...bootRules, ...kubernetesRules, ...updateRules];
