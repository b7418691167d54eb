/** Kernel configurations, as text and inside kernels packed by the real gzip; modules against the real depmod and modprobe. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { aliasedModules, embeddedConfig, kernelPageSize, parseKernelConfig, parseModules, searchKernel } from '../../src/verify/formats/kernel-config.js';
import { canLoad, configOf, hasModule, isConfigVisible, mechanismOf, versionOf } from '../../src/verify/kernel-facts.js';
import { needs, output, run } from '../support/oracle.js';
import { memoryNode, type Files } from './node.js';

const CONFIG = '#\n# Linux/arm64 6.1.31 Kernel Configuration\n#\nCONFIG_MEMCG=y\nCONFIG_OVERLAY_FS=m\n# CONFIG_PSI is not set\nCONFIG_HZ=250\n';
const RELEASE = '6.1.31-v8.1.el9.altarch';
const banner = (release: string): string => `Linux version ${release} (mockbuild@x) (gcc (GCC) 11.3.1) #1 SMP PREEMPT\n\0`;
const packed = (text: string | Uint8Array): Buffer => output('gzip', ['-9nc'], typeof text === 'string' ? Buffer.from(text) : text);
const marked = (data: Uint8Array): Buffer => Buffer.concat([Buffer.from('IKCFG_ST'), data, Buffer.from('IKCFG_ED')]);

/** An arm64 Image: a header, a banner and what else it should have, spread over some megabytes of noise that has no mark in it. */
function kernel({ release = RELEASE, pages = 0, parts = [] as (string | Uint8Array)[], size = 3 << 20 } = {}): Buffer {
  const image = Buffer.alloc(size);
  for (let at = 64; at + 4 <= size; at += 4) image.writeUInt32LE((at * 2654435761) >>> 0 & 0x7f7f7f7f, at);
  image.writeUInt8(8 | (pages << 1), 24);
  image.writeUInt32LE(0x644d5241, 56);
  let at = 70_001;
  for (const part of [banner(release), ...parts]) at += 70_001 + image.write(Buffer.from(part).toString('latin1'), at, 'latin1');
  return image;
}

describe('the text', () => {
  test('y, m and n count; numbers, texts and comments do not', () => {
    expect([...parseKernelConfig('CONFIG_A=y\n CONFIG_B_2=m \r\nCONFIG_C=n\nCONFIG_D=250\nCONFIG_E="yes"\n# CONFIG_F is not set\n#CONFIG_G=y\nCONFIG_h=y\nxCONFIG_I=y\nCONFIG_J=\n')])
      .toEqual([['A', 'y'], ['B_2', 'm'], ['C', 'n']]);
    expect(parseKernelConfig('CONFIG_A=y\nCONFIG_A=n\n').get('A')).toBe('n');
    expect(parseKernelConfig('').size).toBe(0);
  });
});

