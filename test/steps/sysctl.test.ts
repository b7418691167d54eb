import { expect, test } from 'vitest';
import { sysctlStep } from '../../src/steps/sysctl.js';
import { memoryTree, textOf } from '../support/memory-tree.js';
import { applyTwice } from './support.js';

test.each([
  ['plain mapping, order kept', undefined, { 'vm.swappiness': 10, 'net.ipv4.ip_forward': 1 }, 'vm.swappiness = 10\nnet.ipv4.ip_forward = 1\n'],
  ['values', undefined, { values: { 'kernel.panic': '10' } }, 'kernel.panic = 10\n'],
  ['other keys of the file stay', '# a\nkernel.panic=5\nvm.swappiness=1\n', { 'kernel.panic': 10 }, '# a\nkernel.panic = 10\nvm.swappiness=1\n'],
  ['already there in another spelling', 'net/ipv4/ip_forward=1\n', { 'net.ipv4.ip_forward': 1 }, 'net/ipv4/ip_forward=1\n'],
  ['dots inside a name', undefined, { 'net/ipv4/conf/eth0.10/forwarding': 1 }, 'net/ipv4/conf/eth0.10/forwarding = 1\n'],
])('%s', async (_, before, options, after) => {
  const tree = memoryTree(before === undefined ? {} : { '/etc/sysctl.d/90-rockberry.conf': before });
  expect(await applyTwice(sysctlStep, tree, options)).toEqual([]);
  expect(textOf(tree, '/etc/sysctl.d/90-rockberry.conf')).toBe(after);
});

test('a file of its own, and a later file that says otherwise', async () => {
  const tree = memoryTree({ '/etc/sysctl.d/99-sysctl.conf': { target: '../sysctl.conf' }, '/etc/sysctl.conf': 'net.ipv4.ip_forward = 0\n', '/usr/lib/sysctl.d/10-x.conf': 'net.ipv4.ip_forward = 0\n' });
  const findings = await applyTwice(sysctlStep, tree, { file: '99-kubernetes-cri.conf', values: { 'net.ipv4.ip_forward': 1 } });
  expect(findings).toMatchObject([{ severity: 'warning', id: 'sysctl-overridden', subject: '/etc/sysctl.d/99-sysctl.conf' }]);
  expect(textOf(tree, '/etc/sysctl.d/99-kubernetes-cri.conf')).toBe('net.ipv4.ip_forward = 1\n');
});

test('verify sees a value that was changed afterwards', async () => {
  const tree = memoryTree({ '/etc/sysctl.d/90-rockberry.conf': 'kernel.panic = 1\n' });
  expect(await sysctlStep.verify(tree, { 'kernel.panic': 10 }, { directory: '/' })).toMatchObject([{ id: 'step-sysctl', severity: 'error' }]);
});

test.each([{ panic: 1 }, { 'kernel.panic': 'a\nb' }, { 'kernel.panic': true }, { file: '../x.conf', values: {} }, { file: 'x', values: {} }, { 'a.b;c': 1 }])('refuses %j', (options) => {
  expect(sysctlStep.schema.safeParse(options).success).toBe(false);
});
