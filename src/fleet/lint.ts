/** fleet lint: everything in an inventory that would bite at the first boot. It reads an inventory's value, the profiles, and asks git; it changes nothing. */
import { masking } from '../profile/masking.js';
import type { Finding } from '../report.js';
import { fleetOf, type Fleet, type LintContext } from './lint/fleet.js';
import type { FleetRule } from './lint/rule.js';
import { addressRules } from './lint/rules/addresses.js';
import { boardRules } from './lint/rules/boards.js';
import { clusterRules } from './lint/rules/cluster.js';
import { duplicateRules } from './lint/rules/duplicates.js';
import { gatewayRules } from './lint/rules/gateways.js';
import { loginRules } from './lint/rules/login.js';
import { nameRules } from './lint/rules/names.js';
import { networkRules } from './lint/rules/networks.js';
import { profileRules } from './lint/rules/profiles.js';
import { secretRules } from './lint/rules/secrets.js';
import { virtualAddressRules } from './lint/rules/virtual-addresses.js';
import { byText, naturalKey, own } from './lint/words.js';
import type { Inventory } from './model.js';

export type { Identity, LintContext } from './lint/fleet.js';
export type { FleetRule } from './lint/rule.js';

/** Every rule, in the order of the report. */
export const FLEET_RULES: readonly FleetRule[] = [
  ...profileRules, ...nameRules, ...duplicateRules, ...addressRules, ...gatewayRules, ...networkRules, ...virtualAddressRules, ...clusterRules, ...boardRules,
  ...loginRules, ...secretRules,
];

const SEVERITIES: readonly Finding['severity'][] = ['error', 'warning', 'info'];

/**
 * What is wrong with the fleet: the gravest first, then in the order of the rules and of the nodes' names, whatever the inventory's order. The subject of each is
 * "node NAME", "group NAME" or "fleet", and each has a hint. No message shows a secret. Does not throw for anything that an inventory can hold.
 */
export async function lintFleet(inventory: Inventory, context: LintContext = {}): Promise<Finding[]> {
  const fleet = fleetOf(inventory, context);
  const found = new Map<string, Finding & { readonly hint: string }>();
  for (const [at, rule] of FLEET_RULES.entries()) {
    for (const { subject, message, hint, severity = rule.severity } of await rule.check(fleet)) {
      const place = [SEVERITIES.indexOf(severity), String(at).padStart(3, '0'), naturalKey(subject), message].join('\0');
      found.set(place, { severity, id: rule.id, subject, message, hint });
    }
  }
  const mask = masking(found.size > 0 ? secretsOf(fleet) : []);
  return [...found].sort(([a], [b]) => byText(a, b)).map(([, finding]) => ({ ...finding, message: mask(finding.message), hint: mask(finding.hint) }));
}

/** Every value of a variable that a profile calls secret: it may stand in another variable too, which is shown. */
function secretsOf({ members }: Fleet): Set<string> {
  return new Set(members.flatMap(({ node, values, profiles }) => [...(profiles?.declarations ?? [])].filter(([, { secret, type }]) => secret && type !== 'boolean')
    .flatMap(([name]) => [values.get(name), own(node.variables, name)].flat()).filter((value) => typeof value === 'string')));
}