describe('inside a kernel', () => {
  needs('gzip')('the configuration between the marks, wherever pieces end', () => {
    const image = kernel({ parts: [marked(packed(CONFIG)), 'cgroup_enable=\0'] });
    for (const size of [1 << 20, 65_536, 99_991, 999, image.length]) {
      const pieces = Array.from({ length: Math.ceil(image.length / size) }, (_, at) => image.subarray(at * size, (at + 1) * size));
      expect(searchKernel(pieces)).toEqual({ config: CONFIG, knowsCgroupEnable: true });
    }
  });

  needs('gzip')('the same in any place and any pieces (seed printed on failure)', () => {
    const body = marked(packed(CONFIG));
    fc.assert(fc.property(fc.nat(3000), fc.integer({ min: 1, max: 700 }), fc.boolean(), (before, size, isFirst) => {
      const parameter = Buffer.from('cgroup_enable=\0');
      const image = Buffer.concat([Buffer.alloc(before, 'x'), isFirst ? parameter : Buffer.alloc(0), body, isFirst ? Buffer.alloc(0) : parameter, Buffer.alloc(100)]);
      const pieces = Array.from({ length: Math.ceil(image.length / size) }, (_, at) => image.subarray(at * size, (at + 1) * size));
      expect(searchKernel(pieces)).toEqual({ config: CONFIG, knowsCgroupEnable: true });
    }), { numRuns: 100 });
  });

  needs('gzip')('marks without a configuration are passed over', () => {
    const good = marked(packed(CONFIG));
    expect(embeddedConfig(Buffer.concat([Buffer.from('IKCFG_ST is the mark'), good]))).toBe(CONFIG);
    expect(embeddedConfig(marked(Buffer.from('no gzip')))).toBeUndefined();
    expect(embeddedConfig(marked(packed(CONFIG).subarray(0, 40)))).toBeUndefined(); // half a configuration would look as if options were missing
    const damaged = packed(CONFIG);
    damaged[20]! ^= 0xff;
    expect(embeddedConfig(marked(damaged))).toBeUndefined();
    expect(embeddedConfig(Buffer.alloc(0))).toBeUndefined();
  });

  needs('gzip')('one that unpacks to more than any configuration has is left alone, and a file full of marks is soon over', () => {
    expect(embeddedConfig(marked(packed(Buffer.alloc(5 << 20))))).toBeUndefined();
    const packed0 = packed('');
    const marks = Buffer.concat(Array.from({ length: 40_000 }, () => marked(packed0)));
    const started = process.hrtime.bigint();
    expect(searchKernel(Array.from({ length: 300 }, () => marks)).config).toBeUndefined();
    expect(Number(process.hrtime.bigint() - started) / 1e9).toBeLessThan(5);
  });

  test('cgroup_enable= is known, unknown, or cannot be told', () => {
    expect(searchKernel([kernel({ parts: ['cgroup_enable=\0'] })]).knowsCgroupEnable).toBe(true);
    expect(searchKernel([kernel({ parts: ['cgroup_enable=memory in a help text'] })]).knowsCgroupEnable).toBe(false);
    expect(searchKernel([kernel({ size: 1 << 20 })]).knowsCgroupEnable).toBeUndefined();
    expect(searchKernel([])).toEqual({ config: undefined, knowsCgroupEnable: undefined });
  });

  needs('gzip')('the page size, packed or not', () => {
    expect([0, 1, 2, 3].map((pages) => kernelPageSize(kernel({ pages }).subarray(0, 4096)))).toEqual([undefined, 4096, 16384, 65536]);
    expect([1, 2].map((pages) => kernelPageSize(packed(kernel({ pages })).subarray(0, 4096)))).toEqual([4096, 16384]);
    expect(kernelPageSize(Buffer.from('placeholder for a kernel'))).toBeUndefined();
    expect(kernelPageSize(Buffer.alloc(4096))).toBeUndefined();
    expect(kernelPageSize(Buffer.from([0x1f, 0x8b, 8, 0]))).toBeUndefined();
  });
});

describe('lists of modules', () => {
  test('every kind of packing, "-" as "_", needed modules not counted', () => {
    expect([...parseModules('kernel/a/one.ko: kernel/x/no.ko\nkernel/b/two-2.ko.xz:\nthree.ko.gz:\nk/four.ko.zst: k/one.ko\nk/five.ko.bz2:\nkernel/net/six.ko\n\nkernel/y/seven.ko.lz: x\nnothing\n')])
      .toEqual(['one', 'two_2', 'three', 'four', 'five', 'six']);
  });

  test('aliases', () => {
    const text = '# Aliases\nalias fs-overlay overlay\nalias char-major-10-* misc_*\nalias of:N*T*Cbrcm,x* hardware\nalias ip6?_tables ip6_tables\n';
    expect(aliasedModules(text, 'fs_overlay')).toEqual(['overlay']);
    expect(aliasedModules(text, 'char-major-10-200')).toEqual(['misc_*']);
    expect(aliasedModules(text, 'hardware')).toEqual([]);
    expect(aliasedModules(text, 'of:Nx')).toEqual([]);
  });

  needs('depmod', 'modprobe', 'gcc')('what modprobe finds, and what it does not', () => {
    const folder = mkdtempSync(join(tmpdir(), 'modules-'));
    const root = `/lib/modules/${RELEASE}`;
    const at = (path: string): string => join(folder, root, path);
    const modules: Record<string, string> = { 'kernel/fs/overlayfs/overlay': 'alias=fs-overlay', 'kernel/net/bridge/br_netfilter': '', 'kernel/net/dash-ed': '', 'kernel/net/under_scored': 'alias=net-pf-16-proto-*' };
    for (const [path, info] of Object.entries(modules)) {
      mkdirSync(dirname(at(path)), { recursive: true });
      output('gcc', ['-x', 'c', '-c', '-o', at(`${path}.ko`), '-'], `__attribute__((section(".modinfo"), used)) static const char info[] = "license=GPL\\0${info}";\n`);
    }
    writeFileSync(at('modules.order'), Object.keys(modules).map((path) => `${path}.ko\n`).join(''));
    writeFileSync(at('modules.builtin'), 'kernel/fs/ext4/ext4.ko\nkernel/crypto/sha1-generic.ko\n');
    output('depmod', ['-b', folder, RELEASE]);
    const files: Files = Object.fromEntries(['modules.dep', 'modules.builtin', 'modules.alias'].map((name) => [`${root}/${name}`, output('cat', [at(name)]).toString('latin1')]));
    const node = memoryNode(files);
    const names = ['overlay', 'br_netfilter', 'br-netfilter', 'dash-ed', 'dash_ed', 'under-scored', 'under_scored', 'ext4', 'sha1_generic', 'sha1-generic', 'fs-overlay', 'fs_overlay', 'net-pf-16-proto-31',
      'net_pf_16_proto_31', 'nothing', 'overlay2', 'over', 'ext', 'kernel/fs/overlayfs/overlay'];
    const said = names.map((name) => [name, run('modprobe', ['-d', folder, '-S', RELEASE, '--show-depends', name]).status === 0]);
    expect(said.filter(([, found]) => found).length).toBeGreaterThan(10);
    expect(names.map((name) => [name, canLoad(node, node.kernels()[0]!, name)])).toEqual(said);
    rmSync(folder, { recursive: true });
  });
});

