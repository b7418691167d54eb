/** Networks, virtual addresses, the cluster, boards, logins and profiles. */
import { fleet, k3s, kubespray, node, plain, type Changes, type FleetParts } from './fleet.js';
import type { Quiet, Trigger } from './cases.js';

const w1 = (change: Changes): (() => ReturnType<typeof kubespray>) => () => kubespray({ w1: change });
const withNetworks = (networks: object) => () => kubespray({}, { networks: { nodes: ['192.0.2.0/24'], pods: ['10.233.64.0/18'], services: ['10.233.0.0/18'], ...networks } });
const board = (name: string, text: string) => () => kubespray({ [name]: { parts: { board: text } } });
/** Nodes that are in Kubespray's groups and have no profiles. */
const grouped = (count: number, parts: object = {}, groups: readonly string[] = ['kube_node']) => () => fleet([
  node('cp1', { groups: ['kube_control_plane', 'etcd'], address: '192.0.2.1' }), node('cp2', { groups: ['kube_control_plane', 'etcd'], address: '192.0.2.2' }), node('cp3', { groups: ['kube_control_plane', 'etcd'], address: '192.0.2.3' }),
  ...Array.from({ length: count - 3 }, (_, at) => node(`w${at}`, { groups })),
], parts);
/** Nodes of which only the address is known. */
const bare = (networks: FleetParts['networks'], vips: readonly string[] = []) => () => fleet([11, 12, 13, 14].map((number) => node(number === 14 ? 'w1' : `cp${number - 10}`, { address: `192.0.2.${number}` })), { networks: networks!, vips });
const agent = (server: string): Readonly<Record<string, Changes>> => ({ a1: { variables: { server } } });
const rke2 = (text: string, profile = 'rke2-server') => () => k3s({ a1: null, s2: null, s3: null, s1: { parts: { profiles: [profile], board: text }, variables: { k3s_version: undefined, rke2_version: 'v1.34.1+rke2r1', ...(profile === 'rke2-agent' && { server: 'https://192.0.2.11:9345' }) } } });
const kubeadm = (roles: readonly string[], text = 'pi4-4gb') => () => {
  const base = kubespray({}, { vips: [] });
  return { ...base, groups: new Map(), nodes: base.nodes.slice(0, roles.length).map((one, at) => ({ ...one, groups: [], profiles: ['kubeadm-node'], board: text, variables: { ...one.variables, role: roles[at]! } })) };
};
const HASH = `$6$saltsalt$${'a'.repeat(86)}`;
const SINGLE = ['fleet-control-plane-single'];

