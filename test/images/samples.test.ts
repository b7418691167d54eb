/** The sample images are what images/README.md says: the facts' geometry, clean for every checker, labelled, and the same bytes each time. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { needs, oracleEnvironment, output, run } from '../support/oracle.js';
import { packedSample, sample, sampleNames, samplePrograms, type SampleName } from '../support/samples.js';

interface Partition { readonly start: number; readonly size: number; readonly type: string; readonly bootable?: boolean }
interface Table { readonly label: string; readonly id: string; readonly partitions: readonly Partition[] }

function tableOf(file: string): Table {
  return (JSON.parse(output('sfdisk', ['--json', file]).toString()) as { partitiontable: Table }).partitiontable;
}

const ROOTS: Record<SampleName, number> = {
  'rocky9-pi-sample': 2, 'rocky9-sbc-sample': 2, 'rocky10-sbc': 2, 'rpios-like': 1, 'ubuntu-like': 1, 'almalinux-like': 1, 'efi-grub-like': 1,
};

/** The root filesystem where it lies, as e2fsprogs name it. */
function rootOf(name: SampleName): string {
  const file = sample(name);
  return `${file}?offset=${tableOf(file).partitions[ROOTS[name]]!.start * 512}`;
}

const debugfs = (name: SampleName, request: string): string => output('debugfs', ['-R', request, rootOf(name)]).toString();

function fatOf(name: SampleName): string {
  const file = sample(name);
  return `${file}@@${tableOf(file).partitions[0]!.start * 512}`;
}

