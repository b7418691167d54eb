/** Ansible inventories of the kinds that people have, with what lies beside them. The first file of each is the inventory. */
import type { Files } from './oracle.js';

const KUBESPRAY_VARS: Files = {
  'group_vars/all/all.yml': 'etcd_data_dir: /var/lib/etcd\nbin_dir: /usr/local/bin\nloadbalancer_apiserver_port: 6443\nno_proxy_exclude_workers: false\nupstream_dns_servers:\n  - 192.0.2.53\n',
  'group_vars/all/containerd.yml': '---\n# containerd_storage_dir: "/var/lib/containerd"\n',
  'group_vars/all/etcd.yml': 'etcd_deployment_type: host\n',
  'group_vars/k8s_cluster/k8s-cluster.yml': [
    'kube_config_dir: /etc/kubernetes', 'kube_script_dir: "{{ bin_dir }}/kubernetes-scripts"', 'kube_version: 1.34.2', 'kube_service_addresses: 10.233.0.0/18', 'kube_pods_subnet: 10.233.64.0/18',
    'kube_service_addresses_ipv6: fd85:ee78:d8a6:8607::1000/116', 'enable_dual_stack_networks: false', 'kube_apiserver_ip: "{{ kube_service_addresses | ipaddr(\'net\') }}"',
    'kube_proxy_nodeport_addresses: >-', '  {%- if x is defined -%}', '  [{{ x }}]', '  {%- endif -%}', 'cluster_name: cluster.local', 'event_ttl_duration: "1h0m0s"', 'kubeadm_patches:', '  enabled: false',
    '  dest_dir: "{{ kube_config_dir }}/patches"', '',
  ].join('\n'),
  'group_vars/k8s_cluster/addons.yml': 'kube_vip_enabled: true\nkube_vip_address: 192.0.2.10\nmetallb_config:\n  address_pools:\n    primary: { ip_range: [192.0.2.100-192.0.2.120], auto_assign: true }\n',
  'group_vars/etcd.yml': 'etcd_events_cluster_setup: no\netcd_heartbeat_interval: 0250\n',
};

