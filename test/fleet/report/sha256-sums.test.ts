/** SHA256SUMS: sha256sum checks it, and writes the same. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sha256Sums } from '../../../src/fleet/report/sha256-sums.js';
import { needs, output, run } from '../../support/oracle.js';
import { scratch } from '../../support/cli.js';
import { fleet, node } from './sample.js';

const NAMES = ['node2.img.xz', 'node10.img.xz', 'with blank.img', 'back\\slash.img', 'line\nbreak.img', '*star', 'ünï.img', 'return\rhere.img', '"quoted".img', 'shard/node1.img'];

function onDisk(): { readonly folder: string; readonly sums: string } {
  const folder = scratch();
  mkdirSync(join(folder, 'shard'));
  const nodes = NAMES.map((name, at) => {
    writeFileSync(join(folder, name), `image ${at}`);
    return node(at + 1, { output: name, sha256: createHash('sha256').update(`image ${at}`).digest('hex') });
  });
  const sums = sha256Sums(fleet(0, { nodes }));
  writeFileSync(join(folder, 'SHA256SUMS'), sums);
  return { folder, sums };
}

describe('SHA256SUMS', () => {
  needs('sha256sum', 'sh')('is what sha256sum writes of the files, and what it checks', () => {
    const { folder, sums } = onDisk();
    const sorted = [...NAMES].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(sums).toBe(output('sh', ['-c', 'cd "$1" && shift && sha256sum -- "$@"', 'sh', folder, ...sorted]).toString());
    const checked = run('sh', ['-c', 'cd "$1" && sha256sum --strict -c SHA256SUMS', 'sh', folder]);
    expect(checked.status).toBe(0);
    expect(checked.output.match(/: OK$/gm)).toHaveLength(NAMES.length);
    writeFileSync(join(folder, 'node2.img.xz'), 'image 1');
    expect(run('sh', ['-c', 'cd "$1" && sha256sum --strict -c SHA256SUMS', 'sh', folder]).output).toContain('node2.img.xz: FAILED');
  });

  test('names each file that is there once, whatever the order of the nodes', () => {
    const report = fleet(5);
    const sums = sha256Sums(report);
    expect(sums.split('\n').map((line) => line.slice(66))).toEqual(['node1.img.xz', 'node2.img.xz', 'node4.img.xz', 'node5.img.xz', '']); // node3 failed
    expect(sha256Sums({ ...report, nodes: [...report.nodes].reverse() })).toBe(sums);
    const golden = fleet(0, { as: 'golden', nodes: [1, 2].map((number) => node(number, { output: 'fleet.img.xz', sha256: node(1).sha256 })) });
    expect(sha256Sums(golden)).toBe(`${node(1).sha256!}  fleet.img.xz\n`);
    expect(sha256Sums(fleet(0, { nodes: [node(1, { status: 'left' }), node(2, { output: null })] }))).toBe('');
  });
});
