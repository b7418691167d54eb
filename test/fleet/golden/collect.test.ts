/** What is a node's own and what is shared: the golden image and an entry together are the node's own image, for any nodes. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { goldenSteps } from '../../../src/fleet/golden.js';
import { collectNodes, sharedStep, type Difference } from '../../../src/fleet/golden/collect.js';
import type { Tree } from '../../../src/fs/filesystem.js';
import { PRESET } from '../../../src/steps/services.js';
import { unitStep } from '../../../src/steps/unit.js';
import { snapshot } from '../../steps/support.js';
import { memoryTree, textOf } from '../../support/memory-tree.js';
import { needs } from '../../support/oracle.js';
import { inFolder, MADE_BY, onCard, plug, programs, runNode, stateOf } from './board.js';

const BASE = { '/usr/lib/systemd/system/sysinit.target': '[Unit]\n', '/etc/hostname': 'localhost\n', '/etc/old': 'old', '/etc/link': { target: 'old' }, '/srv/d/x': 'x', '/boot/cmdline.txt': 'console=tty1\n', '/var/lib': { directory: true } };
const secret = 'hunter2';

/** A fleet: what each node's steps do to its tree. */
function collected(works: readonly ((tree: Tree) => void)[]): { difference: Difference; trees: Tree[]; base: Tree } {
  const collector = collectNodes();
  const trees = works.map((work, at) => {
    const tree = memoryTree(BASE);
    work(tree);
    collector.add({ name: `node${at + 1}`, match: { serial: `${at + 1}` }, secrets: [], where: `fleet.yaml:${at + 1}` }, tree, tree.actions().map(({ path }) => path));
    return tree;
  });
  const base = memoryTree(BASE);
  return { difference: collector.difference(base), trees, base };
}

const write = (tree: Tree, path: string, text: string, mode = 0o644): void => tree.write(path, Buffer.from(text), { mode });

test('what differs is the nodes\' own, the rest is shared', () => {
  const { difference: { entries, shared } } = collected([1, 2, 3].map((at) => (tree) => {
    write(tree, '/etc/hostname', `node${at}\n`);
    write(tree, '/etc/common', 'common\n');
    write(tree, '/etc/same-as-before', 'x');
    write(tree, '/boot/cmdline.txt', 'console=tty1\n');
    tree.remove('/etc/link');
    if (at === 1) tree.remove('/etc/old');
    if (at === 2) write(tree, '/etc/old', 'old', 0o600);
    if (at === 3) tree.makeLink('/etc/new', 'hostname', { uid: 3, gid: 4 });
    if (at > 1) tree.makeDirectory('/etc/d', { mode: 0o700 + at });
  }));
  expect(shared).toEqual(['/etc/common', '/etc/link', '/etc/same-as-before']); // cmdline.txt is as it was
  const hostname = (at: number) => ({ path: '/etc/hostname', content: Buffer.from(`node${at}\n`), mode: 0o644, owner: 0, group: 0 });
  const directory = (mode: number) => ({ path: '/etc/d', mode, owner: 0, group: 0 });
  expect(entries.map(({ files, links, directories, remove }) => ({ files: files.map((file) => ({ ...file, content: Buffer.from(file.content) })), links, directories, remove }))).toEqual([
    { files: [hostname(1)], links: [], directories: [], remove: ['/etc/old'] },
    { files: [hostname(2), { path: '/etc/old', content: Buffer.from('old'), mode: 0o600, owner: 0, group: 0 }], links: [], directories: [directory(0o702)], remove: [] },
    { files: [hostname(3)], links: [{ path: '/etc/new', target: 'hostname', owner: 3, group: 4 }], directories: [directory(0o703)], remove: [] },
  ]);
  expect(entries.map(({ name, match }) => [name, match.serial])).toEqual([['node1', '1'], ['node2', '2'], ['node3', '3']]);
});

test('of one node everything is shared', () => {
  const { difference } = collected([(tree) => write(tree, '/etc/hostname', 'node1\n')]);
  expect(difference).toMatchObject({ entries: [{ files: [], links: [], directories: [], remove: [] }], shared: ['/etc/hostname'] });
});

describe('refused', () => {
  const refused = (...works: ((tree: Tree) => void)[]) => expect(() => collected(works));
  test('a large file of one node alone', () => {
    const large = (tree: Tree): void => tree.write('/srv/images.tar', new Uint8Array((1 << 20) + 1));
    refused(large, () => undefined).toThrow(expect.objectContaining({ code: 'unsupported', message: 'fleet.yaml:1: expected files of at most 1048576 bytes of node1 alone, found a larger one at /srv/images.tar' }) as Error);
    expect(collected([large, large]).difference.shared).toEqual(['/srv/images.tar']);
  });
  test('a directory where the image has a file, or the other way', () => {
    refused((tree) => { tree.remove('/etc/old'); tree.makeDirectory('/etc/old'); }, () => undefined).toThrow('found a directory where the image has a file at /etc/old');
    refused(() => undefined, (tree) => { tree.remove('/srv/d/x'); tree.remove('/srv/d'); write(tree, '/srv/d', ''); }).toThrow('fleet.yaml:2: expected files, links and directories of node2 alone, found a file where the image has a directory at /srv/d');
  });
});