describe('of an image\'s kernel', () => {
  const modules = { [`/lib/modules/${RELEASE}/modules.dep`]: 'kernel/kernel/configs.ko.xz:\n' };
  const of = (files: Files, bootDirectory = '/boot'): ReturnType<typeof configOf> => configOf(memoryNode({ ...modules, ...files }, { bootDirectory }), RELEASE);

  test.each([
    `/boot/config-${RELEASE}`, `/usr/src/linux-${RELEASE}/.config`, '/usr/src/linux/.config', `/usr/lib/modules/${RELEASE}/config`, `/usr/lib/ostree-boot/config-${RELEASE}`, `/usr/lib/kernel/config-${RELEASE}`,
    `/usr/src/linux-headers-${RELEASE}/.config`, `/lib/modules/${RELEASE}/build/.config`, `/boot/efi/config-${RELEASE}`,
  ])('the configuration in %s', (path) => {
    expect(of({ [path]: CONFIG }, '/boot/efi')).toMatchObject({ path, options: new Map([['MEMCG', 'y'], ['OVERLAY_FS', 'm']]) });
  });

  test('the first that kubeadm would find counts', () => {
    expect(of({ [`/usr/lib/modules/${RELEASE}/config`]: '', [`/boot/config-${RELEASE}`]: CONFIG })?.path).toBe(`/boot/config-${RELEASE}`);
    expect(of({ '/boot/config-6.1.30': CONFIG })).toBeUndefined();
  });

  needs('gzip')('the configuration in the module configs and in the kernel, of the same release only', () => {
    const data = marked(packed(CONFIG));
    const module = `/lib/modules/${RELEASE}/kernel/kernel/configs.ko`;
    expect(of({ [module]: { content: Buffer.concat([Buffer.from('\x7fELF'), data]) } })?.path).toBe(module);
    for (const content of [kernel({ parts: [data] }), packed(kernel({ parts: [data] }))]) {
      expect(of({ '/boot/kernel8.img': { content } })).toMatchObject({ path: '/boot/kernel8.img', options: new Map([['MEMCG', 'y'], ['OVERLAY_FS', 'm']]) });
    }
    expect(of({ '/boot/kernel8.img': { content: kernel({ release: '6.1.30-v8', parts: [data] }) } })).toBeUndefined();
    expect(of({ [`/lib/modules/${RELEASE}/vmlinuz`]: { content: kernel({ parts: [data] }) } })?.path).toBe(`/lib/modules/${RELEASE}/vmlinuz`);
    expect(of({ '/boot/kernel8.img': { content: packed(kernel({ parts: [data] })).subarray(0, 100_000) } })).toBeUndefined();
  });

  test('kubeadm finds a file where it looks, or a kernel that shows its configuration', () => {
    const sees = (files: Files, dep = ''): boolean => {
      const node = memoryNode({ [`/lib/modules/${RELEASE}/modules.dep`]: dep, ...files }, { bootDirectory: '/boot/efi' });
      return isConfigVisible(node, node.kernels()[0]!);
    };
    expect(sees({ [`/boot/config-${RELEASE}`]: CONFIG })).toBe(true);
    expect(sees({ [`/boot/efi/config-${RELEASE}`]: CONFIG })).toBe(false);
    expect(sees({ [`/boot/efi/config-${RELEASE}`]: `${CONFIG}CONFIG_IKCONFIG=y\n` })).toBe(true);
    expect(sees({ [`/boot/efi/config-${RELEASE}`]: `${CONFIG}CONFIG_IKCONFIG=m\n` })).toBe(false);
    expect(sees({ [`/boot/efi/config-${RELEASE}`]: `${CONFIG}CONFIG_IKCONFIG=m\n` }, 'kernel/kernel/configs.ko.xz:\n')).toBe(true);
    expect(sees({})).toBe(false);
    expect(sees({}, 'kernel/kernel/configs.ko:\n')).toBe(true);
  });

  test('a module is a file, built in, or built in by its option', () => {
    const node = memoryNode({ [`/lib/modules/${RELEASE}/modules.dep`]: 'kernel/a.ko.xz:\n', [`/lib/modules/${RELEASE}/modules.builtin`]: 'kernel/b.ko\n', [`/boot/config-${RELEASE}`]: 'CONFIG_C=y\nCONFIG_D=m\n' });
    const has = (name: string, options: string[] = []): boolean => hasModule(node, node.kernels()[0]!, name, options);
    expect([has('a'), has('b'), has('c', ['C']), has('d', ['D']), has('e', ['E']), has('c')]).toEqual([true, true, true, false, false, false]);
  });

  test('versions', () => {
    expect(['6.12.25-v8', '6.1-rc1', '5.14.0-570.el9.aarch64', 'x'].map(versionOf)).toEqual([[6, 12, 25], [6, 1, 0], [5, 14, 0], [0, 0, 0]]);
  });
});

