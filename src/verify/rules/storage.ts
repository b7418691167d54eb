/** Storage: no swap by any of the ways in which a system gets it, room for container images, and nothing mounted so that containers cannot run from it. */
import type { Rule } from '../rule.js';
import { mountRules } from './storage-mounts.js';
import { swapRules } from './storage-swap.js';

export const storageRules: readonly Rule[] = [...swapRules, ...mountRules];
