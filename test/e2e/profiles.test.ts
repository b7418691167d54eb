/**
 * The shipped profiles, built by the program as an unprivileged user on both Rocky samples: what other programs read of the result is the table of the facts
 * (path, mode, owner, SELinux type), a second build changes nothing, and secrets are in the image and nowhere else.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { parse } from 'yaml';
import type { BuildResult } from '../../src/build.js';
import { PROGRAM, rockberry, rockberryJson, ROOT, scratch, type Outcome } from '../support/cli.js';
import { debugfsCat, debugfsStat, e2fsck, extractPolicy, mtype, policyLabel, sfdiskParts, type Part } from '../support/disk.js';
import { needs, run } from '../support/oracle.js';
import { unpack } from '../support/unpack.js';
import { releases, settingsOf, TOKEN } from '../profiles/material.js';

const test = needs('e2fsck', 'debugfs', 'mtype', 'sfdisk', 'xz', 'matchpathcon');
const given = releases();
const cache = join(scratch(), 'cache');
const HASH = `$6$saltsalt$${'Zq'.repeat(43)}`;
/** Several profiles at once; the networks of the last one's installer stay. */
function both(...names: string[]): string[] {
  const settings = new Set(names.flatMap((name) => settingsOf(name, given)).filter((setting) => !setting.startsWith('cluster_networks=')));
  return [...names.flatMap((name) => ['-p', name]), ...[...settings].flatMap((setting) => ['--set', setting])];
}
const SERVERS = [...both('kubespray-node', 'kubeadm-node', 'k3s-server', 'rke2-server'), '--set', `rke2_tarball=${given.rke2}`, '--set', `rke2_images=${given.rke2Images}`];
const AGENTS = both('k3s-agent', 'rke2-agent', 'kubernetes-node');

/**
 * The facts' file set (section 8.3) as far as these profiles place it: path, mode, uid:gid, type. "ops" is the first free uid. The sample's policy has the types of
 * container-selinux and k3s-selinux, and kubelet's.
 */
const PLACED: readonly (readonly [path: string, mode: number, owner: string, type: string])[] = [
  ['/etc/hostname', 0o644, '0:0', 'hostname_etc_t'], ['/etc/hosts', 0o644, '0:0', 'net_conf_t'], ['/etc/machine-id', 0o444, '0:0', 'machineid_t'], ['/etc/fstab', 0o644, '0:0', 'etc_t'],
  ['/etc/modules-load.d/k8s.conf', 0o644, '0:0', 'etc_t'], ['/etc/modules-load.d/kubespray-br_netfilter.conf', 0o644, '0:0', 'etc_t'], ['/etc/modprobe.d/k8s.conf', 0o644, '0:0', 'modules_conf_t'],
  ['/etc/sysctl.d/99-kubernetes-cri.conf', 0o644, '0:0', 'system_conf_t'], ['/etc/sysctl.conf', 0o644, '0:0', 'system_conf_t'],
  ['/etc/NetworkManager/conf.d/rockberry-cni.conf', 0o644, '0:0', 'NetworkManager_etc_t'], ['/etc/NetworkManager/conf.d/calico.conf', 0o644, '0:0', 'NetworkManager_etc_t'],
  ['/etc/NetworkManager/conf.d/k8s.conf', 0o644, '0:0', 'NetworkManager_etc_t'], ['/etc/NetworkManager/system-connections/rockberry.nmconnection', 0o600, '0:0', 'NetworkManager_etc_rw_t'],
  ['/home/ops', 0o700, 'ops', 'user_home_dir_t'], ['/home/ops/.ssh', 0o700, 'ops', 'ssh_home_t'], ['/home/ops/.ssh/authorized_keys', 0o600, 'ops', 'ssh_home_t'],
  ['/etc/sudoers.d/90-rockberry-ops', 0o440, '0:0', 'etc_t'], ['/etc/sudoers.d/91-rockberry-requiretty', 0o440, '0:0', 'etc_t'],
  ['/etc/passwd', 0o644, '0:0', 'passwd_file_t'], ['/etc/group', 0o644, '0:0', 'passwd_file_t'], ['/etc/shadow', 0, '0:0', 'shadow_t'], ['/etc/gshadow', 0, '0:0', 'shadow_t'],
  ['/etc/systemd/system/rockberry-preflight.service', 0o644, '0:0', 'systemd_unit_file_t'], ['/etc/systemd/system/rockberry-grow-root.service', 0o644, '0:0', 'systemd_unit_file_t'],
  ['/etc/systemd/system/k3s.service', 0o644, '0:0', 'container_unit_file_t'], ['/etc/systemd/system/kubelet.service.d/10-rockberry-time.conf', 0o644, '0:0', 'kubelet_unit_file_t'],
  ['/etc/systemd/system-preset/10-rockberry.preset', 0o644, '0:0', 'etc_t'], ['/usr/local/sbin/rockberry-preflight', 0o755, '0:0', 'bin_t'], ['/usr/libexec/rockberry/grow-root', 0o755, '0:0', 'bin_t'],
  ['/usr/local/bin/k3s', 0o755, '0:0', 'bin_t'], ['/usr/local/bin/rke2', 0o755, '0:0', 'bin_t'], ['/etc/rancher/k3s/config.yaml', 0o600, '0:0', 'etc_t'], ['/etc/rancher/rke2/config.yaml', 0o600, '0:0', 'etc_t'],
  ['/etc/containerd/config.toml', 0o644, '0:0', 'etc_t'], ['/etc/crictl.yaml', 0o644, '0:0', 'etc_t'], ['/etc/firewalld/zones/public.xml', 0o644, '0:0', 'firewalld_etc_rw_t'], ['/etc/rockberry/preflight.conf', 0o644, '0:0', 'etc_t'],
  ['/var/lib/rancher/k3s/agent/images/k3s-airgap-images-arm64.tar.zst', 0o644, '0:0', 'container_var_lib_t'], ['/var/lib/rancher/rke2/agent/images/rke2-images.linux-arm64.tar.zst', 0o644, '0:0', 'container_var_lib_t'],
];

