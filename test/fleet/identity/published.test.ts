/** known_hosts before ssh-keygen -F, SSHFP records before ssh-keygen -r, and the block for /etc/hosts before the resolver's own reader. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hostsBlock, knownHosts, sshfpRecords } from '../../../src/fleet/identity/published.js';
import type { FleetNode } from '../../../src/fleet/model.js';
import { needs, output, run } from '../../support/oracle.js';
import { byName, fleetNode, quickIdentity, testFolder } from './quick.js';

const folder = testFolder();
const file = join(folder, 'known_hosts');

/** Fingerprints of the keys that ssh would take from `host`; `ssh-keygen -lF` prints "HOST TYPE SHA256:…" for each. */
function found(text: string, host: string): string[] {
  writeFileSync(file, text);
  return [...run('ssh-keygen', ['-l', '-F', host, '-f', file]).output.matchAll(/ (SHA256:\S+)/g)].map(([, fingerprint]) => fingerprint!).sort();
}

const node1 = fleetNode('node1', { address: '192.0.2.11', hostVars: { ansible_host: '192.0.2.11' } });
const fqdn = fleetNode('db', { address: '2001:DB8:0::12', variables: { hostname: 'db.example.org' }, hostVars: { ansible_host: 'jump.example.net', ansible_port: '2222' } });
const templated = fleetNode('node3', { address: undefined, hostVars: { ansible_host: '{{ ip }}', ansible_port: '{{ port }}' } });
const bare = fleetNode('node4', { address: '192.0.2.14' });
const nodes = [node1, fqdn, templated, bare];
const identities = byName(quickIdentity('node1'), quickIdentity('db'), quickIdentity('node3'));
const fingerprints = (name: string): string[] => identities.get(name)!.hostKeys.map(({ fingerprint }) => fingerprint).sort();

describe('known_hosts', () => {
  const text = knownHosts(nodes, identities);

  needs('ssh-keygen')('ssh-keygen finds all three keys by every name', () => {
    for (const host of ['node1', '192.0.2.11']) expect(found(text, host), host).toEqual(fingerprints('node1'));
    for (const host of ['db', 'db.example.org', '2001:db8::12', '[jump.example.net]:2222', '[db]:2222', '[2001:db8::12]:2222', '[db.example.org]:2222']) expect(found(text, host), host).toEqual(fingerprints('db'));
    expect(found(text, 'node3')).toEqual(fingerprints('node3'));
  });

  needs('ssh-keygen')('and nothing by others: what stands behind a forwarded port, templates, nodes without an identity', () => {
    for (const host of ['jump.example.net', '[node1]:2222', 'node4', '192.0.2.14', '{{ ip }}', 'x']) expect(found(text, host), host).toEqual([]);
  });

  test('each node once per key, in the inventory\'s order', () => {
    expect(text.split('\n').map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      'node1,192.0.2.11 ssh-ed25519', 'node1,192.0.2.11 ecdsa-sha2-nistp256', 'node1,192.0.2.11 ssh-rsa',
      ...['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'].map((type) => `db,db.example.org,2001:db8::12,[db]:2222,[db.example.org]:2222,[jump.example.net]:2222,[2001:db8::12]:2222 ${type}`),
      'node3 ssh-ed25519', 'node3 ecdsa-sha2-nistp256', 'node3 ssh-rsa', '',
    ]);
    expect([knownHosts([], identities), knownHosts(nodes, new Map())]).toEqual(['', '']);
  });

  test.each<[string, Partial<FleetNode>]>([
    ['a pattern', { hostVars: { ansible_host: '*' } }], ['a list', { hostVars: { ansible_host: 'a,!b' } }], ['a second line', { hostVars: { ansible_host: 'a\n* ssh-rsa AAAA' } }], ['a marker', { hostVars: { ansible_host: '@cert-authority *' } }],
    ['a number', { hostVars: { ansible_host: 5 } }], ['an address with a prefix', { address: '192.0.2.1/24' }], ['a zone', { address: 'fe80::1%eth0' }], ['no port', { hostVars: { ansible_port: 70_000 } }], ['a port in words', { hostVars: { ansible_port: '22; x' } }],
  ])('%s for a host: left out', (_, rest) => {
    expect(knownHosts([fleetNode('n', rest)], byName(quickIdentity('n'))).split('\n').map((line) => line.split(' ')[0])).toEqual(['n', 'n', 'n', '']);
  });
});