export const clusterTriggers: readonly Trigger[] = [
  { id: 'fleet-network-invalid', name: 'a network without a prefix', fleet: withNetworks({ pods: ['10.233.64.0'] }), severity: 'error', subject: 'fleet', message: /for the network of the pods, found "10\.233\.64\.0"/ },
  { id: 'fleet-network-invalid', name: 'a range that goes down', fleet: () => plain(['node1', { hostVars: { metallb_ip_range: ['192.0.2.9-192.0.2.1'] } }]), severity: 'error', subject: 'fleet', message: /for metallb_ip_range, found "192\.0\.2\.9-192\.0\.2\.1"/ },
  { id: 'fleet-network-overlap', name: 'services inside of pods', fleet: withNetworks({ pods: ['10.233.0.0/16'] }), severity: 'error', subject: 'fleet', message: /that of the pods, 10\.233\.0\.0\/16, and that of the services, 10\.233\.0\.0\/18/ },
  { id: 'fleet-network-overlap', name: 'the same', fleet: withNetworks({ pods: ['10.233.0.0/18'] }), severity: 'error', subject: 'fleet', message: /in common/ },
  { id: 'fleet-network-overlap', name: 'pods inside of the nodes\'', fleet: () => kubespray({}, { networks: { nodes: ['192.0.0.0/8'], pods: ['192.168.0.0/16'] } }), severity: 'error', subject: 'fleet', message: /of the nodes, 192\.0\.0\.0\/8, and that of the pods, 192\.168\.0\.0\/16/ },
  { id: 'fleet-network-overlap', name: 'IPv6', fleet: withNetworks({ pods: ['10.233.64.0/18', 'fd85:ee78:d8a6:8607::1:0/112'], services: ['fd85:ee78:d8a6:8607::/64'] }), severity: 'error', subject: 'fleet', message: /fd85:ee78:d8a6:8607::\/64.*fd85:ee78:d8a6:8607::1:0\/112/ },
  { id: 'fleet-network-overlap', name: 'the nodes\' network is that of their addresses', fleet: () => kubespray({}, { networks: { pods: ['192.0.2.128/25'] } }), severity: 'error', subject: 'fleet', message: /of the nodes, 192\.0\.2\.0\/24, and that of the pods, 192\.0\.2\.128\/25/, also: ['fleet-network-small'] },
  { id: 'fleet-network-small', name: '5 nodes, 4 networks of /24', fleet: grouped(5, { networks: { pods: ['10.0.0.0/22'] } }), severity: 'warning', subject: 'fleet', message: /room for 5 nodes in the network of the pods, 10\.0\.0\.0\/22, with a \/24 for each, found room for 4/ },
  { id: 'fleet-network-small', name: 'not with Calico', fleet: () => k3s({}, { networks: { pods: ['10.42.0.0/23'] } }), severity: 'error', subject: 'fleet', message: /room for 4 nodes .* found room for 2/ },
  { id: 'fleet-network-small', name: 'a larger network for each node', fleet: () => { const some = grouped(5, { networks: { pods: ['10.0.0.0/20'] } })(); return { ...some, nodes: some.nodes.map((one, at) => ({ ...one, hostVars: { kube_network_node_prefix: at === 0 ? 24 : 22, kube_network_plugin: 'flannel' } })) }; }, severity: 'error', subject: 'fleet', message: /with a \/22 for each, found room for 4/ },
  { id: 'fleet-network-small', name: 'less than one', fleet: () => k3s({}, { networks: { pods: ['10.42.0.0/25'] } }), severity: 'error', subject: 'fleet', message: /found room for 0/ },
  { id: 'fleet-network-small', name: 'IPv6 by kube-controller-manager', fleet: () => k3s({}, { networks: { pods: ['fd00::/63'] } }), severity: 'error', subject: 'fleet', message: /with a \/64 for each, found room for 2/ },
  { id: 'fleet-network-holds-node', name: 'services hold a node', fleet: bare({ services: ['192.0.2.12/30'] }), severity: 'error', subject: 'node w1', message: /the address 192\.0\.2\.14 outside of the network of the services, found it in 192\.0\.2\.12\/30/, count: 3 },
  { id: 'fleet-network-holds-node', name: 'pods hold a virtual address', fleet: bare({ pods: ['10.233.64.0/18'] }, ['10.233.64.1']), severity: 'error', subject: 'fleet', message: /the virtual address 10\.233\.64\.1 outside/ },
  { id: 'fleet-range-taken', name: 'MetalLB gives out a node\'s address', fleet: w1({ hostVars: { metallb_config: { address_pools: { primary: { ip_range: ['192.0.2.14-192.0.2.20'] } } } } }), severity: 'error', subject: 'node w1', message: /outside of the range of metallb_config, found it in 192\.0\.2\.14-192\.0\.2\.20/ },
  { id: 'fleet-range-taken', name: 'kube-vip gives out the virtual address', fleet: w1({ hostVars: { kube_vip_lb_ip_range: '192.0.2.9-192.0.2.10,192.0.2.200' } }), severity: 'error', subject: 'fleet', message: /the virtual address 192\.0\.2\.10 outside of the range of kube_vip_lb_ip_range/ },
  { id: 'fleet-range-taken', name: 'inside of the services', fleet: w1({ hostVars: { metal_lb_ip_range: '10.233.1.0/24' } }), severity: 'error', subject: 'fleet', message: /found "10\.233\.1\.0\/24" and 10\.233\.0\.0\/18/ },

  { id: 'fleet-vip-node', name: 'a control plane has it', fleet: () => kubespray({}, { vips: ['192.0.2.11'] }), severity: 'error', subject: 'node cp1', message: /found 192\.0\.2\.11, which is to move/ },
  { id: 'fleet-vip-outside', name: 'another network', fleet: () => kubespray({}, { vips: ['198.51.100.10'] }), severity: 'warning', subject: 'fleet', message: /\(192\.0\.2\.0\/24\), found 198\.51\.100\.10/ },
  { id: 'fleet-vip-outside', name: 'the network of the nodes\' addresses', fleet: () => kubespray({}, { vips: ['198.51.100.10'], networks: {} }), severity: 'warning', subject: 'fleet', message: /\(192\.0\.2\.0\/24\), found 198\.51\.100\.10/ },
  { id: 'fleet-server-missing', name: 'only agents', fleet: () => k3s({ s1: null, s2: null, s3: null, a1: { variables: { server: undefined } } }), severity: 'error', subject: 'fleet', message: /a server of k3s for its agents, found none in the inventory, and no URL of one at a1 \(inventory\.ini:14\)/, also: ['fleet-variable'] },
  { id: 'fleet-server-missing', name: 'groups of k3s-ansible', fleet: () => plain(['a1', { groups: ['k3s_cluster', 'agent'] }]), severity: 'error', subject: 'fleet', message: /found none/ },
  { id: 'fleet-server-unknown', name: 'an address that no node has', fleet: () => k3s(agent('https://192.0.2.99:6443')), severity: 'warning', subject: 'node a1', message: /found "192\.0\.2\.99", which is neither/ },
  { id: 'fleet-server-unknown', name: 'a name that no node has', fleet: () => k3s(agent('https://k3s.example.org:6443')), severity: 'warning', subject: 'node a1', message: /found "k3s\.example\.org"/ },
  { id: 'fleet-server-unknown', name: 'itself, an agent', fleet: () => k3s(agent('https://a1:6443')), severity: 'error', subject: 'node a1', message: /found "a1", which is a1, and that is none/ },
  { id: 'fleet-server-unknown', name: 'no URL', fleet: () => plain(['s1', { groups: ['k3s_cluster', 'server'], address: '192.0.2.1', variables: { server: '192.0.2.11' } }]), severity: 'error', subject: 'node s1', message: /expected a URL/ },

  { id: 'fleet-etcd-even', name: 'two members', fleet: () => kubespray({ cp3: { parts: { groups: ['kube_control_plane'] } } }), severity: 'error', subject: 'group etcd', message: /found 2: as many may fail as of 1/ },
  { id: 'fleet-etcd-even', name: 'two servers of k3s', fleet: () => k3s({ s3: null }), severity: 'warning', subject: 'fleet', message: /found 2/ },
  { id: 'fleet-etcd-even', name: 'no group, four control planes', fleet: () => kubespray(Object.fromEntries(['cp1', 'cp2', 'cp3', 'w1'].map((name) => [name, { parts: { groups: ['kube_control_plane'] } }]))), severity: 'error', subject: 'fleet', message: /found 4: as many may fail as of 3/ },
  { id: 'fleet-control-plane-missing', name: 'only workers', fleet: () => kubespray({ cp1: null, cp2: null, cp3: null }), severity: 'error', subject: 'fleet', message: /a control plane for 1 node, found none/ },
  { id: 'fleet-control-plane-missing', name: 'kubeadm', fleet: kubeadm(['worker', 'worker']), severity: 'warning', subject: 'fleet', message: /for 2 nodes, found none/ },
  { id: 'fleet-control-plane-single', name: 'one of two nodes', fleet: () => kubespray({ cp2: null, cp3: null }), severity: 'info', subject: 'fleet', message: /found only cp1 \(inventory\.ini:11\)/ },
  { id: 'fleet-version-skew', name: 'Kubespray\'s variable and the profile\'s', fleet: () => kubespray({ cp1: { hostVars: { kube_version: 'v1.34.2' } }, w1: { variables: { kubernetes_version: '1.36' } } }), severity: 'warning', subject: 'fleet', message: /found 1\.34 at cp1 \(.*\) and 1\.36 at w1/ },
  { id: 'fleet-version-skew', name: 'by number, not by letter', fleet: () => kubespray({ cp1: { hostVars: { kube_version: '1.9.1' } }, w1: { hostVars: { kube_version: '1.11.0' } } }), severity: 'warning', subject: 'fleet', message: /1\.9 at cp1 .*1\.11 at w1/ },
  { id: 'fleet-timezone-mixed', name: 'two', fleet: () => kubespray({ cp1: { hostVars: { timezone: 'UTC' } }, w1: { hostVars: { ntp_timezone: 'Europe/Berlin' } } }), severity: 'warning', subject: 'fleet', message: /found "UTC" at cp1 \(.*\) and "Europe\/Berlin" at w1/ },

  { id: 'fleet-board-32bit', name: 'a Zero', fleet: board('w1', 'Raspberry Pi Zero W'), severity: 'error', subject: 'node w1', message: /found a Zero$/ },
  { id: 'fleet-board-32bit', name: 'a Pi 2', fleet: board('w1', 'pi2'), severity: 'error', subject: 'node w1', message: /found a Pi 2$/ },
  { id: 'fleet-board-32bit', name: 'a Pi 1', fleet: board('w1', 'Raspberry Pi Model B Rev 2'), severity: 'error', subject: 'node w1', message: /found a Pi 1$/ },
  { id: 'fleet-board-memory', name: 'a Pi 3 as a control plane of Kubespray', fleet: board('cp1', 'pi3'), severity: 'error', subject: 'node cp1', message: /expected 1500 MB of memory for a control plane of kubespray, found a Pi 3 with 1024 MB, of which the system sees about 921/ },
  { id: 'fleet-board-memory', name: 'a Pi of 1 GB as a worker of Kubespray', fleet: board('w1', 'pi4-1gb'), severity: 'error', subject: 'node w1', message: /expected 1024 MB of memory for a worker/ },
  { id: 'fleet-board-memory', name: 'a Pi 3 as a server of k3s', fleet: () => k3s({ s1: { parts: { board: 'Pi 3B+' } } }), severity: 'error', subject: 'node s1', message: /expected 2048 MB of memory for a control plane of k3s, found a Pi 3 with 1024 MB$/ },
  { id: 'fleet-board-memory', name: 'a server of RKE2', fleet: rke2('pi5 2GB'), severity: 'error', subject: 'node s1', message: /expected 4096 MB .* of rke2, found a Pi 5 with 2048 MB/ },
  { id: 'fleet-board-memory', name: 'a control plane of kubeadm', fleet: kubeadm(['control-plane'], 'pi4 1.5 GB'), severity: 'error', subject: 'node cp1', message: /expected 1700 MB of memory for a control plane of kubeadm, found a Pi 4 with 1536 MB/ },
  { id: 'fleet-board-memory', name: 'a worker of kubeadm, for which it does not stop', fleet: kubeadm(['control-plane', 'worker'], 'cm4 1 GiB'), severity: 'warning', subject: 'node cp2', message: /expected 1024 MB of memory for a worker of kubeadm, found a Compute Module 4 with 1024 MB/, count: 2, also: SINGLE },

  { id: 'fleet-user-differs', name: 'another', fleet: w1({ hostVars: { ansible_user: 'pi' } }), severity: 'error', subject: 'node w1', message: /user of the image, "ansible", found "pi"/ },
  { id: 'fleet-user-differs', name: 'the profile\'s default', fleet: w1({ variables: { user: undefined } }), severity: 'error', subject: 'node w1', message: /user of the image, "rocky", found "ansible"/ },
  { id: 'fleet-login-missing', name: 'the image\'s login is locked', fleet: w1({ variables: { user: undefined, ssh_keys: [] }, hostVars: { ansible_user: undefined } }), severity: 'error', subject: 'node w1', message: /for the user "rocky", found none: nobody could log in/ },
  { id: 'fleet-login-missing', name: 'a new user without a way in', fleet: () => plain(['node1', { profiles: ['node'], variables: { user: 'ansible' } }]), severity: 'error', subject: 'node node1', message: /for the user "ansible"/ },

  { id: 'fleet-profile', name: 'unknown', fleet: w1({ parts: { profiles: ['kubespry-node'] } }), severity: 'error', subject: 'node w1', message: /found "kubespry-node"; the nearest known name is "kubespray-node"/ },
  { id: 'fleet-profile', name: 'no such file', fleet: w1({ parts: { profiles: ['/nowhere/at-all.yaml'] } }), severity: 'error', subject: 'node w1', message: /found no such file/ },
  { id: 'fleet-variable', name: 'missing', fleet: () => k3s({ a1: { variables: { token: undefined } } }), severity: 'error', subject: 'node a1', message: /a value for the variable "token" \(.*\), found none/ },
  { id: 'fleet-variable', name: 'does not match', fleet: () => k3s({ s2: { variables: { k3s_version: '1.34' } } }), severity: 'error', subject: 'node s2', message: /^inventory\.ini:12: expected a value that matches .* for the variable "k3s_version" \(.*\), found "1\.34"/ },
  { id: 'fleet-variable', name: 'of a wrong type', fleet: () => k3s({ s2: { variables: { selinux: 'perhaps' } } }), severity: 'error', subject: 'node s2', message: /expected a boolean for the variable "selinux", found the string "perhaps"/ },
  { id: 'fleet-variable', name: 'a secret of a wrong type is not shown', fleet: () => k3s({ s2: { variables: { token: ['kept-secret', 'one-more'] } } }), severity: 'error', subject: 'node s2', message: /"token", found something else \(not shown: it is secret\)$/ },
  { id: 'fleet-variable', name: 'not of its profiles', fleet: w1({ variables: { k3s_version: 'v1.34.1+k3s1' } }), severity: 'error', subject: 'node w1', message: /^inventory\.ini:14: expected a variable of the node's profiles, found "k3s_version"/ },
  { id: 'fleet-variable', name: 'a host name that is none, beside a good name', fleet: w1({ variables: { hostname: 'w1_' } }), severity: 'error', subject: 'node w1', message: /for the variable "hostname" \(.*\), found "w1_"/ },
  { id: 'fleet-step', name: 'a key that is none', fleet: w1({ variables: { ssh_keys: ['ssh-ed25519 AAAA'] } }), severity: 'error', subject: 'node w1', message: /^node\.yaml:\d+:\d+: expected .*authorized_keys/ },
  { id: 'fleet-step', name: 'a private key is not shown', fleet: w1({ variables: { ssh_keys: ['-----BEGIN PRIVATE KEY-----'] } }), severity: 'error', subject: 'node w1', message: /found a PRIVATE key/ },
  { id: 'fleet-step', name: 'an interface that is none', fleet: w1({ variables: { interface: 'a b' } }), severity: 'error', subject: 'node w1', message: /name of an interface/ },
];

export const clusterQuiet: readonly Quiet[] = [
  { id: 'fleet-network-invalid', name: 'host bits, IPv6, a single address', fleet: () => kubespray({ w1: { hostVars: { metallb_ip_range: '192.0.2.200' } } }, { networks: { pods: ['10.233.64.1/18', 'fd00::/112'] } }) },
  { id: 'fleet-network-overlap', name: 'side by side, and one of a kind in the other', fleet: withNetworks({ nodes: ['192.0.2.0/24', '192.0.2.0/25'], services: ['10.233.0.0/18', '10.233.128.0/18'] }) },
  { id: 'fleet-network-small', name: 'as many as fit', fleet: grouped(4, { networks: { pods: ['10.0.0.0/22', 'fd00::/118'] } }) },
  { id: 'fleet-network-small', name: 'members of etcd alone have no pods', fleet: grouped(5, { networks: { pods: ['10.0.0.0/22'] } }, ['etcd']) },
  { id: 'fleet-network-holds-node', name: 'the first address behind', fleet: bare({ services: ['192.0.2.16/28'], pods: ['192.0.2.0/29'] }, ['192.0.2.15']) },
  { id: 'fleet-range-taken', name: 'beside the nodes', fleet: w1({ hostVars: { metallb_ip_range: ['192.0.2.240/28', '192.0.2.15-192.0.2.20'], metallb_config: { address_pools: [] } } }) },
  { id: 'fleet-vip-node', name: 'a load balancer that is no node of the cluster', fleet: () => { const base = kubespray(); return { ...base, vips: ['192.0.2.5'], nodes: [...base.nodes, node('lb', { address: '192.0.2.5' })] }; } },
  { id: 'fleet-vip-outside', name: 'a name, and one inside', fleet: () => kubespray({}, { vips: ['lb.example.org', '192.0.2.10'] }) },
  { id: 'fleet-server-missing', name: 'a cluster that is there already', fleet: () => k3s({ s1: null, s2: null, s3: null, ...agent('https://old.example.org:6443') }), also: ['fleet-server-unknown'] },
  { id: 'fleet-server-unknown', name: 'the virtual address', fleet: () => k3s(agent('https://192.0.2.10:6443'), { vips: ['192.0.2.10'] }) },
  { id: 'fleet-server-unknown', name: 'a name of it', fleet: () => k3s(agent('https://API.example.org:6443'), { vips: ['api.example.org'] }) },
  { id: 'fleet-server-unknown', name: 'a server by its name', fleet: () => k3s(agent('https://S1:6443')) },
  { id: 'fleet-server-unknown', name: 'a server with its domain, and in brackets', fleet: () => k3s({ ...agent('https://s1.example.org:6443'), s1: { hostVars: { ip6: '2001:db8::11' } }, s2: { variables: { server: 'https://[2001:db8:0::11]:6443' } } }) },
  { id: 'fleet-etcd-even', name: 'three', fleet: kubespray },
  { id: 'fleet-control-plane-missing', name: 'kubeadm', fleet: kubeadm(['control-plane', 'worker']), also: SINGLE },
  { id: 'fleet-control-plane-missing', name: 'no cluster', fleet: () => plain(['node1', { profiles: ['node'] }]) },
  { id: 'fleet-control-plane-single', name: 'the only node', fleet: () => kubespray({ cp2: null, cp3: null, w1: null }) },
  { id: 'fleet-version-skew', name: 'one minor', fleet: () => kubespray({ cp1: { hostVars: { kube_version: '1.35.3' } }, w1: { hostVars: { kube_version: 'v1.36.0' } }, cp2: { hostVars: { kube_version: 'latest' } } }) },
  { id: 'fleet-version-skew', name: 'of k3s, what it installs counts', fleet: () => k3s({ s1: { variables: { kubernetes_version: '1.30' } } }) },
  { id: 'fleet-timezone-mixed', name: 'one, and none', fleet: () => kubespray({ cp1: { hostVars: { timezone: 'UTC' } }, w1: { hostVars: { timezone: 'UTC' } } }) },
  { id: 'fleet-board-32bit', name: 'a Pi 2 of revision 1.2', fleet: board('w1', 'Pi 2 Model B v1.2'), also: ['fleet-board-memory'] },
  { id: 'fleet-board-memory', name: '2 GB for Kubespray', fleet: board('cp1', 'Raspberry Pi 4 Model B 2GB') },
  { id: 'fleet-board-memory', name: 'not told', fleet: board('cp1', 'pi4') },
  { id: 'fleet-board-memory', name: 'a server of something else', fleet: () => plain(['node1', { profiles: ['node'], groups: ['server'], board: 'pi3' }]) },
  { id: 'fleet-board-memory', name: 'no Pi', fleet: board('cp1', 'rock64 1GB') },
  { id: 'fleet-board-memory', name: '4 GB for RKE2', fleet: rke2('Raspberry Pi 5 4 GB') },
  { id: 'fleet-board-memory', name: 'a Zero 2 W as an agent of k3s', fleet: () => k3s({ a1: { parts: { board: 'zero2w' } } }) },
  { id: 'fleet-user-differs', name: 'Ansible\'s own user is not told', fleet: w1({ hostVars: { ansible_user: undefined } }) },
  { id: 'fleet-user-differs', name: 'the profile makes no user', fleet: () => plain(['node1', { profiles: ['cgroups'], hostVars: { ansible_user: 'root' } }]) },
  { id: 'fleet-login-missing', name: 'a password', fleet: w1({ variables: { ssh_keys: undefined, password_hash: HASH } }) },
  { id: 'fleet-login-missing', name: 'the image\'s login stays', fleet: () => plain(['node1', { profiles: ['node'] }]) },
  { id: 'fleet-login-missing', name: 'keys for all', fleet: w1({ variables: { ssh_keys: undefined } }), context: { given: { set: [`password_hash=${HASH}`], varsFiles: [], environment: {} } } },
  { id: 'fleet-profile', name: 'shipped', fleet: kubespray },
  { id: 'fleet-variable', name: 'a token for all, beside the inventory', fleet: () => k3s({ a1: { variables: { token: undefined } } }), context: { given: { set: ['token=abc'], varsFiles: [], environment: {} } } },
  { id: 'fleet-variable', name: 'a token by the environment', fleet: () => k3s({ a1: { variables: { token: undefined } } }), context: { given: { set: [], varsFiles: [], environment: { ROCKBERRY_VAR_TOKEN: 'abc' } } } },
  { id: 'fleet-step', name: 'an interface', fleet: w1({ variables: { interface: 'eth0' } }) },
];
