/** Against real Ansible: groups, hosts and merged variables are what `ansible-inventory --list` says. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { readInventory } from '../../../src/fleet/inventory.js';
import { runAnsible } from '../../ansible/support.js';
import { hasProgram, needs } from '../../support/oracle.js';
import { ansibleList, folderOf, inventoryEnvironment, listed, ours, type Answer, type Listed } from './oracle.js';
import { SAMPLES } from './samples.js';

const ansible = needs('ansible-inventory');
const paths = new Map(Object.entries(SAMPLES).map(([name, files]) => [name, join(folderOf(files), Object.keys(files)[0]!)]));
const answers = new Map<string, Listed | undefined>();

beforeAll(() => {
  if (!hasProgram('ansible-inventory')) return;
  ansibleList([...paths.values()].map((path) => [path])).forEach((answer, index) => answers.set([...paths.keys()][index]!, answer));
});

describe('as ansible-inventory lists it', () => {
  for (const name of Object.keys(SAMPLES)) {
    ansible(name, async () => {
      const answer = answers.get(name);
      expect(answer?.hosts.length).toBeGreaterThan(0);
      expect(ours(await readInventory(paths.get(name)!))).toEqual(answer);
    });
  }
});

ansible('the command itself says the same as the process that asks for many', async () => {
  const path = paths.get('kubespray, INI')!;
  const { status, output } = await runAnsible(inventoryEnvironment(), '/', 'ansible-inventory', ['-i', path, '--list']);
  expect(status).toBe(0);
  expect(listed(JSON.parse(output) as Answer)).toEqual(answers.get('kubespray, INI'));
});

ansible('k8s_cluster, which Kubespray makes when it runs, is there when group_vars are', async () => {
  const { 'hosts.yaml': hosts, ...vars } = SAMPLES['kubespray, YAML']!;
  const folder = folderOf({ 'hosts.yaml': hosts!.replace(/ {4}k8s_cluster:\n(?: {6}.*\n)+/, ''), 'dynamic.ini': '[k8s_cluster]\nnode1\nnode2\nnode3\n', ...vars });
  const text = readFileSync(join(folder, 'hosts.yaml'), 'utf8');
  expect(text).not.toContain('k8s_cluster');
  const [answer] = ansibleList([[join(folder, 'hosts.yaml'), join(folder, 'dynamic.ini')]]);
  const inventory = await readInventory(join(folder, 'hosts.yaml'));
  expect(ours(inventory)).toEqual(answer);
  expect(inventory.networks).toEqual({ nodes: [], pods: ['10.233.64.0/18'], services: ['10.233.0.0/18'] });
});
