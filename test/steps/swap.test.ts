import { expect, test } from 'vitest';
import { swapStep, withoutSwap } from '../../src/steps/swap.js';
import { memoryTree, textOf } from '../support/memory-tree.js';
import { applyTwice } from './support.js';

const fstab = 'LABEL=_/    / ext4    defaults,noatime 0 0\nLABEL=_/boot /boot vfat defaults,noatime 0 0\nLABEL=_swap swap swap defaults,noatime 0 0\n';

test.each([
  ['Rocky', fstab, fstab.replace('LABEL=_swap', '#LABEL=_swap')],
  ['tabs and "none"', '/dev/mmcblk0p2\tnone\tswap\tsw\t0\t0', '#/dev/mmcblk0p2\tnone\tswap\tsw\t0\t0'],
  ['a file system named swap', '/dev/sda1 /swap ext4 defaults 0 0\n', '/dev/sda1 /swap ext4 defaults 0 0\n'],
  ['a comment', '#x swap swap\n', '#x swap swap\n'],
])('fstab: %s', (_, before, after) => expect(withoutSwap(before)).toBe(after));

test('fstab, swap.target, zram and dphys-swapfile', async () => {
  const tree = memoryTree({ '/etc/fstab': fstab, '/usr/lib/systemd/zram-generator.conf': '[zram0]\n', '/usr/lib/systemd/system/dphys-swapfile.service': '' });
  expect(await swapStep.verify(tree, 'off', { directory: '/' })).toHaveLength(4);
  expect(await applyTwice(swapStep, tree, 'off')).toEqual([]);
  expect(tree.readLink('/etc/systemd/system/swap.target')).toBe('/dev/null');
  expect(tree.readLink('/etc/systemd/system/dphys-swapfile.service')).toBe('/dev/null');
  expect(textOf(tree, '/etc/systemd/zram-generator.conf')).toBe('');
});

test('Raspberry Pi OS 13: rpi-swap', async () => {
  const tree = memoryTree({ '/usr/lib/systemd/system-generators/rpi-swap-generator': '', '/etc/rpi/swap.conf': '[Main]\nMechanism=zram+file\n' });
  expect(await applyTwice(swapStep, tree, 'off')).toEqual([]);
  expect(textOf(tree, '/etc/rpi/swap.conf')).toBe('[Main]\nMechanism=none\n');
});

test('an image without any of it gets the mask only; a swap unit is told', async () => {
  const tree = memoryTree({ '/etc/fstab': 'LABEL=_/ / ext4 defaults 0 0\n', '/etc/systemd/system/var-swap.swap': '[Swap]\nWhat=/var/swap\n' });
  expect(await applyTwice(swapStep, tree, 'off')).toMatchObject([{ severity: 'warning', id: 'swap-unit' }]);
  expect(tree.actions().filter(({ action }) => action === 'created').map(({ path }) => path)).toEqual(['/etc/systemd/system/swap.target']);
});
