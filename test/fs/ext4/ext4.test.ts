import { mkdirSync, linkSync, symlinkSync, truncateSync, writeFileSync, chmodSync, utimesSync, openSync, writeSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { memoryDevice } from '../../../src/device/device.js';
import { openExt4, superblockTime } from '../../../src/fs/ext4/ext4.js';
import type { FileSystem } from '../../../src/fs/filesystem.js';
import { needs } from '../../support/oracle.js';
import { countingDevice, Ext4Image, withDirectory } from '../../support/image-file.js';

const SETS: readonly (readonly string[])[] = [
  ['-t', 'ext4'],
  ['-t', 'ext4', '-b', '1024', '-I', '128'],
  ['-t', 'ext4', '-b', '2048', '-I', '256'],
  ['-t', 'ext4', '-b', '4096', '-I', '512'],
  ['-t', 'ext2', '-b', '1024', '-I', '128'],
  ['-t', 'ext2', '-r', '0', '-b', '1024'],
  ['-t', 'ext3', '-b', '4096'],
  ['-t', 'ext4', '-b', '1024', '-O', '^extents,^64bit'],
  ['-t', 'ext4', '-O', '^64bit,^metadata_csum'],
  ['-t', 'ext4', '-O', '^metadata_csum,uninit_bg', '-b', '1024'],
  ['-t', 'ext4', '-O', 'metadata_csum_seed,sparse_super2,^resize_inode'],
  ['-t', 'ext4', '-O', '^flex_bg', '-b', '1024'],
  ['-t', 'ext4', '-O', 'meta_bg,^resize_inode', '-b', '1024'],
  ['-t', 'ext4', '-O', 'orphan_file'],
  ['-t', 'ext4', '-O', '^has_journal,^dir_index,^filetype,large_dir'],
];

const bytes = (text: string): Uint8Array => Buffer.from(text);
function pattern(length: number, seed = 1): Uint8Array {
  const data = new Uint8Array(length);
  for (let at = 0; at < length; at++) data[at] = at * seed + (at >>> 8) * 7 + seed;
  return data;
}

function open(image: Ext4Image): FileSystem {
  return openExt4(image.open())!;
}

/** A folder with a bit of everything, for mke2fs -d. */
function sourceTree(directory: string): string {
  const root = join(directory, 'tree');
  mkdirSync(join(root, 'sub/deeper'), { recursive: true });
  writeFileSync(join(root, 'hello'), 'hello\n');
  writeFileSync(join(root, 'big'), pattern(3_000_001));
  writeFileSync(join(root, 'empty'), '');
  chmodSync(join(root, 'hello'), 0o4751);
  utimesSync(join(root, 'hello'), 1_000_000_000, 1_234_567_890);
  linkSync(join(root, 'hello'), join(root, 'sub/hard'));
  symlinkSync('hello', join(root, 'fast'));
  symlinkSync('x'.repeat(59), join(root, 'just-fast'));
  symlinkSync('x'.repeat(60), join(root, 'just-slow'));
  symlinkSync('y'.repeat(900), join(root, 'slow'));
  writeFileSync(join(root, 'sub/ünïcödé'), 'u');
  for (let at = 0; at < 200; at++) writeFileSync(join(root, `sub/deeper/file-number-${at}`), `${at}`);
  return root;
}

/** 1 MiB holes with a few blocks between them, through a size that needs triple indirection on 1 KiB blocks. */
function sparseFile(path: string): void {
  writeFileSync(path, '');
  truncateSync(path, 80 * 2 ** 20 + 77);
  const file = openSync(path, 'r+');
  for (const at of [0, 11 * 1024, 12 * 1024, 267 * 1024, 268 * 1024, 300 * 1024, 65804 * 1024, 70 * 2 ** 20, 80 * 2 ** 20]) writeSync(file, pattern(77, at % 250 + 1), 0, 77, at);
  closeSync(file);
}

describe('reads what mke2fs and debugfs made', () => {
  for (const options of SETS) {
    needs('mke2fs', 'debugfs')(options.join(' '), () => withDirectory((directory) => {
      const tree = sourceTree(directory);
      sparseFile(join(tree, 'sparse'));
      const image = new Ext4Image(directory, [...options, '-d', tree], 48);
      if (!options.includes('0')) {
        image.edit('ea_set /hello security.selinux system_u:object_r:etc_t:s0', `ea_set /hello user.long ${'v'.repeat(500)}`);
      }
      const fs = open(image);
      expect(fs.list('/').map(({ name, type }) => `${name} ${type}`)).toEqual(['big file', 'empty file', 'fast symlink', 'hello file', 'just-fast symlink', 'just-slow symlink',
        'lost+found directory', 'slow symlink', 'sparse file', 'sub directory']);
      expect(fs.list('/sub/deeper')).toHaveLength(200);
      for (const path of ['/hello', '/big', '/empty', '/sparse', '/sub/hard', '/sub/ünïcödé', '/sub/deeper/file-number-123']) {
        expect(Buffer.compare(fs.read(path), image.dump(path)), path).toBe(0);
      }
      expect(Buffer.from(fs.read('/big', 1_048_570, 12))).toEqual(Buffer.from(pattern(3_000_001).subarray(1_048_570, 1_048_582)));
      expect(fs.read('/big', 3_000_000, 100)).toHaveLength(1);
      expect([fs.readLink('/fast'), fs.readLink('/just-fast'), fs.readLink('/just-slow'), fs.readLink('/slow')]).toEqual(['hello', 'x'.repeat(59), 'x'.repeat(60), 'y'.repeat(900)]);
      expect(fs.stat('/hello')).toMatchObject({ type: 'file', mode: 0o4751, size: 6, links: 2, mtime: { seconds: 1_234_567_890 } });
      expect(fs.stat('/nothing')).toBeUndefined();
      expect(fs.stat('/hello/nothing')).toBeUndefined();
      if (!options.includes('0')) {
        expect(Buffer.from(fs.xattrs('/hello').get('security.selinux')!).toString()).toBe('system_u:object_r:etc_t:s0');
        expect(fs.xattrs('/hello').get('user.long')).toHaveLength(500);
      }
      expect(fs.check()).toEqual([]);
    }));
  }

  needs('mke2fs')('info and the superblock time', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-L', 'a label', '-b', '4096']);
    const device = image.open();
    const info = openExt4(device)!.info();
    expect(info).toMatchObject({ type: 'ext4', variant: 'ext4', label: 'a label', uuid: '01234567-89ab-cdef-0123-456789abcdef', blockSize: 4096, size: 32 * 2 ** 20 });
    expect(info.free).toBe(Number(/Free blocks:\s+(\d+)/.exec(image.debugfs('stats'))![1]) * 4096);
    expect(superblockTime(device)!.seconds).toBeGreaterThan(1_600_000_000);
    expect(superblockTime(memoryDevice(new Uint8Array(4096)))).toBeUndefined();
    expect(openExt4(memoryDevice(new Uint8Array(4096)))).toBeUndefined();
  }));

  needs('mke2fs')('with few reads: one for an extent', () => withDirectory((directory) => {
    const tree = sourceTree(directory);
    const device = countingDevice(new Ext4Image(directory, ['-t', 'ext4', '-b', '4096', '-d', tree]).open());
    const fs = openExt4(device)!;
    expect(device.reads).toBeLessThanOrEqual(3);
    device.reads = 0;
    fs.read('/big');
    expect(device.reads).toBeLessThanOrEqual(6); // inode table, root directory, data
  }));
});

