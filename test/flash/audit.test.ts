/** Cards that come back: outputs of the program, changed with debugfs, mtools and sfdisk as a running system, or a hand, changes them. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { auditText } from '../../src/audit-text.js';
import { build } from '../../src/build.js';
import { audit, type AuditResult } from '../../src/flash/audit.js';
import { reasonFor } from '../../src/flash/audit/set-aside.js';
import type { FleetReport } from '../../src/fleet/model.js';
import { rockberryJson, scratch } from '../support/cli.js';
import { needs, output, run } from '../support/oracle.js';
import { smallImage, smallPrograms } from '../support/small.js';

const test = needs(...smallPrograms, 'debugfs', 'mdel', 'e2fsck', 'resize2fs', 'ssh-keygen');
const folder = scratch();
const at = (...names: string[]): string => join(folder, ...names);
const ROOT_START = 83968 * 512;
const FAT_START = 2048 * 512;
const SECRET = 'correct horse battery staple';

/** debugfs makes new names in its working directory only. */
function inDirectory(command: string): readonly string[] {
  const parts = /^(write \S+|mkdir|symlink) (\/(?:\S*(?=\/))?)\/?([^/\s]+)( .*)?$/.exec(command);
  return parts ? [`cd ${parts[2]}`, `${parts[1]} ${parts[3]}${parts[4] ?? ''}`] : [command];
}

/** A copy of an image, changed. Commands are debugfs's; what it refuses fails. */
function card(image: string, name: string, ...commands: readonly string[]): string {
  copyFileSync(image, at(name));
  const { output: text } = run('debugfs', ['-w', '-f', '-', `${at(name)}?offset=${ROOT_START}`], `${commands.flatMap(inDirectory).join('\n')}\n`);
  const complaints = text.split('\n').filter((line) => !/^debugfs( [\d.]+ .*|: .*)?$|^Allocated inode|^$/.test(line));
  if (complaints.length > 0) throw new Error(complaints.join('\n'));
  return at(name);
}

function local(name: string, text: string | Buffer): string {
  mkdirSync(at('local'), { recursive: true });
  writeFileSync(at('local', name), text);
  return at('local', name);
}

const ids = ({ findings }: AuditResult): string[] => findings.map(({ id, subject }) => `${id} ${subject}`);
const quiet = (path: string): string => `write ${local('empty', 'something\n')} ${path}`;

let base: string;
let flashed: string;
const manifest = (): string => `${flashed}.json`;

beforeAll(async () => {
  base = smallImage(folder);
  const with_ = [`write ${local('old', 'old\n')} /etc/unwanted`, `write ${local('machine', '')} /etc/machine-id`, 'mkdir /var', 'mkdir /var/lib', 'mkdir /var/log', 'mkdir /etc/ssh', `ea_set -f ${local('label', 'user:role:type:s0\0')} /etc/os-release security.selinux`, 'symlink /etc/link one'];
  base = card(base, 'base.img', ...with_);
  writeFileSync(at('own.yaml'), `name: own\ndescription: a small node
variables:
  hostname: { description: name }
  password: { description: secret, secret: true }
steps:
  - hostname: "{{ hostname }}"
  - files:
      - { path: /etc/note, content: "a note\\n", mode: "0640", owner: 0, group: 0 }
      - { path: /etc/private, content: "{{ password }}\\n", mode: "0600", owner: 0, group: 0 }
      - { path: /etc/unwanted, absent: true }
      - { path: /srv/deep/file, content: "deep\\n", mode: "0644", owner: 0, group: 0 }
      - { path: /boot/extra.txt, content: "on the boot partition\\n", mode: "0755", owner: 0, group: 0 }
      - { path: /etc/pointer, link: note }
`);
  flashed = at('flashed.img');
  await build({ image: base, profiles: [at('own.yaml')], set: ['hostname=node1'], secrets: [`password=${local('password', SECRET)}`], output: flashed });
});

