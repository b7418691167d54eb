/** Fleets as a person builds them: by the program, as an unprivileged user, each node judged by debugfs and by `verify`, and against its own single build. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { beforeAll, describe, expect, test } from 'vitest';
import type { FleetReport, NodeReport } from '../../src/fleet/model.js';
import { PROGRAM, rockberry, rockberryJson, ROOT, scratch } from '../support/cli.js';
import { needs, output } from '../support/oracle.js';
import { smallImage, smallPrograms } from '../support/small.js';
import { unpack } from '../support/unpack.js';

const SAMPLE = join(ROOT, 'images/rocky9-pi-sample.img.xz');
const ROOT_OFFSET = 1_593_344 * 512; // the legacy family's root partition
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGd0n8Pq0G4hbVPt0cKCtqvsaT/2bZWYO+5Y6h2q3nJz me@laptop';
const folder = scratch();
const sum = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');
const at = (...names: string[]): string => join(folder, ...names);

const SITE = `user: ops\n  ssh_keys: ["${KEY}"]\n  gateway: 192.0.2.1\n  dns: [192.0.2.1]\n`;
function inventory(name: string, nodes: Readonly<Record<string, string>>, image = SAMPLE): string {
  const [first, ...others] = Object.keys(nodes);
  const lines = Object.entries(nodes).map(([node, variables]) => `  ${node}: { variables: { ${variables} } }`);
  writeFileSync(at(name), `image: ${image}\nvariables:\n  ${SITE}networks: { nodes: [192.0.2.0/24] }
groups:\n  kube_control_plane: { nodes: [${first}] }\n  etcd: { nodes: [${first}] }\n  kube_node: { nodes: [${others.join(', ')}] }\nnodes:\n${lines.join('\n')}\n`);
  return at(name);
}
const three = inventory('three.yaml', { node1: 'address: 192.0.2.11/24', node2: 'address: 192.0.2.12/24', node3: 'address: 192.0.2.13/24' });
const names = ['node1', 'node2', 'node3'] as const;
const byStatus = ({ nodes }: Pick<FleetReport, 'nodes'>): Record<string, NodeReport['status']> => Object.fromEntries(nodes.map(({ name, status }) => [name, status]));

describe('a fleet of three, with minted identities', () => {
  let report: FleetReport;
  beforeAll(async () => {
    mkdirSync(at('minted'), { mode: 0o777 });
    report = await rockberryJson<FleetReport>(['fleet', 'build', three, '-o', at('out'), '--mint', at('ids.json')], { nobody: true });
  });

  test('every node is built, and passes verify for Kubespray', async () => {
    expect(byStatus(report)).toEqual({ node1: 'built', node2: 'built', node3: 'built' });
    for (const name of names) {
      const { status, stdout } = await rockberry(['verify', at('out', `${name}.img.xz`), '--for', 'kubespray']);
      expect(status, stdout).toBe(0);
    }
    expect(report.nodes.map(({ readiness }) => readiness)).toEqual(names.map(() => ({ target: 'kubespray', errors: 0, warnings: expect.any(Number) as number })));
  });

  needs('debugfs', 'xz', 'ssh-keygen')('names, addresses, keys and machine-ids are distinct, each where it belongs', () => {
    const seen = names.map((name) => {
      const raw = unpack(at('out', `${name}.img.xz`), at('raw.img'));
      const cat = (path: string): string => output('debugfs', ['-R', `cat ${path}`, `${raw}?offset=${ROOT_OFFSET}`]).toString();
      const stat = (path: string): string => output('debugfs', ['-R', `stat ${path}`, `${raw}?offset=${ROOT_OFFSET}`]).toString();
      expect(stat('/etc/ssh/ssh_host_ed25519_key')).toMatch(/Mode:\s+06[04]0[\s\S]*system_u:object_r:sshd_key_t:s0/);
      expect(stat('/etc/machine-id')).toMatch(/Mode:\s+0444/);
      const fingerprints = ['ed25519', 'ecdsa', 'rsa'].map((type) => {
        writeFileSync(at('key'), cat(`/etc/ssh/ssh_host_${type}_key`), { mode: 0o600 });
        const [own, published] = [output('ssh-keygen', ['-y', '-f', at('key')]).toString(), cat(`/etc/ssh/ssh_host_${type}_key.pub`)];
        expect(published.split(' ').slice(0, 2)).toEqual(own.trim().split(' ').slice(0, 2));
        rmSync(at('key'));
        return own.split(' ')[1]!;
      });
      const [, address] = /address1=([0-9.]+)/.exec(cat('/etc/NetworkManager/system-connections/rockberry.nmconnection'))!;
      const node = { hostname: cat('/etc/hostname'), address, machine: cat('/etc/machine-id'), fingerprints };
      rmSync(raw);
      return node;
    });
    expect(seen.map(({ hostname }) => hostname)).toEqual(names.map((name) => `${name}\n`));
    expect(seen.map(({ address }) => address)).toEqual(['192.0.2.11', '192.0.2.12', '192.0.2.13']);
    expect(new Set(seen.map(({ machine }) => machine)).size).toBe(3);
    for (const { machine } of seen) expect(machine).toMatch(/^[0-9a-f]{32}\n$/);
    expect(new Set(seen.flatMap(({ fingerprints }) => fingerprints)).size).toBe(9);
    for (const { address, fingerprints } of seen) {
      const found = output('ssh-keygen', ['-F', address!, '-f', at('out/known_hosts')]).toString();
      for (const key of fingerprints) expect(found).toContain(key);
    }
  });

  test('what stands beside them; the state is its owner\'s alone', () => {
    expect(readdirSync(at('out')).filter((name) => !name.startsWith('node')).sort())
      .toEqual(['.rockberry-fleet.json', 'SHA256SUMS', 'fleet.json', 'hosts', 'inventory.yml', 'known_hosts', 'os_list.json', 'report.html', 'sshfp']);
    expect(statSync(at('ids.json')).mode & 0o777).toBe(0o600);
    expect(statSync(at('out/.rockberry-fleet.json')).mode & 0o777).toBe(0o600);
    expect(output('sh', ['-c', 'cd "$1" && sha256sum -c --quiet SHA256SUMS', 'sh', at('out')]).toString()).toBe('');
    for (const name of readdirSync(at('out')).filter((one) => !one.endsWith('.xz'))) expect(readFileSync(at('out', name), 'utf8')).not.toContain('PRIVATE KEY');
  });

  test('again: nothing is built; one variable changed: one node is, and the reason is told', async () => {
    const again = await rockberryJson<FleetReport>(['fleet', 'build', three, '-o', at('out'), '--mint', at('ids.json')]);
    expect(byStatus(again)).toEqual({ node1: 'current', node2: 'current', node3: 'current' });
    expect(again.nodes.map(({ sha256, readiness, files }) => [sha256, readiness, files])).toEqual(report.nodes.map(({ sha256, readiness, files }) => [sha256, readiness, files]));
    const moved = inventory('moved.yaml', { node1: 'address: 192.0.2.11/24', node2: 'address: 192.0.2.22/24', node3: 'address: 192.0.2.13/24' });
    const plan = await rockberryJson<FleetReport>(['fleet', 'plan', moved, '-o', at('out'), '--mint', at('ids.json')]);
    expect(byStatus(plan)).toEqual({ node1: 'current', node2: 'planned', node3: 'current' });
    expect(plan.nodes[1]!.why).toMatch(/network .*192\.0\.2\.22.*changed/);
    rmSync(at('out/node3.img.xz'));
    const gone = await rockberryJson<FleetReport>(['fleet', 'plan', three, '-o', at('out'), '--mint', at('ids.json')]);
    expect(gone.nodes.map(({ why }) => why)).toEqual(['up to date', 'up to date', 'its file is gone, or was changed']);
  });
});

describe('patches', () => {
  beforeAll(async () => {
    await rockberryJson(['fleet', 'build', three, '-o', at('images')]);
    await rockberryJson(['fleet', 'build', three, '-o', at('patches'), '--as', 'patch']);
  });

  test('a patch on the base is the image, byte for byte, and that is what its own build makes', async () => {
    for (const name of names) {
      expect(statSync(at('patches', `${name}.patch`)).mode & 0o777).toBe(0o600);
      expect(statSync(at('patches', `${name}.patch`)).size).toBeLessThan(300_000);
      await rockberryJson(['apply', at('patches', `${name}.patch`), SAMPLE, '-o', at(`${name}.img.xz`)]);
      expect(sum(at(`${name}.img.xz`))).toBe(sum(at('images', `${name}.img.xz`)));
    }
    await rockberryJson(['build', SAMPLE, '-p', 'kubespray-node', '--set', 'role=worker', '--set', 'hostname=node2', '--set', 'user=ops', '--set', `ssh_keys=${KEY}`,
      '--set', 'address=192.0.2.12/24', '--set', 'gateway=192.0.2.1', '--set', 'dns=192.0.2.1', '-o', at('single.img.xz')]);
    expect(sum(at('single.img.xz'))).toBe(sum(at('images/node2.img.xz')));
    expect(readFileSync(at('node2.img.xz.bmap'), 'utf8')).toBe(readFileSync(at('images/node2.img.xz.bmap'), 'utf8'));
  });

  test('another base is refused, and nothing is left', async () => {
    const { status, stderr } = await rockberry(['apply', at('patches/node1.patch'), join(ROOT, 'images/rocky9-sbc-sample.img.xz'), '-o', at('wrong.img.xz')]);
    expect(status).toBe(4);
    expect(stderr).toContain('a patch fits the very file that its fleet was built on');
    expect(existsSync(at('wrong.img.xz'))).toBe(false);
  });
});

describe('a small base', () => {
  const withSmall = needs(...smallPrograms, 'xz');
  const small = withSmall === test || process.env.CI ? smallImage(folder) : '';
  const packed = at('small.img.xz');
  const fleet = (name: string, nodes: Readonly<Record<string, string>>, extra = ''): string => {
    const lines = Object.entries(nodes).map(([node, variables]) => `  ${node}: { variables: { ${variables} } }`);
    writeFileSync(at(name), `image: ${packed}\nprofiles: [./own.yaml]\nnodes:\n${lines.join('\n')}\n${extra}`);
    return at(name);
  };
  const five = Object.fromEntries([1, 2, 3, 4, 5].map((number) => [`n${number}`, `note: "of ${number}"`]));
  beforeAll(() => {
    if (small === '') return;
    writeFileSync(packed, output('xz', ['-c', '-0', '-T2', '--block-size=4MiB', small]));
    writeFileSync(at('own.yaml'), `name: own\ndescription: a small node\nextends: [node]\nvariables:\n  note: { description: of the node }\n  from: { description: a file, type: path }\nsteps:
  - files: [{ path: /etc/shared, content: "the same\\n", mode: "0644", owner: 0, group: 0 }]
  - files: [{ path: /etc/note, content: "{{ note }}\\n", mode: "0600", owner: 0, group: 0 }]
  - files: [{ path: /etc/from, source: "{{ from }}", mode: "0644", owner: 0, group: 0 }]
    when: "{{ from }}"\n`);
  });

  withSmall('a node that fails does not stop the others; exit status 1', async () => {
    const path = fleet('failing.yaml', { ...five, n3: 'note: x, from: not-there' });
    const { status, stdout } = await rockberry(['fleet', 'build', path, '-o', at('failing'), '--keep-going', '--json']);
    const report = JSON.parse(stdout) as FleetReport;
    expect(status).toBe(1);
    expect(byStatus(report)).toEqual({ n1: 'built', n2: 'built', n3: 'failed', n4: 'built', n5: 'built' });
    expect(report.nodes[2]!.why).toContain('not-there');
    expect(readdirSync(at('failing')).filter((name) => name.startsWith('n3') || name.includes('.part'))).toEqual([]);
  });

  withSmall('--only and shards build their part, and the parts are the whole', async () => {
    const path = fleet('five.yaml', five);
    const only = await rockberryJson<FleetReport>(['fleet', 'build', path, '-o', at('only'), '--keep-going', '--only', 'n[12]'.replace('[12]', '?') + ',x*', '--as', 'patch']);
    expect(only.nodes.every(({ status }) => status === 'built')).toBe(true);
    const parts = await Promise.all([1, 2].map((shard) => rockberryJson<FleetReport>(['fleet', 'build', path, '-o', at(`shard${shard}`), '--keep-going', '--shard', `${shard}/2`, '--as', 'patch'])));
    const built = parts.map(({ nodes }) => nodes.filter(({ status }) => status === 'built').map(({ name }) => name));
    expect(built.flat().sort()).toEqual(Object.keys(five));
    expect(built.map((one) => one.length).sort()).toEqual([2, 3]);
    const merged = await rockberryJson<FleetReport>(['fleet', 'merge', at('shard1'), at('shard2'), '-o', at('merged')]);
    expect(byStatus(merged)).toEqual(Object.fromEntries(Object.keys(five).map((name) => [name, 'built'])));
    for (const name of Object.keys(five)) expect(sum(at(`shard${built[0]!.includes(name) ? 1 : 2}`, `${name}.patch`))).toBe(sum(at('only', `${name}.patch`)));
  });

  withSmall('--as golden: one image with every node in it; a node without a board is refused', async () => {
    const path = fleet('golden.yaml', five).replace('.yaml', '.boards.yaml');
    const lines = Object.keys(five).map((name, index) => `  ${name}: { serial: "10000000abcdef0${index}", variables: { note: "of ${index}" } }`);
    writeFileSync(path, `image: ${packed}\nprofiles: [./own.yaml]\nnodes:\n${lines.join('\n')}\n`);
    const golden = await rockberryJson<FleetReport>(['fleet', 'build', path, '-o', at('golden'), '--as', 'golden', '--keep-going']);
    expect(new Set(golden.nodes.map(({ output: file, status }) => `${status} ${file}`))).toEqual(new Set(['built golden.img.xz']));
    const inside = (await rockberry(['ls', at('golden/golden.img.xz'), '/etc/rockberry/nodes/entries'])).stdout;
    for (const name of Object.keys(five)) expect(inside).toContain(name);
    expect((await rockberry(['cat', at('golden/golden.img.xz'), '/etc/shared'])).stdout).toBe('the same\n');
    expect((await rockberry(['cat', at('golden/golden.img.xz'), '/etc/note'])).status).toBe(2);
    const { status, stderr } = await rockberry(['fleet', 'build', fleet('no-boards.yaml', five), '-o', at('no-boards'), '--as', 'golden', '--keep-going']);
    expect([status, existsSync(at('no-boards/golden.img.xz'))]).toEqual([2, false]);
    expect(stderr).toContain('n1');
  });

  withSmall('kill -9 at 20 moments, then again: as if nothing had happened', async () => {
    const path = fleet('killed.yaml', five);
    const env = { XDG_CACHE_HOME: at('kill-cache') };
    const undisturbed = await rockberryJson<FleetReport>(['fleet', 'build', path, '-o', at('undisturbed'), '--keep-going'], { env });
    const seed = Number(process.env.ROCKBERRY_SEED ?? Math.floor(Math.random() * 2 ** 31));
    console.info(`seed ${seed}`);
    const from = (turn: number): number => createHash('sha256').update(`${seed}:${turn}`).digest().readUInt32LE() / 2 ** 32;
    for (let turn = 0; turn < 20; turn++) {
      if (turn % 5 === 0) rmSync(at('killed'), { recursive: true, force: true });
      const child = execa(process.execPath, [PROGRAM, 'fleet', 'build', path, '-o', at('killed'), '--keep-going'], { reject: false, env });
      const timer = setTimeout(() => child.kill('SIGKILL'), 200 + from(turn) * 2500);
      await child;
      clearTimeout(timer);
      for (const name of existsSync(at('killed')) ? readdirSync(at('killed')).filter((one) => /^n\d\.img\.xz$/.test(one)) : []) {
        expect(sum(at('killed', name)), `${name} after turn ${turn}`).toBe(undisturbed.nodes.find((node) => `${node.name}.img.xz` === name)!.sha256);
      }
    }
    await rockberryJson<FleetReport>(['fleet', 'build', path, '-o', at('killed'), '--keep-going'], { env });
    expect(readdirSync(at('killed')).sort()).toEqual(readdirSync(at('undisturbed')).sort());
    for (const name of readdirSync(at('undisturbed')).filter((one) => /^n\d/.test(one))) expect(sum(at('killed', name)), name).toBe(sum(at('undisturbed', name)));
  });
});
