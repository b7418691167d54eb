import type { Rule } from '../rule.js';

export const networkRules: readonly Rule[] = [];
