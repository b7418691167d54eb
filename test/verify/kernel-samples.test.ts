/** What the cgroups and kernel rules say of the sample images: as the vendor ships them, and with the memory controller turned on. */
import { expect, test } from 'vitest';
import { openImageFile, type Image } from '../../src/image/image.js';
import { findCommandLines } from '../../src/steps/cmdline.js';
import { editCommandLine } from '../../src/steps/command-line.js';
import { openNode } from '../../src/verify/node.js';
import { cgroupsRules } from '../../src/verify/rules/cgroups.js';
import { kernelRules } from '../../src/verify/rules/kernel.js';
import { TARGETS, type Target } from '../../src/verify/rule.js';
import { packedSample } from '../support/samples.js';

type Seen = Readonly<Record<string, string>>;

/** Rule → the severities of its problems, notes left out. */
function seen(image: Image, target: Target): Seen {
  const node = openNode(image, { target });
  const rules = [...cgroupsRules, ...kernelRules].filter(({ targets }) => targets === undefined || targets.includes(target));
  return Object.fromEntries(rules.flatMap(({ id, check }) => {
    const verdict = check(node);
    const found = ('problems' in verdict ? verdict.problems : []).filter(({ severity }) => severity !== 'info').map(({ severity }) => severity);
    return found.length === 0 ? [] : [[id, [...new Set(found)].join(' ')] as const];
  }));
}

test.each<[what: string, name: 'rocky9-pi-sample' | 'rocky9-sbc-sample', always: Seen]>([
  ['the older image: no memory controller, and no CPU limits in its kernel', 'rocky9-pi-sample', { 'kernel-validators': 'warning' }],
  ['the current image: no memory controller, and pages of 16 KiB on a Pi 5', 'rocky9-sbc-sample', { 'kernel-page-size': 'warning' }],
])('%s', async (_, name, always) => {
  const image = await openImageFile(packedSample(name));
  try {
    for (const target of TARGETS) expect([target, seen(image, target)]).toEqual([target, { ...always, 'cgroup-memory': 'error' }]);
    const tree = image.tree();
    for (const { path, text } of findCommandLines(tree)) tree.write(path, Buffer.from(editCommandLine(text, { add: ['cgroup_enable=cpuset', 'cgroup_memory=1', 'cgroup_enable=memory'] })));
    for (const target of TARGETS) expect([target, seen(image, target)]).toEqual([target, always]);
  } finally {
    image.close();
  }
});
