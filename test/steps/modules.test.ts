import { expect, test } from 'vitest';
import { modulesStep } from '../../src/steps/modules.js';
import { memoryTree, textOf } from '../support/memory-tree.js';
import { applyTwice } from './support.js';

test('load, blacklist and options', async () => {
  const tree = memoryTree({});
  expect(await applyTwice(modulesStep, tree, { load: ['overlay', 'br_netfilter'], blacklist: ['brcmfmac'], options: { dummy: 'numdummies=0' }, file: 'k8s.conf' })).toEqual([]);
  expect(textOf(tree, '/etc/modules-load.d/k8s.conf')).toBe('overlay\nbr_netfilter\n');
  expect(textOf(tree, '/etc/modprobe.d/k8s.conf')).toBe('blacklist brcmfmac\noptions dummy numdummies=0\n');
});

test('a second step adds to the file; options of the same module are replaced', async () => {
  const tree = memoryTree({ '/etc/modules-load.d/rockberry.conf': '# mine\noverlay', '/etc/modprobe.d/rockberry.conf': 'options dummy numdummies=2\noptions loop max_loop=4\n' });
  expect(await applyTwice(modulesStep, tree, { load: ['overlay', 'vxlan'], options: { dummy: 'numdummies=0' } })).toEqual([]);
  expect(textOf(tree, '/etc/modules-load.d/rockberry.conf')).toBe('# mine\noverlay\nvxlan\n');
  expect(textOf(tree, '/etc/modprobe.d/rockberry.conf')).toBe('options loop max_loop=4\noptions dummy numdummies=0\n');
});

test('warns of a module that a kernel of the image does not have', async () => {
  const kernel = '/usr/lib/modules/6.1.23-v8.1.el9.altarch';
  const tree = memoryTree({
    [`${kernel}/modules.dep`]: 'kernel/net/bridge/br_netfilter.ko.xz: kernel/net/bridge/bridge.ko.xz\nkernel/drivers/target/target_core_mod.ko:\n',
    [`${kernel}/modules.builtin`]: 'kernel/fs/overlayfs/overlay.ko\n',
    '/usr/lib/modules/half-installed/vmlinuz': '',
  });
  const findings = await applyTwice(modulesStep, tree, { load: ['overlay', 'br-netfilter', 'target_core_mod', 'rbd'] });
  expect(findings).toMatchObject([{ severity: 'warning', id: 'modules-missing', subject: kernel, message: expect.stringContaining('rbd') }]);
});

test.each([{}, { load: ['../x'] }, { load: ['a'], file: 'a.txt' }, { options: { a: 'x\ninstall b /bin/sh' } }, { load: 'overlay' }])('refuses %j', (options) => {
  expect(modulesStep.schema.safeParse(options).success).toBe(false);
});
