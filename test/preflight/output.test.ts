import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execaSync } from 'execa';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { needs, oracleEnvironment, run } from '../support/oracle.js';
import { CGROUP2, HEALTHY, MODULES, SCRIPT, SHELLS, answering, mounts, onDisk, preflightIn, type Node, type Result } from './node.js';

const seed = Number(process.env.ROCKBERRY_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** The vendor's image as it comes: memory off, swap on, firewalld on, nothing loaded or set. */
const VENDOR: Node = {
  ...HEALTHY,
  '/proc/cmdline': 'console=ttyAMA0,115200 console=tty1 root=PARTUUID=6c586e13-03 rootfstype=ext4 elevator=deadline rootwait\n',
  '/boot/cmdline.txt': 'console=ttyAMA0,115200 console=tty1 root=PARTUUID=6c586e13-03 rootfstype=ext4 elevator=deadline rootwait\n',
  '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io pids\n',
  '/proc/swaps': 'Filename Type Size Used Priority\n/dev/mmcblk0p2 partition 499708 0 -2\n',
  '/sys/fs/cgroup/system.slice/firewalld.service': { directory: true },
};

/** What no one should find in a file, in all of those whose text comes into the report. */
const NASTY = 'a"b\\c\\n$(touch /tmp/x)`id`\u001b[31m\t%s%n\r\u0007 é';
const BYTES = Uint8Array.from([0x22, 0x5c, 0xff, 0xfe, 0x00, 0x1b, 0x5b, 0x32, 0x4a, 0x0a, 0x22, 0xc3, 0x28, 0x80, 0x09, 0x0d, 0x25, 0x73]);
const hostile = (content: string | Uint8Array): Node => ({
  ...VENDOR, '/proc/sys/kernel/hostname': content, '/proc/device-tree/model': content, '/proc/cmdline': content, '/etc/fstab': typeof content === 'string' ? `${content.replaceAll(/\s/g, '_')} swap swap x 0 0\n` : content,
  '/proc/swaps': typeof content === 'string' ? `Filename\n${content}\n` : content, '/etc/resolv.conf': typeof content === 'string' ? `nameserver ${content}\n` : content, '/boot/config.txt': `cmdline=${String(content)}\n`,
  '/run/rockberry/answers/date': content, '/run/rockberry/answers/df': content, '/run/rockberry/answers/timedatectl': content, '/etc/machine-id': content, '/proc/meminfo': content,
});

describe.each(SHELLS)('$name', (shell) => {
  const given = needs(...shell.programs);

  given('a table that fits 80 columns', () => {
    const { status, stdout, stderr } = onDisk(VENDOR, (root) => preflightIn(root, [], shell));
    const lines = stdout.split('\n');
    expect({ status, stderr, long: lines.filter((line) => line.length > 80) }).toEqual({ status: 1, stderr: '', long: [] });
    expect(lines.slice(0, 4)).toEqual(['rockberry-preflight on node1, kernel 6.12.34-v8.1.el9, Raspberry Pi 4 Model B', '  Rev 1.4', 'for kubespray, worker, Kubernetes 1.36', '']);
    expect(stdout).toContain(`
FAIL  cgroup-memory        the memory controller is off: cgroup_enable=memory is
                           not on the kernel command line
                           -> add "cgroup_enable=cpuset cgroup_memory=1
                              cgroup_enable=memory" to the end of the one line
                              of /boot/cmdline.txt and reboot
`);
    expect(stdout).toContain('\nok    dns                  the name server is 192.0.2.1\n');
    expect(lines.slice(-2)).toEqual(['fail: 2 failed, 1 warned, 1 to know, 1 skipped, 29 ok', '']);
  });

  given.each([['text', NASTY], ['bytes', BYTES], ['a long word', 'x'.repeat(5000)], ['percent signs', '%s%n%d%5$s'], ['nothing', '']])('whatever the files hold, one document of printable ASCII: %s', (_, content) => {
    onDisk(hostile(content), (root) => {
      const { status, stdout, stderr } = preflightIn(root, ['--json'], shell);
      expect({ status, stderr }).toEqual({ status: 1, stderr: '' });
      expect(stdout).toMatch(/^[\n -~]+$/);
      const { checks, summary } = JSON.parse(stdout) as Result;
      expect(checks.map(({ status }) => status).every((word) => word in summary)).toBe(true);
      expect(Object.values(summary).reduce((sum, count) => sum + count)).toBe(checks.length);
      expect(checks).toHaveLength(34);
      const table = preflightIn(root, [], shell);
      expect(table.stdout).toMatch(/^[\n -~]+$/);
      expect(table.stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
      expect(existsSync('/tmp/x') && statSync('/tmp/x').size === 0 ? 'a command was run' : '').toBe('');
    });
  });

  given('--strict: warnings fail', () => {
    const warned: Node = { ...HEALTHY, '/proc/sys/net/ipv4/ip_forward': '0\n' };
    expect(onDisk(warned, (root) => [[], ['--strict']].map((args) => preflightIn(root, args, shell).status))).toEqual([0, 1]);
    expect(onDisk({ ...HEALTHY, '/proc/pressure/memory': null }, (root) => preflightIn(root, ['--strict'], shell).status)).toBe(0);
  });

  given('--console: one line, and no more than that', () => {
    const said = (node: Node): string => onDisk(node, (root) => (preflightIn(root, ['--console'], shell), readFileSync(join(root, 'dev/console'), 'utf8')));
    expect(said(VENDOR)).toBe('rockberry-preflight: FAIL: cgroup-memory swap; run rockberry-preflight for more\n');
    expect(said({ ...HEALTHY, '/proc/sys/net/ipv4/ip_forward': '0\n' })).toBe('rockberry-preflight: passed, with warnings: sysctl-forward\n');
    expect(said(HEALTHY)).toBe('rockberry-preflight: passed\n');
    expect(onDisk({ ...HEALTHY, '/dev/console': null }, (root) => preflightIn(root, ['--console'], shell))).toMatchObject({ status: 0, stderr: '' });
  });

  given('--result: the document, all or nothing', () => onDisk(VENDOR, (root) => {
    const file = join(root, 'run/preflight.json');
    mkdirSync(join(root, 'run'), { recursive: true });
    writeFileSync(file, 'old');
    const printed = preflightIn(root, ['--json', '--result', file], shell);
    expect(readFileSync(file, 'utf8')).toBe(printed.stdout);
    expect(preflightIn(root, [`--result=${file}`], shell).status).toBe(1);
    expect({ text: readFileSync(file, 'utf8'), mode: statSync(file).mode & 0o777 }).toEqual({ text: printed.stdout, mode: 0o644 });
    for (const place of [join(root, 'nowhere/preflight.json'), join(root, 'run')]) {
      const { status, stderr } = preflightIn(root, ['--result', place], shell);
      expect({ status, stderr }).toEqual({ status: 2, stderr: `rockberry-preflight: expected a place for the result, found that ${place} cannot be written\n` });
    }
    expect([...readdirSync(join(root, 'run')), ...readdirSync(root)].filter((name) => name.includes('.json.') || name.startsWith('run.'))).toEqual([]);
  }));

  given.each([
    [['--role', 'master'], 'expected control-plane or worker as the role, found "master"'], [['--for', 'docker'], 'expected one of kubespray, kubeadm, k3s, rke2, found "docker"'],
    [['--kubernetes', '2'], 'expected a version of Kubernetes such as 1.36, found "2"'], [['--kubernetes', '1.36\n1.35'], 'found "1.36 1.35"'], [['--role'], 'expected a value after --role, found none'],
    [['--jsonn'], 'expected an option, found "--jsonn"'], [['now'], 'expected an option, found "now"'], [['--result='], 'expected a file after --result, found ""'], [['--json=yes'], 'found "yes"'], [['\u001b[2J'], 'found "?[2J"'],
  ])('refuses %j', (args, message) => {
    const { status, stdout, stderr } = onDisk(HEALTHY, (root) => preflightIn(root, args, shell));
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^rockberry-preflight: [ -~]+\n$/);
  });

  given('defaults from /etc/rockberry/preflight.conf; options come first', () => {
    const asked = (conf: string, args: string[] = []): Partial<Result> => onDisk({ ...HEALTHY, '/etc/rockberry/preflight.conf': conf }, (root) => {
      const { for: tool, role, kubernetes } = JSON.parse(preflightIn(root, ['--json', ...args], shell).stdout) as Result;
      return { for: tool, role, kubernetes };
    });
    expect(asked('# of the profile\nrole=control-plane\n for = k3s \nkubernetes=v1.34.2+k3s1\n')).toEqual({ for: 'k3s', role: 'control-plane', kubernetes: '1.34.2+k3s1' });
    expect(asked('role=control-plane\nrole=worker\n')).toEqual({ for: 'kubespray', role: 'worker', kubernetes: '1.36' });
    expect(asked('role=control-plane\n', ['--role', 'worker', '--for', 'rke2'])).toMatchObject({ for: 'rke2', role: 'worker' });
    expect(onDisk({ ...HEALTHY, '/etc/rockberry/preflight.conf': 'role=boss\n' }, (root) => preflightIn(root, [], shell))).toMatchObject({ status: 2, stderr: expect.stringContaining('found "boss"') });
  });
});

const given = needs('dash', 'mawk');
const files = Object.keys(HEALTHY).filter((path) => typeof HEALTHY[path] === 'string');

const everyShell = needs(...SHELLS.flatMap(({ programs }) => programs));

everyShell('white space that ends a field for busybox alone: all shells say the same', () => {
  const tables = ['/proc/modules', '/proc/mounts', '/etc/fstab', '/etc/resolv.conf', '/proc/meminfo', '/proc/swaps', '/proc/net/tcp', '/run/rockberry/answers/df'];
  const strange = Object.fromEntries(tables.map((path) => [path, String(HEALTHY[path]).replace(/^/gm, '\x0e\v').replaceAll(' ', '\f \v\r')]));
  onDisk({ ...HEALTHY, ...strange }, (root) => {
    const [first, ...others] = SHELLS.map((shell) => preflightIn(root, ['--json'], shell));
    for (const other of others) expect(other).toEqual(first);
  });
});

everyShell(`any bytes in any file: all shells say the same, in one document (seed ${seed})`, () => {
  const content = fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.string({ unit: 'binary', maxLength: 60 }), fc.constantFrom('\n\n', ' "', '"\\', '=,=', '\u00ff', '-9', '99999999999999999999999', '0x1f', '\0'));
  fc.assert(fc.property(fc.dictionary(fc.constantFrom(...files), content, { minKeys: 1, maxKeys: 12 }), (changes) => {
    onDisk({ ...HEALTHY, ...changes }, (root) => {
      const [first, ...others] = SHELLS.map((shell) => preflightIn(root, ['--json'], shell));
      expect(first!.stderr).toBe('');
      expect((JSON.parse(first!.stdout) as Result).checks).toHaveLength(34);
      for (const other of others) expect(other).toEqual(first);
    });
  }), { numRuns: 12, seed });
}, 300_000);