describe('which row of the memory table holds for a kernel', () => {
  const row = (release: string, files: Files = {}): string | undefined => mechanismOf(memoryNode({ [`/lib/modules/${release}/modules.dep`]: '', ...files }), release)?.id;

  test.each([
    ['6.1.31-v8.1.el9.altarch', 'rpi-default-off'], ['6.6.74+rpt-rpi-2712', 'rpi-default-off'], ['6.1.74-v8-16k+', 'rpi-default-off'], ['5.10.110-v7l+', 'rpi-default-off'], ['6.1.0-rpi8-rpi-2712', 'rpi-default-off'],
    ['6.12.1-v8', 'rpi-gap'], ['6.12.4-v8+', 'rpi-ordered'], ['6.12.34+rpt-rpi-v8', 'rpi-ordered'], ['6.12.25-v8.1.el9.altarch', 'rpi-ordered'], ['7.0.0-v8', 'rpi-ordered'],
    ['5.14.0-570.el9.aarch64', 'upstream'], ['6.5.0-1013-raspi', 'upstream'], ['6.12.94+deb13-cloud-arm64', 'upstream'], ['6.11.4-301.fc41.aarch64', 'upstream'],
    ['6.6.70', undefined], ['6.12.20-my-own', undefined],
  ])('%s: %s', (release, id) => {
    expect(row(release)).toBe(id);
  });

  test('where the name leaves a doubt the kernel\'s own file tells', () => {
    const file = (release: string, parts: string[] = []): Files => ({ '/boot/kernel8.img': { content: kernel({ release, parts }) } });
    const known = ['cgroup_enable=\0'];
    expect([row('6.6.70', file('6.6.70', known)), row('6.6.70', file('6.6.70'))]).toEqual(['rpi-default-off', 'upstream']);
    expect([row('6.12.20-my-own', file('6.12.20-my-own', known)), row('6.12.20-my-own', file('6.12.20-my-own'))]).toEqual(['rpi-ordered', 'upstream']);
    expect([row('6.12.1-v8', file('6.12.1-v8', known)), row('6.12.1-v8', file('6.12.1-v8'))]).toEqual(['rpi-ordered', 'rpi-gap']);
    expect(row('6.6.70', file('6.6.71', known))).toBeUndefined();
  });
});
