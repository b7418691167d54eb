/** The network rules: one seeded defect each and more where there are several kinds, the ready node, and what is no defect. */
import { describe, expect, test } from 'vitest';
import type { Node } from '../../src/verify/node.js';
import { networkRules } from '../../src/verify/rules/network.js';
import { testRules, type Defect } from './cases.js';
import { problemsOf } from './node.js';
import { defect, READY, readyNode, SYSCTL, unit, wants, type Changes } from './ready-node.js';

const CRI = '/etc/sysctl.d/99-kubernetes-cri.conf';
const NO_SYSCTL: Changes = { [CRI]: undefined, '/etc/sysctl.conf': '' };
const late = (text: string): Changes => ({ '/etc/sysctl.d/99-z.conf': text });
const firewalld = unit('firewalld.service');
const zone = (text: string, attributes = ''): Changes => ({ ...firewalld, '/etc/firewalld/zones/public.xml': `<?xml version="1.0"?>\n<zone${attributes}>\n${text}</zone>\n` });
const port = (text: string): string => `<port port="${text.split('/')[0]}" protocol="${text.split('/')[1]}"/>\n`;
const OPEN = ['22/tcp', '10250/tcp', '30000-32767/tcp', '4789/udp', '6443/tcp', '2379-2380/tcp', '10257/tcp', '10259/tcp'].map(port).join('');
const TRUSTED = { '/etc/firewalld/zones/trusted.xml': '<zone target="ACCEPT"><source address="10.42.0.0/16"/><source address="10.43.0.0/16"/></zone>' };
const hosts = READY['/etc/hosts'] as string;
const connection = '/etc/NetworkManager/system-connections/rockberry.nmconnection';
const noManager: Changes = { [`${wants}/NetworkManager.service`]: undefined };
const cni = '/etc/NetworkManager/conf.d/rockberry-cni.conf';