given('a directory, a pipe, a link to nothing and a huge file in place of a file: it ends', () => onDisk({ ...HEALTHY, '/etc/fstab': { directory: true }, '/etc/machine-id': { link: '/nowhere/at/all' }, '/proc/cmdline': null, [`${MODULES}/modules.dep`]: Buffer.alloc(20 << 20, 'kernel/a.ko:\n') }, (root) => {
  run('mkfifo', [join(root, 'proc/cmdline')]);
  const { status, stdout } = preflightIn(root, ['--json']);
  expect(status).toBe(1);
  expect((JSON.parse(stdout) as Result).checks).toHaveLength(34);
}));

given('the cgroup list of v2 is never /proc/cgroups', () => onDisk({ ...HEALTHY, '/proc/mounts': mounts(CGROUP2), '/proc/cgroups': '#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t1\n', '/sys/fs/cgroup/cgroup.controllers': 'cpu cpuset pids\n' }, (root) => {
  expect((JSON.parse(preflightIn(root, ['--json']).stdout) as Result).checks.find(({ id }) => id === 'cgroup-memory')).toMatchObject({ status: 'fail' });
}));

given('nothing but the result is written', () => onDisk({ ...VENDOR, '/dev/console': null }, (root) => {
  const before = run('find', [root, '-newermt', '2000-01-01', '-printf', '%P %s %m %T@\n']).output.split('\n').sort();
  preflightIn(root, ['--console', '--strict']);
  expect(run('find', [root, '-newermt', '2000-01-01', '-printf', '%P %s %m %T@\n']).output.split('\n').sort()).toEqual(before);
}));

