/** The manifest: same bytes whatever the order of keys, no paths of the host, files joined from before and after. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { openImageFile } from '../../src/image/image.js';
import { fileDigests } from '../../src/manifest-files.js';
import { fileChanges, manifestDocument, manifestText, type FileDigest, type ManifestInput } from '../../src/output/manifest.js';
import { debugfsCat, debugfsStat, mtype, sfdiskParts } from '../support/disk.js';
import { memoryTree } from '../support/memory-tree.js';
import { needs } from '../support/oracle.js';
import { sample, samplePrograms } from '../support/samples.js';

const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');
const file: FileDigest = { type: 'file', sha256: sha256('x'), mode: 0o644, uid: 0, gid: 0, label: 'system_u:object_r:etc_t:s0' };

const input: ManifestInput = {
  tool: { name: 'rockberry', version: '0.1.0' },
  base: { name: '/home/someone/images/base.img.xz', sha256: sha256('base'), bytes: 10, format: 'xz' },
  output: { name: 'out\\node1.img.xz', sha256: sha256('out'), bytes: 11, format: 'xz' },
  imageBytes: 4096,
  profiles: [{ name: 'node', sha256: sha256('node') }, { name: 'cgroups', sha256: sha256('cgroups') }],
  variables: new Map<string, unknown>([['ssh_keys', ['b', 'a']], ['password', '***'], ['hostname', 'node1'], ['address', null]]),
  files: [
    { path: '/etc/hosts', action: 'changed', old: file, new: { ...file, sha256: sha256('y'), mode: 0o4755 } },
    { path: '/etc/fstab', action: 'unchanged', old: file, new: file },
    { path: '/etc/a', action: 'created', old: null, new: { type: 'symlink', target: '../b', sha256: null, mode: 0o777, uid: 1, gid: 2, label: null } },
    { path: '/etc/z', action: 'removed', old: file, new: null },
  ],
  changed: [{ offset: 512, length: 7 }],
  findings: [{ severity: 'warning', id: 'some-id', subject: '/etc/a', message: 'a message' }],
};

function keysOf(value: unknown): string[][] {
  if (Array.isArray(value)) return value.flatMap(keysOf);
  if (value === null || typeof value !== 'object') return [];
  return [Object.keys(value), ...Object.values(value).flatMap(keysOf)];
}

describe('manifestText', () => {
  const text = manifestText(input);
  const parsed = JSON.parse(text) as Record<string, unknown>;

  test('is the document as JSON, with sorted keys at every level and a line break at the end', () => {
    expect(parsed).toEqual(manifestDocument(input));
    expect(text.endsWith('}\n')).toBe(true);
    for (const keys of keysOf(parsed)) expect(keys).toEqual([...keys].sort());
  });

  test('does not depend on the order in which things were put in', () => {
    const reversed = Object.fromEntries(Object.entries(input).reverse()) as unknown as ManifestInput;
    const shuffled: ManifestInput = { ...reversed, files: [...input.files].reverse(), variables: new Map([...input.variables].reverse()) };
    expect(manifestText(shuffled)).toBe(text);
  });

  test('names files without their directories', () => {
    expect(text).not.toMatch(/someone|out\\/);
    expect(parsed).toMatchObject({ base: { name: 'base.img.xz' }, output: { name: 'node1.img.xz' } });
  });

  test('lists what changed, by path, with octal modes, and nothing that did not', () => {
    const files = parsed.files as { path: string; action: string; old: unknown; new: unknown }[];
    expect(files.map(({ path, action }) => `${action} ${path}`)).toEqual(['created /etc/a', 'changed /etc/hosts', 'removed /etc/z']);
    expect(files[0]).toEqual({ path: '/etc/a', action: 'created', old: null, new: { type: 'symlink', target: '../b', sha256: null, mode: '0777', uid: 1, gid: 2, label: null } });
    expect(files[1]).toMatchObject({ old: { sha256: sha256('x'), mode: '0644' }, new: { sha256: sha256('y'), mode: '4755' } });
    expect(files[2]).toMatchObject({ new: null });
  });

  test('keeps lists in their order: profiles as applied, values as given', () => {
    expect(parsed).toMatchObject({ profiles: [{ name: 'node' }, { name: 'cgroups' }], variables: { ssh_keys: ['b', 'a'], password: '***', address: null } });
  });

  test('keeps names that are no text: lone surrogates become escapes', () => {
    const odd = manifestText({ ...input, files: [{ path: '/etc/\udc80', action: 'removed', old: file, new: null }] });
    expect(odd).toContain('"/etc/\\udc80"');
    expect(Buffer.from(odd).toString()).toBe(odd);
  });
});

describe('fileDigests', () => {
  test('joined by path: what is on one side only is null on the other', () => {
    const before = fileDigests(memoryTree({ '/etc/a': 'one', '/etc/gone': 'x' }), ['/etc/a', '/etc/gone', '/etc/new/deep', '/nowhere']);
    const tree = memoryTree({ '/etc/a': 'two', '/etc/new/deep': { target: '../a' } });
    const after = fileDigests(tree, ['/etc/a', '/etc/gone', '/etc/new/deep', '/nowhere']);
    const actions = [{ path: '/etc/a', action: 'changed' }, { path: '/etc/gone', action: 'removed' }, { path: '/etc/new/deep', action: 'created' }] as const;
    expect(fileChanges(actions, before, after).map(({ path, old, new: now }) => [path, old?.sha256, now?.sha256, now?.target])).toEqual([
      ['/etc/a', sha256('one'), sha256('two'), undefined], ['/etc/gone', sha256('x'), undefined, undefined], ['/etc/new/deep', undefined, null, '../a'],
    ]);
  });
});

test('a file that claims more than there is room for is refused at once', () => {
  const tree = memoryTree({ '/huge': 'x' });
  const huge = { ...tree, stat: () => ({ ...tree.stat('/huge')!, size: 2 ** 44 }), xattrs: () => new Map() } as unknown as typeof tree;
  expect(() => fileDigests(huge, ['/huge'])).toThrow(/expected at most 68719476736 bytes in \/huge/);
});

describe('fileDigests of the sample', () => {
  needs(...samplePrograms, 'mtype')('is what debugfs and mtools say', async () => {
    const path = sample('rocky9-pi-sample');
    const parts = sfdiskParts(path);
    const root = parts.find(({ type }) => type === '83')!;
    const image = await openImageFile(path);
    const digests = fileDigests(image.tree(), ['/etc/fstab', '/etc', '/etc/os-release', '/boot/cmdline.txt', '/etc/none/at/all', '/etc/fstab/below']);
    image.close();
    expect([...digests.keys()]).toEqual(['/etc/fstab', '/etc', '/etc/os-release', '/boot/cmdline.txt']);
    const seen = debugfsStat(path, root, '/etc/fstab');
    expect(digests.get('/etc/fstab')).toEqual({
      type: 'file', mode: seen.mode, uid: seen.uid, gid: seen.gid, label: seen.label, sha256: sha256(debugfsCat(path, root, '/etc/fstab')),
    });
    expect(digests.get('/etc')).toMatchObject({ type: 'directory', sha256: null });
    expect(digests.get('/etc/os-release')).toMatchObject({ type: 'symlink', sha256: null, target: '../usr/lib/os-release' });
    expect(digests.get('/boot/cmdline.txt')).toMatchObject({ type: 'file', label: null, sha256: sha256(mtype(path, parts[0]!, '/cmdline.txt')) });
  });
});
