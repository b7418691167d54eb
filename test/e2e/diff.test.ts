/** Issue 3, `rockberry diff`: images that other people's programs changed differ in exactly that, in every format; its text diffs are what patch(1) applies. */
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import type { BuildResult } from '../../src/build.js';
import type { ImageDiff } from '../../src/diff.js';
import { copyOf, editRoot, FAT, imagePrograms, makeImage, mtools, ROOT_PART, rootFile } from '../diff/image.js';
import { rockberry, rockberryJson, ROOT, scratch } from '../support/cli.js';
import { needs, output, run } from '../support/oracle.js';
import { sample, samplePrograms } from '../support/samples.js';

const test = needs(...imagePrograms, 'xz', 'gzip', 'zstd', 'patch');
const folder = scratch();
let base: string;

/** path → what changed, as the JSON document tells it. */
function told({ files }: ImageDiff): Record<string, string> {
  return Object.fromEntries(files.map(({ path, change, aspects }) => [path, [change, ...aspects].join(' ')]));
}

async function diff(a: string, b: string, ...flags: readonly string[]): Promise<ImageDiff> {
  const { status, stdout, stderr } = await rockberry(['diff', a, b, '--json', ...flags]);
  expect(stderr).not.toMatch(/rockberry:/);
  const result = JSON.parse(stdout) as ImageDiff;
  expect(status).toBe(result.equal ? 0 : 1);
  return result;
}

beforeAll(() => {
  base = makeImage(folder);
});

const OWNER = process.getuid?.() ?? 0;

describe('equal images', () => {
  test('in four formats', async () => {
    run('xz', ['-k', '-T1', '-0', '--block-size=8MiB', base]);
    run('xz', ['-k', '-T2', '-1', '--block-size=8MiB', '-S', '.other.xz', base]);
    run('gzip', ['-k', '-1', base]);
    run('zstd', ['-q', '-1', base]);
    const files = ['.xz', '.gz', '.zst', '.other.xz', ''].map((ending) => base + ending).filter((file) => existsSync(file));
    expect(files.length).toBeGreaterThanOrEqual(4);
    for (const file of files) {
      const { status, stdout } = await rockberry(['diff', `${base}.xz`, file]);
      expect({ status, stdout }).toEqual({ status: 0, stdout: `${base}.xz and ${file} are equal\nthe raw images are the same, byte for byte\n` });
    }
  });

  test('apart from times, unless they are asked for', async () => {
    const other = copyOf(base, 'times.img');
    editRoot(other, 'sif /etc/hosts mtime 20010101000000');
    expect(await diff(base, other)).toMatchObject({ equal: true, identical: false, files: [] });
    expect((await rockberry(['diff', base, other])).stdout).toMatch(/are equal\n.* differ without a change of a file/);
    const { files } = await diff(base, other, '--times');
    expect(files).toMatchObject([{ path: '/etc/hosts', aspects: ['time'], after: { mtime: expect.stringMatching(/^978307200\.\d{9}$/) } }]);
  });
});

