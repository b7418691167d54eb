import type { Rule } from '../rule.js';

export const selinuxRules: readonly Rule[] = [];
