/** An image that means harm, mounted: nothing of the host is read, written or made, whatever its links, names, devices and programs say. */
import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, symlinkSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { rockberry, scratch } from '../support/cli.js';
import { output } from '../support/oracle.js';
import { leftovers, mounting } from './support.js';

const MIB = 2 ** 20;
const CHAIN = 100_000;

/** A host directory that must stay as it is, and what became known of it. */
function guarded(folder: string): { readonly path: string; events(): string[]; state(): unknown } {
  const path = join(folder, 'host');
  mkdirSync(path);
  writeFileSync(join(path, 'secret'), 'of the host\n');
  const events: string[] = [];
  const watcher = watch(path, (event, name) => void events.push(`${event} ${name}`));
  const state = (): unknown => readdirSync(path).sort().map((name) => {
    const { ino, mode, mtimeMs, ctimeMs } = lstatSync(join(path, name));
    return { name, ino, mode, mtimeMs, ctimeMs, content: readFileSync(join(path, name), 'utf8') };
  });
  return {
    path, state,
    events() {
      watcher.close();
      return events;
    },
  };
}

/** Links out of the image in every form, a chain of 100,000 links, a directory too deep for a path, devices, set-uid, and an entry named "..". */
function hostileImage(folder: string, host: string): string {
  const [image, fat, root, tree] = ['hostile.img', 'p1', 'p2', 'tree'].map((name) => join(folder, name)) as [string, string, string, string];
  for (const name of ['etc', 'usr/lib', 'home', 'chain', 'ups']) mkdirSync(join(tree, name), { recursive: true });
  writeFileSync(join(tree, 'etc/os-release'), 'ID=rocky\nNAME="Rocky Linux"\nVERSION_ID="9.2"\n');
  writeFileSync(join(tree, 'ups/xx'), 'not up\n');
  symlinkSync(host, join(tree, 'absolute'));
  symlinkSync(`../../../../../../../../../..${host}`, join(tree, 'relative'));
  symlinkSync(join(host, 'secret'), join(tree, 'etc/hostname'));
  symlinkSync(join(host, 'made'), join(tree, 'etc/hosts'));
  symlinkSync('/proc/1/root', join(tree, 'boot'));
  symlinkSync('loop', join(tree, 'loop'));
  output('mke2fs', ['-q', '-t', 'ext4', '-O', '^metadata_csum', '-N', '120000', '-b', '1024', '-d', tree, root, '200M']);
  // By the kernel: mke2fs and debugfs would look through the whole directory for each of them.
  const chain = `const { symlinkSync } = require('fs'); for (let at = 0; at < ${CHAIN}; at++) symlinkSync(at === ${CHAIN - 1} ? '/etc/os-release' : '/chain/l' + (at + 1), process.argv[1] + '/chain/l' + at)`;
  const script = 'mkdir "$1/m"; mount -o loop "$2" "$1/m"; "$3" -e "$4" "$1/m"; umount "$1/m"; rmdir "$1/m"';
  output('unshare', ['--mount', '--propagation', 'private', 'sh', '-ec', script, 'sh', folder, root, process.execPath, chain]);
  const deep = Array.from({ length: 60 }, () => ['mkdir ' + 'd'.repeat(100), `cd ${'d'.repeat(100)}`]).flat();
  writeFileSync(join(folder, 'commands'), ['cd /', ...deep, 'cd /', 'mknod disk b 254 0', 'mknod null c 1 3', `sif /etc/os-release mode 0104755`].join('\n'));
  output('debugfs', ['-w', '-f', join(folder, 'commands'), root]);
  const bytes = readFileSync(root);
  const at = bytes.indexOf(Buffer.from('\x02\x01xx'));
  bytes.write('..', at + 2); // a second ".." in /ups: whoever joins paths by hand goes up
  writeFileSync(root, bytes);
  output('sh', ['-ec', 'truncate -s "$2" "$1"', 'sh', image, String(242 * MIB)]);
  output('sfdisk', ['-q', image], 'label: dos\nlabel-id: 0x5f2d8c41\nstart=2048, size=81920, type=c\nstart=83968, size=409600, type=83\n');
  output('mkfs.vfat', ['-C', '-i', '5A7C1E20', fat, String(40 * 1024)]);
  writeFileSync(join(folder, 'cmdline.txt'), 'console=tty1 root=PARTUUID=5f2d8c41-02 rootwait\n');
  output('mcopy', ['-i', fat, join(folder, 'cmdline.txt'), '::']);
  for (const [part, start] of [[fat, 1], [root, 41]] as const) output('dd', [`if=${part}`, `of=${image}`, 'bs=1M', `seek=${start}`, 'conv=notrunc,sparse', 'status=none']);
  return image;
}

mounting('debugfs')('a hostile image never reaches the host', async () => {
  const folder = scratch();
  const host = guarded(folder);
  const image = hostileImage(folder, host.path);
  const before = host.state();
  const keep = readdirSync(folder);
  const loop = (...args: string[]): ReturnType<typeof rockberry> => rockberry([...args, '--backend', 'loop'], { cwd: folder });
  for (const path of ['/absolute/secret', '/relative/secret', '/etc/hostname', '/boot/etc/passwd', '/loop', '/chain/l0', '/disk', '/null', `/${'d'.repeat(100)}/`.repeat(60)]) {
    const { status, stdout } = await loop('cat', image, path);
    expect({ path, status, stdout }).toEqual({ path, status: expect.any(Number), stdout: '' });
    expect([2, 3]).toContain(status);
  }
  expect((await loop('cat', image, `/chain/l${CHAIN - 30}`)).stdout).toContain('Rocky Linux'); // a chain that Linux follows too
  for (const path of ['/absolute', '/relative', '/ups', '/chain', '/']) expect((await loop('ls', image, path)).stdout).not.toContain('of the host');
  await loop('get', image, '/ups', join(folder, 'got'));
  await loop('inspect', image);
  await loop('verify', image);
  const profile = join(folder, 'hostile.yaml');
  writeFileSync(profile, `name: hostile\ndescription: writes through the links\nvariables: {}\nsteps:\n${['/absolute/new', '/relative/new', '/etc/hosts', '/etc/hostname', '/boot/new', '/ups/../../../new'].map((path) => `  - files: [{ path: ${path}, content: mine }]\n`).join('')}`);
  for (const step of readFileSync(profile, 'utf8').split('\n').filter((line) => line.includes('- files'))) {
    writeFileSync(profile, `name: hostile\ndescription: writes through a link\nsteps:\n${step}\n`);
    const { status, stderr } = await loop('build', image, '-p', profile, '--force', '--image-only', '--no-cache', '-o', join(folder, 'out.img'));
    expect([0, 1, 2, 3, 4], stderr).toContain(status); // nothing unexpected
  }
  expect(host.state()).toEqual(before);
  expect(host.events()).toEqual([]);
  expect(existsSync(join(host.path, 'made'))).toBe(false);
  expect(leftovers(folder, [...keep, 'got', 'out.img', 'hostile.yaml'])).toMatchObject({ loops: [], processes: [], namespaces: [], files: [] });
}, 300_000);