describe('changed by debugfs and mtools', () => {
  let other: string;
  let result: ImageDiff;

  beforeAll(async () => {
    other = copyOf(base, 'other.img');
    const file = (name: string, content: string | Uint8Array): string => {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    };
    const hosts = rootFile(base, '/etc/hosts').toString().replace('host3\n', 'host3 three\n').replace('10.0.0.20 host20\n', '').concat('last line without end');
    const blob = readFileSync(join(folder, 'files/srv/blob'));
    blob[2_000_000]! ^= 1;
    editRoot(other,
      'rm /etc/hosts', `write ${file('hosts', hosts)} /etc/hosts`, 'rm /etc/no-newline', `write ${file('nonl', 'one\ntwo\n')} /etc/no-newline`,
      'rm /srv/blob', `write ${file('blob', blob)} /srv/blob`, `write ${file('new', 'new\n')} /srv/new`, 'mkdir /srv/made', `write ${file('in', 'in\n')} /srv/made/in`,
      'rm /srv/deep/file7', 'sif /srv/deep/file8 mode 0100600', 'sif /srv/deep/file9 uid 1234', 'ea_set /srv/deep/file10 security.selinux system_u:object_r:etc_t:s0',
      'ea_set /srv/deep/file11 user.note hello', 'rm /etc/link', 'symlink /etc/link fstab', 'rm /srv/deep/file12', 'mkdir /srv/deep/file12',
      // What mke2fs copied belongs to whoever runs the test, what debugfs made to root.
      ...['/etc/hosts', '/etc/no-newline', '/srv/blob', '/etc/link'].flatMap((path) => [`sif ${path} uid ${OWNER}`, `sif ${path} gid ${OWNER}`]));
    mtools('mcopy', other, '-o', file('cmdline.txt', 'console=tty1 root=LABEL=ROOT rootwait quiet\n'), '::cmdline.txt');
    mtools('mcopy', other, file('config.txt', 'arm_64bit=1\n'), '::config.txt');
    result = await diff(base, other);
  });

  test('exactly that is told', () => {
    expect(told(result)).toEqual({
      '/boot/cmdline.txt': 'changed content', '/boot/config.txt': 'added', '/etc/hosts': 'changed content', '/etc/link': 'changed target',
      '/etc/no-newline': 'changed content', '/srv/blob': 'changed content', '/srv/new': 'added', '/srv/made': 'added', '/srv/made/in': 'added',
      '/srv/deep/file7': 'removed', '/srv/deep/file8': 'changed mode', '/srv/deep/file9': 'changed owner', '/srv/deep/file10': 'changed label',
      '/srv/deep/file11': 'changed attributes', '/srv/deep/file12': 'changed type',
    });
    expect(result.files.map(({ path }) => path)).toEqual(Object.keys(told(result)).sort());
    expect(result).toMatchObject({ equal: false, table: [], partitions: [], raw: [] });
  });

  test('with the values before and after', () => {
    const at = (path: string): unknown => result.files.find((file) => file.path === path);
    expect(at('/srv/deep/file8')).toMatchObject({ before: { mode: 0o644 }, after: { mode: 0o600 } });
    expect(at('/srv/deep/file9')).toMatchObject({ before: { uid: OWNER }, after: { uid: 1234 } });
    expect(at('/srv/deep/file10')).toMatchObject({ before: { label: null }, after: { label: 'system_u:object_r:etc_t:s0' } });
    expect(at('/srv/deep/file11')).toMatchObject({ after: { attributes: { 'user.note': Buffer.from('hello').toString('base64') } } });
    expect(at('/etc/link')).toMatchObject({ before: { target: 'os-release' }, after: { target: 'fstab' } });
    expect(at('/srv/made/in')).toMatchObject({ before: null, after: { type: 'file', size: 3 } });
  });

  test('patch(1) makes the new texts of the old ones', () => {
    for (const path of ['/etc/hosts', '/etc/no-newline']) {
      const { diff: text } = result.files.find((file) => file.path === path)!;
      writeFileSync(join(folder, 'patched'), rootFile(base, path));
      expect(run('patch', [join(folder, 'patched')], text)).toMatchObject({ status: 0 });
      expect(readFileSync(join(folder, 'patched'))).toEqual(rootFile(other, path));
    }
  });

  test('backwards it is the same the other way round', async () => {
    const back = await diff(other, base, '--no-text');
    const swap = { added: 'removed', removed: 'added', changed: 'changed' } as const;
    expect(back.files.map(({ path, change, aspects, before, after }) => ({ path, change: swap[change], aspects, before: after, after: before })))
      .toEqual(result.files.map(({ path, change, aspects, before, after }) => ({ path, change, aspects, before, after })));
    expect(back.files.every((file) => file.diff === undefined)).toBe(true);
  });

  test('in other formats it is the same', async () => {
    run('xz', ['-k', '-f', '-0', '-T2', '--block-size=4MiB', other]);
    run('xz', ['-k', '-f', '-0', '-T2', '--block-size=4MiB', base]);
    run('zstd', ['-q', '-f', '-1', other]);
    for (const [a, b] of [[`${base}.xz`, `${other}.xz`], [base, `${other}.xz`], [`${base}.xz`, other], [`${base}.xz`, `${other}.zst`]] as const) {
      const { files, differingBytes } = await diff(a, b);
      expect({ files, differingBytes }).toEqual({ files: result.files, differingBytes: result.differingBytes });
    }
  });

  test('against a filesystem that keeps everything elsewhere, it is the same', async () => {
    const moved = copyOf(base, 'moved.img');
    const ext4 = join(folder, 'remade');
    writeFileSync(ext4, '');
    truncateSync(ext4, ROOT_PART.size);
    run('mke2fs', ['-q', '-F', '-t', 'ext4', '-b', '4096', '-L', 'ROOT', '-E', 'root_owner=0:0', '-d', join(folder, 'files'), ext4]);
    run('dd', [`if=${ext4}`, `of=${moved}`, 'bs=1M', `seek=${ROOT_PART.start >> 20}`, 'conv=notrunc']);
    const again = await diff(moved, other);
    const ownFiles = ({ files }: ImageDiff): unknown => files.filter(({ path }) => path !== '/lost+found');
    expect(ownFiles(again)).toEqual(ownFiles(result));
    expect(again.partitions).toMatchObject([{ number: 2, fields: ['uuid'] }]);
  });

  test('for people: 80 columns, no control characters', async () => {
    const { stdout } = await rockberry(['diff', base, other]);
    const lines = stdout.split('\n').filter((line) => !line.includes(folder));
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(stdout).toMatch(/M \/etc\/hosts +content \+2 -2\n/);
    expect(stdout).toMatch(/10 files changed, 4 files added, 1 file removed/);
    expect(stdout).toMatch(/changed \/srv\/deep\/file8\n {2}mode 0644 -> 0600\n/);
  });
});

