/** Network: what the kernel does with packets, who manages interfaces, names and their resolution, and what a firewall lets in. */
import type { Rule } from '../rule.js';
import { firewallRules } from './network-firewall.js';
import { forwardingRules } from './network-kernel.js';
import { managerRules } from './network-manager.js';
import { nameRules } from './network-names.js';

export const networkRules: readonly Rule[] = [...forwardingRules, ...managerRules, ...nameRules, ...firewallRules];
