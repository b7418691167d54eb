import type { Rule } from '../rule.js';

export const hygieneRules: readonly Rule[] = [];
