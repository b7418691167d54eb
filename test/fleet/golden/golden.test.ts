/** What the steps place, what is refused, and that the table says what the nodes are. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { exitStatus, RockberryError } from '../../../src/errors.js';
import { goldenSteps, type GoldenOptions } from '../../../src/fleet/golden.js';
import type { GoldenEntry } from '../../../src/fleet/golden/entry.js';
import type { Finding } from '../../../src/report.js';
import { snapshot } from '../../steps/support.js';
import { memoryTree, textOf } from '../../support/memory-tree.js';
import { bare, BASE, entry, goldenTree, MADE_BY, SERIAL } from './board.js';

const NODES = '/etc/rockberry/nodes';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const file = (path: string, content = 'x') => ({ path, content: Buffer.from(content), mode: 0o644, owner: 0, group: 0 });
const node = (more: Partial<GoldenEntry>): GoldenEntry => ({ ...bare('node1', { serial: SERIAL }), ...more });

test('a table, an entry for each node, and every content once', async () => {
  const common = file('/etc/role', 'worker\n');
  const [one, two] = [
    { ...bare('node1', { serial: '00000000765FC593', mac: 'DC-A6-32-01-02-03' }), files: [file('/etc/hostname', 'node1\n'), common], links: [{ path: '/etc/localtime', target: '../usr/share/zoneinfo/UTC', owner: 0, group: 0 }] },
    { ...bare('node2', { mac: 'dc:a6:32:01:02:04' }), files: [{ ...common, mode: 0o400, owner: 5, group: 7 }], directories: [{ path: '/etc', mode: 0o755, owner: 0, group: 0 }], remove: ['/a', '/a/b', '/etc/hostname'] },
  ];
  const tree = await goldenTree([one, two]);
  const entries = [
    `file\t0644\t0:0\t${sha256('node1\n')}\t/etc/hostname\nlink\t-\t0:0\t../usr/share/zoneinfo/UTC\t/etc/localtime\nfile\t0644\t0:0\t${sha256('worker\n')}\t/etc/role\n`,
    `remove\t-\t-\t-\t/etc/hostname\nremove\t-\t-\t-\t/a/b\nremove\t-\t-\t-\t/a\ndirectory\t0755\t0:0\t-\t/etc\nfile\t0400\t5:7\t${sha256('worker\n')}\t/etc/role\n`,
  ];
  expect([textOf(tree, `${NODES}/entries/node1`), textOf(tree, `${NODES}/entries/node2`)]).toEqual(entries);
  expect(textOf(tree, `${NODES}/table`)).toBe(`serial 765fc593 node1 ${sha256(entries[0]!)}\nmac dc:a6:32:01:02:03 node1 ${sha256(entries[0]!)}\nmac dc:a6:32:01:02:04 node2 ${sha256(entries[1]!)}\n`);
  expect(tree.list(`${NODES}/contents`).map(({ name }) => name)).toEqual([sha256('node1\n'), sha256('worker\n')].sort());
  expect(tree.stat(`${NODES}/keep`)).toBe(undefined);
});

test('a node whose own files are read early starts again', async () => {
  const tree = await goldenTree([node({ files: [file('/etc/zz'), file('/etc/systemd/system/k3s.service'), file('/etc/fstab')] })]);
  expect(textOf(tree, `${NODES}/entries/node1`)!.split('\n').at(-2)).toBe('restart\t-\t-\t-\t/etc/fstab');
  const later = await goldenTree([node({ files: [file('/etc/fstab.d/x'), file('/bootstrap'), file('/etc/hostname')] })]);
  expect(textOf(later, `${NODES}/entries/node1`)).not.toContain('restart');
});

test('root alone reads it; the program is one that systemd may run', async () => {
  const tree = await goldenTree([entry('node1', { serial: SERIAL })], { keepEntries: true });
  for (const [path, state] of snapshot(tree, NODES)) expect([path, ...(JSON.parse(state) as unknown[]).slice(0, 4)]).toEqual([path, expect.any(String), path.endsWith('/contents') || path.endsWith('/entries') ? 0o700 : 0o600, 0, 0]);
  expect(tree.stat(NODES)).toMatchObject({ type: 'directory', mode: 0o700, uid: 0, gid: 0 });
  expect(tree.stat('/usr/local/sbin/rockberry-node')).toMatchObject({ mode: 0o755, uid: 0, gid: 0 });
  expect(tree.readLink('/etc/systemd/system/sysinit.target.wants/rockberry-node.service')).toBe('/etc/systemd/system/rockberry-node.service');
  expect(textOf(tree, '/etc/systemd/system-preset/10-rockberry.preset')).toBe('enable rockberry-node.service\n');
  expect(tree.stat(`${NODES}/keep`)).toMatchObject({ size: 0 });
});

describe('the steps', () => {
  const entries = [entry('node1', { serial: SERIAL }), entry('node2', { serial: '12345678' })];
  const stale = { ...BASE, [`${NODES}/entries/node9/x`]: 'a directory', [`${NODES}/contents/00`]: 'secret', [`${NODES}/table.bak`]: { target: '/etc/shadow' }, '/var/lib/rockberry/node.done': 'node9\n', '/var/lib/rockberry/node.installed': 'node9\n' };
  const found = async (spoil: (tree: ReturnType<typeof memoryTree>) => void): Promise<Finding[]> => {
    const tree = await goldenTree(entries);
    spoil(tree);
    return (await Promise.all(goldenSteps(entries, MADE_BY).steps.map((step) => step.verify(tree)))).flat();
  };

  test('done twice they change nothing, and find what they made; what an earlier golden image left is gone', async () => {
    const tree = await goldenTree(entries, {}, stale);
    const once = snapshot(tree);
    for (const step of goldenSteps(entries, MADE_BY).steps) {
      expect(await step.verify(tree)).toEqual([]);
      await step.apply(tree);
      expect(step.describe()).toMatch(/^\S[^\n]*$/);
      expect(step).toMatchObject({ step: 'golden', where: 'fleet.yaml' });
    }
    expect(snapshot(tree)).toEqual(once);
    expect([...once.keys()].filter((path) => path !== '/var/lib/rockberry')).toEqual([...snapshot(await goldenTree(entries, {}, BASE)).keys()]);
  });

  test('a link where the table is to be does not lead it elsewhere', async () => {
    const tree = await goldenTree(entries, {}, { ...BASE, [NODES]: { target: '/srv' }, '/srv/x': '' });
    expect(tree.stat(NODES)).toMatchObject({ type: 'directory' });
    expect(tree.list('/srv').map(({ name }) => name)).toEqual(['x']);
  });

  test('a file or a link where one of the directories is to be gives way, and so does what is beside it', async () => {
    const tree = await goldenTree(entries, {}, { ...BASE, [`${NODES}/contents`]: { target: '/srv' }, [`${NODES}/entries`]: 'x', [`${NODES}/other`]: 'x', '/srv/x': '' });
    for (const step of goldenSteps(entries, MADE_BY).steps) expect(await step.verify(tree)).toEqual([]);
    expect(tree.list('/srv').map(({ name }) => name)).toEqual(['x']);
  });

  test.each<[what: string, subject: string, spoil: (tree: ReturnType<typeof memoryTree>) => void]>([
    ['another content', `${NODES}/table`, (tree) => tree.write(`${NODES}/table`, Buffer.from('x'))],
    ['one that others can read', `${NODES}/table`, (tree) => tree.change(`${NODES}/table`, { mode: 0o644 })],
    ['a missing entry', `${NODES}/entries/node1`, (tree) => tree.remove(`${NODES}/entries/node1`)],
    ['one too many', `${NODES}/entries/node3`, (tree) => tree.write(`${NODES}/entries/node3`, Buffer.from('x'))],
    ['a marker', '/var/lib/rockberry/node.done', (tree) => { tree.makeDirectory('/var/lib/rockberry'); tree.write('/var/lib/rockberry/node.done', Buffer.from('')); }],
    ['another program', '/usr/local/sbin/rockberry-node', (tree) => tree.change('/usr/local/sbin/rockberry-node', { mode: 0o644 })],
    ['a unit that is not enabled', '/etc/systemd/system/sysinit.target.wants/rockberry-node.service', (tree) => tree.remove('/etc/systemd/system/sysinit.target.wants/rockberry-node.service')],
  ])('verify finds %s', async (_, subject, spoil) => expect(await found(spoil)).toContainEqual(expect.objectContaining({ severity: 'error', id: 'step-golden', subject })));
});

describe('refused', () => {
  const refusal = (entries: readonly GoldenEntry[], options: Partial<GoldenOptions> = {}): RockberryError => {
    try {
      goldenSteps(entries, { ...MADE_BY, ...options });
    } catch (error) {
      if (error instanceof RockberryError) return error;
    }
    throw new Error('expected a RockberryError');
  };

  test('secrets that were not asked for, with their names and never their values', () => {
    const entries = [1, 2, 3, 4].map((at) => ({ ...bare(`node${at}`, { serial: `1${at}` }), files: [file('/etc/token', 'hunter2')], secrets: at === 1 ? ['token', 'wifi_password'] : ['token'] }));
    const error = refusal(entries, { allowSecrets: ['other'] });
    expect(error).toMatchObject({ code: 'refused', message: 'fleet.yaml: expected no secrets in an image that every node of the fleet gets, found token (node1, node2 and 2 more), wifi_password (node1)' });
    expect(error.hint).toContain('token, wifi_password');
    expect(exitStatus(error)).toBe(4);
    expect(refusal(entries, { allowSecrets: ['token'] }).message).toMatch(/found wifi_password \(node1\)$/);
    const { findings } = goldenSteps(entries, { ...MADE_BY, allowSecrets: ['token', 'wifi_password', 'tokn'] });
    expect(findings.filter(({ id }) => id.startsWith('golden-secret')).map(({ severity, id, message }) => [severity, id, message])).toEqual([
      ['warning', 'golden-secret', expect.stringContaining('found token of node1, node2 and 2 more, which was allowed')],
      ['warning', 'golden-secret', expect.stringContaining('found wifi_password of node1, which was allowed')],
      ['warning', 'golden-secret-unused', expect.stringContaining('found "tokn" allowed')],
    ]);
    expect(JSON.stringify([findings, error.message, error.hint])).not.toContain('hunter2');
  });

  test('private host keys, whoever made them', () => {
    const entries = [node({ files: [file('/etc/hostname'), file('/etc/ssh/ssh_host_ed25519_key', 'PRIVATE')] })];
    expect(refusal(entries)).toMatchObject({ code: 'refused', message: 'fleet.yaml: expected no secrets in an image that every node of the fleet gets, found ssh_host_keys (node1)' });
    expect(goldenSteps(entries, { ...MADE_BY, allowSecrets: ['ssh_host_keys'] }).findings).toEqual([expect.objectContaining({ id: 'golden-secret', message: expect.stringContaining('found ssh_host_keys of node1') })]);
    expect(goldenSteps([node({ files: [file('/etc/ssh/ssh_host_ed25519_key.pub'), file('/etc/ssh/ssh_host_ed25519_key.d/x')] })], MADE_BY).findings).toEqual([]);
  });

  test('nodes that no board finds, all of them by name', () => {
    const error = refusal([bare('node1', {}), bare('node2', { serial: SERIAL }), bare('node3', { serial: '', mac: undefined })]);
    expect(error).toMatchObject({ code: 'profile', message: 'expected a board serial or a MAC for every node of an image for all, found none for node1, node3' });
  });

  test.each<[what: string, one: GoldenEntry['match'], other: GoldenEntry['match'], found: string]>([
    ['the same serial', { serial: SERIAL }, { serial: SERIAL.toUpperCase() }, `serial "${SERIAL}" for node1 (fleet.yaml:node1) and node2 (fleet.yaml:node2)`],
    ['the same but for zeros', { serial: '00000000765fc593' }, { serial: '765fc593' }, 'serial "765fc593" for'],
    ['a serial and its lower half', { serial: SERIAL }, { serial: 'abcdef01' }, `serial "${SERIAL}" and "abcdef01", one of which is the lower half of the other,`],
    ['a lower half with zeros', { serial: '00cdef01' }, { serial: '1000000000cdef01' }, 'serial "cdef01" and "1000000000cdef01", one of'],
    ['the same MAC', { mac: 'DC:A6:32:01:02:03' }, { serial: '1', mac: 'dc-a6-32-01-02-03' }, 'MAC "dc:a6:32:01:02:03" for node1'],
  ])('two nodes with one board: %s', (_, one, other, found) => expect(refusal([bare('node1', one), bare('node2', other)])).toMatchObject({ code: 'profile', message: expect.stringContaining(`expected one node for each board, found the ${found}`) }));

  test('serials that share a lower half are two boards, and one node may have both ways', () => {
    expect(goldenSteps([bare('node1', { serial: '1000000000000abc', mac: 'dc:a6:32:01:02:03' }), bare('node2', { serial: '2000000000000abc' })], MADE_BY).steps).toHaveLength(3);
  });

  test.each(['', 'no de', 'node"1', 'node\'1', 'node\n1', '..', '.', '-node', 'node-', 'a/b', 'node\t1', 'nöde', '$(reboot)', 'a..b', 'x'.repeat(65), 'node1\n', '__proto__'])('a node of the name %j', (name) => {
    expect(refusal([node({ name })])).toMatchObject({ code: 'profile', message: expect.stringMatching(/^[^\n]*expected a node's name as RFC 1123 has it/) });
  });

  test('the same name twice', () => expect(refusal([bare('node1', { serial: '1' }), bare('node1', { serial: '2' })]).message).toBe('fleet.yaml:node1: expected each node once, found "node1" at fleet.yaml:node1 too'));
  test('names of objects\' own properties are names', () => expect(goldenSteps([bare('constructor', { serial: '1' }), bare('toString', { serial: '2' })], MADE_BY).steps).toHaveLength(3));
  test('no nodes', () => expect(refusal([])).toMatchObject({ code: 'profile' }));
  test('too many nodes', () => expect(refusal(Array.from({ length: 4097 }, (_, at) => bare(`n${at}`, { serial: `${at + 1}` })))).toMatchObject({ code: 'unsupported' }));

  test.each(['0', '0000000000000000', '12345678901234567', 'xyz', '12 34', '1\n2', '0x'])('the serial %j', (serial) => {
    expect(refusal([bare('node1', { serial })])).toMatchObject({ code: 'profile', message: expect.stringMatching(/^fleet\.yaml:node1: node node1: expected a board serial[^\n]*$/) });
  });
  test.each(['00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01', 'dc:a6:32:01:02', 'dc:a6:32:01:02:03:04', 'dca632010203', 'dc:a6:32:01:02:0g', 'dc:a6:32:01:02:03\n'])('the MAC %j', (mac) => {
    expect(refusal([bare('node1', { mac })])).toMatchObject({ code: 'profile', message: expect.stringMatching(/^fleet\.yaml:node1: node node1: expected the MAC[^\n]*$/) });
  });

  const PATHS = ['etc/x', '/etc/../x', '/etc/./x', '/etc//x', '/etc/', '/', '', '/etc/a\nb', '/etc/a\tb', '/etc/\u001b[2J', '/etc/ä', `/${'x'.repeat(242)}`, `${'/x'.repeat(2100)}`, '/proc/1', '/sys', '/dev/console', '/run/x',
    NODES, `${NODES}/table`, '/usr/local/sbin/rockberry-node', '/var/lib/rockberry/node.done', '/etc/systemd/system/rockberry-node.service'];
  test.each(PATHS)('the path %j, in every kind of line', (path) => {
    const owned = { owner: 0, group: 0 };
    for (const more of [{ files: [file(path)] }, { remove: [path] }, { links: [{ path, target: 'x', ...owned }] }, { directories: [{ path, mode: 0o755, ...owned }] }]) {
      expect(refusal([node(more)])).toMatchObject({ code: 'unsupported', message: expect.stringMatching(/^fleet\.yaml:node1: expected [^\n\t]* among the files of node1 alone, found [^\n\t]*$/) });
    }
  });
  test('a path twice', () => expect(refusal([node({ files: [file('/etc/x')], remove: ['/etc/x'] })]).message).toContain('expected each path once'));
  test.each(['', 'a\nb', 'a\tb', 'ä', 'x'.repeat(4096)])('a link to %j', (target) => expect(refusal([node({ links: [{ path: '/etc/x', target, owner: 0, group: 0 }] })])).toMatchObject({ code: 'unsupported' }));
  test.each([-1, 0o10000, 1.5, NaN])('the mode %d', (mode) => expect(refusal([node({ files: [{ ...file('/etc/x'), mode }] })]).message).toContain('expected a mode from 0 to 07777'));
  test.each([-1, 2 ** 32 - 1, 1.5, NaN])('the owner %d', (id) => {
    for (const ids of [{ owner: id, group: 0 }, { owner: 0, group: id }]) expect(refusal([node({ files: [{ ...file('/etc/x'), ...ids }] })]).message).toContain('expected a numeric owner and group');
  });
  test('too much of one node alone', () => {
    const content = new Uint8Array((16 << 20) + 1);
    expect(refusal([node({ files: [{ ...file('/etc/x'), content }] })])).toMatchObject({ code: 'unsupported', message: expect.stringContaining(`at most ${16 << 20} bytes`) });
    expect(refusal([node({ remove: Array.from({ length: 4097 }, (_, at) => `/x${at}`) })])).toMatchObject({ code: 'unsupported', message: expect.stringContaining('at most 4096 paths') });
  });
});

describe('findings', () => {
  const idsOf = (entries: readonly GoldenEntry[]): string[] => goldenSteps(entries, MADE_BY).findings.map(({ id }) => id);

  test('nodes that will have the image\'s name', () => {
    const { findings } = goldenSteps([node({ files: [file('/etc/hostname')] }), bare('node2', { serial: '2' })], MADE_BY);
    expect(findings).toEqual([expect.objectContaining({ severity: 'warning', id: 'golden-hostname', message: expect.stringContaining('found none for node2, which') })]);
    expect(idsOf([bare('node1', { serial: '1' })])).toEqual([]); // of one node everything is shared
  });

  test('nodes that start again', () => {
    const early = (name: string, serial: string): GoldenEntry => ({ ...bare(name, { serial }), files: [file('/etc/hostname'), file('/etc/machine-id')] });
    const { findings } = goldenSteps([early('node1', '1'), early('node2', '2')], MADE_BY);
    expect(findings).toEqual([expect.objectContaining({ severity: 'info', id: 'golden-restart', message: 'node1, node2 will start again once at the first boot: /etc/machine-id is read before a node can have its own' })]);
    expect(idsOf([node({ files: [file('/etc/hostname')] })])).toEqual([]);
  });
});
