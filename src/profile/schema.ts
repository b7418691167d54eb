/** The form of a profile, for our own checks and, as JSON Schema, for editors. */
import { z } from 'zod';
import { stepKinds } from '../steps/registry.js';
import { variableName, variableSchema } from './variables.js';

/** Keys that stand beside a step's own. */
export const STEP_EXTRAS = ['name', 'when', 'when_path'] as const;

/** Who a profile makes a node ready for: what `build` then checks the result against. */
export const READINESS = ['kubespray', 'kubeadm', 'k3s', 'rke2'] as const;
export type Readiness = (typeof READINESS)[number];

const imagePath = z.string().regex(/^\/[^\0]*$/, { error: 'expected an absolute path' });
export const whenPathForm = z.union([imagePath, z.array(imagePath).min(1)])
  .describe('a path of the image, or several: without all of them the step is left out. Looked at when its turn comes, and again in the result');

export const profileForm = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]*$/).describe('lower-case name of the profile'),
  description: z.string().min(1).describe('what it is for, in one sentence'),
  readiness: z.enum(READINESS).optional().describe('the result is checked for this installer; of several profiles the last one counts'),
  extends: z.array(z.string().min(1)).optional().describe('shipped profiles by name, or files relative to this one; their steps come first'),
  variables: z.record(variableName, variableSchema).optional(),
  steps: z.array(z.record(z.string(), z.unknown())),
});

export type ProfileForm = z.output<typeof profileForm>;

type Json = Record<string, unknown>;

const TEMPLATE = { type: 'string', pattern: '\\{[{%]', description: 'a template, such as "{{ name }}"' };

/** JSON Schema (draft-07) of a profile. Wherever a value stands, a template may stand instead. */
export function profileSchema(): object {
  const form = toJson(profileForm);
  const properties = form.properties as Json;
  return {
    $schema: 'http://json-schema.org/draft-07/schema#', title: 'rockberry profile', ...form,
    properties: { ...properties, steps: { type: 'array', description: 'done in this order', items: { oneOf: [...stepKinds.values()].map(stepSchema) } } },
    definitions: { template: TEMPLATE },
  };
}

function stepSchema(step: { key: string; summary: string; schema: z.ZodType }): Json {
  return {
    type: 'object', description: step.summary, required: [step.key], additionalProperties: false,
    properties: {
      [step.key]: withTemplates(toJson(step.schema)),
      name: { type: 'string', description: 'shown in the plan instead of what the step says of itself' },
      when: { type: ['string', 'boolean', 'number'], description: 'rendered; empty, "false", "0" and "no" skip the step' },
      when_path: toJson(whenPathForm),
    },
  };
}

function toJson(schema: z.ZodType): Json {
  const json = z.toJSONSchema(schema, { target: 'draft-7', io: 'input', unrepresentable: 'any' }) as Json;
  delete json.$schema; // it stands once, at the top
  return json;
}

/** Lets a template stand in place of the value, and of every value inside. */
function withTemplates(node: Json): Json {
  const inner: Json = { ...node };
  if (isJson(node.properties)) inner.properties = Object.fromEntries(Object.entries(node.properties).map(([key, value]) => [key, withTemplates(value as Json)]));
  if (isJson(node.items)) inner.items = withTemplates(node.items);
  if (isJson(node.additionalProperties)) inner.additionalProperties = withTemplates(node.additionalProperties);
  for (const key of ['anyOf', 'oneOf', 'allOf']) if (Array.isArray(node[key])) inner[key] = (node[key] as Json[]).map(nested);
  return { anyOf: [inner, { $ref: '#/definitions/template' }] };
}

/** A branch of a union: only what is inside it gets templates; the union itself has its own. */
function nested(node: Json): Json {
  const both = withTemplates(node) as { anyOf: [Json, Json] };
  return both.anyOf[0];
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
