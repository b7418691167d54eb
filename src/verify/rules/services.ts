import type { Rule } from '../rule.js';

export const servicesRules: readonly Rule[] = [];