given('on this machine, without a prefix: what it asks of programs', () => onDisk({}, (root) => {
  answering(join(root, 'bin'), { date: 'echo 1970', df: 'echo head; echo "/dev/x 1000000 900000 100000 90% /"', timedatectl: 'echo no' });
  const { stdout, stderr, exitCode } = execaSync('dash', [SCRIPT, '--json'], { env: { PATH: `${join(root, 'bin')}:${oracleEnvironment.PATH}`, LC_ALL: 'de_DE.UTF-8' }, extendEnv: false, reject: false });
  const { checks } = JSON.parse(stdout) as Result;
  expect({ stderr, exitCode, count: checks.length }).toEqual({ stderr: '', exitCode: 1, count: 34 });
  expect(checks.filter(({ id }) => ['clock', 'disk', 'time-sync'].includes(id)).map(({ status }) => status)).toEqual(['fail', 'fail', 'warn']);
  expect(['date', 'df', 'timedatectl'].map((name) => readFileSync(join(root, 'bin', `${name}.called`), 'utf8').trim())).toEqual(['-u +%Y', '-Pk /var/lib', 'show -p NTPSynchronized --value']);
}));

given('a program that does not answer is not waited for', () => onDisk({}, (root) => {
  answering(join(root, 'bin'), { timedatectl: 'exec sleep 100' });
  const { stdout } = execaSync('dash', [SCRIPT, '--json'], { env: { PATH: `${join(root, 'bin')}:${oracleEnvironment.PATH}` }, extendEnv: false, reject: false, timeout: 60_000 });
  expect((JSON.parse(stdout) as Result).checks).toHaveLength(34);
}));

given('it is a program, and says how it is called', () => {
  expect(statSync(SCRIPT).mode & 0o111).toBe(0o111);
  const { status, output } = run(SCRIPT, ['--help']);
  expect({ status, long: output.split('\n').filter((line) => line.length > 80) }).toEqual({ status: 0, long: [] });
  for (const option of ['--role', '--for', '--kubernetes', '--strict', '--json', '--result', '--console', '--help']) expect(output).toContain(`  ${option} `);
});

needs('shellcheck')('shellcheck has nothing to say', () => expect(run('shellcheck', ['-s', 'sh', SCRIPT])).toEqual({ status: 0, output: '' }));
given('without the right to read: no word on stderr', () => onDisk(HEALTHY, (root) => {
  for (const path of ['/etc/sudoers', '/proc/cmdline', '/etc/fstab']) chmodSync(join(root, path), 0);
  expect(preflightIn(root, ['--json']).stderr).toBe('');
}));
