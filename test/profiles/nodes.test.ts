/** Every shipped profile on both Rocky samples: it applies, a second time it changes nothing, its steps find what they made, and the node is ready for whom it names. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Tree } from '../../src/fs/filesystem.js';
import { openImageFile, openUnchanged, type Image } from '../../src/image/image.js';
import { listProfiles, loadProfiles, type LoadedProfiles } from '../../src/profile.js';
import { judge } from '../../src/verify/readiness.js';
import { openNode } from '../../src/verify/node.js';
import { memoryTree, textOf } from '../support/memory-tree.js';
import { packedSample } from '../support/samples.js';
import { KEY, releases, settingsOf, TOKEN } from './material.js';

const given = releases();
const names = listProfiles().map(({ name }) => name);
const READY: Record<string, string | undefined> = {
  'kubespray-node': 'kubespray', 'kubeadm-node': 'kubeadm', 'k3s-server': 'k3s', 'k3s-agent': 'k3s', 'rke2-server': 'rke2', 'rke2-agent': 'rke2',
};

function load(name: string, more: readonly string[] = []): LoadedProfiles {
  return loadProfiles([name], { set: [...settingsOf(name, given), ...more], varsFiles: [], environment: { ROCKBERRY_VAR_TOKEN: TOKEN } });
}

async function applied(image: Image, { steps }: LoadedProfiles): Promise<Tree> {
  const tree = image.tree();
  for (const step of steps) await step.apply(tree);
  tree.flush();
  return tree;
}

test('the profiles are those of the issue', () => {
  expect(names).toEqual(['cgroups', 'k3s-agent', 'k3s-server', 'kubeadm-node', 'kubernetes-node', 'kubespray-node', 'node', 'rke2-agent', 'rke2-server']);
});

describe.each(['rocky9-pi-sample', 'rocky9-sbc-sample'] as const)('%s', (sample) => {
  let base: Image;
  beforeAll(async () => { base = await openImageFile(packedSample(sample)); });
  afterAll(() => base.close());

  test.each(names)('%s', async (name) => {
    const loaded = load(name);
    const image = await openUnchanged(base);
    const tree = await applied(image, loaded);
    const changed = digest(image);
    await applied(image, loaded);
    expect(digest(image), 'a second time changes nothing').toBe(changed);
    for (const step of loaded.steps) expect((await step.verify(tree)).filter(({ severity }) => severity !== 'info'), step.title).toEqual([]);
    expect(loaded.readiness).toBe(READY[name]);
    if (loaded.readiness === undefined) return;
    const placed = tree.actions().map(({ path, action }) => ({ path, removed: action === 'removed' }));
    const rules = judge(openNode(image, { target: loaded.readiness, placed }));
    expect(rules.length).toBeGreaterThan(40);
    expect(rules.flatMap(({ findings }) => findings).filter(({ severity }) => severity === 'error')).toEqual([]);
  });

  test('without profiles the same image is not ready: the rules above can fail', async () => {
    const rules = judge(openNode(await openUnchanged(base), { target: 'kubespray' }));
    const failed = rules.filter(({ status }) => status === 'error').map(({ id }) => id);
    for (const id of ['cgroup-memory', 'storage-swap', 'access-default-password', 'network-firewall']) expect(failed.join(' ')).toContain(id);
  });

  test('dnf is held back on the older family alone', async () => {
    const tree = await applied(await openUnchanged(base), load('kubernetes-node'));
    expect(Buffer.from(tree.read('/etc/dnf/dnf.conf')).toString().includes('exclude=kernel-rpi* raspberrypi2*\n')).toBe(sample === 'rocky9-pi-sample');
  });
});

const HASH = `$6$saltsalt$${'a'.repeat(86)}`;
const ROCKY = {
  '/boot/cmdline.txt': 'console=tty1 root=LABEL=RPIROOT rootwait\n', '/etc/passwd': 'root:x:0:0:root:/root:/bin/bash\nrocky:x:1000:1000:default:/home/rocky:/bin/bash\n',
  '/etc/shadow': 'root:!locked::0:99999:7:::\nrocky:$6$everybody$knows:19000:0:99999:7:::\n', '/etc/group': 'root:x:0:\nrocky:x:1000:\nwheel:x:10:rocky\n', '/home/rocky': { directory: true, uid: 1000, gid: 1000 },
};
test.each<[string, string[], string, boolean]>([
  ['another user with a key', ['user=ops', `ssh_keys=${KEY}`], '!$6$everybody', true],
  ['keys for rocky', [`ssh_keys=${KEY}`], '!$6$everybody', true],
  ['a password of its own', [`password_hash=${HASH}`], '$6$saltsalt', true],
  ['a password of its own, by name', ['user=rocky', `password_hash=${HASH}`], '$6$saltsalt', true],
  ['a password for another user', ['user=ops', `password_hash=${HASH}`], '!$6$everybody', true],
  ['nothing', [], '!$6$everybody', false],
  ['a user who cannot log in', ['user=ops'], '!$6$everybody', false],
  ['an empty value', ['password_hash='], '!$6$everybody', false],
])('the vendor\'s password with %s', async (_, set, field, isOpen) => {
  const loaded = loadProfiles(['kubernetes-node'], { set, varsFiles: [], environment: {} });
  const tree = memoryTree(ROCKY);
  for (const step of loaded.steps) await step.apply(tree);
  expect(/^rocky:([^:]*):/m.exec(textOf(tree, '/etc/shadow')!)![1]!.startsWith(field)).toBe(true);
  const findings = (await Promise.all(loaded.steps.map((step) => step.verify(tree)))).flat();
  expect(findings.filter(({ id }) => id === 'user-locked-out')).toHaveLength(isOpen ? 0 : 1);
});

/** Of all that differs from the base: where, and what. */
function digest({ overlay }: Image): string {
  const hash = createHash('sha256');
  for (const { offset, length } of overlay.changes()) hash.update(`${offset}+${length}\0`).update(overlay.read(offset, length));
  return hash.digest('hex');
}