describe('beside the files', () => {
  test('disk id, partition fields, labels and bytes outside', async () => {
    const other = copyOf(base, 'table.img');
    run('sfdisk', ['--disk-id', other, '0xcafe0001']);
    run('sfdisk', ['--part-type', other, '1', 'e']);
    run('tune2fs', ['-L', 'OTHER', `${other}?offset=${ROOT_PART.start}`]);
    run('sh', ['-c', 'printf x | dd of="$1" bs=1 seek=3000000 conv=notrunc', 'sh', other]);
    const { table, partitions, raw, files } = await diff(base, other);
    expect(table).toEqual([{ field: 'diskId', before: '12345678', after: 'cafe0001' }]);
    expect(partitions.map(({ number, change, fields }) => ({ number, change, fields }))).toMatchObject([
      { number: 1, change: 'changed', fields: expect.arrayContaining(['type', 'partuuid']) }, { number: 2, change: 'changed', fields: expect.arrayContaining(['partuuid']) },
    ]);
    expect(raw).toEqual([{ place: 'outside partitions', offset: 0, length: 512 }, { place: 'outside partitions', offset: 3_000_000 - (3_000_000 % 512), length: 512 }]);
    expect(files).toEqual([]);
  });

  test('names and texts with control characters are escaped', async () => {
    const other = copyOf(base, 'names.img');
    writeFileSync(join(folder, 'evil'), 'a\x1b[31mred\n');
    const [first, second] = [copyOf(base, 'evil1.img'), other];
    editRoot(first, `write ${join(folder, 'evil')} "/srv/x\x1b]0;y\x07"`);
    writeFileSync(join(folder, 'evil'), 'b\x1b[32mgreen\n');
    editRoot(second, `write ${join(folder, 'evil')} "/srv/x\x1b]0;y\x07"`);
    const { stdout } = await rockberry(['diff', first, second]);
    expect(stdout).toContain('M /srv/x\\x1b]0;y\\x07');
    expect(stdout).toContain('-a\\x1b[31mred');
    expect(stdout).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f]/);
  });
});