const DEFECTS: readonly Defect[] = [
  defect('network-forwarding', 'kubeadm refuses a node that nobody told', NO_SYSCTL, 'error', '/etc/sysctl.d', /found no file that sets it/, { target: 'kubeadm' }),
  defect('network-forwarding', 'Kubernetes in general', NO_SYSCTL, 'error', '/etc/sysctl.d', /found no file that sets it/, { target: undefined }),
  defect('network-forwarding', 'Kubespray sets it', NO_SYSCTL, 'info', '/etc/sysctl.d', /found no file that sets it: kubespray will/),
  defect('network-forwarding', 'a file that is read after Kubespray\'s takes it back', late('net.ipv4.ip_forward=0'), 'error', '/etc/sysctl.d/99-z.conf', /found 0 in \/etc\/sysctl\.d\/99-z\.conf/),
  defect('network-forwarding', 'k3s sets it again', late('net.ipv4.ip_forward=0'), 'warning', '/etc/sysctl.d/99-z.conf', /found 0/, { target: 'k3s' }),
  defect('network-forwarding', 'the other name of the switch', late('net/ipv4/conf/all/forwarding = 0'), 'error', '/etc/sysctl.d/99-z.conf', /found 0/),
  defect('network-forwarding', 'a file of /usr that sorts last', { '/usr/lib/sysctl.d/zz.conf': 'net.ipv4.ip_forward = 0' }, 'error', '/usr/lib/sysctl.d/zz.conf', /found 0/),
  defect('network-modules', 'not loaded, and nobody else does', { '/etc/modules-load.d/k8s.conf': 'overlay\n#br_netfilter\n' }, 'error', '/etc/modules-load.d', /modules-load\.d to load br_netfilter at boot/, { target: 'kubeadm' }),
  defect('network-modules', 'Kubespray loads it', { '/etc/modules-load.d/k8s.conf': 'overlay\n' }, 'info', '/etc/modules-load.d', /modules-load\.d to load br_netfilter at boot/),
  defect('network-modules', 'only overlay, which containerd loads too', { '/etc/modules-load.d/k8s.conf': 'br_netfilter\n' }, 'warning', '/etc/modules-load.d', /to load overlay at boot/, { target: 'kubeadm' }),
  defect('network-modules', 'blacklisted', { '/etc/modprobe.d/no.conf': 'blacklist br-netfilter\n' }, 'error', '/etc/modprobe.d/no.conf', /found it blacklisted/, { target: 'kubeadm' }),
  defect('network-modules', 'masked by a name in /etc', { '/etc/modules-load.d/k8s.conf': undefined, '/usr/lib/modules-load.d/k.conf': 'overlay\nbr_netfilter\n', '/etc/modules-load.d/k.conf': { target: '/dev/null' } }, 'error', '/etc/modules-load.d', /to load overlay and br_netfilter/, { target: 'kubeadm' }),
  defect('network-modules', 'never loadable', { '/etc/modprobe.d/cis.conf': 'install overlay /bin/true\n' }, 'error', '/etc/modprobe.d/cis.conf', /"install" line/, { target: 'k3s' }),
  defect('network-bridge', 'off for kubeadm', { [CRI]: SYSCTL.replace('iptables = 1', 'iptables = 0'), '/etc/sysctl.conf': '' }, 'error', CRI, /bridge-nf-call-iptables = 1, found 0/, { target: 'kubeadm' }),
  defect('network-bridge', 'off, and Kubespray sets it', { [CRI]: SYSCTL.replace('iptables = 1', 'iptables = 0'), '/etc/sysctl.conf': '' }, 'warning', CRI, /bridge-nf-call-iptables = 1, found 0/),
  defect('network-bridge', 'not said', NO_SYSCTL, 'info', '/etc/sysctl.d', /bridge-nf-call-iptables = 1, net\.bridge\.bridge-nf-call-ip6tables = 1, found no file/),
  defect('network-kernel-defaults', 'taken back after Kubespray', late('vm.overcommit_memory = 2\n'), 'error', '/etc/sysctl.d/99-z.conf', /vm\.overcommit_memory = 1, found 2/),
  defect('network-kernel-defaults', 'not said', NO_SYSCTL, 'info', '/etc/sysctl.d', /vm\.overcommit_memory = 1, kernel\.panic = 10, .* found no file that says so: Kubespray will/),
  defect('network-inotify', 'too few', late('fs.inotify.max_user_instances = 128\n'), 'warning', '/etc/sysctl.d/99-z.conf', /found 128/),
  defect('network-inotify', 'not said', NO_SYSCTL, 'info', '/etc/sysctl.d', /found no file/),
  defect('network-unmanaged', 'nothing said, for RKE2', { [cni]: undefined }, 'warning', '/etc/NetworkManager/conf.d', /interfaces of Canal alone, found no unmanaged-devices for cali0123456789a, flannel\.1/, { target: 'rke2' }),
  defect('network-unmanaged', 'nothing said, for Kubespray', { [cni]: undefined }, 'info', '/etc/NetworkManager/conf.d', /interfaces of Calico/),
  defect('network-unmanaged', 'a key twice in one file: only the last counts', { [cni]: '[keyfile]\nunmanaged-devices+=interface-name:cali*;interface-name:tunl*;interface-name:vxlan*\nunmanaged-devices+=interface-name:flannel*\n' }, 'info', '/etc/NetworkManager/conf.d', /for cali0123456789a, tunl0, vxlan\.calico/),
  defect('network-unmanaged', 'replaced by a later file', { '/etc/NetworkManager/conf.d/z.conf': '[keyfile]\nunmanaged-devices=interface-name:eth1\n' }, 'info', '/etc/NetworkManager/conf.d', /no unmanaged-devices/),
  defect('network-unmanaged', 'excepted', { '/etc/NetworkManager/conf.d/z.conf': '[keyfile]\nunmanaged-devices=*;except:interface-name:cali*\n' }, 'info', '/etc/NetworkManager/conf.d', /for cali0123456789a$/),
  defect('network-keyfiles', 'readable by others', { [connection]: { content: '[connection]\n', mode: 0o644 } }, 'error', connection, /found mode 0644: NetworkManager ignores/),
  defect('network-keyfiles', 'somebody else\'s', { [connection]: { content: '[connection]\n', mode: 0o600, uid: 1000 } }, 'error', connection, /found uid 1000/),
  defect('network-cloud-setup', 'for RKE2', unit('nm-cloud-setup.timer'), 'error', `${wants}/nm-cloud-setup.timer`, /found it enabled/, { target: 'rke2' }),
  defect('network-cloud-setup', 'for k3s', unit('nm-cloud-setup.service'), 'warning', `${wants}/nm-cloud-setup.service`, /found it enabled/, { target: 'k3s' }),
  defect('network-hostname', 'the vendor\'s', { '/etc/hostname': 'localhost.localdomain\n' }, 'warning', '/etc/hostname', /found "localhost\.localdomain"/, { target: 'k3s' }),
  defect('network-hostname', 'the vendor\'s, and Kubespray gives another', { '/etc/hostname': 'localhost.localdomain\n' }, 'info', '/etc/hostname', /found "localhost\.localdomain"/),
  defect('network-hostname', 'none', { '/etc/hostname': '# none\n' }, 'warning', '/etc/hostname', /found none/, { target: 'kubeadm' }),
  defect('network-hostname', 'an underscore', { '/etc/hostname': 'node_1\n' }, 'error', '/etc/hostname', /found "node_1"/, { target: 'k3s' }),
  defect('network-hostname', 'capitals', { '/etc/hostname': 'Node1\n' }, 'warning', '/etc/hostname', /registers the node as "node1"/, { target: 'k3s' }),
  defect('network-hostname', 'too long', { '/etc/hostname': `${'a'.repeat(64)}\n` }, 'error', '/etc/hostname', /at most 63/, { target: 'k3s' }),
  defect('network-hosts', 'no localhost', { '/etc/hosts': '127.0.1.1 node1\n' }, 'warning', '/etc/hosts', /127\.0\.0\.1 to be localhost/),
  defect('network-hosts', 'no address', { '/etc/hosts': `${hosts}node2 192.0.2.2\n` }, 'warning', '/etc/hosts', /found "node2 192\.0\.2\.2"/),
  defect('network-hosts', 'on localhost\'s line', { '/etc/hosts': '127.0.0.1 localhost node1\n' }, 'info', '/etc/hosts', /found it on that of 127\.0\.0\.1/),
  defect('network-resolver', 'nobody writes it', noManager, 'error', '/etc/resolv.conf', /found none and no program/),
  defect('network-resolver', 'NetworkManager is told not to', { '/etc/NetworkManager/conf.d/dns.conf': '[main]\ndns=none\n' }, 'error', '/etc/resolv.conf', /found none/),
  defect('network-resolver', 'nor by its other name', { '/etc/NetworkManager/conf.d/dns.conf': '[main]\nrc-manager=unmanaged\n' }, 'error', '/etc/resolv.conf', /found none/),
  defect('network-resolver', 'a link to what nobody makes', { '/etc/resolv.conf': { target: '../run/systemd/resolve/stub-resolv.conf' } }, 'error', '/etc/resolv.conf', /systemd-resolved\.service would write, and it does not start/),
  defect('network-resolver', 'a link to nowhere', { '/etc/resolv.conf': { target: '/nowhere' } }, 'error', '/etc/resolv.conf', /which nothing is known to write/),
  defect('network-resolver', 'more than are asked', { '/etc/resolv.conf': [1, 2, 3, 4].map((one) => `nameserver 192.0.2.${one}\n`).join('') }, 'info', '/etc/resolv.conf', /found 4/),
  defect('network-firewalld', 'as the vendor ships it', firewalld, 'error', 'zone public', /closed for 10250\/tcp, 30000-32767\/tcp, 4789\/udp or 179\/tcp or 8472\/udp/),
  defect('network-firewalld', 'the same for k3s', firewalld, 'error', 'zone public', /closed for 10250\/tcp, 8472\/udp or 51820\/udp/, { target: 'k3s' }),
  defect('network-firewalld', 'open for a worker only', zone(`<service name="ssh"/><service name='kube-worker'/>${port('4789/udp')}`), 'info', 'zone public', /control plane, found them closed: 6443\/tcp, 2379-2380\/tcp, 10257\/tcp, 10259\/tcp/),
  defect('network-firewalld', 'no SSH', zone(OPEN.replace(port('22/tcp'), '')), 'error', 'zone public', /closed for 22\/tcp/),
  defect('network-firewalld', 'only under the condition of a rule', zone(`<rule family="ipv4"><source address="10.0.0.0/8"/>${OPEN}<accept/></rule>`), 'error', 'zone public', /closed for 22\/tcp, 10250\/tcp/),
  defect('network-firewalld', 'in a comment', zone(`<!-- ${OPEN} -->`), 'error', 'zone public', /closed for 22\/tcp/),
  defect('network-firewalld', 'a hole in a range', zone(OPEN.replace('30000-32767', '30000-31000')), 'error', 'zone public', /closed for 30000-32767\/tcp/),
  defect('network-firewalld', 'the wrong protocol', zone(OPEN.replace('"10250" protocol="tcp"', '"10250" protocol="udp"')), 'error', 'zone public', /closed for 10250\/tcp/),
  defect('network-firewalld', 'another default zone', { ...zone(OPEN), '/etc/firewalld/firewalld.conf': 'DefaultZone=drop\n' }, 'error', 'zone drop', /closed for 22\/tcp/),
  defect('network-firewalld', 'the zone of the connection', { ...zone(OPEN), [connection]: { content: '[connection]\ntype=ethernet\nzone=dmz\n', mode: 0o600 } }, 'error', 'zone dmz', /closed for 10250\/tcp/),
  defect('network-firewalld', 'the zone that names the interface', { ...zone(OPEN), '/etc/firewalld/zones/work.xml': '<zone><interface name="end0"/><service name="ssh"/></zone>' }, 'error', 'zone work', /closed for 10250\/tcp/),
  defect('network-firewalld-conflict', 'pods are not trusted', zone(OPEN), 'error', 'firewalld.service', /found 10\.42\.0\.0\/16 and 10\.43\.0\.0\/16 in no zone/, { target: 'k3s' }),
  defect('network-firewalld-conflict', 'RKE2 wants none at all', { ...zone(OPEN), ...TRUSTED }, 'warning', 'firewalld.service', /RKE2 asks for it to be off/, { target: 'rke2' }),
];

