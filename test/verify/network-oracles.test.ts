/** What programs of systemd, NetworkManager and firewalld make of the same files. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { dropIns } from '../../src/verify/formats/drop-ins.js';
import { closedPorts, SERVICES, zoneOfBoard } from '../../src/verify/formats/firewalld.js';
import { isUnmanaged, networkManagerSettings } from '../../src/verify/formats/network-manager.js';
import { sysctlSettings, sysctlValue } from '../../src/verify/formats/sysctl.js';
import { hasProgram, needs, run } from '../support/oracle.js';
import { memoryNode, type Files } from './node.js';

/** The files below a new directory; it goes when the work is done. */
function onDisk<T>(files: Files, work: (root: string) => T): T {
  const root = mkdtempSync(join(tmpdir(), 'rockberry-network-'));
  try {
    for (const [path, seed] of Object.entries(files)) {
      mkdirSync(dirname(root + path), { recursive: true });
      if (typeof seed === 'string') writeFileSync(root + path, seed);
      else if (seed.target !== undefined) symlinkSync(seed.target, root + path);
    }
    return work(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const SYSCTL: Files = {
  '/etc/sysctl.d/10-a.conf': '# comment\n; another\n net.ipv4.ip_forward = 1 \nnet.ipv4.conf.*.accept_source_route = 1\n-net.ipv4.conf.lo.accept_source_route\nnet.ipv4.conf.default.log_martians=1\n',
  '/etc/sysctl.d/50-mask.conf': { target: '/dev/null' }, '/usr/lib/sysctl.d/50-mask.conf': 'net.ipv4.ip_forward = 0\n',
  '/usr/lib/sysctl.d/10-a.conf': 'net.ipv4.ip_forward = 0\n', '/run/sysctl.d/60-c.conf': 'net/ipv4/conf/all/secure_redirects=0\nnet.ipv4.conf.*.log_martians = 0\n',
  '/usr/local/lib/sysctl.d/55-l.conf': '-net.ipv4.no_such_key = 1\nnet.ipv4.ip_no_pmtu_disc = 1\n', '/usr/lib/sysctl.d/70-d.conf': 'net.ipv4.ip_no_pmtu_disc = 2\nnet.ipv4.conf.a??.send_redirects = 0\n', '/etc/sysctl.d/80.conf.bak': 'net.ipv4.ip_forward = 0\n',
};

describe('sysctl.d', () => {
  needs('systemd-analyze')('systemd-analyze cat-config reads the same files in the same order', () => {
    const order = onDisk(SYSCTL, (root) => run('systemd-analyze', ['cat-config', `--root=${root}`, '--no-pager', 'sysctl.d']).output.split('\n').filter((line) => line.startsWith(`# ${root}`)).map((line) => line.slice(2 + root.length)));
    expect(order).toHaveLength(5);
    const names = order.filter((path) => !path.endsWith('50-mask.conf'));
    expect(dropIns(memoryNode(SYSCTL), 'sysctl.d').map(({ path }) => path)).toEqual(names);
  });

  const program = ['/usr/lib/systemd/systemd-sysctl', '/lib/systemd/systemd-sysctl'].find((path) => hasProgram(path));
  const canIsolate = hasProgram('unshare') && run('unshare', ['-mn', 'true']).status === 0;
  if (!program || !canIsolate) process.stderr.write('skipped: systemd-sysctl in a network namespace of its own (needs systemd and the right to unshare)\n');

  /** systemd-sysctl itself, in a namespace with a network of its own: nothing of this machine changes. */
  test.skipIf(!program || !canIsolate)('systemd-sysctl sets the same values', () => {
    const set = onDisk(SYSCTL, (root) => {
      const script = `for d in /run /usr/local/lib; do mount -t tmpfs none "$d" && mkdir "$d/sysctl.d" || exit 9; done
for d in /etc /run /usr/local/lib /usr/lib; do mount --bind "$1$d/sysctl.d" "$d/sysctl.d" || exit 9; done
mount -t proc proc /proc || exit 9
SYSTEMD_LOG_LEVEL=debug exec "$2" --prefix=net/ipv4`;
      return run('unshare', ['-mn', 'sh', '-c', script, 'sh', root, program!]);
    });
    const values = new Map([...set.output.matchAll(/Setting '\/proc\/sys\/([^']+)' to '([^']*)'/g)].map(([, key, value]) => [key!, value!]));
    expect(values.size, set.output).toBeGreaterThan(8);
    const settings = sysctlSettings(memoryNode(SYSCTL));
    const interfaces = ['all', 'default', 'lo'].flatMap((name) => ['accept_source_route', 'log_martians', 'secure_redirects', 'send_redirects'].map((key) => `net/ipv4/conf/${name}/${key}`));
    for (const key of ['net/ipv4/ip_forward', 'net/ipv4/ip_no_pmtu_disc', ...interfaces]) expect([key, sysctlValue(settings, key)?.value]).toEqual([key, values.get(key)]);
  });
});

describe('NetworkManager.conf', () => {
  const CASES: Record<string, Files> = {
    'grows over files': { '/main': '[keyfile]\nunmanaged-devices=interface-name:main\n', '/conf.d/calico.conf': '[keyfile]\nunmanaged-devices+=interface-name:cali*;interface-name:tunl*\n', '/conf.d/k8s.conf': '[keyfile]\nunmanaged-devices+=interface-name:kube-ipvs0\n' },
    'a key twice in a file': { '/main': '', '/conf.d/a.conf': '[keyfile]\nunmanaged-devices+=interface-name:cali*\nunmanaged-devices+=interface-name:flannel*\n' },
    'shrinks': { '/main': '[keyfile]\nunmanaged-devices=interface-name:a,interface-name:b\n', '/conf.d/a.conf': '[keyfile]\nunmanaged-devices-=interface-name:a\n' },
    'replaced': { '/main': '[keyfile]\nunmanaged-devices=interface-name:a\n', '/conf.d/a.conf': '[keyfile]\nunmanaged-devices+=interface-name:b\n', '/conf.d/b.conf': ' [keyfile] \n# x\n unmanaged-devices = interface-name:c\n' },
    '/usr before the main file': { '/main': '[keyfile]\nunmanaged-devices+=interface-name:main\n', '/usr.d/z.conf': '[keyfile]\nunmanaged-devices=interface-name:usr\n', '/conf.d/a.conf': '[keyfile]\nunmanaged-devices+=interface-name:etc\n' },
    'a name of /usr that /etc has': { '/main': '', '/usr.d/z.conf': '[keyfile]\nunmanaged-devices=interface-name:usr\n', '/conf.d/z.conf': '[main]\ndns=none\n' },
  };
  const PLACES: readonly (readonly [string, string])[] = [['/main', '/etc/NetworkManager/NetworkManager.conf'], ['/conf.d', '/etc/NetworkManager/conf.d'], ['/usr.d', '/usr/lib/NetworkManager/conf.d']];

  needs('NetworkManager').each(Object.entries(CASES))('NetworkManager --print-config: %s', (_, files) => {
    const printed = onDisk({ '/usr.d/x': '', '/conf.d/x': '', ...files }, (root) => run('NetworkManager', ['--print-config', '--config', `${root}/main`, '--config-dir', `${root}/conf.d`, '--system-config-dir', `${root}/usr.d`, '--intern-config', `${root}/none`]).output);
    const value = /^unmanaged-devices=(.*)$/m.exec(printed)?.[1] ?? '';
    const node = memoryNode(Object.fromEntries(Object.entries(files).map(([path, text]) => [PLACES.reduce((name, [from, to]) => (name.startsWith(from) ? to + name.slice(from.length) : name), path), text])));
    const settings = networkManagerSettings(node);
    expect(settings.get('keyfile')?.get('unmanaged-devices')?.replaceAll(';', ',') ?? '').toBe(value.replaceAll(';', ','));
    expect(isUnmanaged(settings, 'cali0')).toBe(value.includes('cali*'));
  });
});

describe('firewalld', () => {
  const offline = (root: string, ...args: string[]): string => run('firewall-offline-cmd', ['--system-config', root, ...args]).output;
  const lineOf = (text: string, name: string): string[] => (new RegExp(`^\\s*${name}: *(.*)$`, 'm').exec(text)?.[1] ?? '').split(' ').filter((word) => word !== '');

  needs('firewall-offline-cmd')('the services that the rules know have the ports that firewalld gives them', { timeout: 120_000 }, () => {
    onDisk({ '/firewalld.conf': 'DefaultZone=public\n' }, (root) => {
      const known = new Map<string, string>();
      const portsOf = (service: string): string[] => {
        const text = known.get(service) ?? offline(root, `--info-service=${service}`);
        known.set(service, text);
        return [...lineOf(text, 'ports'), ...lineOf(text, 'includes').flatMap(portsOf)];
      };
      for (const [name, ports] of Object.entries(SERVICES)) expect([name, portsOf(name).sort()]).toEqual([name, [...ports].sort()]);
    });
  });

  needs('firewall-offline-cmd')('a zone lets in the ports and services that firewalld lists for it', { timeout: 120_000 }, () => {
    const zone = `<?xml version="1.0" encoding="utf-8"?>
<zone>
  <short>Public</short>
  <service name="ssh"/><service name='kube-apiserver'/>
  <!-- <port port="1" protocol="tcp"/> -->
  <port protocol="udp" port="4789"/>
  <rule family="ipv4"><source address="10.0.0.0/8"/><port port="6666" protocol="tcp"/><accept/></rule>
</zone>
`;
    const listed = onDisk({ '/firewalld.conf': 'DefaultZone=public\n', '/zones/public.xml': zone, '/services/x': '' }, (root) => offline(root, '--zone=public', '--list-all'));
    expect([lineOf(listed, 'services'), lineOf(listed, 'ports')]).toEqual([['kube-apiserver', 'ssh'], ['4789/udp']]);
    const found = zoneOfBoard(memoryNode({ '/etc/firewalld/zones/public.xml': zone }));
    expect(closedPorts(found, ['22/tcp', '6443/tcp', '4789/udp', '1/tcp', '6666/tcp', '4789/tcp'])).toEqual(['1/tcp', '6666/tcp', '4789/tcp']);
  });
});
