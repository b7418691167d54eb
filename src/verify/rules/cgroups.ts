import type { Rule } from '../rule.js';

export const cgroupsRules: readonly Rule[] = [];