describe('every family', () => {
  for (const name of sampleNames) {
    needs(...samplePrograms, 'fsck.vfat')(`${name}: table, ext4 and FAT are clean`, () => {
      const file = sample(name);
      expect(run('sfdisk', ['--verify', file])).toMatchObject({ status: 0 });
      expect(run('e2fsck', ['-fn', rootOf(name)])).toMatchObject({ status: 0 });
      const [{ start, size }] = tableOf(file).partitions as [Partition];
      const folder = mkdtempSync(join(tmpdir(), 'rockberry-fat-'));
      try {
        const fat = join(folder, 'fat');
        execFileSync('dd', [`if=${file}`, `of=${fat}`, 'bs=1M', `skip=${start / 2048}`, `count=${size / 2048}`, 'conv=sparse'], { stdio: 'ignore' });
        expect(run('fsck.vfat', ['-n', fat])).toMatchObject({ status: 0 });
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});

describe('rocky9-pi-sample, the legacy family', () => {
  needs(...samplePrograms)('the geometry of appliance-creator, sector by sector', () => {
    const file = sample('rocky9-pi-sample');
    expect(statSync(file).size).toBe(7397376 * 512);
    const { label, id, partitions } = tableOf(file);
    expect({ label, id }).toEqual({ label: 'dos', id: '0x5f2d8c41' });
    expect(partitions.map(({ start, size, type, bootable }) => [start, size, type, bootable ?? false])).toEqual([
      [8192, 585728, 'c', true], [593920, 999424, '82', false], [1593344, 5469157, '83', false],
    ]);
  });

  needs(...samplePrograms, 'dumpe2fs', 'minfo', 'mtype', 'blkid')('the filesystems of appliance-creator', () => {
    const features = output('dumpe2fs', ['-h', rootOf('rocky9-pi-sample')]).toString();
    expect(features).toMatch(/^Filesystem volume name: +_\/$/m);
    expect(features).toMatch(/^Block count: +683644$/m);
    expect(features).toMatch(/^Filesystem features: +has_journal ext_attr resize_inode dir_index filetype extent 64bit flex_bg sparse_super large_file huge_file dir_nlink extra_isize metadata_csum$/m);
    expect(features).toMatch(/^Default mount options: +user_xattr acl$/m);
    expect(features).toMatch(/^Reserved block count: +6836$/m);
    expect(features).toMatch(/^Maximum mount count: +-1$/m);
    expect(features).toMatch(/^Journal start: +0$/m);
    const fat = output('minfo', ['-i', fatOf('rocky9-pi-sample')]).toString();
    for (const line of ['cluster size: 16 sectors', 'reserved (boot) sectors: 16', 'max available root directory slots: 512', 'disk type="FAT16   "', 'disk label="NO NAME    "']) expect(fat).toContain(line);
    expect(execFileSync('mtype', ['-i', fatOf('rocky9-pi-sample'), '::/cmdline.txt'], { env: oracleEnvironment }).toString()) // with its final newline
      .toBe('console=ttyAMA0,115200 console=tty1 root=PARTUUID=5f2d8c41-03 rootfstype=ext4 elevator=deadline rootwait\n');
    expect(run('mtype', ['-i', fatOf('rocky9-pi-sample'), '::/config.txt']).status).not.toBe(0);
    expect(output('blkid', ['-p', '-O', String(593920 * 512), '-o', 'export', sample('rocky9-pi-sample')]).toString()).toMatch(/LABEL=_swap\nUUID=7d0e3c2f[^]*TYPE=swap/);
  });

  needs(...samplePrograms)('modes, owners, an empty machine-id, a hashed directory, and the policy\'s label on every file', () => {
    expect(debugfs('rocky9-pi-sample', 'stat /etc/shadow')).toMatch(/Mode: {2}0000[^]*User: +0 +Group: +0[^]*system_u:object_r:shadow_t:s0\\000/);
    expect(debugfs('rocky9-pi-sample', 'stat /home/rocky')).toMatch(/Mode: {2}0700[^]*User: +1000 +Group: +1000/);
    expect(debugfs('rocky9-pi-sample', 'stat /etc/machine-id')).toMatch(/Size: 0\n/);
    expect(debugfs('rocky9-pi-sample', 'stat /usr/share/licenses/sample')).toMatch(/Flags: 0x81000/); // EXTENTS | INDEX
    const wanted: [string, string][] = [['/', 'root_t'], ['/home/rocky', 'user_home_dir_t'], ['/etc/fstab', 'etc_t'], ['/etc/systemd/system/multi-user.target.wants/sshd.service', 'systemd_unit_file_t'],
      ['/etc/hostname', 'hostname_etc_t'], ['/etc/passwd', 'passwd_file_t'], ['/bin', 'bin_t'], ['/lost+found', 'lost_found_t'], ['/usr/bin/bash', 'shell_exec_t']];
    for (const [path, type] of wanted) expect(`${path} ${debugfs('rocky9-pi-sample', `ea_get ${path} security.selinux`)}`).toContain(`:${type}:s0`);
  });

  needs(...samplePrograms, 'xz', 'cmp')('the committed file holds what the script makes', () => {
    expect(run('sh', ['-c', 'xz -dc -T2 "$1" | cmp - "$2"', 'sh', packedSample('rocky9-pi-sample'), sample('rocky9-pi-sample')])).toEqual({ status: 0, output: '' });
  });
});

describe('the kiwi family', () => {
  needs(...samplePrograms, 'mtype')('MBR with type 0c, found by label, and [pi5] as the last section of config.txt', () => {
    const { label, partitions } = tableOf(sample('rocky9-sbc-sample'));
    expect(label).toBe('dos');
    expect(partitions.map(({ start, size, type }) => [start, size, type])).toEqual([[2048, 1024000, 'c'], [1026048, 1048576, '82'], [2074624, 5451776, '83']]);
    expect(output('mtype', ['-i', fatOf('rocky9-sbc-sample'), '::/config.txt']).toString()).toMatch(/\n\[pi5\]\ndtoverlay=vc4-kms-v3d\n$/);
    expect(output('mtype', ['-i', fatOf('rocky9-sbc-sample'), '::/cmdline.txt']).toString()).toContain('root=LABEL=RPIROOT');
    expect(debugfs('rocky9-sbc-sample', 'cat /etc/fstab')).toContain('LABEL=EFI /boot/efi vfat');
  });

  needs(...samplePrograms)('Rocky 10 keeps its GPT', () => {
    const { label, partitions } = tableOf(sample('rocky10-sbc'));
    expect(label).toBe('gpt');
    expect(partitions[0]).toMatchObject({ start: 2048, type: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B' });
  });
});

describe('what Kubernetes asks for', () => {
  const boards = { 'rocky9-pi-sample': ['bcm2710-rpi-3-b', 'bcm2711-rpi-4-b'], 'rocky9-sbc-sample': ['bcm2710-rpi-3-b', 'bcm2711-rpi-4-b', 'bcm2712-rpi-5-b'] } as const;
  for (const name of ['rocky9-pi-sample', 'rocky9-sbc-sample'] as const) {
    needs(...samplePrograms, 'mtype', 'fdtget', 'dtc')(`${name}: device trees as dtc writes them, with bootargs`, () => {
      const folder = mkdtempSync(join(tmpdir(), 'rockberry-dtb-'));
      try {
        for (const board of boards[name]) {
          const [ours, theirs] = [join(folder, 'ours.dtb'), join(folder, 'theirs.dtb')];
          writeFileSync(ours, output('mtype', ['-i', fatOf(name), `::/${board}.dtb`]));
          writeFileSync(theirs, output('dtc', ['-q', '-I', 'dts', '-O', 'dtb'], output('dtc', ['-q', '-I', 'dtb', '-O', 'dts', ours])));
          expect(readFileSync(ours), board).toEqual(readFileSync(theirs));
          const words = output('fdtget', [ours, '/chosen', 'bootargs']).toString().trim().split(' ');
          expect([words.includes('coherent_pool=1M'), words.includes('cgroup_disable=memory')], board).toEqual([true, name === 'rocky9-sbc-sample']);
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    needs(...samplePrograms, 'mtype')(`${name}: kernel files, modules and configurations are of the same releases`, () => {
      const releases = [...debugfs(name, 'ls -p /usr/lib/modules').matchAll(/^\/\d+\/\d+\/\d+\/\d+\/(\d[^/]*)\//gm)].map(([, release]) => release!);
      const kernels = name === 'rocky9-pi-sample' ? ['kernel8.img'] : ['kernel8.img', 'kernel_2712.img'];
      const images = kernels.map((kernel) => output('mtype', ['-i', fatOf(name), `::/${kernel}`]));
      expect(images.map((image) => /Linux version (\S+) /.exec(image.toString('latin1'))?.[1]).sort()).toEqual([...releases].sort());
      expect(images.map((image) => [image.readUInt32LE(56).toString(16), (image[24]! >> 1) & 3])).toEqual(kernels.map((kernel) => ['644d5241', kernel === 'kernel8.img' ? 1 : 2]));
      for (const release of releases) {
        const config = name === 'rocky9-pi-sample' ? output('mtype', ['-i', fatOf(name), `::/config-${release}`]).toString() : debugfs(name, `cat /boot/config-${release}`);
        for (const flag of ['MEMCG=y', 'CGROUP_PIDS=y', 'NETFILTER_XT_MATCH_COMMENT=m', 'BRIDGE_NETFILTER=m', 'OVERLAY_FS=m', 'KEYS=y']) expect(config).toContain(`\nCONFIG_${flag}\n`);
        expect(config).toContain('\n# CONFIG_CGROUP_HUGETLB is not set\n');
        expect(config.includes('\nCONFIG_CFS_BANDWIDTH=y\n')).toBe(name !== 'rocky9-pi-sample');
        const modules = new Map(debugfs(name, `cat /usr/lib/modules/${release}/modules.dep`).split('\n').filter((line) => line.includes(':')).map((line) => {
          const [path, ...needed] = line.split(/:? /);
          return [path!.replace(/:$/, ''), needed] as const;
        }));
        const names = new Set([...modules.keys()].map((path) => path.replace(/.*\/(.*)\.ko\.xz$/, '$1')));
        for (const wanted of ['overlay', 'br_netfilter', 'vxlan', 'dummy', 'ip_vs_wlc', 'nf_conntrack_netlink', 'ip_set_hash_ip', 'xt_set', 'ipt_REJECT', 'nft_compat', 'veth', 'geneve']) expect([...names]).toContain(wanted);
        expect([...modules.values()].flat().filter((path) => !modules.has(path)), 'every module that is needed is there').toEqual([]);
        for (const path of [...modules.keys()].filter((_, at) => at % 25 === 0)) expect(debugfs(name, `stat /usr/lib/modules/${release}/${path}`), path).toContain('Type: regular');
      }
    });
  }

  needs(...samplePrograms, 'openssl')('the public password is the one that everybody knows', () => {
    const [, salt] = /^rocky:\$6\$([^$]+)\$/m.exec(debugfs('rocky9-pi-sample', 'cat /etc/shadow'))!;
    expect(debugfs('rocky9-pi-sample', 'cat /etc/shadow')).toContain(`rocky:${output('openssl', ['passwd', '-6', '-salt', salt!, 'rockylinux']).toString().trim()}:`);
  });
});

describe('the siblings', () => {
  needs(...samplePrograms, 'cmp')('two runs give the same bytes', () => {
    const folder = mkdtempSync(join(tmpdir(), 'rockberry-again-'));
    try {
      const again = join(folder, 'again.img');
      execFileSync(process.execPath, ['images/make-samples.mjs', 'make', 'almalinux-like', again]);
      expect(run('cmp', [again, sample('almalinux-like')])).toEqual({ status: 0, output: '' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  needs(...samplePrograms, 'mtype')('each has its own trap', () => {
    expect(debugfs('rpios-like', 'cat /boot/cmdline.txt')).toMatch(/^DO NOT EDIT THIS FILE\n\n/);
    expect(output('mtype', ['-i', fatOf('ubuntu-like'), '::/config.txt']).toString()).toContain('os_prefix=current/');
    expect(output('mtype', ['-i', fatOf('ubuntu-like'), '::/current/cmdline.txt']).toString()).toContain('root=LABEL=writable');
    expect(run('mtype', ['-i', fatOf('ubuntu-like'), '::/cmdline.txt']).status).not.toBe(0);
    expect(output('mtype', ['-i', fatOf('almalinux-like'), '::/user-data']).toString()).toContain('#cloud-config');
    expect(run('mtype', ['-i', fatOf('efi-grub-like'), '::/cmdline.txt']).status).not.toBe(0);
    expect(output('mtype', ['-i', fatOf('efi-grub-like'), '::/EFI/BOOT/grub.cfg']).toString()).toContain('configfile');
  });

  needs('xz')('the committed files are whole, and small', () => {
    for (const name of ['rocky9-pi-sample', 'rocky9-sbc-sample'] as const) {
      expect(existsSync(packedSample(name))).toBe(true);
      expect(statSync(packedSample(name)).size).toBeLessThan(1e6);
      if (name === 'rocky9-sbc-sample') expect(run('xz', ['-t', packedSample(name)])).toMatchObject({ status: 0 }); // the other one is compared byte by byte
      expect(readFileSync(packedSample(name)).subarray(0, 6)).toEqual(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]));
    }
  });
});
