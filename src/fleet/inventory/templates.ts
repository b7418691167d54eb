/**
 * Templates in values. Only Ansible can evaluate Jinja, so a value that is needed and is a template is an error, with two exceptions that need no engine: a text
 * that is one variable and nothing else ("{{ vault_token }}"), and k3s-ansible's way to name the first server.
 */
import { isTemplate, wholeVariable } from '../../profile/template.js';
import type { Value } from '../model.js';
import type { Given, Vars } from './hosts-and-groups.js';
import { problem, quoted } from './problem.js';

/** A node, and the first node of a group. */
export interface Scope {
  readonly name: string;
  readonly vars: Vars;
  firstOf(group: string): { readonly name: string; readonly vars: Vars } | undefined;
}

const CHAIN = 10; // variables that name each other
/** inventory-sample.yml of k3s-ansible: {{ hostvars[groups['server'][0]]['ansible_host'] | default(groups['server'][0]) }} */
const FIRST_HOST = /^\s*\{\{-?\s*hostvars\[groups\[(['"])(\w+)\1\]\[0\]\](?:\[(['"])(\w+)\3\]|\.(\w+))(?:\s*\|\s*(?:default|d)\(\s*groups\[(['"])\2\6\]\[0\]\s*\))?\s*-?\}\}\s*$/;

/** The variable's value; undefined when it has none. Errors: `profile` for a template that cannot be evaluated here. */
export function valueOf(scope: Scope, variable: string): Given | undefined {
  const given = scope.vars.get(variable);
  if (!given || given.value === null || given.value === '') return undefined;
  return hasTemplate(given.value) ? evaluated(scope, variable, given, CHAIN) : given;
}

/** The same, and undefined for every template: for what is good to know but not needed. */
export function plainValueOf(vars: Vars, variable: string): Given | undefined {
  const given = vars.get(variable);
  return given === undefined || given.value === null || given.value === '' || hasTemplate(given.value) ? undefined : given;
}

function hasTemplate(value: Value): boolean {
  if (typeof value === 'string') return isTemplate(value);
  return typeof value === 'object' && value !== null && Object.values(value).some(hasTemplate);
}

function evaluated(scope: Scope, variable: string, given: Given, left: number): Given {
  const named = typeof given.value === 'string' ? reference(scope, given) : undefined;
  if (named && left > 0) {
    const { value } = named;
    if (!hasTemplate(value)) return { ...named, secret: named.secret || given.secret };
    return evaluated(scope, variable, { ...named, where: given.where, secret: named.secret || given.secret }, left - 1);
  }
  throw problem('profile', given.where, `expected a value for the variable ${quoted(variable)} of the node ${quoted(scope.name)}, found a template that only Ansible can evaluate`, 'write the value itself');
}

function reference(scope: Scope, given: Given): Given | undefined {
  const text = String(given.value);
  const nameOf = (name: string): Given => ({ value: name, text: name, where: given.where, secret: false });
  const whole = wholeVariable(text);
  if (whole === 'inventory_hostname') return nameOf(scope.name);
  if (whole !== undefined) return scope.vars.get(whole);
  const [, , group, , bracketed, dotted, hasDefault] = FIRST_HOST.exec(text) ?? [];
  const first = group === undefined ? undefined : scope.firstOf(group);
  return first && (first.vars.get(bracketed ?? dotted!) ?? (hasDefault === undefined ? undefined : nameOf(first.name)));
}