const seed = 20_261_126;
needs('ssh-keygen')(`any names, addresses and ports: ssh-keygen finds the node by what Ansible dials and by its name (seed ${seed})`, () => {
  const name = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9_.-]{0,18}[A-Za-z0-9])?$/).filter((text) => !/^[\d.]+$/.test(text));
  const address = fc.oneof(fc.ipV4(), fc.ipV6());
  const one = fc.record({ name, address: fc.option(address, { nil: undefined }), host: fc.option(fc.oneof(name, address), { nil: undefined }), port: fc.oneof(fc.constant(22), fc.integer({ min: 1, max: 65_535 })) });
  const canonical = (host: string): string => (host.includes(':') ? new URL(`http://[${host}]/`).hostname.slice(1, -1) : host);
  fc.assert(fc.property(one, ({ name: called, address: at, host, port }) => {
    const node = fleetNode(called, { address: at, hostVars: { ...(host !== undefined && { ansible_host: host }), ansible_port: port } });
    const identity = quickIdentity(called);
    const text = knownHosts([node], byName(identity));
    const wanted = identity.hostKeys.map(({ fingerprint }) => fingerprint).sort();
    const as = (dialed: string): string => (port === 22 ? canonical(dialed) : `[${canonical(dialed)}]:${port}`);
    for (const dialed of [host ?? called, ...(at === undefined ? [] : [at])]) expect(found(text, as(dialed)), as(dialed)).toEqual(wanted);
    expect(text.split('\n')).toHaveLength(4);
  }), { seed, numRuns: 12 });
});

describe('SSHFP', () => {
  needs('ssh-keygen')('the same records as ssh-keygen -r', () => {
    const records = sshfpRecords(nodes, identities);
    const wanted = ['node1', 'db', 'node3'].flatMap((name) => identities.get(name)!.hostKeys.flatMap(({ publicKey }) => {
      writeFileSync(join(folder, 'key.pub'), `${publicKey}\n`);
      return output('ssh-keygen', ['-r', name, '-f', join(folder, 'key.pub')]).toString().split('\n').filter((line) => line !== '');
    }));
    expect(records.split('\n').filter((line) => line !== '').sort()).toEqual(wanted.sort());
    expect(wanted).toHaveLength(18);
  });

  test('algorithms 4, 3 and 1, fingerprint types 1 and 2, in the inventory\'s order; a node named by an address has none', () => {
    const lines = sshfpRecords([node1, fleetNode('192.0.2.9')], byName(identities.get('node1')!, quickIdentity('192.0.2.9'))).split('\n');
    expect(lines.map((line) => line.replace(/ [0-9a-f]{40}$| [0-9a-f]{64}$/, ''))).toEqual(['node1 IN SSHFP 4 1', 'node1 IN SSHFP 4 2', 'node1 IN SSHFP 3 1', 'node1 IN SSHFP 3 2', 'node1 IN SSHFP 1 1', 'node1 IN SSHFP 1 2', '']);
  });
});

describe('/etc/hosts', () => {
  test('one line per node between markers, and a word on those without an address', () => {
    expect(hostsBlock(nodes)).toBe('# rockberry begin\n192.0.2.11\tnode1\n2001:db8::12\tdb db.example.org\n# node3: the inventory has no address\n192.0.2.14\tnode4\n# rockberry end\n');
    expect(hostsBlock([])).toBe('# rockberry begin\n# rockberry end\n');
    expect(hostsBlock([fleetNode('192.0.2.9', { address: '192.0.2.9' }), fleetNode('x\n127.0.0.1 localhost', { address: '192.0.2.8' })])).toBe('# rockberry begin\n# rockberry end\n');
  });

  needs('awk')('as a reader of fields sees it', () => {
    expect(run('awk', ['!/^#/ { for (i = 2; i <= NF; i++) print $i, $1 }'], hostsBlock(nodes)).output).toBe('node1 192.0.2.11\ndb 2001:db8::12\ndb.example.org 2001:db8::12\nnode4 192.0.2.14');
  });
});

test('no secret and no machine-id is in any of it', () => {
  const text = [knownHosts(nodes, identities), sshfpRecords(nodes, identities), hostsBlock(nodes)].join('');
  const secrets = [...identities.values()].flatMap(({ machineId, hostKeys }) => [machineId, 'PRIVATE', ...hostKeys[2]!.privateKey.split('\n').slice(-6, -2)]); // the ends of RSA files: the primes
  expect(secrets).toHaveLength(18);
  expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
});
