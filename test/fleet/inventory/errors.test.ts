/** Bad input: each case is one error, one sentence, with its code and its place. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RockberryError, type ErrorCode } from '../../../src/errors.js';
import { readInventory } from '../../../src/fleet/inventory.js';
import { folderOf, type Files } from './oracle.js';

type Case = readonly [title: string, text: string | Files, code: ErrorCode, message: string];

const ini: readonly Case[] = [
  ['a section with spaces', 'h1\n[kube node]\n', 'corrupt', 'inventory.ini:2:1: expected a section such as [kube_node], found "[kube node]"'],
  ['a section of an unknown kind', '[web:variables]\n', 'corrupt', 'inventory.ini:1:1: expected a section [web], [web:children] or [web:vars], found "[web:variables]"'],
  ['variables of no group', '[a]\nh\n[wbe:vars]\nx=1\n', 'corrupt', 'inventory.ini:3:1: expected variables of a group that is defined, found [wbe:vars] without a section [wbe]'],
  ['a child that is not there', '[a:children]\n  b\n[a]\nh\n', 'corrupt', 'inventory.ini:2:3: expected a group that is defined as a child of "a", found "b"'],
  ['a host as a child', '[b]\nh\n[a:children]\nb x=1\n', 'corrupt', 'inventory.ini:4:1: expected the name of a group in [a:children], found "b x=1"'],
  ['a variable without "="', '[a]\nh\n[a:vars]\nsecret stuff\n', 'corrupt', 'inventory.ini:4:1: expected key=value in [a:vars], found a line without "="'],
  ['a word without "="', 'h1 x=1\nh2 token=two words\n', 'corrupt', 'inventory.ini:2:14: expected key=value after the name of a host, found a word without "="'],
  ['an open quote', 'h1\n  h2 x="a\n', 'corrupt', 'inventory.ini:2:3: expected closed quotes, found a quote or a backslash that is left open'],
  ['a colon without a port', 'all:\n', 'corrupt', 'inventory.ini:1:1: expected a port after ":", found "all:"'],
  ['YAML', '---\n', 'corrupt', 'inventory.ini:1:1: expected an INI inventory, found "---", which begins YAML'],
  ['a range backwards', 'node[3:1]\n', 'corrupt', 'inventory.ini:1:1: expected a range that does not run backwards, found "node[3:1]"'],
  ['a range of uneven ends', 'node[01:100]\n', 'corrupt', 'inventory.ini:1:1: expected a range whose ends have as many digits as each other, found "node[01:100]"'],
  ['a range without an end', 'node[1:]\n', 'corrupt', 'inventory.ini:1:1: expected a range with an end, found "node[1:]"'],
  ['a range of too many', 'node[1:9999][1:9999]\n', 'unsupported', 'inventory.ini:1:1: expected at most 100000 hosts, found 99980001 in "node[1:9999][1:9999]"'],
  ['too many hosts in all', 'a[1:60000]\nb[1:60000]\n', 'unsupported', 'inventory.ini:2:1: expected at most 100000 hosts, found more'],
  ['groups in a circle', '[a:children]\nb\n[b:children]\nc\n[c:children]\na\n', 'corrupt', 'inventory.ini:2:1: expected groups that do not contain each other in a circle, found "a" → "b" → "c" → "a"'],
  ['a group in itself', '[a:children]\na\n[a]\nh\n', 'corrupt', 'inventory.ini:2:1: expected groups that do not contain each other in a circle, found "a" → "a"'],
  ['a priority that is none', '[a]\nh\n[a:vars]\nansible_group_priority=high\n', 'profile', 'inventory.ini:4:1: expected a whole number for ansible_group_priority, found something else'],
  ['no host', '[a]\n# h\n', 'profile', 'inventory.ini:1:1: expected at least one node, found none'],
  ['nothing at all', '\n', 'corrupt', 'inventory.ini:1:1: expected an inventory, found an empty file'],
  ['a program', '#!/bin/sh\n', 'unsupported', 'inventory.ini:1:1: expected an inventory that is a list of nodes, found a program'],
  ['a zero byte', 'a\nb\0\n', 'corrupt', 'inventory.ini:2:1: expected text, found a zero byte'],
  ['a variable of no profile', '[a]\nh rockberry_gatway=192.0.2.1\n', 'profile', 'inventory.ini:2:3: expected a variable of the node\'s profiles, found "gatway"; the nearest known name is "gateway"'],
  ['a profile that is not there', 'h rockberry_profiles=kubespray\n', 'profile', 'inventory.ini:1:3: expected the name of a shipped profile or the path of a file, found "kubespray"'],
  ['profiles that are no names', 'h rockberry_profiles=12\n', 'profile', 'inventory.ini:1:3: expected the names of profiles for the node "h", found something else'],
  ['two base images', 'a rockberry_image=a.img\nb rockberry_image=b.img\n', 'unsupported', 'inventory.ini:2:3: expected one base image for the whole fleet, found another one than for the first node'],
  ['a template that is needed', 'h ip="{{ lookup(\'env\', \'IP\') }}"\n', 'profile', 'inventory.ini:1:3: expected a value for the variable "ip" of the node "h", found a template that only Ansible can evaluate'],
  ['templates in a circle', 'h ansible_user="{{ a }}" a="{{ ansible_user }}"\n', 'profile', 'inventory.ini:1:3: expected a value for the variable "ansible_user" of the node "h", found a template that only Ansible can evaluate'],
  ['an ip that is none', 'h ip=192.0.2.300\n', 'profile', 'inventory.ini:1:3: expected an IP address for "ip" of the node "h", found "192.0.2.300"'],
  ['a netmask that is none', 'h ip=192.0.2.1 netmask=255.0.255.0\n', 'profile', 'inventory.ini:1:16: expected a prefix length of 1 to 32 or a netmask for "netmask" of the node "h", found "255.0.255.0"'],
  ['a MAC address that is none', 'h mac=dc:a6:32\n', 'profile', 'inventory.ini:1:3: expected a MAC address, as "dc:a6:32:00:00:01" for "mac" of the node "h", found "dc:a6:32"'],
  ['a serial number that is none', 'h serial=12\n', 'profile', 'inventory.ini:1:3: expected a serial number of 16 hexadecimal digits for "serial" of the node "h", found "12"'],
  ['a network that is none', '[all:vars]\nkube_pods_subnet=10.233.64.0\n[a]\nh\n', 'profile', 'inventory.ini:2:1: expected a network such as 10.233.64.0/18 for "kube_pods_subnet", found "10.233.64.0"'],
  ['variables that are no mapping', { 'inventory.ini': 'h\n', 'host_vars/h.yml': '- a\n' }, 'corrupt', 'host_vars/h.yml:1:1: expected a mapping of variables, found something else'],
  ['variables that are no YAML', { 'inventory.ini': 'h\n', 'group_vars/all.yml': 'a: 1\nb: "secret\n' }, 'corrupt', 'group_vars/all.yml:3:1: expected valid YAML, found missing char'],
];

const yaml: readonly Case[] = [
  ['no YAML', 'all:\n  hosts: {a: 1\n', 'corrupt', 'hosts.yaml:3:1: expected valid YAML, found bad indent'],
  ['a list', '- hosts: all\n', 'corrupt', 'hosts.yaml:1:1: expected a mapping of groups or of nodes, found a list, as a playbook is one'],
  ['neither kind', 'servers: [a, b]\n', 'corrupt', 'hosts.yaml:1:1: expected groups with hosts, children or vars (an Ansible inventory), or "nodes" (ours), found the key "servers"'],
  ['an empty mapping', '{}\n', 'corrupt', 'hosts.yaml:1:1: expected groups with hosts, children or vars (an Ansible inventory), or "nodes" (ours), found an empty mapping'],
  ['a plugin', 'plugin: aws_ec2\n', 'unsupported', 'hosts.yaml:1:1: expected an inventory that is a list of nodes, found the settings of a plugin'],
  ['a key that is none', 'all:\n  host: {a: }\n', 'corrupt', 'hosts.yaml:2:3: expected hosts, children or vars in the group "all", found "host"; the nearest known name is "hosts"'],
  ['hosts as a list', 'all:\n  hosts:\n    - a\n', 'corrupt', 'hosts.yaml:3:5: expected a mapping for "hosts" of the group "all", found a list'],
  ['a group that is none', 'all:\n  children:\n    web: 5\n', 'corrupt', 'hosts.yaml:3:10: expected a mapping with hosts, children or vars for the group "web", found something else'],
  ['a host whose name is a number', 'all:\n  hosts: {1: }\n', 'corrupt', 'hosts.yaml:2:11: expected the name of a host, found 1, which YAML reads as something else'],
  ['a group whose name is a boolean', 'all:\n  children: {yes: {}}\n', 'corrupt', 'hosts.yaml:2:14: expected the name of a group, found true, which YAML reads as something else'],
  ['variables of a host that are none', 'all:\n  hosts: {a: text}\n', 'corrupt', 'hosts.yaml:2:14: expected a mapping of variables for the host "a", found something else'],
  ['a mapping as a key', 'all:\n  vars:\n    ? [a]\n    : 1\n  hosts: {a: }\n', 'corrupt', 'hosts.yaml:3:7: expected a text as a key, found a mapping or a list'],
  ['an unknown tag', 'all:\n  hosts: {a: {x: !shell id}}\n', 'unsupported', 'hosts.yaml:2:25: expected a value without a tag, or with !vault or !unsafe, found "!shell"'],
  ['an alias of nothing', 'all:\n  hosts: {a: {x: *x}}\n', 'corrupt', 'hosts.yaml:2:18: expected an alias of an anchor before it, found none of that name'],
  ['a merge of a text', 'all:\n  vars: {<<: a}\n  hosts: {a: }\n', 'corrupt', 'hosts.yaml:2:14: expected a mapping or a list of mappings for "<<", found something else'],
  ['a mapping that merges itself', 'all:\n  vars: &v {<<: *v}\n  hosts: {a: }\n', 'corrupt', 'hosts.yaml:2:12: expected a mapping that does not merge itself, found one that does'],
  ['aliases beyond measure', `all:\n  hosts: {h: {a: &a [x, x, x, x, x, x, x, x, x], ${[...'bcdefgh'].map((name, index) => `${name}: &${name} [${Array<string>(9).fill(`*${'abcdefg'[index]}`).join(', ')}]`).join(', ')}}}\n`, 'unsupported', 'hosts.yaml:2:22: expected at most 1000000 values, found more (aliases count as what they stand for)'],
  ['levels beyond measure', `all: ${'['.repeat(99)}\n`, 'unsupported', 'hosts.yaml:1:1: expected at most 64 levels, found more'],
];

const own: readonly Case[] = [
  ['an unknown key', 'image: a.img\nnods: {n1: }\nnodes: {n1: }\n', 'profile', 'fleet.yaml:2:1: expected a known key, found "nods"; the nearest known name is "nodes"'],
  ['an unknown key of a node', 'nodes:\n  n1: { gruops: [a] }\n', 'profile', 'fleet.yaml:2:9: expected a known key in "n1", found "gruops"; the nearest known name is "groups"'],
  ['no nodes', 'image: a.img\n', 'profile', 'fleet.yaml:1:1: expected the key "nodes", found nothing of that name'],
  ['a key twice', 'nodes:\n  n1:\n  n1:\n', 'profile', 'fleet.yaml:3:3: expected each key once, found "n1" again'],
  ['a node twice', 'nodes:\n  n2:\n  n[1:3]:\n', 'profile', 'fleet.yaml:3:3: expected each node once, found "n2" again (first in FOLDER/fleet.yaml:2:3)'],
  ['an unknown group', 'groups: {workers: }\nnodes:\n  n1: {groups: [worker]}\n', 'profile', 'fleet.yaml:3:17: expected the name of a group, found "worker"; the nearest known name is "workers"'],
  ['an unknown node', 'groups: {w: {nodes: [node1]}}\nnodes: {node01: }\n', 'profile', 'fleet.yaml:1:22: expected the name of a node, found "node1"; the nearest known name is "node01"'],
  ['an unknown variable', 'nodes:\n  n1:\n    variables: {gatway: 192.0.2.1}\n', 'profile', 'fleet.yaml:3:17: expected a variable of the node\'s profiles, found "gatway"; the nearest known name is "gateway"'],
  ['a variable of another profile', 'profiles: [node]\nvariables: {k3s_binary: x}\nnodes: {n1: }\n', 'profile', 'fleet.yaml:2:13: expected a variable of the node\'s profiles, found "k3s_binary"'],
  ['an unknown variable of the profiles in "map"', 'map: {adress: lan}\nnodes: {n1: }\n', 'profile', 'fleet.yaml:1:7: expected a variable of the node\'s profiles, found "adress"; the nearest known name is "address"'],
  ['a network that is none', 'networks: {pods: 10.0.0.0}\nnodes: {n1: }\n', 'profile', 'fleet.yaml:1:18: expected a network, as "192.0.2.0/24" for "pods", found the string "10.0.0.0"'],
  ['a shared address that is none', 'vip: here\nnodes: {n1: }\n', 'profile', 'fleet.yaml:1:6: expected an IP address for "vip", found the string "here"'],
  ['a mapping as a value', 'variables: {dns: {a: 1}}\nnodes: {n1: }\n', 'profile', 'fleet.yaml:1:18: expected a string or a number or a boolean or a null or a list for "dns", found a mapping'],
  ['a profile that is not there', 'profiles: [./mine.yaml]\nnodes: {n1: }\n', 'profile', 'fleet.yaml:1:1: expected a profile at FOLDER/mine.yaml, found no such file'],
  ['groups in a circle', 'groups: {a: {children: [b]}, b: {children: [a]}}\nnodes: {n1: {groups: [a]}}\n', 'corrupt', 'fleet.yaml:1:25: expected groups that do not contain each other in a circle, found "a" → "b" → "a"'],
  ['an unknown tag', 'nodes: {n1: {board: !pi 4}}\n', 'profile', 'fleet.yaml:1:21: expected a value without a tag, or with !vault, found tag resolve failed'],
  ['a node with a port', 'nodes: {"n1:22": }\n', 'profile', 'fleet.yaml:1:9: expected the name of a node, found "n1:22" with a port'],
  ['a key that could poison', 'nodes: {n1: {variables: {__proto__: 1}}}\n', 'profile', 'fleet.yaml:1:26: expected a key, found "__proto__"'],
];

const csv: readonly Case[] = [
  ['no name', 'mac,board\n', 'profile', 'nodes.csv:1:1: expected a column "name" or "hostname", found "mac", "board"'],
  ['semicolons', 'name;mac\nn1;\n', 'corrupt', 'nodes.csv:1:1: expected columns with commas between, found semicolons'],
  ['a column twice', 'name,mac,MAC\n', 'profile', 'nodes.csv:1:10: expected each column once, found "MAC" again'],
  ['a column that is no variable', 'name,rack no\n', 'profile', 'nodes.csv:1:6: expected the name of a variable (letters, digits, "_") for a column, found "rack no"'],
  ['too few cells', 'name,mac\nn1\n', 'corrupt', 'nodes.csv:2:1: expected 2 cells as in the first row, found 1'],
  ['a value below no name', 'name,\nn1,x\n', 'profile', 'nodes.csv:2:4: expected an empty cell in a column without a name, found a value'],
  ['no name in a row', 'name,mac\n,dc:a6:32:00:00:01\n', 'profile', 'nodes.csv:2:1: expected the name of a node, found an empty cell'],
  ['a name twice', 'name,mac\nn1,\nn1,\n', 'profile', 'nodes.csv:3:1: expected each node once, found "n1" again (first in FOLDER/nodes.csv:2:1)'],
  ['a quote inside', 'name,x\nn1,a"b\n', 'corrupt', 'nodes.csv:2:5: expected a comma or the end of the line after a cell, found more'],
  ['an open quote', 'name,x\nn1,"b\n', 'corrupt', 'nodes.csv:2:4: expected a closing quote, found none until the end of the file'],
  ['a carriage return alone', 'name\rn1\n', 'corrupt', 'nodes.csv:1:5: expected a comma or the end of the line after a cell, found a carriage return alone'],
  ['an address that is none', 'name,address\nn1,192.0.2\n', 'profile', 'nodes.csv:2:4: expected an IP address for "address" of the node "n1", found "192.0.2"'],
];

describe('texts on which a careless reader would not come to an end', () => {
  const long = 2_000_000;
  test.each<[title: string, name: string, text: string]>([
    ['blanks inside a line', 'x.ini', `h x="{{${' '.repeat(long)}}"\n`], ['brackets', 'x.ini', `h x=${'['.repeat(long)}\n`], ['quotes', 'x.ini', `h x=${'\'"'.repeat(long)}\n`], ['a long name', 'x.ini', `a${'_'.repeat(long)}[1:2]\n`],
    ['names', 'x.ini', `a${'_'.repeat(1000)}!\n`.repeat(2000)], ['options', 'x.ini', `h extra_server_args="${' --cluster-cidr '.repeat(long / 16)}"\n`], ['mappings that merge mappings', 'x.yaml', `all:\n  hosts: {h: }\n  vars:\n    m0: &m0 {a: 1}\n${Array.from({ length: 50 }, (_, index) => `    m${index + 1}: &m${index + 1} {<<: [*m${index}, *m${index}]}`).join('\n')}\n`],
    ['groups in groups', 'x.yaml', `all:\n  children:\n    g0: &g0 {hosts: {h: }}\n${Array.from({ length: 30 }, (_, index) => `    g${index + 1}: &g${index + 1} {children: {a${index}: *g${index}, b${index}: *g${index}}}`).join('\n')}\n`],
    ['a chain of groups', 'x.ini', `[g0]\nh\n${Array.from({ length: 9000 }, (_, index) => `[g${index + 1}:children]\ng${index}`).join('\n')}\n`], ['what looks like sops', 'x.yaml', `ENC[ "sops": {\nsops:\n${' \n'.repeat(long / 16)}`], ['an open quote', 'x.csv', `name\n"${'""'.repeat(long)}`],
  ])('%s', async (_title, name, text) => {
    const outcome: unknown = await readInventory(join(folderOf({ [name]: text }), name)).catch((error: unknown) => error);
    expect(outcome instanceof RockberryError || (outcome as { nodes: unknown[] }).nodes.length > 0).toBe(true);
  });
});

async function errorOf(path: string): Promise<RockberryError> {
  const error: unknown = await readInventory(path).then(() => undefined, (failure: unknown) => failure);
  expect(error).toBeInstanceOf(RockberryError);
  return error as RockberryError;
}

for (const [kind, name, cases] of [['INI', 'inventory.ini', ini], ['YAML', 'hosts.yaml', yaml], ['our own', 'fleet.yaml', own], ['CSV', 'nodes.csv', csv]] as const) {
  describe(kind, () => {
    test.each(cases)('%s', async (_title, text, code, message) => {
      const folder = folderOf(typeof text === 'string' ? { [name]: text } : text);
      const error = await errorOf(join(folder, name));
      expect(error.message.replaceAll(`${folder}/`, (_match, at: number) => (at === 0 ? '' : 'FOLDER/'))).toBe(message);
      expect(error.code).toBe(code);
    });
  });
}

describe('files', () => {
  test('one that is not there', async () => {
    const { code, message } = await errorOf('/nowhere/hosts.ini');
    expect([code, message]).toEqual(['io', 'expected a readable file at /nowhere/hosts.ini, found none']);
    for (const path of ['/dev/null/x', `/tmp/${'x'.repeat(300)}`, '/tmp/a\0b', '']) expect((await errorOf(path)).code).toMatch(/^(io|unsupported)$/);
  });

  test('a folder, with the file that may be meant', async () => {
    const folder = folderOf({ 'inventory.ini': 'h\n', 'hosts.yaml': 'all: {hosts: {h: }}\n' });
    const { code, message, hint } = await errorOf(folder);
    expect([code, message, hint]).toEqual(['unsupported', `expected the file of an inventory, found the folder ${folder}`, `give the file: ${folder}/inventory.ini or ${folder}/hosts.yaml`]);
  });

  test('text in another encoding; comments may be', async () => {
    const folder = folderOf({});
    writeFileSync(join(folder, 'hosts.ini'), Buffer.from('# gr\xfc\xdfe\nh1\nh2 x=\xfc\n', 'latin1'));
    expect((await errorOf(join(folder, 'hosts.ini'))).message).toBe(`${folder}/hosts.ini:3:1: expected text in UTF-8, found other bytes`);
    writeFileSync(join(folder, 'hosts.ini'), Buffer.from('# gr\xfc\xdfe\nh1\n', 'latin1'));
    expect((await readInventory(join(folder, 'hosts.ini'))).nodes.map(({ name }) => name)).toEqual(['h1']);
  });

  test('one that is too large, and a device', async () => {
    const folder = folderOf({ 'hosts.ini': 'h1\n' });
    writeFileSync(join(folder, 'large.ini'), Buffer.alloc((8 << 20) + 1, '#'));
    expect((await errorOf(join(folder, 'large.ini'))).message).toBe(`${folder}/large.ini: expected at most 8388608 bytes, found 8388609`);
    const { code, message } = await errorOf('/dev/zero');
    expect([code, message]).toEqual(['unsupported', '/dev/zero: expected a file, found a device or a pipe']);
  });

  test('names that are paths lead nowhere', async () => {
    const folder = folderOf({ 'inv/hosts.ini': '[x]\n../secret a=1\n..\n', 'inv/host_vars/h.yml': 'a: 2\n', 'inv/secret.yml': 'stolen: true\n', 'secret.yml': 'stolen: true\n' });
    mkdirSync(join(folder, 'inv/host_vars/x'));
    const { nodes, files } = await readInventory(join(folder, 'inv/hosts.ini'));
    expect(nodes.map(({ hostVars }) => hostVars)).toEqual([{ a: 1 }, {}]);
    expect(files.map(({ path }) => path)).toEqual([join(folder, 'inv/hosts.ini')]);
  });
});