function stat(image: Ext4Image, path: string): Record<string, string> {
  const text = image.debugfs(`stat "${path}"`);
  const field = (name: RegExp): string => name.exec(text)?.[1] ?? '';
  return {
    type: field(/Type: (\w+)/), mode: field(/Mode:\s+(\d+)/), user: field(/User:\s+(\d+)/), group: field(/Group:\s+(\d+)/), size: field(/Size: (\d+)/),
    links: field(/Links: (\d+)/), mtime: field(/mtime: (0x[0-9a-f:]+)/),
  };
}

describe('writes what e2fsck finds clean', () => {
  for (const options of SETS) {
    needs('mke2fs', 'e2fsck', 'debugfs')(options.join(' '), () => withDirectory((directory) => {
      const image = new Ext4Image(directory, options, 40);
      const time = { seconds: 1_700_000_000, nanoseconds: 0 };
      const fs = openExt4(image.open(), { time })!;
      const clean = (what: string): void => {
        fs.flush();
        expect(image.problems(), what).toBe('');
      };
      fs.makeDirectory('/etc', { mode: 0o711, uid: 100_000, gid: 1_000_000_001 });
      clean('mkdir');
      fs.write('/etc/file', pattern(100_000), { mode: 0o640, uid: 70_000, gid: 5, mtime: { seconds: 1_500_000_000, nanoseconds: 0 } });
      clean('create');
      expect(Buffer.compare(image.dump('/etc/file'), pattern(100_000))).toBe(0);
      expect(stat(image, '/etc/file')).toMatchObject({ type: 'regular', mode: '0640', user: '70000', group: '5', size: '100000', links: '1' });
      expect(stat(image, '/etc/file').mtime).toMatch(/^0x59682f00/);
      expect(stat(image, '/etc')).toMatchObject({ type: 'directory', mode: '0711', user: '100000', group: '1000000001' });
      fs.write('/etc/file', pattern(300_000, 3));
      clean('longer');
      expect(Buffer.compare(image.dump('/etc/file'), pattern(300_000, 3))).toBe(0);
      fs.append('/etc/file', pattern(5_000, 9));
      clean('append');
      expect(Buffer.compare(image.dump('/etc/file'), Buffer.concat([pattern(300_000, 3), pattern(5_000, 9)]))).toBe(0);
      fs.truncate('/etc/file', 1_001);
      fs.truncate('/etc/file', 9_000);
      clean('truncate');
      expect(Buffer.compare(image.dump('/etc/file'), Buffer.concat([pattern(1_001, 3), Buffer.alloc(7_999)]))).toBe(0);
      fs.makeLink('/etc/fast', 'file');
      fs.makeLink('/etc/slow', `/${'s'.repeat(200)}`);
      clean('links');
      expect(image.debugfs('stat /etc/fast')).toContain('Fast link dest: "file"');
      expect(image.dump('/etc/slow').toString()).toBe(`/${'s'.repeat(200)}`);
      fs.makeLink('/etc/fast', 't'.repeat(100));
      fs.makeLink('/etc/slow', 'short');
      clean('links replaced');
      expect([fs.readLink('/etc/fast'), fs.readLink('/etc/slow')]).toEqual(['t'.repeat(100), 'short']);
      fs.makeHardLink('/etc/fast-too', '/etc/slow');
      fs.makeLink('/etc/slow', 'elsewhere');
      clean('one name of a link replaced');
      expect(image.debugfs('stat /etc/fast-too')).toContain('Fast link dest: "short"');
      expect(image.debugfs('stat /etc/slow')).toContain('Fast link dest: "elsewhere"');
      expect([stat(image, '/etc/fast-too').links, stat(image, '/etc/slow').links]).toEqual(['1', '1']);
      fs.remove('/etc/fast-too');
      fs.makeHardLink('/etc/second', '/etc/file');
      clean('hard link');
      expect(stat(image, '/etc/second').links).toBe('2');
      fs.remove('/etc/file');
      clean('one name removed');
      fs.makeDirectory('/var');
      fs.makeDirectory('/var/lib');
      fs.rename('/etc', '/var/lib/etc');
      clean('directory moved');
      fs.write('/var/target', bytes('old'));
      fs.rename('/var/lib/etc/second', '/var/target');
      clean('file renamed over a file');
      expect(fs.read('/var/target')).toHaveLength(9_000);
      fs.change('/var/target', { mode: 0o4755, uid: 1, gid: 2 });
      clean('change');
      for (const path of ['/var/target', '/var/lib/etc/fast', '/var/lib/etc/slow', '/var/lib/etc', '/var/lib']) {
        fs.remove(path);
        clean(`remove ${path}`);
      }
      expect(fs.list('/').map(({ name }) => name)).toEqual(['lost+found', 'var']);
      for (let at = 0; at < 500; at++) fs.write(`/var/many-${'n'.repeat(at % 60)}-${at}`, bytes(`${at}`));
      clean('many');
      for (let at = 0; at < 500; at += 3) fs.remove(`/var/many-${'n'.repeat(at % 60)}-${at}`);
      clean('fewer');
      expect(openExt4(image.open())!.list('/var')).toHaveLength(333);
      expect(fs.check()).toEqual([]);
    }));
  }

  for (const options of SETS.filter((set) => !set.includes('0'))) {
    needs('mke2fs', 'e2fsck', 'debugfs')(`extended attributes: ${options.join(' ')}`, () => withDirectory((directory) => {
      const image = new Ext4Image(directory, options);
      const fs = open(image);
      const label = bytes('system_u:object_r:etc_t:s0\0');
      fs.write('/a', bytes('a'), { xattrs: new Map([['security.selinux', label]]) });
      fs.makeLink('/l', 'z'.repeat(80), { xattrs: new Map([['security.selinux', label]]) });
      fs.makeLink('/f', 'fast', { xattrs: new Map([['security.selinux', label]]) });
      fs.change('/', { xattrs: new Map([['security.selinux', label]]) });
      fs.change('/a', { xattrs: new Map([['user.long', pattern(600)], ['trusted.x', new Uint8Array(0)]]) });
      fs.flush();
      expect(image.problems()).toBe('');
      for (const path of ['/a', '/l', '/f', '/']) expect(image.debugfs(`ea_list ${path}`)).toContain('security.selinux (27) = "system_u:object_r:etc_t:s0\\000"');
      expect(image.debugfs('ea_list /a')).toContain('user.long (600)');
      expect([fs.readLink('/l'), fs.readLink('/f')]).toEqual(['z'.repeat(80), 'fast']);
      fs.change('/a', { xattrs: new Map([['user.long', null], ['security.selinux', null], ['trusted.x', null]]) });
      fs.remove('/l');
      fs.flush();
      expect(image.problems()).toBe('');
      expect(fs.xattrs('/a').size).toBe(0);
    }));
  }
});