testRules(networkRules, () => readyNode(), DEFECTS);

describe('no defect', () => {
  test.each<[string, string, () => Node]>([
    ['network-forwarding', 'said by the other name only', () => readyNode({ ...NO_SYSCTL, ...late('net.ipv4.conf.all.forwarding = 1') })],
    ['network-forwarding', 'a file of /usr with a name that /etc has', () => readyNode({ '/usr/lib/sysctl.d/99-kubernetes-cri.conf': 'net.ipv4.ip_forward=0' })],
    ['network-forwarding', 'masked', () => readyNode({ '/usr/lib/sysctl.d/zz.conf': 'net.ipv4.ip_forward=0', '/etc/sysctl.d/zz.conf': { target: '/dev/null' } })],
    ['network-forwarding', 'not a .conf', () => readyNode({ '/etc/sysctl.d/zz.conf.rpmsave': 'net.ipv4.ip_forward=0' })],
    ['network-modules', 'built in', () => readyNode({ '/etc/modules-load.d/k8s.conf': undefined, '/usr/lib/modules/6.1.31-v8.1.el9.altarch/modules.builtin': 'kernel/fs/overlayfs/overlay.ko\nkernel/net/bridge/br_netfilter.ko\n' }, { target: 'kubeadm' })],
    ['network-modules', 'by the kernel command line', () => readyNode({ '/etc/modules-load.d/k8s.conf': undefined, '/boot/cmdline.txt': 'root=x modules_load=overlay,br-netfilter\n' }, { target: 'kubeadm' })],
    ['network-unmanaged', 'the device section', () => readyNode({ [cni]: '[device-cni]\nmatch-device=interface-name:cali*;interface-name:tunl?;interface-name:vxlan*\nmanaged=0\n' })],
    ['network-unmanaged', 'grown over several files', () => readyNode({ [cni]: '[keyfile]\nunmanaged-devices+=interface-name:cali*;interface-name:tunl*\n', '/usr/lib/NetworkManager/conf.d/00.conf': '[keyfile]\nunmanaged-devices=interface-name:vxlan*\n' })],
    ['network-unmanaged', 'any one plugin for kubeadm', () => readyNode({ [cni]: '[keyfile]\nunmanaged-devices=interface-name:cilium*,interface-name:lxc*\n' }, { target: 'kubeadm' })],
    ['network-unmanaged', 'no NetworkManager', () => readyNode({ ...noManager, [cni]: undefined })],
    ['network-keyfiles', 'editors\' copies', () => readyNode({ [`${connection}~`]: 'x', '/etc/NetworkManager/system-connections/.x.swp': 'x' })],
    ['network-hostname', 'fully qualified', () => readyNode({ '/etc/hostname': 'node-1.example.org\n' })],
    ['network-resolver', 'a server', () => readyNode({ ...noManager, '/etc/resolv.conf': 'search example.org\nnameserver 192.0.2.1\n' })],
    ['network-resolver', 'systemd-resolved', () => readyNode({ '/etc/resolv.conf': { target: '../run/systemd/resolve/stub-resolv.conf' }, ...unit('systemd-resolved.service') })],
    ['network-resolver', 'NetworkManager\'s own', () => readyNode({ '/etc/resolv.conf': { target: '/run/NetworkManager/resolv.conf' } })],
    ['network-firewalld', 'open', () => readyNode(zone(OPEN))],
    ['network-firewalld', 'ranges side by side', () => readyNode(zone(OPEN.replace(port('30000-32767/tcp'), port('29000-31000/tcp') + port('31001-40000/tcp'))))],
    ['network-firewalld', 'services of the image', () => readyNode({ ...zone('<service name="own"/>'), '/etc/firewalld/services/own.xml': `<service><include service="own"/><include service="ssh"/>${OPEN}</service>`, '/usr/lib/firewalld/services/own.xml': '<service/>' })],
    ['network-firewalld', 'a zone that accepts all', () => readyNode(zone('', ' target="ACCEPT"'))],
    ['network-firewalld-conflict', 'k3s with trusted networks', () => readyNode({ ...zone(OPEN), ...TRUSTED }, { target: 'k3s' })],
  ])('%s: %s', (id, _, node) => {
    expect(problemsOf(networkRules, id, node())).toBeUndefined();
  });
});

test('files that are made to take time end', () => {
  const hostile = '<zone'.repeat(200_000);
  const node = readyNode({
    ...firewalld, '/etc/firewalld/zones/public.xml': `<zone>${hostile}<service name="a"/></zone>`, '/etc/firewalld/services/a.xml': '<service><include service="a"/><include service="b"/></service>', '/etc/firewalld/services/b.xml': '<include service="a"/>'.repeat(10_000),
    '/etc/sysctl.d/99-z.conf': `${'*'.repeat(100)}.${'*a'.repeat(100)} = 1\n`.repeat(1000), [cni]: `[keyfile]\nunmanaged-devices=interface-name:${'*a'.repeat(10_000)}\n`, '/etc/hosts': `${' '.repeat(1 << 20)}\n`, '/etc/hostname': `${'a-'.repeat(1 << 18)}\n`,
  });
  for (const { id } of networkRules) problemsOf(networkRules, id, node);
}, 20_000);
