import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { firstBootStep } from '../../src/steps/first_boot.js';
import { growRootStep } from '../../src/steps/grow_root.js';
import { memoryTree, textOf } from '../support/memory-tree.js';
import { needs, run } from '../support/oracle.js';
import { applyTwice } from './support.js';

const base = { '/bin/sh': '', '/usr/lib/systemd/system/chrony-wait.service': '[Unit]\n', '/usr/bin/growpart': '' };
const after = (text: string | undefined): string[] => [...(text ?? '').matchAll(/^After=(.*)$/gm)].map((match) => match[1]!);

test('script, unit, link; the marker only after success', async () => {
  const tree = memoryTree(base);
  expect(await applyTwice(firstBootStep, tree, { name: 'hello', script: 'echo hello\r\n', needs_network: true, needs_time: true, after: ['sshd'] })).toEqual([]);
  expect(textOf(tree, '/usr/libexec/rockberry/hello')).toBe('#!/bin/sh\necho hello\n');
  expect(tree.stat('/usr/libexec/rockberry/hello')).toMatchObject({ mode: 0o755, uid: 0 });
  expect(tree.readLink('/etc/systemd/system/multi-user.target.wants/rockberry-hello.service')).toBe('/etc/systemd/system/rockberry-hello.service');
  expect(textOf(tree, '/etc/systemd/system/rockberry-hello.service')).toBe(`[Unit]
Description=First boot: hello
ConditionPathExists=!/var/lib/rockberry/hello.done
After=local-fs.target
After=rockberry-grow-root.service
After=network-online.target
After=time-sync.target
After=chrony-wait.service
After=sshd.service
Wants=network-online.target
Wants=time-sync.target
Wants=chrony-wait.service

[Service]
Type=oneshot
RemainAfterExit=yes
StateDirectory=rockberry
StandardOutput=journal+console
ExecStart=/usr/libexec/rockberry/hello
ExecStartPost=/usr/bin/touch /var/lib/rockberry/hello.done

[Install]
WantedBy=multi-user.target
`);
});

test('several keep the order of the profile, also when all is applied again', async () => {
  const tree = memoryTree(base);
  const scripts = ['z', 'a', 'm'].map((name) => firstBootStep.schema.parse({ name, script: 'true' }));
  for (const round of [1, 2]) {
    for (const options of scripts) await firstBootStep.apply(tree, options, { directory: '/' });
    await growRootStep.apply(tree, true, { directory: '/' });
    const orders = ['z', 'a', 'm', 'grow-root'].map((name) => after(textOf(tree, `/etc/systemd/system/rockberry-${name}.service`)).filter((unit) => /rockberry-.\./.test(unit)));
    expect(orders, `round ${round}`).toEqual([[], ['rockberry-z.service'], ['rockberry-a.service', 'rockberry-z.service'], []]);
  }
  for (const options of scripts) expect(await firstBootStep.verify(tree, options, { directory: '/' })).toEqual([]);
});

test('names: from the source, from the content', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'rockberry-first-'));
  writeFileSync(join(directory, 'Join Cluster.sh'), '#!/usr/bin/python3\n');
  const tree = memoryTree(base);
  expect(await applyTwice(firstBootStep, tree, { source: 'Join Cluster.sh' }, directory)).toMatchObject([{ id: 'first-boot-interpreter', subject: '/usr/bin/python3' }]);
  await applyTwice(firstBootStep, tree, { script: 'true' });
  await applyTwice(firstBootStep, tree, { script: 'false' });
  expect(tree.list('/usr/libexec/rockberry').map(({ name }) => name.replace(/[0-9a-f]{8}$/, 'HASH'))).toEqual(['join-cluster', 'script-HASH', 'script-HASH']);
  rmSync(directory, { recursive: true });
});

test('the marker of a node that has run is taken away; a clock that nobody waits for is told', async () => {
  const tree = memoryTree({ '/bin/sh': '', '/var/lib/rockberry/x.done': '' });
  expect(await applyTwice(firstBootStep, tree, { name: 'x', script: 'true', needs_time: true })).toMatchObject([{ id: 'first-boot-clock' }]);
  expect(tree.stat('/var/lib/rockberry/x.done')).toBeUndefined();
});

test.each([{}, { script: 'x', source: 'y' }, { name: 'A b', script: 'x' }, { script: '' }, { script: 'x', after: ['a/b'] }, { script: 'x', network: true }])('refuses %j', (options) => {
  expect(firstBootStep.schema.safeParse(options).success).toBe(false);
});

// systemd's own reader: unknown sections, keys, specifiers and missing programs are errors there.
needs('systemd-analyze')('systemd-analyze verify accepts the units', async () => {
  const tree = memoryTree(base);
  await applyTwice(firstBootStep, tree, { name: 'hello', script: 'true', needs_network: true });
  await applyTwice(growRootStep, tree, true);
  const directory = mkdtempSync(join(tmpdir(), 'rockberry-analyze-'));
  for (const name of ['hello', 'grow-root']) {
    mkdirSync(join(directory, 'units'), { recursive: true });
    const text = textOf(tree, `/etc/systemd/system/rockberry-${name}.service`)!.replace(/^ExecStart=.*/m, 'ExecStart=/bin/true');
    writeFileSync(join(directory, 'units', `rockberry-${name}.service`), text);
    const { output } = run('systemd-analyze', ['verify', '--man=no', join(directory, 'units', `rockberry-${name}.service`)]);
    expect(output.split('\n').filter((line) => line.includes('rockberry-'))).toEqual([]);
  }
  rmSync(directory, { recursive: true });
});