describe('an image and its manifest', () => {
  test('untouched: nothing is found, with and without either base', async () => {
    for (const given of [undefined, base, flashed]) {
      const result = await audit({ image: flashed, manifest: manifest(), ...(given !== undefined && { base: given }) });
      expect(ids(result), given).toEqual([]);
      expect(result.setAside).toEqual([]);
      expect(result.node).toMatchObject({ name: 'node1', certainty: 'likely' });
      expect(result.all).toBe(given !== undefined);
      expect(result.placed).toBeGreaterThanOrEqual(8);
    }
  });

  test.each<readonly [id: string, path: string, commands: () => readonly string[], needsBase: boolean]>([
    ['audit-missing', '/etc/note', () => ['rm /etc/note'], false],
    ['audit-present', '/etc/unwanted', () => [quiet('/etc/unwanted')], false],
    ['audit-changed', '/etc/private', () => ['rm /etc/private', `write ${local('other', 'other\n')} /etc/private`, 'sif /etc/private mode 0100600'], false],
    ['audit-mode', '/etc/note', () => ['sif /etc/note mode 0100644'], false],
    ['audit-owner', '/etc/note', () => ['sif /etc/note uid 1000'], false],
    ['audit-label', '/etc/note', () => [`ea_set -f ${local('label', 'system_u:object_r:etc_t:s0\0')} /etc/note security.selinux`], false],
    ['audit-target', '/etc/pointer', () => ['rm /etc/pointer', 'symlink /etc/pointer other'], false],
    ['audit-attributes', '/etc/fstab', () => ['ea_set /etc/fstab user.note x'], true],
    ['audit-label', '/etc/os-release', () => [`ea_set -f ${local('label', 'a:b:c:s0\0')} /etc/os-release security.selinux`], true],
    ['audit-added', '/usr/stranger', () => [quiet('/usr/stranger')], true],
    ['audit-changed', '/usr/share/data5', () => ['rm /usr/share/data5', `write ${local('data', 'another')} /usr/share/data5`], true],
    ['audit-missing', '/usr/share/data3', () => ['rm /usr/share/data3'], true],
    ['audit-target', '/etc/link', () => ['rm /etc/link', 'symlink /etc/link two'], true],
    ['audit-mode', '/usr/share', () => ['sif /usr/share mode 040777'], true],
  ])('%s: exactly %s', async (id, path, commands, needsBase) => {
    const image = card(flashed, 'one.img', ...commands());
    const expected = [`${id} ${path}`];
    const found = await audit({ image, manifest: manifest(), base });
    expect(ids(found)).toEqual(expected);
    expect(found.findings[0]!.severity).toBe(id === 'audit-added' ? 'warning' : 'error');
    expect(found.node.certainty).toBe('likely');
    expect(ids(await audit({ image, manifest: manifest() }))).toEqual(needsBase ? [] : expected);
    expect(JSON.stringify(found) + auditText(found)).not.toContain(SECRET);
  });

  test('on the boot partition, and a directory that came: told once', async () => {
    const image = card(flashed, 'boot.img', 'mkdir /usr/new', 'mkdir /usr/new/inside', quiet('/usr/new/inside/file'));
    output('mdel', ['-i', `${image}@@${FAT_START}`, '::extra.txt']);
    output('mcopy', ['-i', `${image}@@${FAT_START}`, local('FSCK0000.REC', 'x'), '::']);
    const result = await audit({ image, manifest: manifest(), base });
    expect(ids(result)).toEqual(['audit-missing /boot/extra.txt', 'audit-added /usr/new']);
    expect(result.setAside.map(({ path }) => path)).toEqual(['/boot/FSCK0000.REC']);
  });

  test('audit-node: another name in /etc/hostname, and none', async () => {
    const other = card(flashed, 'name.img', 'rm /etc/hostname', `write ${local('hostname', 'node5\n')} /etc/hostname`);
    const result = await audit({ image: other, manifest: manifest() });
    expect(ids(result)).toEqual(['audit-node /etc/hostname', 'audit-changed /etc/hostname']);
    expect(result.node).toMatchObject({ name: null, certainty: 'unknown' });
    expect(result.findings[0]!.message).toBe('expected the host name of node1, found that of no node ("node5")');
    const nameless = await audit({ image: card(flashed, 'nameless.img', 'rm /etc/hostname'), manifest: manifest() });
    expect(nameless.node).toMatchObject({ name: 'node1', certainty: 'assumed' });
    expect(ids(nameless)).toEqual(['audit-missing /etc/hostname']);
  });

  test('a running system: what it changes by itself is counted, and no finding', async () => {
    const own = ['rm /etc/machine-id', `write ${local('id', `${'0123456789abcdef'.repeat(2)}\n`)} /etc/machine-id`, 'sif /etc/machine-id mode 0100444', 'mkdir /var/lib/systemd',
      quiet('/var/lib/systemd/random-seed'), 'mkdir /var/lib/rancher', 'mkdir /var/lib/rancher/k3s', quiet('/var/lib/rancher/k3s/db'), quiet('/var/log/messages'), quiet('/etc/resolv.conf'),
      `ea_set -f ${local('fresh', 'u:r:t:s0\0')} /etc/fstab security.selinux`, quiet('/etc/ssh/ssh_host_ed25519_key'), quiet('/etc/ssh/ssh_host_ed25519_key.pub'), quiet('/etc/adjtime'), quiet('/.autorelabel')];
    const image = card(flashed, 'running.img', ...own);
    output('truncate', ['-s', '200M', image]);
    output('sfdisk', ['-q', '--no-reread', '--no-tell-kernel', '-N', '2', image], 'start=83968, size=+\n');
    const part = at('grown');
    output('dd', [`if=${image}`, `of=${part}`, 'bs=1M', 'skip=41', 'status=none']);
    run('e2fsck', ['-fy', part]);
    output('resize2fs', [part]);
    output('dd', [`if=${part}`, `of=${image}`, 'bs=1M', 'seek=41', 'conv=notrunc,sparse', 'status=none']);
    const result = await audit({ image, manifest: manifest(), base });
    expect(ids(result)).toEqual([]);
    const aside = result.setAside.map(({ path }) => path);
    for (const path of ['/etc/machine-id', '/etc/fstab', '/etc/ssh/ssh_host_ed25519_key', '/var/lib/systemd/random-seed', '/var/lib/rancher/k3s/db', '/var/log/messages', '/etc/resolv.conf', '/etc/adjtime', '/.autorelabel', 'partition 2']) expect(aside).toContain(path);
    const [short, long] = [auditText(result), auditText(result, { all: true })];
    expect(short).not.toContain('/var/log/messages');
    expect(long).toContain('/var/log/messages');
    for (const line of `${short}\n${long}`.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  test('audit-partition: a table that is another', async () => {
    const image = card(flashed, 'table.img');
    output('sfdisk', ['-q', '--no-reread', '--no-tell-kernel', '--part-type', image, '1', '6']);
    const result = await audit({ image, manifest: manifest(), base });
    expect(ids(result)).toEqual(['audit-partition partition 1']);
    expect(ids(await audit({ image, manifest: manifest() }))).toEqual([]);
    const fstab = local('fstab', 'UUID=5A7C-1E20 /boot vfat defaults 0 0\nPARTUUID=5f2d8c41-02 / ext4 defaults 0 0\n');
    const mounted = card(flashed, 'mounted.img', 'rm /etc/fstab', `write ${fstab} /etc/fstab`);
    expect(ids(await audit({ image: mounted, manifest: manifest(), base })), 'a mount point is no part of the table').toEqual(['audit-changed /etc/fstab']);
  });

  test('a card that was pulled from a running node: its journal is replayed, and the card stays as it is', async () => {
    const image = card(flashed, 'pulled.img');
    const block = Number(/\(0\):(\d+)/.exec(output('debugfs', ['-R', 'stat /etc/note', `${image}?offset=${ROOT_START}`]).toString())![1]);
    const size = Number(/Block size:\s+(\d+)/.exec(output('debugfs', ['-R', 'stats', `${image}?offset=${ROOT_START}`]).toString())![1]);
    run('debugfs', ['-w', '-f', '-', `${image}?offset=${ROOT_START}`], `jo -c -v 3\njw -b ${block} ${local('journaled', Buffer.concat([Buffer.from('A NOTE\n'), Buffer.alloc(size - 7)]))}\njc\n`);
    const before = readFileSync(image);
    const result = await audit({ image, manifest: manifest(), base });
    expect(result.recovered).toEqual([{ partition: 2, transactions: 1, blocks: 1 }]);
    expect(ids(result)).toEqual(['audit-changed /etc/note']);
    expect(readFileSync(image).equals(before)).toBe(true);
    expect(auditText(result)).toContain('partition 2 was not unmounted');
  });
});

describe('a fleet', () => {
  const packed = at('small.img.xz');
  const names = ['n1', 'n2', 'n3'] as const;
  const raw = (name: string): string => {
    writeFileSync(at(`${name}.img`), output('xz', ['-dc', at('fleet', `${name}.img.xz`)]));
    return at(`${name}.img`);
  };
  beforeAll(async () => {
    writeFileSync(packed, output('xz', ['-c', '-0', '-T2', '--block-size=4MiB', base]));
    writeFileSync(at('node.yaml'), `name: own\ndescription: a node\nvariables:\n  hostname: { description: name }\nsteps:\n  - hostname: "{{ hostname }}"
  - files: [{ path: /etc/address, content: "address of {{ hostname }}\\n", mode: "0644", owner: 0, group: 0 }, { path: /etc/shared, content: "the same\\n", mode: "0644", owner: 0, group: 0 }]\n`);
    writeFileSync(at('fleet.yaml'), `image: ${packed}\nprofiles: [./node.yaml]\nnodes:\n${names.map((name, index) => `  ${name}: { serial: "10000000abcdef0${index}", variables: { hostname: ${name} } }\n`).join('')}`);
    await rockberryJson<FleetReport>(['fleet', 'build', at('fleet.yaml'), '-o', at('fleet'), '--mint', at('ids.json'), '--keep-going']);
    await rockberryJson<FleetReport>(['fleet', 'build', at('fleet.yaml'), '-o', at('patches'), '--as', 'patch', '--mint', at('ids.json'), '--keep-going']);
  });

  test('each card is its node, certainly; fleet.json with and without what stands beside it', async () => {
    mkdirSync(at('alone'));
    copyFileSync(at('fleet/fleet.json'), at('alone/fleet.json'));
    for (const name of names) {
      const image = raw(name);
      const result = await audit({ image, manifest: at('fleet/fleet.json'), base: packed });
      expect(ids(result), name).toEqual([]);
      expect(result.node).toMatchObject({ name, certainty: 'certain' });
      expect(result.node.witnesses.map(({ of }) => of)).toEqual(['host name', 'owner of the identity', 'machine-id', 'SSH host key (ed25519)', 'SSH host key (ecdsa)', 'SSH host key (rsa)', 'contents of 2 of 2 files']);
      const fingerprint = output('ssh-keygen', ['-lf', local('key.pub', output('debugfs', ['-R', 'cat /etc/ssh/ssh_host_ed25519_key.pub', `${image}?offset=${ROOT_START}`]))]).toString().split(' ')[1];
      expect(result.node.witnesses[3]!.found).toBe(fingerprint);
      const alone = await audit({ image, manifest: at('alone/fleet.json') });
      expect(alone.node).toMatchObject({ name, certainty: 'likely' });
      expect(ids(alone)).toEqual([]);
      expect(alone.notes.join()).toContain('only the paths');
    }
  });

  test('contradictions: n1 by name, n3 by a host key', async () => {
    raw('n3');
    const key = local('n3.pub', output('debugfs', ['-R', 'cat /etc/ssh/ssh_host_ed25519_key.pub', `${at('n3.img')}?offset=${ROOT_START}`]));
    const image = card(raw('n1'), 'mixed.img', 'rm /etc/ssh/ssh_host_ed25519_key.pub', `write ${key} /etc/ssh/ssh_host_ed25519_key.pub`, 'sif /etc/ssh/ssh_host_ed25519_key.pub mode 0100644');
    const result = await audit({ image, manifest: at('fleet/fleet.json') });
    expect(result.node).toMatchObject({ name: 'n1', certainty: 'contradicted' });
    expect(ids(result)).toEqual(['audit-node /etc/ssh/ssh_host_ed25519_key.pub', 'audit-changed /etc/ssh/ssh_host_ed25519_key.pub']);
    expect(result.findings[0]!.message).toBe('expected the SSH host key (ed25519) of n1, found that of n3');
    const renamed = card(at('n1.img'), 'renamed.img', 'rm /etc/hostname', `write ${local('hostname', 'n2\n')} /etc/hostname`, 'sif /etc/hostname mode 0100644');
    const other = await audit({ image: renamed, manifest: at('fleet/fleet.json') });
    expect(ids(other)).toEqual(['audit-node /etc/hostname', 'audit-changed /etc/hostname']);
    expect(other.findings[0]!.message).toBe('expected the host name of n1, found that of n2');
  });

  test('a card of none of them: said, and no file is compared', async () => {
    const result = await audit({ image: base, manifest: at('fleet/fleet.json') });
    expect(result.node).toMatchObject({ name: null, certainty: 'unknown' });
    expect(ids(result)).toEqual(['audit-node card']);
    expect(result.placed).toBe(0);
  });

  test('a patch, alone and with its base; a folder of patches', async () => {
    const image = card(raw('n2'), 'patched.img', 'sif /etc/shared mode 0100600', quiet('/usr/stranger'));
    const expected = ['audit-mode /etc/shared', 'audit-added /usr/stranger'];
    for (const document of [at('patches/n2.patch'), at('patches/fleet.json')]) {
      const result = await audit({ image, manifest: document, base: packed });
      expect(result.node, document).toMatchObject({ name: 'n2', certainty: 'certain' });
      expect(ids(result)).toEqual(expected);
      const alone = await audit({ image, manifest: document });
      expect(alone.node.name).toBe('n2');
      expect(ids(alone)).toEqual([]);
      expect(alone.notes.join()).toContain('--base');
    }
    const wrong = await audit({ image, manifest: at('patches/n3.patch'), base: packed });
    expect(wrong.node.certainty).toBe('unknown');
    expect(ids(wrong).filter((one) => one.startsWith('audit-node')).length).toBeGreaterThan(4);
  });

  test('the golden image: each card by its name', async () => {
    await rockberryJson<FleetReport>(['fleet', 'build', at('fleet.yaml'), '-o', at('golden'), '--as', 'golden', '--keep-going']);
    writeFileSync(at('golden.img'), output('xz', ['-dc', at('golden/golden.img.xz')]));
    const image = card(at('golden.img'), 'booted.img', `write ${local('hostname', 'n3\n')} /etc/hostname`, `write ${local('address', 'address of n3\n')} /etc/address`);
    const result = await audit({ image, manifest: at('golden/fleet.json') });
    expect(result.node).toMatchObject({ name: 'n3', certainty: 'likely' });
    expect(ids(result)).toEqual([]);
  });
});

describe('what is refused', () => {
  test('documents that are none, or of an unknown form; names that leave the folder; another base', async () => {
    const document = JSON.parse(readFileSync(manifest(), 'utf8')) as Record<string, unknown>;
    const given = (text: string): Promise<unknown> => audit({ image: flashed, manifest: local('given.json', text) });
    await expect(given('no json')).rejects.toMatchObject({ code: 'corrupt' });
    await expect(given('[]')).rejects.toMatchObject({ code: 'corrupt' });
    await expect(given('{"other": 1}')).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining('found another document') as string });
    await expect(given(JSON.stringify({ ...document, manifest: 2 }))).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining('form 2') as string });
    await expect(given(JSON.stringify({ ...document, unknown: true }))).rejects.toMatchObject({ code: 'corrupt' });
    await expect(given(JSON.stringify({ ...document, files: [{ path: 'etc', action: 'created', old: null, new: null }] }))).rejects.toMatchObject({ code: 'corrupt' });
    const fleet = JSON.parse(readFileSync(at('fleet/fleet.json'), 'utf8')) as FleetReport;
    await expect(given(JSON.stringify({ ...fleet, nodes: [{ ...fleet.nodes[0], output: '../../etc/passwd' }] }))).rejects.toMatchObject({ code: 'corrupt' });
    const patch = readFileSync(at('patches/n1.patch'));
    writeFileSync(at('local/cut.patch'), patch.subarray(0, patch.length - 600));
    await expect(audit({ image: flashed, manifest: at('local/cut.patch') })).rejects.toMatchObject({ code: 'corrupt' });
    await expect(audit({ image: flashed, manifest: manifest(), base: card(base, 'another.img', 'rm /etc/hosts') })).rejects.toMatchObject({ code: 'refused' });
    await expect(audit({ image: flashed, manifest: at('patches/n1.patch'), base: flashed })).rejects.toMatchObject({ code: 'refused' });
    await expect(audit({ image: at('not-there'), manifest: manifest() })).rejects.toMatchObject({ code: 'io' });
    rmSync(at('local/cut.patch'));
  });

  test('paths of links that lead in a circle are paths where nothing is', async () => {
    const image = card(flashed, 'loop.img', 'rm /srv/deep/file', 'rmdir /srv/deep', 'symlink /srv/deep /srv/deep', 'rm /etc/hostname', 'symlink /etc/hostname hostname');
    const result = await audit({ image, manifest: manifest() });
    expect(ids(result)).toContain('audit-missing /srv/deep/file');
    expect(ids(result)).toContain('audit-changed /etc/hostname');
  });
});

