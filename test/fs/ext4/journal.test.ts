/**
 * A journal replayed as others replay it: logs that debugfs writes in every form against `e2fsck -E journal_only`, and a filesystem that the kernel had mounted
 * when it was copied, as a card that is pulled out of a running node (as root, where loop devices are).
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { createOverlay } from '../../../src/device/overlay.js';
import { RockberryError } from '../../../src/errors.js';
import { openExt4 } from '../../../src/fs/ext4/ext4.js';
import { replayJournal } from '../../../src/fs/ext4/journal.js';
import { Ext4Image, openImageFile, withDirectory } from '../../support/image-file.js';
import { needs, run } from '../../support/oracle.js';

const test = needs('mke2fs', 'debugfs', 'e2fsck');
const SEED = Number(process.env.ROCKBERRY_SEED ?? 7);

/** By number. Compared are those that the log wrote: e2fsck also clears the log and notes when it did. */
function blocksOf(path: string, size: number): Map<number, string> {
  const data = readFileSync(path);
  return new Map(Array.from({ length: data.length / size }, (_, at) => [at, data.subarray(at * size, (at + 1) * size).toString('latin1')]));
}

describe.each([
  ['without checksums', [], ''], ['checksum v2', [], '-c -v 2'], ['checksum v3', [], '-c -v 3'], ['32 bits', ['-O', '^64bit,^metadata_csum'], ''], ['blocks of 1 KiB', ['-b', '1024'], '-c -v 3'],
] as const)('%s', (_name, options, open) => {
  test('the same blocks as e2fsck: written, revoked, escaped, uncommitted', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '4096', ...options], 32);
    const size = Number(/Block size:\s+(\d+)/.exec(image.debugfs('stats'))![1]);
    const content = join(directory, 'content');
    const write = (name: string, filler: number, count: number, head = ''): string => {
      const data = Buffer.alloc(size * count, filler);
      for (let at = 0; at < count; at++) Buffer.from(head, 'latin1').copy(data, at * size);
      writeFileSync(content + name, data);
      return content + name;
    };
    const commands = [
      `jo ${open}`, `jw -b 5000,5001,5002 ${write('a', 0xa0 + (SEED % 16), 3)}`, `jw -b 5001,5003 ${write('b', 0xb1, 2)}`, `jw -r 5002 -b 5004 ${write('c', 0xc2, 1, '\xc0\x3b\x39\x98')}`,
      'jc', `jo ${open}`, `jw -b 5002 ${write('d', 0xd3, 1)}`, `jw -r 5003 -b 5005 ${write('e', 0xe4, 1)}`, `jw -c -b 5006 ${write('f', 0xf5, 1)}`, 'jc',
    ];
    const { output: text } = run('debugfs', ['-w', '-f', '-', image.path], `${commands.join('\n')}\n`);
    expect(text).not.toMatch(/not found|error|usage/i);
    const judged = join(directory, 'judged');
    copyFileSync(image.path, judged);
    run('e2fsck', ['-E', 'journal_only', '-y', judged]);
    const device = createOverlay(openImageFile(image.path));
    const before = readFileSync(image.path);
    const replayed = replayJournal(device)!;
    expect(replayed.transactions).toBeGreaterThan(0);
    const expected = blocksOf(judged, size);
    for (const block of [5000, 5001, 5002, 5003, 5004, 5005, 5006]) {
      expect(Buffer.from(device.read(block * size, size)).toString('latin1') === expected.get(block), `block ${block}`).toBe(true);
    }
    expect([5000, 5004].map((block) => expected.get(block)!.charCodeAt(10)), 'the oracle replayed').toEqual([0xa0 + (SEED % 16), 0xc2]);
    expect(readFileSync(image.path).equals(before), 'the file itself').toBe(true);
    expect(openExt4(device)!.list('/')).toEqual([{ name: 'lost+found', type: 'directory' }]);
    expect(replayJournal(device)).toBe(undefined);
  }));

  test('a clean filesystem has nothing to replay; one flipped byte of a log with checksums is noticed', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '4096', ...options], 32);
    expect(replayJournal(createOverlay(openImageFile(image.path)))).toBe(undefined);
    if (open === '') return;
    const size = Number(/Block size:\s+(\d+)/.exec(image.debugfs('stats'))![1]);
    writeFileSync(join(directory, 'data'), Buffer.alloc(size, 0x5a));
    run('debugfs', ['-w', '-f', '-', image.path], `jo ${open}\njw -b 5000 ${join(directory, 'data')}\njc\n`);
    const device = createOverlay(openImageFile(image.path));
    const place = readFileSync(image.path).indexOf(Buffer.alloc(size, 0x5a));
    device.write(place + 100, Buffer.of(0x5b));
    expect(() => replayJournal(device)).toThrow(RockberryError);
    expect(() => replayJournal(createOverlay(openImageFile(image.path)))).not.toThrow();
  }));
});

/** Whether the kernel lets us mount: root, with loop devices. */
function canMount(): boolean {
  if (process.getuid?.() !== 0) return false;
  return withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4'], 16);
    mkdirSync(join(directory, 'mount'));
    const { status } = run('mount', ['-o', 'loop', image.path, join(directory, 'mount')]);
    if (status === 0) run('umount', [join(directory, 'mount')]);
    return status === 0;
  });
}

describe('the kernel', () => {
  const mounted = canMount();
  if (!mounted) process.stderr.write('skipped: copies of a mounted filesystem need root and loop devices\n');
  (mounted ? test : test.skip)('a copy of a filesystem while it is mounted reads as e2fsck would leave it', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4'], 64);
    const mount = join(directory, 'mount');
    mkdirSync(mount);
    expect(run('mount', ['-o', 'loop,commit=300', image.path, mount]).status).toBe(0);
    const pulled = join(directory, 'pulled');
    try {
      const script = 'cd "$1"; for i in $(seq 300); do echo "file $i" > f$i; done; mkdir -p a/b/c; sync; for i in $(seq 2 2 300); do rm f$i; done; for i in $(seq 200); do echo "$i again" > a/b/c/g$i; done;'
        + ' exec 3> open-and-deleted; echo text >&3; rm open-and-deleted; sync; cp --sparse=always "$2" "$3"';
      expect(run('sh', ['-c', script, 'sh', mount, image.path, pulled]).status).toBe(0);
    } finally {
      run('umount', [mount]);
    }
    const judged = join(directory, 'judged');
    copyFileSync(pulled, judged);
    run('e2fsck', ['-fy', judged]);
    expect(() => openExt4(createOverlay(openImageFile(pulled)))).toThrow(/journal needs recovery/);
    const device = createOverlay(openImageFile(pulled));
    expect(replayJournal(device)!.transactions).toBeGreaterThan(0);
    const [found, expected] = [openExt4(device)!, openExt4(openImageFile(judged))!];
    const walk = (filesystem: typeof found, path: string): string[] => filesystem.list(path).flatMap(({ name, type }) => {
      const inside = path === '/' ? `/${name}` : `${path}/${name}`;
      const { mode, size } = filesystem.stat(inside)!;
      return type === 'directory' ? [inside, ...walk(filesystem, inside)] : [`${inside} ${mode} ${size} ${Buffer.from(filesystem.read(inside)).toString()}`];
    });
    expect(walk(found, '/')).toEqual(walk(expected, '/'));
    expect(walk(found, '/').length).toBeGreaterThan(340);
    expect(found.check().filter(({ id }) => id !== 'ext4.superblock' && id !== 'ext4.inode-bitmap' && id !== 'ext4.unattached' && id !== 'ext4.block-bitmap')).toEqual([]);
  }));
});
