/** Every command of the Kubespray guide runs, as far as it goes without a board: what needs one is replaced by the nearest thing that does not, by this table. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { beforeAll, describe, expect } from 'vitest';
import { needs, oracleEnvironment } from '../support/oracle.js';
import { PROGRAM, ROOT, scratch } from '../support/cli.js';

const guide = readFileSync(join(ROOT, 'integrations/kubespray.md'), 'utf8');
const blocks = (language: string): string[] => [...guide.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, text]) => text!);
const commands = blocks('sh').flatMap((text) => text.replace(/\\\n\s*/g, '').trim().split('\n'));

/** Command (its beginning) → what the test runs in its place, the exit status, and what it prints. */
const WITHOUT_A_BOARD: readonly (readonly [begins: string, run: (command: string) => string, status: number, prints: RegExp])[] = [
  ['npx rockberry verify images/', (command) => command, 1, /ERROR[\s\S]*\[cgroup-memory\][\s\S]*not ready/],
  ['npx rockberry', (command) => command, 0, /\S/],
  ['bmaptool', (command) => command.replace('/dev/sdX', 'card.img'), 0, /./],
  ['ansible-inventory', (command) => command, 0, /@kube_node:[\s\S]*pi1/],
  ['ansible-galaxy', (command) => command, 0, /\S/],
  ['ansible-playbook', (command) => `${command} --syntax-check`, 0, /playbook: site.yml/],
  ['ssh ', (command) => command.replace('ssh ansible@192.0.2.22 sudo ', 'ROCKBERRY_ROOT=$PWD/nowhere ').concat(' || true'), 0, /cgroup/],
  ['kubectl', () => 'echo needs a cluster', 0, /./],
];

describe('the Kubespray guide', () => {
  const clone = scratch();

  beforeAll(() => {
    for (const name of ['images', 'profiles', 'integrations', 'package.json', 'dist']) symlinkSync(join(ROOT, name), join(clone, name));
    writeFileSync(join(clone, 'inventory.ini'), blocks('ini')[0]!);
    writeFileSync(join(clone, 'site.yml'), blocks('yaml')[0]!);
    // Stands for Kubespray's own collection, which has 30 MB and cannot be fetched by a test.
    const kubespray = join(clone, 'collections/ansible_collections/kubernetes_sigs/kubespray/playbooks');
    mkdirSync(kubespray, { recursive: true });
    writeFileSync(join(kubespray, 'cluster.yml'), '- name: Stand-in\n  hosts: all\n  tasks: []\n');
  });

  for (const command of commands) {
    const [, run, status, prints] = WITHOUT_A_BOARD.find(([begins]) => command.startsWith(begins)) ?? (() => { throw new Error(`the test has no rule for: ${command}`); })();
    const program = command.split(' ')[0]!;
    needs(...(/^(npx|ssh|kubectl)$/.test(program) ? ['sh'] : [program]))(command, async () => {
      const line = run(command).replace(/\bnpx rockberry\b/g, `'${process.execPath}' '${PROGRAM}'`);
      const result = await execa('sh', ['-c', line], { cwd: clone, reject: false, all: true, env: { ...oracleEnvironment, LC_ALL: 'C.UTF-8', HOME: clone } });
      expect({ exitCode: result.exitCode, said: result.all }).toMatchObject({ exitCode: status, said: expect.stringMatching(prints) });
    });
  }
});
