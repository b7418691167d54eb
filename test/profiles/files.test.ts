/** What the profiles place, read by the programs that will read it on a node, or by ones that know the format: sudo, systemd, Python's TOML, INI, XML, shells. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { Tree } from '../../src/fs/filesystem.js';
import { lintProfile, loadProfiles, profileSchema } from '../../src/profile.js';
import { memoryTree, textOf } from '../support/memory-tree.js';
import { needs, output, run } from '../support/oracle.js';
import { units } from '../steps/units.js';
import { releases, settingsOf, TOKEN } from './material.js';

const folder = mkdtempSync(join(tmpdir(), 'rockberry-placed-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const given = releases();

const EL = {
  ...units, '/usr/lib/systemd/system/chrony-wait.service': '[Unit]\nBefore=time-sync.target\n[Service]\nExecStart=/usr/bin/chronyc waitsync\n[Install]\nWantedBy=multi-user.target\n',
  '/boot/cmdline.txt': 'root=LABEL=RPIROOT rootwait\n', '/etc/passwd': 'root:x:0:0:root:/root:/bin/bash\n', '/etc/shadow': 'root:!::0:99999:7:::\n', '/etc/group': 'root:x:0:\nwheel:x:10:\n',
  '/etc/sudoers': '#includedir /etc/sudoers.d\n', '/usr/bin/growpart': '', '/bin/sh': '', '/bin/bash': '', '/etc/sysctl.conf': '# empty\n', '/etc/sysctl.d/99-sysctl.conf': { target: '../sysctl.conf' },
};

async function placed(name: string, ...more: string[]): Promise<Tree> {
  const tree = memoryTree(EL);
  const { steps } = loadProfiles([name], { set: [...settingsOf(name, given), ...more], varsFiles: [], environment: { ROCKBERRY_VAR_TOKEN: TOKEN } });
  for (const step of steps) await step.apply(tree);
  return tree;
}

/** The file on the host, under its path in the image. */
function onHost(tree: Tree, path: string, mode = 0o644): string {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, textOf(tree, path)!, { mode });
  return file;
}

const python = (program: string, ...args: string[]): unknown => JSON.parse(output('python3', ['-c', `import json, sys\n${program}`, ...args]).toString());

test('what profiles share is sound, and accepted by the JSON Schema, too', () => {
  const Ajv = createRequire(import.meta.url)('ajv') as new () => { compile(schema: object): (value: unknown) => boolean };
  const validate = new Ajv().compile(profileSchema());
  const parts = readdirSync('profiles/parts');
  expect(parts).toEqual(['k3s.yaml', 'rke2.yaml']);
  for (const name of parts) expect([lintProfile(`./profiles/parts/${name}`), validate(parse(readFileSync(`profiles/parts/${name}`, 'utf8')))]).toEqual([[], true]);
  expect(validate({ name: 'x', description: 'd', steps: [], readiness: 'nomad' })).toBe(false);
  expect(validate({ name: 'x', description: 'd', steps: [{ hostname: 'x', when_path: 'etc' }] })).toBe(false);
});