describe('writing what is there already', () => {
  needs('mke2fs', 'e2fsck')('changes no byte, not even the times', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '4096', '-d', sourceTree(directory)]);
    const once = (seconds: number): void => {
      const fs = openExt4(image.open(), { time: { seconds, nanoseconds: 0 } })!;
      const attributes = { mode: 0o600, uid: 7, gid: 8, mtime: { seconds: 5, nanoseconds: 6 }, xattrs: new Map([['user.a', bytes('b')], ['user.none', null]]) };
      fs.write('/sub/new', pattern(70_000), attributes);
      fs.write('/hello', bytes('hello again\n'));
      fs.makeDirectory('/dir', { mode: 0o700 });
      fs.makeLink('/dir/link', '../hello');
      if (!fs.stat('/dir/hard')) fs.makeHardLink('/dir/hard', '/hello');
      fs.makeHardLink('/dir/hard', '/hello');
      fs.change('/big', { mode: 0o644 });
      fs.truncate('/big', 1000);
      fs.append('/big', new Uint8Array(0));
      fs.flush();
    };
    once(1_800_000_000);
    const digest = image.digest();
    expect(image.problems()).toBe('');
    once(1_900_000_000);
    expect(image.digest()).toBe(digest);
  }));

  needs('mke2fs', 'e2fsck')('other contents and then the old ones end in the same blocks', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-d', sourceTree(directory)]);
    const fs = openExt4(image.open(), { time: { seconds: 2_000_000_000, nanoseconds: 0 } })!;
    const put = (content: Uint8Array): string => {
      fs.write('/big', content);
      fs.flush();
      return image.digest();
    };
    put(pattern(500_000, 3));
    const extents = image.debugfs('dump_extents /big');
    const larger = put(pattern(900_000, 5));
    const smaller = put(pattern(500_000, 3)); // what the larger one left in free blocks stays
    expect(image.debugfs('dump_extents /big')).toBe(extents);
    expect(put(pattern(900_000, 5))).toBe(larger);
    expect(put(pattern(500_000, 3))).toBe(smaller);
    expect(image.problems()).toBe('');
  }));
});

