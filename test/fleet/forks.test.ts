/** Steps that nodes have in common are applied once; every node gets what all of its own steps make, in their order. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect } from 'vitest';
import { forks, type Forkable } from '../../src/fleet/forks.js';
import { openImageFile } from '../../src/image/image.js';
import type { BoundStep } from '../../src/profile.js';
import { silentProgress } from '../../src/report.js';
import { needs } from '../support/oracle.js';
import { smallImage, smallPrograms } from '../support/small.js';

const folder = mkdtempSync(join(tmpdir(), 'rockberry-forks-'));
afterAll(() => rmSync(folder, { recursive: true }));
const seed = Number(process.env.ROCKBERRY_SEED ?? Math.floor(Math.random() * 2 ** 31));

interface Named extends Forkable { readonly name: string }

/** Appends the key to /etc/order; "bad" cannot be applied. */
function step(key: string, applied: string[]): BoundStep {
  return {
    step: 'test', title: key, where: 'test', describe: () => key, verify: () => Promise.resolve([]),
    apply(tree) {
      applied.push(key);
      if (key === 'bad') return Promise.reject(new Error('bad'));
      const before = tree.stat('/etc/order') ? Buffer.from(tree.read('/etc/order')).toString() : '';
      tree.write('/etc/order', Buffer.from(`${before}${key} `));
      return Promise.resolve();
    },
  };
}

needs(...smallPrograms)(`any fleet: each node once, with its own steps in order; a common beginning once (seed ${seed})`, async () => {
  const image = await openImageFile(smallImage(folder));
  const fleet = fc.array(fc.array(fc.constantFrom('a', 'b', 'c', 'bad'), { maxLength: 4 }), { minLength: 1, maxLength: 6 });
  await fc.assert(fc.asyncProperty(fleet, async (keys) => {
    const applied: string[] = [];
    const nodes = keys.map((own, at): Named => ({ name: `n${at}`, keys: own, steps: own.map((key) => step(key, applied)) }));
    const seen = new Map<string, string>();
    for await (const forked of forks(image, nodes, silentProgress)) {
      expect(seen.has(forked.node.name)).toBe(false);
      if ('error' in forked) seen.set(forked.node.name, 'failed');
      else {
        const tree = forked.image.tree();
        seen.set(forked.node.name, tree.stat('/etc/order') ? Buffer.from(tree.read('/etc/order')).toString() : '');
        forked.image.overlay.close();
      }
    }
    for (const { name, keys: own } of nodes) expect(seen.get(name)).toBe(own.includes('bad') ? 'failed' : own.map((key) => `${key} `).join(''));
    const prefixes = new Set(keys.flatMap((own) => own.map((_, at) => own.slice(0, at + 1).join())));
    expect(applied.length).toBeLessThanOrEqual(prefixes.size);
    expect(image.overlay.changes()).toEqual([]);
  }), { seed, numRuns: 15 });
  image.close();
});