/** Where is the text, or a piece of it, in what the program said or left behind? */
function leaks(texts: Readonly<Record<string, string>>, secret: string): string[] {
  const pieces = Array.from({ length: secret.length - 7 }, (_, at) => secret.slice(at, at + 8));
  return Object.entries(texts).filter(([, text]) => pieces.some((piece) => text.includes(piece) || text.includes(JSON.stringify(piece).slice(1, -1)))).map(([name]) => name);
}

/** Notes what every process of the machine shows of its arguments; the call that is given back ends it and tells. */
function watchArguments(): () => string {
  const seen = new Set<string>();
  const timer = setInterval(() => {
    for (const id of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        seen.add(readFileSync(`/proc/${id}/cmdline`, 'utf8'));
      } catch {
        // gone meanwhile
      }
    }
  }, 100);
  return () => {
    clearInterval(timer);
    return [...seen].join('\n');
  };
}

describe.each([{ sample: 'rocky9-pi-sample', boot: '/boot' }, { sample: 'rocky9-sbc-sample', boot: '/boot/efi' }])('$sample', ({ sample, boot }) => {
  const folder = scratch();
  const packed = join(ROOT, `images/${sample}.img.xz`);
  const raw = join(folder, 'out.img');
  const secret = join(folder, 'token');
  let built: BuildResult;
  let root: Part;
  let firmware: Part;

  const options = { nobody: true, cwd: folder, env: { ROCKBERRY_VAR_PASSWORD_HASH: HASH, TMPDIR: folder, XDG_CACHE_HOME: cache } };

  beforeAll(async () => {
    writeFileSync(secret, `${TOKEN}\n`, { mode: 0o644 });
    built = await rockberryJson(['build', packed, ...SERVERS, '--secret', `token=${secret}`, '--image-only', '-o', join(folder, 'out.img.xz')], options);
    unpack(built.output!, raw);
    [firmware, , root] = sfdiskParts(raw) as [Part, Part, Part];
  });

  test('servers of every kind are built, and ready', () => {
    expect(built.readiness).toMatchObject({ target: 'rke2', errors: 0 });
    expect(built.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(e2fsck(raw, root)).toMatchObject({ status: 0 });
    expect(mtype(raw, firmware, '/cmdline.txt').toString()).toMatch(/ rootwait cgroup_enable=cpuset cgroup_memory=1 cgroup_enable=memory\n$/);
  });

  test('debugfs reads every file with the mode, the owner and the type that the facts ask for', () => {
    const [, uid, gid] = /^ops:x:(\d+):(\d+):/m.exec(debugfsCat(raw, root, '/etc/passwd').toString())!;
    for (const [path, mode, owner, type] of PLACED) {
      const stat = debugfsStat(raw, root, path);
      expect({ path, mode: stat.mode, owner: `${stat.uid}:${stat.gid}`, type: stat.label?.split(':')[2] }).toEqual({ path, mode, owner: owner === 'ops' ? `${uid}:${gid}` : owner, type });
    }
    expect(debugfsStat(raw, root, '/etc/systemd/system/swap.target')).toMatchObject({ type: 'symlink', target: '/dev/null' });
    expect(debugfsCat(raw, root, '/etc/fstab').toString()).not.toMatch(/^[^#\n]*\sswap\s/m);
    expect(debugfsCat(raw, root, '/etc/dnf/dnf.conf').toString().includes('exclude=kernel-rpi*')).toBe(boot === '/boot');
    expect(parse(debugfsCat(raw, root, '/etc/rancher/rke2/config.yaml').toString())).toMatchObject({ token: TOKEN });
  });

  test('libselinux gives every path that was written the label that it has', () => {
    const policy = extractPolicy(raw, root, folder);
    const written = built.files.filter(({ path, action }) => action !== 'removed' && !path.startsWith(`${boot}/`));
    expect(written.length).toBeGreaterThan(60);
    for (const { path } of written) {
      const stat = debugfsStat(raw, root, path);
      expect({ path, label: stat.label }).toEqual({ path, label: policyLabel(policy, path, stat.type) });
    }
  });

  // On one of the two; of every profile by itself on both: test/profiles/nodes.test.ts.
  if (boot === '/boot') test('building on the result changes nothing, down to the sha256', async () => {
    const again: BuildResult = await rockberryJson(['build', built.output!, ...SERVERS, '--secret', `token=${secret}`, '--image-only', '-o', join(folder, 'again.img.xz')], options);
    expect([again.changed, again.files.filter(({ action }) => action !== 'unchanged'), again.sha256]).toEqual([[], [], built.sha256]);
  });

  test('agents are built, and neither output, manifest, map, process list nor temporary files know the token and the hash', async () => {
    const output = join(folder, 'agent.img.xz');
    const stop = watchArguments();
    const outcome = await rockberry(['build', packed, ...AGENTS, '--secret', `token=${secret}`, '-o', output, '--json', '--debug'], options);
    const seen = stop();
    expect(outcome).toMatchObject({ status: 0 });
    expect(seen).toContain('--secret'); // it did see the program
    const dry = await rockberry(['build', packed, ...AGENTS, '--secret', `token=${secret}`, '--dry-run'], options);
    expect(dry).toMatchObject({ status: 0 });
    const beside = Object.fromEntries(['.json', '.bmap', '.sha256'].map((ending) => [ending, readFileSync(output + ending, 'utf8')]));
    const texts = { stdout: outcome.stdout, stderr: outcome.stderr, 'dry stdout': dry.stdout, 'dry stderr': dry.stderr, arguments: seen, ...beside };
    expect([leaks(texts, TOKEN), leaks(texts, HASH)]).toEqual([[], []]);
    expect(JSON.parse(beside['.json']!)).toMatchObject({ variables: { token: '***', password_hash: '***', k3s_version: 'v1.34.1+k3s1' } });
    const search = (text: string): string[] => run('grep', ['-rlaF', '--exclude=out.img', '--', text, folder, cache]).output.split('\n').filter((file) => file !== '');
    expect([search('geheim'), search(HASH)], 'the given file alone, and nothing in the cache or among the temporary files').toEqual([[secret], []]);
  });
});

describe('secrets', () => {
  const folder = scratch();
  const image = join(ROOT, 'images/rocky9-pi-sample.img.xz');
  const profile = (steps: string): string => {
    const file = join(folder, 'p.yaml');
    writeFileSync(file, `name: p\ndescription: d\nvariables:\n  token: { description: the cluster's token, secret: true, required: true, pattern: "^K10-" }\nsteps:\n${steps}`);
    return file;
  };
  const PLAIN = '  - files: [{ path: /etc/x, content: "{{ token }}", mode: "0600" }]\n';
  const all = ({ stdout, stderr }: Outcome): Record<string, string> => ({ stdout, stderr });
  const value = 'K10-correct-horse-battery-staple';

  test('--set on the command line is warned about, by name; the result is the same', async () => {
    const outcome = await rockberry(['build', image, '-p', profile(PLAIN), '--set', `token=${value}`, '--dry-run', '--json']);
    expect(outcome.status).toBe(0);
    expect(outcome.stderr).toMatch(/warning: --set token: expected the secret "token" out of sight.*\[secret-argument\]\n\s*hint: use --secret token=FILE or the environment variable ROCKBERRY_VAR_TOKEN/);
    expect(leaks(all(outcome), value)).toEqual([]);
    expect((await rockberry(['build', image, '-p', profile(PLAIN), '--dry-run', '--json'], { env: { ROCKBERRY_VAR_TOKEN: value } })).stderr).not.toContain('secret-argument');
  });

  // Each makes an error whose sentence, cause or stack would have the value in it.
  test.each([
    ['a source that is not there', '  - files: [{ path: /etc/x, source: "/no/such/{{ token }}/file" }]\n'],
    ['a mode that is none', '  - files: [{ path: /etc/x, content: x, mode: "{{ token }}" }]\n'],
    ['an owner that is not there', '  - files: [{ path: /etc/x, content: x, owner: "{{ token }}" }]\n'],
    ['a unit that is none', '  - unit: { name: x, content: "{{ token }}" }\n'],
    ['a host name that is none', '  - hostname: "{{ token }}_"\n'],
    ['an archive that is not there', '  - overlay: { archive: "/no/{{ token }}.tar" }\n'],
    ['a template that fails', '  - files: [{ path: /etc/x, content: "{{ token | nofilter }}" }]\n'],
  ])('an error does not repeat it: %s', async (_, steps) => {
    const outcome = await rockberry(['build', image, '-p', profile(steps), '--dry-run', '--json', '--debug'], { env: { ROCKBERRY_VAR_TOKEN: value } });
    expect(outcome.status).toBeGreaterThan(1);
    expect(outcome.stderr).toContain(' at '); // the stack is there
    expect(leaks(all(outcome), value)).toEqual([]);
  });

  test('neither a path of the image nor a finding repeats it', async () => {
    const output = join(folder, 'path.img.xz');
    const steps = '  - files: [{ path: "/etc/{{ token }}", content: x }, { path: /etc/link, link: "/{{ token }}" }]\n  - services: { disable: ["{{ token }}.service"] }\n';
    const outcome = await rockberry(['build', image, '-p', profile(steps), '-o', output, '--json'], { env: { ROCKBERRY_VAR_TOKEN: value, XDG_CACHE_HOME: cache } });
    expect(outcome.status).toBe(0);
    expect(JSON.parse(outcome.stdout)).toMatchObject({ findings: [{ id: 'services-unknown', subject: expect.stringContaining('***') }] });
    expect(leaks({ ...all(outcome), manifest: readFileSync(`${output}.json`, 'utf8') }, value)).toEqual([]);
  });

  test('a default of a secret variable is not shown', async () => {
    writeFileSync(join(folder, 'd.yaml'), `name: d\ndescription: d\nvariables:\n  token: { description: d, secret: true, default: ${value} }\nsteps:\n${PLAIN}`);
    const outcome = await rockberry(['profile', 'show', './d.yaml'], { cwd: folder });
    expect(outcome.stdout).toContain('default: ***');
    expect(leaks(all(outcome), value)).toEqual([]);
  });

  needs('python3')('it is asked for on a terminal, which does not show it', () => {
    const program = `
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
said, sent = b'', False
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    said += piece
    if not sent and b"the cluster's token): " in said:
        os.write(terminal, os.environ['ANSWER'].encode() + b'\\r')
        sent = True
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
    const said = execFileSync('python3', ['-c', program, process.execPath, PROGRAM, 'build', image, '-p', profile(PLAIN), '--dry-run'], { env: { ...process.env, ANSWER: value } }).toString();
    expect(said).toMatch(/token \(the cluster's token\): \r?\n/);
    expect(said).toContain('/etc/x');
    expect(leaks({ said }, value)).toEqual([]);
  });

  test('without a terminal nothing is asked', async () => {
    const named = await rockberry(['build', image, '-p', profile(PLAIN), '--secret', 'token', '--dry-run']);
    expect([named.status, named.stderr]).toEqual([2, expect.stringContaining('expected a terminal to ask for token (the cluster\'s token), found none')]);
    const missing = await rockberry(['build', image, '-p', profile(PLAIN), '--dry-run']);
    expect([missing.status, missing.stderr]).toEqual([2, expect.stringContaining('give it with --secret token=FILE or in the environment variable ROCKBERRY_VAR_TOKEN')]);
  });
});