test('units that all nodes enable are enabled beside the golden image\'s own, and it is no finding', async () => {
  const unit = (tree: Tree): unknown => unitStep.apply(tree, { name: 'bootstrap', content: '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n', enable: true }, { directory: '/' });
  const { difference: { entries, shared }, trees, base } = collected([unit, unit]);
  expect(shared).toContain(PRESET);
  const steps = [sharedStep(shared, trees[0]!, 'fleet.yaml'), ...goldenSteps(entries, MADE_BY).steps];
  for (const step of steps) await step.apply(base);
  for (const step of steps) expect(await step.verify(base)).toEqual([]);
  expect(textOf(base, PRESET)).toBe('enable bootstrap.service\nenable rockberry-node.service\n');
  base.write(PRESET, Buffer.from('enable rockberry-node.service\n'));
  expect(await steps[0]!.verify(base)).toEqual([expect.objectContaining({ subject: PRESET })]);
});

test('the golden image holds nothing of one node outside the table, and what is shared is as the nodes have it', async () => {
  const { difference: { entries, shared }, trees, base } = collected([1, 2].map((at) => (tree) => {
    write(tree, '/etc/hostname', `node${at}\n`);
    write(tree, '/etc/token', `${secret}${at}`, 0o600);
    tree.makeDirectory('/etc/common', { mode: 0o711, uid: 5, gid: 6 });
    tree.write('/etc/common/file', Buffer.from('common'), { mode: 0o640, uid: 7, gid: 8, mtime: { seconds: 9, nanoseconds: 10 }, xattrs: new Map([['security.selinux', Buffer.from('system_u:object_r:etc_t:s0\0')]]) });
    tree.makeLink('/etc/common/link', 'file', { uid: 7 });
    tree.remove('/etc/link');
    tree.remove('/etc/old');
    tree.makeDirectory('/etc/old');
  }));
  const step = sharedStep(shared, trees[0]!, 'fleet.yaml');
  expect((await step.verify(base)).map(({ subject }) => subject)).toEqual(shared);
  for (const one of [step, ...goldenSteps(entries, MADE_BY).steps]) await one.apply(base);
  for (const one of [step, ...goldenSteps(entries, MADE_BY).steps]) expect(await one.verify(base)).toEqual([]);
  for (const path of ['/etc/common', '/etc/common/file', '/etc/common/link', '/etc/old', '/etc/link']) expect([path, snapshot(base).get(path)]).toEqual([path, snapshot(trees[1]!).get(path)]);
  expect(base.xattrs('/etc/common/file')).toEqual(trees[0]!.xattrs('/etc/common/file'));
  expect(textOf(base, '/etc/hostname')).toBe('localhost\n');
  expect([...snapshot(base)].filter(([path, state]) => state.includes(secret) && !path.startsWith('/etc/rockberry/nodes/contents/'))).toEqual([]);
  const once = snapshot(base);
  await step.apply(base);
  expect(snapshot(base)).toEqual(once);
});

const seed = Date.now() % 2 ** 31;
const PATHS = ['/etc/a', '/etc/b c', '/etc/hostname', '/etc/old', '/etc/link', '/srv/n/p/q'];
const action = fc.record({ path: fc.constantFrom(...PATHS), kind: fc.constantFrom('file', 'link', 'none'), text: fc.constantFrom('1', '2', 'old'), mode: fc.constantFrom(0o644, 0o600) });

function perform(tree: Tree, { path, kind, text, mode }: { path: string; kind: string; text: string; mode: number }): void {
  if (tree.stat(path)) tree.remove(path);
  if (kind === 'none') return;
  ['/srv/n', '/srv/n/p'].filter((parent) => path.startsWith(parent)).forEach((parent) => tree.makeDirectory(parent, { mode: 0o750 }));
  if (kind === 'file') tree.write(path, Buffer.from(text), { mode, uid: process.getuid!(), gid: process.getgid!() });
  else tree.makeLink(path, text);
}

/** The node's own tree as its card would be, without what only rockberry-node has. */
const foreign = /^\/(var\/lib\/rockberry|etc\/(rockberry|systemd)|usr\/local)/;
const visible = (state: Map<string, string>): Map<string, string> => new Map([...state].filter(([path]) => !foreign.test(path)));

needs('dash')(`any nodes: on each board the golden image comes to the node's own image (seed ${seed})`, async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.array(action, { maxLength: 6 }), { minLength: 1, maxLength: 3 }), async (fleet) => {
    const { difference: { entries, shared }, trees, base } = collected(fleet.map((actions) => (tree) => actions.forEach((one) => perform(tree, one))));
    for (const step of [sharedStep(shared, trees[0]!, 'fleet.yaml'), ...goldenSteps(entries, MADE_BY).steps]) await step.apply(base);
    inFolder((folder) => {
      const path = programs(join(folder, 'bin'));
      for (const [at, tree] of trees.entries()) {
        const [card, own] = [join(folder, `card${at}`), join(folder, `own${at}`)];
        for (const [root, from] of [[card, base], [own, tree]] as const) {
          mkdirSync(root);
          onCard(from, root);
        }
        plug(card, { serial: `000000000000000${at + 1}\0` });
        expect(runNode(card, path)).toEqual({ status: 0, said: expect.stringContaining(`this board is node${at + 1}:`) });
        expect(visible(stateOf(card))).toEqual(visible(stateOf(own)));
      }
    });
  }), { seed, numRuns: 8 });
});
