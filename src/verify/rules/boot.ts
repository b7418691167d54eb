import type { Rule } from '../rule.js';

export const bootRules: readonly Rule[] = [];