test('the table of what is set aside: only without a hand in it', () => {
  const reason = (path: string, before: 'nothing' | 'blank' | 'something', placed = false): boolean => reasonFor({ path, before, placed }, '/boot/efi') !== undefined;
  expect([reason('/etc/machine-id', 'blank', true), reason('/etc/machine-id', 'something', true), reason('/etc/machine-id', 'something')]).toEqual([true, false, false]);
  expect([reason('/etc/ssh/ssh_host_rsa_key', 'nothing'), reason('/etc/ssh/ssh_host_rsa_key', 'something', true), reason('/etc/ssh/sshd_config', 'something')]).toEqual([true, false, false]);
  expect([reason('/var/log/messages', 'nothing'), reason('/var/log', 'something'), reason('/var/logs', 'nothing'), reason('/var/log/mine', 'something', true)]).toEqual([true, true, false, false]);
  expect([reason('/boot/efi/FSCK0001.REC', 'nothing'), reason('/boot/FSCK0001.REC', 'nothing'), reason('/boot/efi/config.txt', 'something')]).toEqual([true, false, false]);
  expect([reason('/home/ops/.bash_history', 'nothing'), reason('/home/ops/x/.bash_history', 'nothing'), reason('/var/lib/kubelet/pods/a/b', 'nothing'), reason('/usr/bin/kubelet', 'something')]).toEqual([true, false, true, false]);
});