describe('places what it writes', () => {
  needs('mke2fs')('in one region, however many directories there are', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '4096', '-d', sourceTree(directory)], 256);
    const device = countingDevice(image.open());
    const fs = openExt4(device)!;
    for (const parent of ['/', '/sub/', '/sub/deeper/']) {
      fs.makeDirectory(`${parent}new`);
      for (let at = 0; at < 20; at++) fs.write(`${parent}new/${at}`, pattern(9_000));
    }
    fs.flush();
    const chunks = new Set(device.written.map(({ offset }) => Math.floor(offset / (4 * 2 ** 20))));
    expect(chunks.size).toBeLessThanOrEqual(5);
  }));
});

describe('a full filesystem', () => {
  for (const options of [['-t', 'ext4', '-b', '1024'], ['-t', 'ext2', '-b', '1024'], ['-t', 'ext4', '-b', '4096']]) {
    needs('mke2fs', 'e2fsck')(`${options.join(' ')}: nothing is half-written`, () => withDirectory((directory) => {
      const image = new Ext4Image(directory, [...options, '-N', '64'], 8);
      const fs = open(image);
      fs.write('/keep', pattern(50_000));
      fs.flush();
      const digest = image.digest();
      const { free } = fs.info();
      expect(() => fs.write('/large', new Uint8Array(free + 1))).toThrow(expect.objectContaining({ code: 'no-space' }));
      expect(() => fs.write('/keep', new Uint8Array(free + 60_000))).toThrow(expect.objectContaining({ code: 'no-space' }));
      expect(() => fs.append('/keep', new Uint8Array(free + 4096))).toThrow(expect.objectContaining({ code: 'no-space' }));
      fs.flush();
      expect(image.digest()).toBe(digest);
      for (let at = 0, size = free; size > 512; at++) {
        try {
          fs.write(`/fill-${at}`, new Uint8Array(size));
        } catch (error) {
          expect(error).toMatchObject({ code: 'no-space' });
          size = size >>> 1;
        }
      }
      expect(fs.info().free).toBe(0);
      expect(() => fs.makeDirectory('/dir')).toThrow(expect.objectContaining({ code: 'no-space' }));
      expect(() => fs.makeLink('/link', 'l'.repeat(200))).toThrow(expect.objectContaining({ code: 'no-space' }));
      expect(() => fs.change('/keep', { xattrs: new Map([['user.long', new Uint8Array(700)]]) })).toThrow(expect.objectContaining({ code: 'no-space' }));
      fs.makeLink('/fast', 'needs no block');
      fs.flush();
      expect(image.problems()).toBe('');
      expect(Buffer.compare(fs.read('/keep'), pattern(50_000))).toBe(0);
      fs.remove(`/${fs.list('/').find(({ name }) => name.startsWith('fill-'))!.name}`);
      fs.makeDirectory('/dir');
      fs.flush();
      expect(image.problems()).toBe('');
    }));
  }

  needs('mke2fs', 'e2fsck')('of inodes', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-N', '16'], 8);
    const fs = open(image);
    const fill = (): void => { for (let at = 0; at < 100; at++) fs.write(`/${at}`, bytes('x')); };
    expect(fill).toThrow(expect.objectContaining({ code: 'no-space' }));
    fs.flush();
    expect(image.problems()).toBe('');
  }));
});

