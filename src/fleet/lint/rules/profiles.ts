/** The profiles: that they can be read, and that every node has what they ask for. */
import type { Fleet, Member } from '../fleet.js';
import { stepChecks } from '../profile-steps.js';
import type { ProfileSet } from '../profiles.js';
import type { FleetProblem, FleetRule } from '../rule.js';
import { own } from '../words.js';
import { nameProblem } from './names.js';

const PROFILES = 'README.md#profiles';

export const profileRules: readonly FleetRule[] = [
  { id: 'fleet-profile', severity: 'error', title: 'every profile is there and sound', source: PROFILES, check: checkProfiles },
  { id: 'fleet-variable', severity: 'error', title: 'every variable of the profiles has a value that fits', source: PROFILES, check: checkVariables },
  { id: 'fleet-step', severity: 'error', title: 'every step takes the values that it gets', source: PROFILES, check: checkSteps },
];

function checkProfiles({ members }: Fleet): FleetProblem[] {
  return members.flatMap(({ subject, node, profileError }) => (profileError ? [{
    subject, message: profileError.message, hint: profileError.hint ?? `look at it with: rockberry profile lint ${node.profiles[0]!}`,
  }] : []));
}

/** A host name that is the node's own name is fleet-name-invalid's. */
function checkVariables({ members }: Fleet): FleetProblem[] {
  return members.flatMap(({ subject, node, variableProblems }) => {
    const isTold = own(node.variables, 'hostname') === node.name && nameProblem(node.name) !== undefined;
    return variableProblems.filter(({ variable }) => !(isTold && variable === 'hostname')).map(({ message, hint }) => ({ subject, message, hint }));
  });
}

/** What hangs on a value that was already complained of is not judged again. */
function checkSteps({ members }: Fleet): FleetProblem[] {
  const checks = new Map<ProfileSet, ReturnType<typeof stepChecks>>();
  return members.flatMap((member) => {
    const { profiles, subject } = member;
    if (!profiles) return [];
    const check = checks.get(profiles) ?? stepChecks(profiles);
    checks.set(profiles, check);
    const problems = check(new Map([...profiles.defaults, ...member.values]), unsound(member, profiles));
    return problems.map(({ where, message, hint }) => ({ subject, message: `${where}: ${message}`, hint: hint ?? 'correct the variable that the step takes' }));
  });
}

/** Variables without a value that they must have, and with one that other rules complain of. */
function unsound({ variableProblems, noAddresses, values, hostname }: Member, { declarations, defaults }: ProfileSet): Set<string> {
  const missing = [...declarations].filter(([name, { required }]) => required && !values.has(name) && defaults.get(name) === null).map(([name]) => name);
  const wrong = [...variableProblems, ...noAddresses].map(({ variable }) => variable).filter((name) => declarations.has(name));
  return new Set([...missing, ...wrong, ...(values.has('hostname') && nameProblem(hostname) !== undefined ? ['hostname'] : [])]);
}
