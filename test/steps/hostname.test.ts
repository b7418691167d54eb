import { describe, expect, test } from 'vitest';
import { editHosts, hostnameStep } from '../../src/steps/hostname.js';
import { memoryTree, textOf } from '../support/memory-tree.js';
import { applyTwice } from './support.js';

const EL = '127.0.0.1   localhost localhost.localdomain localhost4 localhost4.localdomain4\n::1         localhost localhost.localdomain localhost6 localhost6.localdomain6\n';

describe('hosts', () => {
  test.each([
    ['appended', EL, 'node1', `${EL}127.0.1.1 node1\n`],
    ['canonical name first', EL, 'node1.example.org', `${EL}127.0.1.1 node1.example.org node1\n`],
    ['own line replaced where it stands', `127.0.1.1\told\n${EL}`, 'node1', `127.0.1.1 node1\n${EL}`],
    ['a second own line goes', `127.0.1.1 a\n127.0.1.1 b\n${EL}`, 'node1', `127.0.1.1 node1\n${EL}`],
    ['other spacing of the same is kept', `127.0.1.1\tnode1 # mine\n`, 'node1', `127.0.1.1\tnode1 # mine\n`],
    ['no newline at the end', '127.0.0.1 localhost', 'node1', '127.0.0.1 localhost\n127.0.1.1 node1\n'],
    ['empty', '', 'node1', '127.0.1.1 node1\n'],
    ['a comment is no line', '#127.0.1.1 x\n', 'node1', '#127.0.1.1 x\n127.0.1.1 node1\n'],
    ['longer address', '127.0.1.11 x\n', 'node1', '127.0.1.11 x\n127.0.1.1 node1\n'],
  ])('%s', (_, before, name, after) => {
    expect(editHosts(before, name)).toBe(after);
    expect(editHosts(after, name)).toBe(after);
  });
});

test('writes both files, keeps bytes that are not UTF-8, and verifies', async () => {
  const tree = memoryTree({ '/etc/hostname': 'localhost.localdomain\n', '/etc/hosts': { content: Buffer.from(`# \xff\n${EL}`, 'latin1') } });
  expect(await hostnameStep.verify(tree, 'node1', { directory: '/' })).toHaveLength(2);
  expect(await applyTwice(hostnameStep, tree, 'node1')).toEqual([]);
  expect(textOf(tree, '/etc/hostname')).toBe('node1\n');
  expect(Buffer.from(tree.read('/etc/hosts')).toString('latin1')).toBe(`# \xff\n${EL}127.0.1.1 node1\n`);
});

test('makes a hosts file where there is none', async () => {
  const tree = memoryTree({});
  await applyTwice(hostnameStep, tree, 'node1');
  expect(textOf(tree, '/etc/hosts')).toBe(`${EL}127.0.1.1 node1\n`);
});

test('upper case is a warning', async () => {
  expect((await applyTwice(hostnameStep, memoryTree({}), 'Node1')).map(({ id }) => id)).toEqual(['hostname-case']);
});

test.each(['', '-a', 'a-', 'a_b', 'a..b', 'localhost', 'localhost.localdomain', 'a'.repeat(64), `${'a'.repeat(60)}.bcdef`, 'a\nb', 'ä'])('refuses %j', (name) => {
  expect(hostnameStep.schema.safeParse(name).success).toBe(false);
});

test.each(['node1', 'node1.example.org', '0a', 'localhost1'])('accepts %j', (name) => expect(hostnameStep.schema.safeParse(name).success).toBe(true));
