import type { Rule } from '../rule.js';

export const kernelRules: readonly Rule[] = [];