describe('a source that fails while it is read', () => {
  needs('mke2fs', 'e2fsck')('leaves no file behind, and the filesystem clean', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4']);
    const fs = open(image);
    let reads = 0;
    const broken = {
      size: 5 * 2 ** 20,
      read(_offset: number, length: number): Uint8Array {
        if (++reads > 7) throw new Error('the source is gone'); // five pieces are looked at, then the third is not written
        return new Uint8Array(length).fill(1);
      },
      close: () => undefined,
    };
    const { free } = fs.info();
    expect(() => fs.write('/new', broken)).toThrow('the source is gone');
    expect([fs.stat('/new'), fs.info().free]).toEqual([undefined, free]);
    fs.flush();
    expect(image.problems()).toBe('');
    fs.write('/new', bytes('works'));
    fs.flush();
    expect(image.problems()).toBe('');
  }));
});

describe('an attribute block that two files share', () => {
  needs('mke2fs', 'e2fsck', 'debugfs')('is never edited: who changes gets one of their own', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '1024', '-I', '128', '-O', '^metadata_csum']);
    const setup = open(image);
    setup.write('/a', bytes('a'), { xattrs: new Map([['user.x', pattern(300)]]) });
    setup.write('/b', bytes('b'));
    setup.flush();
    const block = Number(/File ACL: (\d+)/.exec(image.debugfs('stat /a'))![1]);
    image.edit(`sif /b file_acl ${block}`, 'sif /b blocks 4');
    const device = image.open();
    device.write(block * 1024 + 4, Uint8Array.of(2)); // h_refcount
    expect(image.problems()).toBe('');
    const fs = openExt4(device)!;
    fs.change('/b', { xattrs: new Map([['user.x', pattern(200)]]) });
    fs.flush();
    expect(image.problems()).toBe('');
    expect([fs.xattrs('/a').get('user.x')!.length, fs.xattrs('/b').get('user.x')!.length]).toEqual([300, 200]);
    device.write(block * 1024 + 4, Uint8Array.of(1));
    fs.remove('/a');
    fs.remove('/b');
    fs.flush();
    expect(image.problems()).toBe('');
  }));
});

