import type { Rule } from '../rule.js';

export const storageRules: readonly Rule[] = [];
