import type { Rule } from '../rule.js';

export const programsRules: readonly Rule[] = [];