describe('refuses', () => {
  const cases: readonly (readonly [string, (fs: FileSystem) => void])[] = [
    ['a relative path', (fs) => fs.read('hello')],
    ['an empty component', (fs) => fs.read('/sub//x')],
    ['dots', (fs) => fs.write('/sub/../x', bytes(''))],
    ['a name of 256 bytes', (fs) => fs.write(`/${'n'.repeat(256)}`, bytes(''))],
    ['NUL in a name', (fs) => fs.makeDirectory('/a\0b')],
    ['a directory that is not there', (fs) => fs.write('/none/x', bytes(''))],
    ['a file as a directory', (fs) => fs.write('/hello/x', bytes(''))],
    ['a link as a directory', (fs) => fs.write('/fast/x', bytes(''))],
    ['reading a directory', (fs) => fs.read('/sub')],
    ['reading a link', (fs) => fs.read('/fast')],
    ['writing over a directory', (fs) => fs.write('/sub', bytes(''))],
    ['writing over the root', (fs) => fs.write('/', bytes(''))],
    ['a link over a file', (fs) => fs.makeLink('/hello', 'x')],
    ['an empty link', (fs) => fs.makeLink('/x', '')],
    ['a link that is too long', (fs) => fs.makeLink('/x', 'y'.repeat(4096))],
    ['a directory over a file', (fs) => fs.makeDirectory('/hello')],
    ['a second name for a directory', (fs) => fs.makeHardLink('/x', '/sub')],
    ['a second name that is taken', (fs) => fs.makeHardLink('/big', '/hello')],
    ['removing a directory with entries', (fs) => fs.remove('/sub')],
    ['removing the root', (fs) => fs.remove('/')],
    ['removing nothing', (fs) => fs.remove('/none')],
    ['a directory into itself', (fs) => fs.rename('/sub', '/sub/deeper/x')],
    ['a file over a directory', (fs) => fs.rename('/hello', '/sub')],
    ['a directory over a file', (fs) => fs.rename('/sub', '/hello')],
    ['a directory over a full one', (fs) => fs.rename('/lost+found', '/sub')],
  ];
  needs('mke2fs', 'e2fsck')('with a path error, and nothing changes', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-d', sourceTree(directory)]);
    const digest = image.digest();
    const fs = open(image);
    for (const [what, work] of cases) expect(() => work(fs), what).toThrow(expect.objectContaining({ code: 'path' }));
    fs.flush();
    expect(image.digest()).toBe(digest);
  }));
});

describe('directories', () => {
  needs('mke2fs', 'e2fsck')('more subdirectories than a link count holds', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4']);
    open(image).flush();
    image.edit('mkdir /d', 'sif /d links_count 64998');
    const fs = open(image);
    const links = (name: string): number => {
      fs.makeDirectory(`/d/${name}`);
      return fs.stat('/d')!.links;
    };
    expect([links('a'), links('b'), links('c')]).toEqual([64_999, 1, 1]);
    fs.remove('/d/a');
    expect(fs.stat('/d')!.links).toBe(1); // not counted any more
  }));

  needs('mke2fs', 'e2fsck')('three thousand names, there and gone', () => withDirectory((directory) => {
    const image = new Ext4Image(directory, ['-t', 'ext4', '-b', '1024', '-N', '4000'], 32);
    const fs = open(image);
    fs.makeDirectory('/d');
    for (let at = 0; at < 3000; at++) fs.write(`/d/a-longer-name-${at}`, new Uint8Array(0));
    fs.flush();
    expect(image.problems()).toBe('');
    expect(image.debugfs('ls -p /d').match(/a-longer-name/g)).toHaveLength(3000);
    for (let at = 0; at < 3000; at++) fs.remove(`/d/a-longer-name-${at}`);
    fs.remove('/d');
    fs.flush();
    expect(image.problems()).toBe('');
  }));
});