describe('kubespray-node', () => {
  // The contents are those of Kubespray's tasks (roles/kubernetes/preinstall 0062; roles/kubernetes/node): ansible.builtin.copy finds nothing to change.
  test.each([
    ['/etc/NetworkManager/conf.d/calico.conf', '[keyfile]\nunmanaged-devices+=interface-name:cali*;interface-name:tunl*;interface-name:vxlan.calico;interface-name:vxlan-v6.calico\n'],
    ['/etc/NetworkManager/conf.d/k8s.conf', '[keyfile]\nunmanaged-devices+=interface-name:kube-ipvs0;interface-name:nodelocaldns\n'],
    ['/etc/modules-load.d/kubespray-br_netfilter.conf', 'br_netfilter'],
  ])('%s is Kubespray\'s, byte for byte', async (path, content) => {
    const tree = await placed('kubespray-node');
    expect([textOf(tree, path), tree.stat(path)!.mode]).toEqual([content, 0o644]);
  });

  // community.general.modprobe: a module is persistent when a line of any file in modules-load.d is its name (module_utils of that collection, is_module_persistent).
  test('every module that Kubespray loads is there already', async () => {
    const tree = await placed('kubespray-node');
    const lines = tree.list('/etc/modules-load.d').flatMap(({ name }) => textOf(tree, `/etc/modules-load.d/${name}`)!.split('\n'));
    for (const module of ['br_netfilter', 'ip_vs', 'ip_vs_rr', 'ip_vs_wrr', 'ip_vs_sh', 'ip_vs_wlc', 'ip_vs_lc', 'nf_conntrack', 'dummy', 'overlay']) expect(lines).toContain(module);
    expect(textOf(tree, '/etc/modprobe.d/k8s.conf')).toBe('options dummy numdummies=0\n');
  });

  needs('sysctl')('sysctl itself reads the parameters, and the last word is Kubespray\'s', async () => {
    const tree = await placed('kubespray-node');
    expect(tree.readLink('/etc/sysctl.d/99-sysctl.conf')).toBe('../sysctl.conf');
    const read = (path: string): Record<string, string> => Object.fromEntries(textOf(tree, path)!.split('\n').filter((line) => /^[^#]/.test(line)).map((line) => line.split(' = ') as [string, string]));
    expect(run('sysctl', ['--dry-run', '-p', onHost(tree, '/etc/sysctl.conf')]).output).not.toMatch(/invalid|malformed/);
    const [ours, theirs] = [read('/etc/sysctl.d/99-kubernetes-cri.conf'), read('/etc/sysctl.conf')];
    for (const [name, value] of Object.entries(ours)) expect(theirs[name] ?? value, name).toBe(value);
    expect(theirs).toMatchObject({ 'net.ipv4.ip_forward': '1', 'net.bridge.bridge-nf-call-arptables': '1', 'net.ipv4.ip_local_reserved_ports': '30000-32767', 'kernel.panic': '10' });
  });

  needs('visudo').each([[''], ['user=']])('sudo takes the rules (%s)', async (more) => {
    const tree = await placed('kubespray-node', more === '' ? 'user=ops' : more);
    const rules = tree.list('/etc/sudoers.d').map(({ name }) => textOf(tree, `/etc/sudoers.d/${name}`)!).join('');
    const file = join(folder, 'sudoers');
    writeFileSync(file, rules, { mode: 0o440 });
    expect(run('visudo', ['-cf', file])).toMatchObject({ status: 0 });
    const login = more === '' ? 'ops' : 'rocky';
    expect(rules).toBe(`${login} ALL=(ALL) NOPASSWD: ALL\nDefaults:${login} !requiretty\n`);
  });
});

describe('kubeadm-node', () => {
  needs('python3').each([['2', 3, 'io.containerd.cri.v1.runtime'], ['1.7', 2, 'io.containerd.grpc.v1.cri']])('containerd %s gets configuration version %s with the systemd cgroup driver', async (series, version, plugin) => {
    const tree = await placed('kubeadm-node', `containerd=${series}`);
    const config = python('import tomllib; print(json.dumps(tomllib.load(open(sys.argv[1], "rb"))))', onHost(tree, '/etc/containerd/config.toml'));
    expect(config).toEqual({ version, plugins: { [plugin]: { containerd: { runtimes: { runc: { runtime_type: 'io.containerd.runc.v2', options: { SystemdCgroup: true } } } } } } });
    expect(textOf(tree, '/usr/libexec/rockberry/install-kubeadm')).toContain(`install 'containerd.io-${series}.*'`);
  });

  needs('python3')('crictl, kubelet and the repositories', async () => {
    const tree = await placed('kubeadm-node', 'kubernetes_version=1.35');
    expect(parse(textOf(tree, '/etc/crictl.yaml')!)).toEqual({ 'runtime-endpoint': 'unix:///run/containerd/containerd.sock', 'image-endpoint': 'unix:///run/containerd/containerd.sock', timeout: 10 });
    expect(textOf(tree, '/etc/sysconfig/kubelet')).toBe('KUBELET_EXTRA_ARGS=--node-ip=192.0.2.11\n');
    const program = 'import configparser; c = configparser.ConfigParser(interpolation=None); c.read(sys.argv[1:]); print(json.dumps({s: dict(c[s]) for s in c.sections()}))';
    const repositories = python(program, onHost(tree, '/etc/yum.repos.d/kubernetes.repo'), onHost(tree, '/etc/yum.repos.d/docker-ce.repo'));
    expect(repositories).toMatchObject({ kubernetes: { baseurl: 'https://pkgs.k8s.io/core:/stable:/v1.35/rpm/', gpgcheck: '1', exclude: 'kubelet kubeadm kubectl cri-tools kubernetes-cni' }, 'docker-ce-stable': { gpgcheck: '1' } });
  });

  test('install=false leaves the repositories and the first boot out', async () => {
    const tree = await placed('kubeadm-node', 'install=false');
    expect(['/etc/yum.repos.d/kubernetes.repo', '/usr/libexec/rockberry/install-kubeadm', '/etc/containerd/config.toml'].map((path) => tree.stat(path) !== undefined)).toEqual([false, false, true]);
  });
});

describe('k3s and RKE2', () => {
  test.each([
    ['k3s-server', '/etc/rancher/k3s/config.yaml', { token: TOKEN, 'cluster-init': true, 'node-ip': '192.0.2.11', selinux: false }],
    ['k3s-agent', '/etc/rancher/k3s/config.yaml', { token: TOKEN, server: 'https://192.0.2.1:6443', 'node-ip': '192.0.2.11', selinux: false }],
    ['rke2-server', '/etc/rancher/rke2/config.yaml', { token: TOKEN, 'node-ip': '192.0.2.11', selinux: false }],
    ['rke2-agent', '/etc/rancher/rke2/config.yaml', { token: TOKEN, server: 'https://192.0.2.1:9345', 'node-ip': '192.0.2.11', selinux: false }],
  ])('%s: the configuration is YAML with the token as it was given, for root alone', async (name, path, expected) => {
    const tree = await placed(name);
    expect(parse(textOf(tree, path)!)).toEqual(expected);
    expect(tree.stat(path)).toMatchObject({ mode: 0o600, uid: 0, gid: 0 });
  });

  test('from local files: nothing is installed at the first boot', async () => {
    const server = await placed('k3s-server');
    expect([server.stat('/usr/local/bin/k3s')!.mode, server.readLink('/usr/local/bin/kubectl'), textOf(server, '/var/lib/rancher/k3s/agent/images/k3s-airgap-images-arm64.tar.zst')]).toEqual([0o755, 'k3s', 'images of k3s\n']);
    expect(Buffer.from(server.read('/usr/local/bin/k3s'))).toEqual(readFileSync(given.k3s));
    expect([server.readLink('/etc/systemd/system/multi-user.target.wants/k3s.service'), server.stat('/usr/libexec/rockberry/install-k3s')]).toEqual(['/etc/systemd/system/k3s.service', undefined]);
    const agent = await placed('rke2-agent');
    expect([agent.stat('/usr/local/bin/rke2')!.mode, agent.stat('/usr/libexec/rockberry/install-rke2')]).toEqual([0o755, undefined]);
    expect(agent.readLink('/etc/systemd/system/multi-user.target.wants/rke2-agent.service')).toBe('/usr/local/lib/systemd/system/rke2-agent.service');
    expect(textOf(agent, '/var/lib/rancher/rke2/agent/images/rke2-images.linux-arm64.tar.zst')).toBe('images of RKE2\n');
  });

  test('without them: the release is pinned, the token is in no script', async () => {
    const agent = textOf(await placed('k3s-agent'), '/usr/libexec/rockberry/install-k3s')!;
    expect(agent).toContain('INSTALL_K3S_VERSION=\'v1.34.1+k3s1\' INSTALL_K3S_EXEC=agent ');
    const server = textOf(await placed('rke2-server'), '/usr/libexec/rockberry/install-rke2')!;
    expect(server).toContain('INSTALL_RKE2_VERSION=\'v1.34.1+rke2r1\' INSTALL_RKE2_TYPE=server ');
    expect(agent + server).not.toContain('K10');
  });

  test.each([
    ['k3s-server', ['k3s_version=latest'], /k3s_version/], ['k3s-server', ['role=worker'], /"role"/], ['k3s-agent', ['server='], /expected a value for the variable "server"/],
    ['k3s-agent', ['server=192.0.2.1'], /"server"/], ['rke2-server', ['rke2_version=v1.34.1+k3s1'], /rke2_version/], ['rke2-server', ['rke2_version=v1.34.1+rke2r1\'; reboot; \''], /rke2_version/],
    ['kubernetes-node', ['firewall=on'], /"firewall"/], ['kubernetes-node', ['control_plane_ports=6443'], /control_plane_ports/],
  ])('%s refuses %j', async (name, more, message) => {
    await expect(placed(name, ...more)).rejects.toMatchObject({ code: 'profile', message: expect.stringMatching(message) });
  });

  test('an agent without a token is told how to give it', () => {
    expect(() => loadProfiles(['k3s-agent'], { set: settingsOf('k3s-agent', given), varsFiles: [], environment: {} })).toThrow(expect.objectContaining({ hint: 'give it with --secret token=FILE or in the environment variable ROCKBERRY_VAR_TOKEN' }));
  });
});

describe('every node', () => {
  needs('python3')('an open firewall lets in what the role needs, as XML', async () => {
    const zone = (tree: Tree, name: string): unknown => python('import xml.etree.ElementTree as E; r = E.parse(sys.argv[1]).getroot(); print(json.dumps([[e.tag, e.attrib] for e in r if e.tag in ("port", "service", "source")]))', onHost(tree, `/etc/firewalld/zones/${name}.xml`));
    const server = await placed('rke2-server', 'firewall=open');
    const port = (number: string, protocol = 'tcp'): unknown => ['port', { port: number, protocol }];
    expect(zone(server, 'public')).toEqual(expect.arrayContaining([['service', { name: 'ssh' }], port('6443'), port('9345'), port('2379-2381'), port('10250'), port('30000-32767'), port('8472', 'udp')]));
    expect(zone(server, 'trusted')).toEqual([['source', { address: '10.42.0.0/16' }], ['source', { address: '10.43.0.0/16' }]]);
    const worker = await placed('kubernetes-node', 'firewall=open');
    expect(zone(worker, 'public')).toEqual(expect.arrayContaining([['service', { name: 'ssh' }], port('10250')]));
    expect(zone(worker, 'public')).not.toEqual(expect.arrayContaining([port('6443')]));
    expect(worker.readLink('/etc/systemd/system/multi-user.target.wants/firewalld.service')).toBe('/usr/lib/systemd/system/firewalld.service');
    const closed = await placed('kubernetes-node');
    expect([closed.stat('/etc/firewalld/zones/public.xml'), closed.stat('/etc/systemd/system/multi-user.target.wants/firewalld.service')]).toEqual([undefined, undefined]);
  });

  needs('firewall-offline-cmd')('firewalld itself takes the zones', async () => {
    const tree = await placed('kubeadm-node');
    const [directory] = ['public', 'trusted'].map((name) => dirname(dirname(onHost(tree, `/etc/firewalld/zones/${name}.xml`))));
    writeFileSync(join(directory!, 'firewalld.conf'), 'DefaultZone=public\n');
    const ask = (...args: string[]): string => output('firewall-offline-cmd', ['--system-config', directory!, ...args]).toString().trim(); // it must end with 0
    ask('--check-config');
    expect(ask('--zone=trusted', '--list-sources').split(' ').sort()).toEqual(['10.244.0.0/16', '10.96.0.0/12']);
    expect(ask('--zone=public', '--list-ports').split(' ')).toEqual(expect.arrayContaining(['6443/tcp', '2379-2380/tcp', '10250/tcp', '30000-32767/udp']));
  });

  needs('python3')('NetworkManager leaves the interfaces of pods alone', async () => {
    const lines = textOf(await placed('kubernetes-node'), '/etc/NetworkManager/conf.d/rockberry-cni.conf')!.split('\n').filter((line) => line.startsWith('unmanaged-devices+='));
    const globs = lines.flatMap((line) => line.slice('unmanaged-devices+='.length).split(';')).map((one) => one.replace('interface-name:', ''));
    const names = ['cali0a1b2c', 'tunl0', 'vxlan.calico', 'vxlan-v6.calico', 'wireguard.cali', 'wg-v6.cali', 'flannel.1', 'flannel-wg', 'cni0', 'cilium_host', 'lxc0a1b', 'kube-ipvs0', 'nodelocaldns'];
    const matched = python('import fnmatch; g, n = map(json.loads, sys.argv[1:]); print(json.dumps([x for x in n if any(fnmatch.fnmatchcase(x, y) for y in g)]))', JSON.stringify(globs), JSON.stringify([...names, 'end0', 'eth0', 'wlan0', 'lo']));
    expect(matched).toEqual(names);
  });

  needs('shellcheck', 'dash').each([['kubeadm-node', 'install-kubeadm'], ['k3s-agent', 'install-k3s'], ['rke2-server', 'install-rke2']])('%s: shellcheck and dash take %s', async (name, script) => {
    const file = onHost(await placed(name), `/usr/libexec/rockberry/${script}`, 0o755);
    expect(run('shellcheck', ['-s', 'sh', file])).toEqual({ status: 0, output: '' });
    expect(run('dash', ['-n', file])).toEqual({ status: 0, output: '' });
  });

  needs('systemd-analyze')('systemd finds nothing in units and drop-ins, and time comes first', async () => {
    const tree = await placed('k3s-server');
    const root = join(folder, 'units');
    mkdirSync(join(root, 'k3s.service.d'), { recursive: true });
    const program = onHost(tree, '/usr/libexec/rockberry/grow-root', 0o755); // something that can be executed here, in the place of what is not
    for (const name of ['k3s.service', 'rockberry-preflight.service', 'rockberry-grow-root.service']) {
      writeFileSync(join(root, name), textOf(tree, `/etc/systemd/system/${name}`)!.replace(/^(Exec\w+=-?)\S+/gm, `$1${program}`));
    }
    writeFileSync(join(root, 'k3s.service.d/10-rockberry-time.conf'), textOf(tree, '/etc/systemd/system/k3s.service.d/10-rockberry-time.conf')!);
    const said = run('systemd-analyze', ['verify', '--man=no', '--recursive-errors=no', join(root, 'k3s.service'), join(root, 'rockberry-preflight.service'), join(root, 'rockberry-grow-root.service')]);
    expect(said.output.split('\n').filter((line) => line.includes(root))).toEqual([]);
    expect(textOf(tree, '/etc/systemd/system/k3s.service.d/10-rockberry-time.conf')).toMatch(/^After=time-sync\.target$/m);
    expect(tree.readLink('/etc/systemd/system/multi-user.target.wants/chrony-wait.service')).toBe('/usr/lib/systemd/system/chrony-wait.service');
  });

  test('the check on the node knows role, installer and release', async () => {
    expect(textOf(await placed('kubernetes-node'), '/etc/rockberry/preflight.conf')).toBe('role=worker\nkubernetes=1.36\n');
    expect(textOf(await placed('k3s-server'), '/etc/rockberry/preflight.conf')).toBe('role=control-plane\nfor=k3s\nkubernetes=1.36\n');
  });
});
