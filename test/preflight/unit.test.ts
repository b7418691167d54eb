import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { filesStep } from '../../src/steps/files.js';
import { unitStep } from '../../src/steps/unit.js';
import { parseUnitFile } from '../../src/steps/unit-file.js';
import { memoryTree, textOf } from '../support/memory-tree.js';
import { needs, run } from '../support/oracle.js';
import { applyTwice } from '../steps/support.js';
import { SCRIPT } from './node.js';

const directory = dirname(SCRIPT);
const text = readFileSync(join(directory, 'rockberry-preflight.service'), 'utf8');
const { assignments } = parseUnitFile(text);
const valuesOf = (key: string): string[] => assignments.filter((one) => one.key === key).flatMap(({ value }) => value.split(/\s+/));
const KUBERNETES = ['containerd.service', 'crio.service', 'docker.service', 'k3s.service', 'k3s-agent.service', 'kubelet.service', 'rke2-agent.service', 'rke2-server.service'];

test('before Kubernetes, after what it judges', () => {
  expect(valuesOf('Before').sort()).toEqual([...KUBERNETES].sort());
  for (const unit of ['systemd-modules-load.service', 'systemd-sysctl.service', 'network-online.target', 'time-sync.target', 'rockberry-grow-root.service']) expect(valuesOf('After')).toContain(unit);
  expect(valuesOf('Wants')).toEqual(['network-online.target']);
});

test('nothing is held back by it: no unit is required, none is bound, and it ends', () => {
  expect(assignments.filter(({ key }) => /^(Required|Requires|Requisite|BindsTo|PartOf|Upholds|Conflicts|OnFailure|FailureAction)/.test(key))).toEqual([]);
  expect(valuesOf('WantedBy')).toEqual(['multi-user.target']);
  expect(valuesOf('Type')).toEqual(['oneshot']);
  expect(Number(valuesOf('TimeoutStartSec')[0])).toBeGreaterThan(0);
});

test('steps of a profile place both', async () => {
  const tree = memoryTree({ '/usr/lib/systemd/system/multi-user.target': '[Unit]\n' });
  expect(await applyTwice(filesStep, tree, [{ path: '/usr/local/sbin/rockberry-preflight', source: 'rockberry-preflight' }], directory)).toEqual([]);
  expect(await applyTwice(unitStep, tree, { name: 'rockberry-preflight', source: 'rockberry-preflight.service', enable: true }, directory)).toEqual([]);
  expect(tree.stat('/usr/local/sbin/rockberry-preflight')).toMatchObject({ mode: 0o755 });
  expect(textOf(tree, '/etc/systemd/system/rockberry-preflight.service')).toBe(text);
  expect(tree.stat('/etc/systemd/system/multi-user.target.wants/rockberry-preflight.service')).toMatchObject({ type: 'symlink' });
  expect(valuesOf('ExecStart')).toEqual(['/usr/local/sbin/rockberry-preflight', '--console', '--result', '/run/rockberry/preflight.json']);
});

needs('systemd-analyze')('systemd-analyze verify accepts the unit', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rockberry-analyze-'));
  try {
    const said = (unit: string): string[] => {
      writeFileSync(join(folder, 'rockberry-preflight.service'), unit.replace('/usr/local/sbin/rockberry-preflight', SCRIPT));
      return run('systemd-analyze', ['verify', '--man=no', join(folder, 'rockberry-preflight.service')]).output.split('\n').filter((line) => line.includes('rockberry-'));
    };
    expect(said(text)).toEqual([]);
    expect(said(text.replace('RuntimeDirectory=', 'RuntimeDirectroy='))).not.toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