describe('images that cannot be read', () => {
  test('a truncated file, a missing one', async () => {
    run('xz', ['-k', '-f', '-0', base]);
    const whole = readFileSync(`${base}.xz`);
    writeFileSync(join(folder, 'cut.xz'), whole.subarray(0, whole.length / 2));
    expect(await rockberry(['diff', base, join(folder, 'cut.xz')])).toMatchObject({ status: 3, stderr: expect.stringMatching(/^rockberry: /m) });
    expect(await rockberry(['diff', base, join(folder, 'none.img')])).toMatchObject({ status: 5 });
    expect(await rockberry(['diff', base])).toMatchObject({ status: 2 });
  });

  test('a directory that lies in itself', async () => {
    const other = copyOf(base, 'loop.img');
    editRoot(other, 'link /srv/deep /srv/deep/deeper/loop');
    for (const [a, b] of [[base, other], [other, base], [other, copyOf(other, 'loop2.img')]] as const) {
      if (a === other && b !== base) editRoot(b, 'sif /srv/deep mode 040700', 'sif /srv/deep/deeper mode 040700');
      expect(await rockberry(['diff', a, b])).toMatchObject({ status: 3, stderr: expect.stringMatching(/expected every directory in one place, found \/srv\/deep/) });
    }
  });

  test('a damaged inode, superblock or FAT', async () => {
    const damage = (name: string, offset: number): string => {
      const image = copyOf(base, name);
      run('sh', ['-c', 'printf "\\377\\377\\377\\377" | dd of="$1" bs=1 seek="$2" conv=notrunc', 'sh', image, String(offset)]);
      return image;
    };
    const place = /located at block (\d+), offset 0x([0-9a-f]+)/.exec(output('debugfs', ['-R', 'imap /etc/hosts', `${base}?offset=${ROOT_PART.start}`]).toString())!;
    const inode = ROOT_PART.start + Number(place[1]) * 1024 + parseInt(place[2]!, 16);
    expect(await rockberry(['diff', base, damage('inode.img', inode + 40)])).toMatchObject({ status: 3, stderr: expect.stringMatching(/ext4 inode \d+: expected checksum/) });
    expect(await rockberry(['diff', base, damage('super.img', ROOT_PART.start + 1024 + 24)])).toMatchObject({ status: 3, stderr: expect.stringMatching(/partition 2: expected blocks of/) });
    expect(await rockberry(['diff', base, damage('fat.img', FAT.start + 11)])).toMatchObject({ status: 3, stderr: expect.stringMatching(/partition 1: FAT/) });
  });
});

describe('the samples', () => {
  test('a build differs from its base in exactly the files it tells', async () => {
    const sampleFile = join(ROOT, 'images/rocky9-pi-sample.img.xz');
    const out = join(folder, 'node.img.xz');
    const built = await rockberryJson<BuildResult>(['build', sampleFile, '-p', 'node', '--set', 'hostname=node1', '--set', 'user=ops', '-o', out]);
    const result = await diff(sampleFile, out);
    const word = { created: 'added', changed: 'changed', removed: 'removed', unchanged: '' } as const;
    const expected = built.files.filter(({ action }) => action !== 'unchanged').map(({ path, action }) => ({ path, change: word[action] }));
    expect(expected.length).toBeGreaterThan(3);
    expect(result.files.map(({ path, change }) => ({ path, change }))).toEqual(expected);
    expect(result).toMatchObject({ table: [], partitions: [], raw: [] });
    rmSync(out);
  });

  needs(...samplePrograms, 'mcopy')('an image without a root filesystem, partition by partition', async () => {
    const image = sample('efi-grub-like');
    const other = join(folder, 'efi.img');
    run('cp', ['--sparse=always', image, other]);
    run('chmod', ['u+w', other]);
    const { partitiontable } = JSON.parse(output('sfdisk', ['--json', other]).toString()) as { partitiontable: { partitions: { start: number }[] } };
    writeFileSync(join(folder, 'added.txt'), 'added\n');
    run('mcopy', ['-i', `${other}@@${partitiontable.partitions[0]!.start * 512}`, join(folder, 'added.txt'), '::added.txt']);
    const result = await diff(image, other);
    expect(result.files.map(({ path, change }) => `${change} ${path}`)).toEqual([expect.stringMatching(/^added (\/boot\/efi|p1:)\/added\.txt$/)]);
    rmSync(other);
  });
});
