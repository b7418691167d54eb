/** The form of our own YAML inventory, for our own checks and, as JSON Schema, for editors. */
import { z } from 'zod';
import { variableName } from '../../profile/variables.js';
import { familyOf, parseAddress } from '../../steps/addresses.js';

const oneOrMore = <T extends z.ZodType>(one: T) => z.union([one, z.array(one).min(1)]);
const scalars = [z.string(), z.number(), z.boolean(), z.null()] as const;
const variables = z.record(z.string().min(1), z.union([...scalars, z.array(z.union(scalars))]));
const profiles = z.array(z.string().min(1)).min(1);
const network = z.string().refine((text) => parseAddress(text) !== undefined, 'expected a network, as "192.0.2.0/24"');
const address = z.string().refine((text) => familyOf(text) !== undefined, 'expected an IP address');
const names = z.array(z.string().min(1));

const nodeForm = z.strictObject({
  groups: names.describe('groups that the node belongs to').optional(),
  profiles: profiles.describe('instead of those of its groups').optional(),
  variables: variables.describe('variables of its profiles, and ip, netmask, prefix and others that the mapping knows').optional(),
  mac: z.string().describe('MAC address of its Ethernet port, as "dc:a6:32:00:00:01"').optional(),
  serial: z.string().describe('serial number of the board, 16 hexadecimal digits, as /proc/cpuinfo shows it').optional(),
  board: z.string().min(1).describe('kind of board and its memory, as "pi4-4gb"').optional(),
});

const groupForm = z.strictObject({
  profiles: profiles.describe('for its nodes, instead of those of all').optional(),
  variables: variables.describe('for its nodes').optional(),
  children: names.describe('groups whose nodes belong to this one too').optional(),
  nodes: names.describe('names of nodes, also as a range: "node[01:20]"').optional(),
});

export const fleetForm = z.strictObject({
  image: z.string().min(1).describe('the base image, relative to this file').optional(),
  profiles: profiles.describe('for all nodes that have no others: shipped profiles by name, or files relative to this one').optional(),
  variables: variables.describe('for all nodes').optional(),
  map: z.record(variableName, oneOrMore(z.string().min(1))).describe('variable of a profile: the variables of this inventory that give it its value, the first that has one').optional(),
  groups: z.record(z.string().min(1), groupForm.nullable()).optional(),
  nodes: z.record(z.string().min(1), nodeForm.nullable()).describe('a name, which is the host name too, or a range: "node[01:20]"'),
  networks: z.strictObject({
    nodes: oneOrMore(network).describe('networks of the nodes themselves').optional(),
    pods: oneOrMore(network).optional(),
    services: oneOrMore(network).optional(),
  }).describe('networks of the cluster').optional(),
  vip: oneOrMore(address).describe('address that the control plane shares').optional(),
  vips: oneOrMore(address).describe('the same').optional(),
});

export type FleetForm = z.output<typeof fleetForm>;
export const FLEET_KEYS = Object.keys(fleetForm.shape);

/** JSON Schema (draft-07) of our own YAML inventory, for editors. */
export function fleetSchema(): object {
  return { ...z.toJSONSchema(fleetForm, { target: 'draft-7', io: 'input', unrepresentable: 'any' }), title: 'rockberry fleet' };
}
