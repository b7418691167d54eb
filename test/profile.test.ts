import { expect, test } from 'vitest';
import { loadProfiles } from '../src/profile.js';
import { memoryTree, textOf } from './support/memory-tree.js';

test('the shipped cgroups profile does its work', async () => {
  const loaded = loadProfiles(['cgroups'], { set: [], varsFiles: [] });
  const tree = memoryTree({ '/boot/cmdline.txt': 'console=tty1 root=LABEL=RPIROOT rootwait\n' });
  for (const step of loaded.steps) await step.apply(tree);
  expect(textOf(tree, '/boot/cmdline.txt')).toBe('console=tty1 root=LABEL=RPIROOT rootwait cgroup_enable=cpuset cgroup_memory=1 cgroup_enable=memory\n');
  expect(loaded.steps.map(({ where, title }) => [where, title])).toEqual([['cgroups.yaml:5:5', 'kernel command line: add cgroup_enable=cpuset, add cgroup_memory=1, add cgroup_enable=memory']]);
});