export const SAMPLES: Readonly<Record<string, Files>> = {
  'kubespray, INI': {
    'inventory.ini': [
      '# This inventory describes a HA topology with stacked etcd', '', '[kube_control_plane]', 'node1 ansible_host=192.0.2.11 ip=192.0.2.11 etcd_member_name=etcd1', 'node2 ansible_host=192.0.2.12 # ip=10.3.0.2',
      'node3 ansible_host=192.0.2.13 ansible_user=pi', '', '[etcd:children]', 'kube_control_plane', '', '[kube_node]', 'node4 ansible_host=192.0.2.14 ansible_port=22', 'node5', '',
      '[k8s_cluster:children]', 'kube_node', 'kube_control_plane', '', '[calico_rr]', '',
    ].join('\n'),
    ...KUBESPRAY_VARS, 'host_vars/node5.yml': 'ansible_host: 192.0.2.15\nnode_labels: { disk: ssd }\n',
  },
  'kubespray, YAML': {
    'hosts.yaml': [
      'all:', '  vars: { ansible_user: ansible, ansible_become: true, ansible_python_interpreter: /usr/bin/python3 }', '  hosts:', '    node1: { ansible_host: 192.0.2.11, ip: 192.0.2.11, access_ip: 192.0.2.11 }',
      '    node2: &two { ansible_host: 192.0.2.12, ip: 192.0.2.12 }', '    node3: { <<: *two, ip: 192.0.2.13 }', '  children:', '    kube_control_plane:', '      hosts:', '        node1:', '        node2:',
      '    kube_node: { hosts: { node1: , node2: , node3: } }', '    etcd: { hosts: { node1: {}, node2: {}, node3: {} } }', '    k8s_cluster:', '      children:', '        kube_control_plane:', '        kube_node:',
      '    calico_rr:', '      hosts: {}', '',
    ].join('\n'),
    ...KUBESPRAY_VARS,
  },
  'k3s-ansible, YAML': {
    'inventory.yml': [
      '---', 'k3s_cluster:', '  children:', '    server:', '      hosts:', '        192.0.2.11:', '    agent:', '      hosts:', '        192.0.2.12:', '        192.0.2.13:', '  vars:', '    ansible_port: 22',
      '    ansible_user: debian', '    k3s_version: v1.34.1+k3s1', '    token: "changeme!"',
      '    api_endpoint: "{{ hostvars[groups[\'server\'][0]][\'ansible_host\'] | default(groups[\'server\'][0]) }}"', '    extra_install_envs: { \'INSTALL_K3S_SKIP_SELINUX_RPM\': \'true\' }', '',
    ].join('\n'),
  },
  'k3s-ansible, INI with group_vars': {
    'hosts.ini': '[server]\n192.0.2.1[1:3]\n\n[agent]\n192.0.2.14\n\n[k3s_cluster:children]\nserver\nagent\n',
    'group_vars/all.yml': '---\nk3s_version: v1.34.1+k3s1\nansible_user: pi\napiserver_endpoint: 192.0.2.10\nk3s_token: "some-secret"\nextra_server_args: "--cluster-cidr=10.52.0.0/16"\nsystemd_dir: /etc/systemd/system\n',
  },
  'ranges and ports': {
    hosts: 'lone\n[web]\nnode[01:20]\n[db]\ndb-[a:f]:2222 x=1\nrack[1:3]-node[0:9:3]\n[2001:db8::1]:2200\n192.0.2.[1:4]\ncaps[Y:Z]\n[odd]\nname_with_underscore.example.com\nx[:2]\n',
  },
  'values': {
    'values.ini': [
      '[all]', 'node1 a=1 b=1.5 c=True d=true e=None f="[1, 2, \'x\']" g="{\'k\': (1, 2), \'l\': None}" h=0644 i=0x1F j=\'"quoted"\' k="\'quoted\'" l= m=-7 n=1_000 o=1e3 p=b=c q="two words" r=\\#x s=a\\ b # comment t=1',
      'node2 a="\\"in\\"" b=\'it"s\' c=1,2 d=(1) e=(1,) f=[] g={} h=1.2.3.4 i=+5 j=1.',
      '[all:vars]', 'one = 1 # a comment', 'two=two # kept', 'three="three" # gone', 'four=  spaced   out  ', 'five={{ one }}', 'six=\'a\' \'b\'', 'seven=r\'\\d\'', 'eight="\\x41\\u0042\\n"', 'nine=', 'ten=yes', 'eleven==x', 'twelve=#',
      'thirteen=None', 'fourteen="unclosed', 'fifteen=[1, 2', 'sixteen=1 if x else 2', 'seventeen=00', 'eighteen=\u00e9\u4e2d', 'nineteen = "\u00e9"', 'ellipsis2=..', 'minus=- 1', '  indented=1',
    ].join('\n'),
  },
  'children inside each other, depth and names': {
    'inventory.ini': [
      '[a]', 'h1', '[b]', 'h1', '[c]', 'h1', 'h2', '[deep:children]', 'a', '[deeper:children]', 'deep', 'b', '[z:children]', 'c', '[ungrouped]', 'h3', 'h1', '[a:vars]', 'who=a', 'a=1', '[b:vars]', 'who=b', 'b=1', '[c:vars]',
      'who=c', '[deep:vars]', 'who=deep', 'x=deep', '[deeper:vars]', 'who=deeper', 'x=deeper', 'y=deeper', '[z:vars]', 'y=z', '[all:vars]', 'who=all', 'z=all',
    ].join('\n'),
  },
  'priorities': {
    'inventory.ini': '[a]\nh1\nh2\n[b]\nh1\nh2\n[c]\nh2\n[a:vars]\nansible_group_priority=10\nv=a\n[b:vars]\nv=b\n[c:vars]\nv=c\nansible_group_priority=-1\n',
    'group_vars/b.yml': 'v: file b\nw: file b\nansible_group_priority: 99\n', 'group_vars/a.yml': 'w: file a\n',
  },
  'group_vars and host_vars, files and folders': {
    'inventory.ini': '[g]\nh1 v=line w=line\nh2 v=line\nh3\nh4\n[g:vars]\nv=ini\nu=ini\n[other]\nh1\n',
    'group_vars/all': 'from: a file without an ending\nu: all\n', 'group_vars/all.yml': 'from: never read\n', 'group_vars/g/10-first.yml': 'order: 10\nt: first\n', 'group_vars/g/20-second.yaml': 'order: 20\n',
    'group_vars/g/sub/x.json': '{"order": "x", "number": 1e3, "text": "yes", "nested": {"a": [1, true, null]}}', 'group_vars/g/zz': 'order: zz\nu: g\n', 'group_vars/g/.hidden.yml': 'hidden: true\n',
    'group_vars/g/backup.yml~': 'backup: true\n', 'group_vars/g/notes.txt': 'notes: true\n', 'group_vars/g/with.dot/y.yml': 'dotted: true\n', 'group_vars/other.yaml': 'order: other\n', 'group_vars/ungrouped.yml': 'never: true\n',
    'host_vars/h1.yml': 'v: file\nlist: [a, b]\n', 'host_vars/h2/main.yml': 'v: folder\n', 'host_vars/h3.json': '{"v": "json"}', 'host_vars/h4.yml': '', 'host_vars/h5.yml': 'v: nobody\n',
  },
  'YAML 1.1': {
    'hosts.yml': [
      'all:', '  hosts:', '    h1:', '      a: yes', '      b: off', '      c: 0644', '      d: 0o644', '      e: 1:30', '      f: 52:54:00:12:34:56', '      g: 1e5', '      h: 1.0e+5', '      i: 0b101', '      j: 0xff', '      k: ~', '      l:',
      '      m: y', '      n: "no"', '      o: 1_000', '      p: 2024-01-02', '      q: .5', '      r: !!str 12', '      s: !!int "12"', '      t: !unsafe "{{ x }}"', '      u: |', '        lines', '        here', '      v: >-', '        folded',
      '        text', '      w: [yes, {no: on}]', '      x: -0x1f', '      y: +12', '      z: 08', '      2: number', '      true: boolean', '      dup: 1', '      dup: 2', '      10000000e1234567: 10000000e1234567', '      "": empty', '      null: nothing',
    ].join('\n'),
  },
  'YAML with merges, aliases and no "all"': {
    'hosts.yaml': [
      'base:', '  vars: &base { a: 1, b: 2 }', 'web:', '  hosts: web1', '  vars:', '    <<: *base', '    b: 3', '    list: &l [1, 2]', 'db:', '  hosts:', '    "db[1:2]": { <<: [*base, {c: 9, a: 7}], again: *l }', '  children:', '    replica:', '      hosts: { db3: null }',
      '      vars: { c: 4 }', 'empty:', '',
    ].join('\n'),
  },
  'JSON': { 'hosts.json': JSON.stringify({ all: { hosts: { h1: { a: 1.5, b: 'yes', c: true, d: null, e: [1, { f: '0644' }] } }, children: { g: { hosts: { h1: {}, h2: {} }, vars: { v: 1e3 } } } } }, null, 2) },
  'a file without an ending that is YAML': { inventory: 'all:\n  hosts:\n    h1:\n      v: 1\n' },
  'names that are odd': {
    'inventory.ini': '[kube-node]\nNODE_1 v=1\nnode.example.com:22\n[grüße]\nknoten\n[with.dot:children]\nkube-node\n[0]\nzero\n[all:vars]\n__proto__=1\nconstructor=2\n[kube-node:vars]\ntoString=3\n',
    'group_vars/all.yml': '__proto__: { polluted: true }\nhasOwnProperty: 1\n', 'host_vars/node.example.com.yml': 'v: dotted\n', 'group_vars/kube-node.yml': 'w: dash\n',
  },
  'a host named as a group': { 'inventory.ini': '[web]\nweb a=1\nh1\n[other]\nh1 b=2\n' },
  'defined later, and twice': {
    'inventory.ini': '[parent:children]\nchild\n[h:vars]\nv=1\n[child]\nh1 a=1\n[h]\nh1 a=2 ansible_port=5\nh1:77\n[child]\nh2:88 b=1\nh2:99\n[parent:vars]\nv=2\n[child:children]\nh\n[h:vars]\nv=3\n; comment\n  # comment\n',
  },
};
