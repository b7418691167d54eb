import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { afterAll, expect, test } from 'vitest';
import { RockberryError } from '../src/errors.js';
import { lintProfile, listProfiles, loadProfiles, profileSchema, showProfile, type LoadedProfiles } from '../src/profile.js';
import { memoryTree, textOf } from './support/memory-tree.js';

const folder = mkdtempSync(join(tmpdir(), 'rockberry-profile-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function profile(text: string, name = 'p.yaml'): string {
  return write(name, `name: p\ndescription: a test\n${text}`);
}

function load(path: string | string[], set: string[] = [], varsFiles: string[] = []): LoadedProfiles {
  return loadProfiles([path].flat(), { set, varsFiles });
}

async function contentOf(loaded: LoadedProfiles, path = '/etc/x'): Promise<string | undefined> {
  const tree = memoryTree({ '/boot/cmdline.txt': 'a\n', '/etc/passwd': 'root:x:0:0::/root:/bin/sh\n' });
  for (const step of loaded.steps) await step.apply(tree);
  for (const step of loaded.steps) expect(await step.verify(tree)).toEqual([]);
  return textOf(tree, path);
}

test('the shipped cgroups profile does its work', async () => {
  const loaded = load('cgroups');
  expect(await contentOf(loaded, '/boot/cmdline.txt')).toBe('a cgroup_enable=cpuset cgroup_memory=1 cgroup_enable=memory\n');
  expect(loaded.steps.map(({ where, title }) => [where, title])).toEqual([['cgroups.yaml:5:5', 'kernel command line: add cgroup_enable=cpuset, add cgroup_memory=1, add cgroup_enable=memory']]);
});

test('every shipped profile is listed, sound, shown and accepted by its JSON Schema', () => {
  const require = createRequire(import.meta.url);
  const Ajv = require('ajv') as new () => { compile(schema: object): ((value: unknown) => boolean) & { errors?: unknown } };
  const validate = new Ajv().compile(profileSchema());
  expect(listProfiles().map(({ name }) => name)).toContain('cgroups');
  for (const { name, path } of listProfiles()) {
    expect(lintProfile(name)).toEqual([]);
    expect(showProfile(name)).toContain('# steps');
    expect(validate(parse(require('node:fs').readFileSync(path, 'utf8'))), JSON.stringify(validate.errors)).toBe(true);
  }
  expect(validate({ name: 'x', description: 'd', steps: [{ cmdlin: {} }] })).toBe(false);
  expect(validate({ name: 'x', description: 'd', steps: [{ cmdline: { add: 'not a list' } }] })).toBe(false);
  expect(validate({ name: 'x', description: 'd', steps: [{ cmdline: { add: '{{ words }}' }, when: true }] })).toBe(true);
});

const ROCKY = {
  '/boot/cmdline.txt': 'console=tty1 root=LABEL=RPIROOT rootwait\n', '/etc/passwd': 'root:x:0:0:root:/root:/bin/bash\nrocky:x:1000:1000:default:/home/rocky:/bin/bash\n',
  '/etc/shadow': 'root:*:19000:0:99999:7:::\nrocky:$6$x$y:19000:0:99999:7:::\n', '/etc/group': 'root:x:0:\nrocky:x:1000:\nwheel:x:10:rocky\n', '/etc/gshadow': 'root:::\nrocky:!::\nwheel:::rocky\n',
  '/home/rocky': { directory: true, uid: 1000, gid: 1000 }, '/etc/sudoers': 'root ALL=(ALL) ALL\n#includedir /etc/sudoers.d\n', '/usr/bin/sudo': 'x', '/usr/sbin/NetworkManager': 'x',
  '/usr/lib/systemd/system/NetworkManager.service': '[Install]\nWantedBy=multi-user.target\n', '/etc/hosts': '127.0.0.1 localhost\n',
};
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPOOJZkxBsHBQ5dAVMCLTbPCQxTrNVHx3nIqD3aW5Eb me@example.org';

test('node without values is cgroups alone', () => {
  const loaded = load('node');
  expect([loaded.steps.map(({ step }) => step), loaded.skipped, loaded.names]).toEqual([['cmdline'], ['hostname', 'user', 'network'], ['cgroups', 'node']]);
});

test('node with values sets host name, login and address, and verifies', async () => {
  const loaded = load('node', ['hostname=node1', `ssh_keys=${KEY}`, 'address=192.0.2.11/24', 'gateway=192.0.2.1', 'dns=192.0.2.1,192.0.2.2']);
  const tree = memoryTree(ROCKY);
  for (const step of loaded.steps) await step.apply(tree);
  for (const step of loaded.steps) expect((await step.verify(tree)).filter(({ severity }) => severity === 'error')).toEqual([]);
  expect(textOf(tree, '/etc/hostname')).toBe('node1\n');
  expect(textOf(tree, '/home/rocky/.ssh/authorized_keys')).toContain(KEY);
  expect(textOf(tree, '/etc/NetworkManager/system-connections/rockberry.nmconnection')).toMatch(/address1=192\.0\.2\.11\/24,192\.0\.2\.1\n(.*\n)*dns=192\.0\.2\.1;192\.0\.2\.2;/);
});

test.each([['hostname=Node 1', /"hostname"/], ['address=192.0.2.11', /"address"/], ['usr=x', /nearest known name is "user"/], ['gateway=192.0.2.1', /gateway|address/]])('node refuses %s', async (setting, message) => {
  const work = async (): Promise<void> => {
    const tree = memoryTree(ROCKY);
    for (const step of load('node', [setting]).steps) await step.apply(tree);
  };
  await expect(work()).rejects.toMatchObject({ code: 'profile', message: expect.stringMatching(message) });
});

// One line each: what is wrong, the profile after its two head lines, and what the message says.
const mistakes: [string, string, RegExp][] = [
  ['a wrong key at the top', 'stepz: []\nsteps: []\n', /:3:1: expected a known key, found "stepz"; the nearest known name is "steps"/],
  ['a wrong kind of step', 'steps:\n  - cmdlin: { add: [a] }\n', /:4:5: expected a known key, found "cmdlin"; the nearest known name is "cmdline"/],
  ['a wrong key in a step', 'steps:\n  - files:\n      - { path: /etc/x, content: "", mdoe: "0644" }\n', /:5:38: expected a known key in "files", found "mdoe"; the nearest known name is "mode"/],
  ['a wrong key in a step that is skipped', 'steps:\n  - cmdline: { ad: [a] }\n    when: false\n', /:4:16: expected a known key in "cmdline", found "ad"; the nearest known name is "add"/],
  ['a wrong key of a variable', 'variables:\n  x: { description: d, defalt: 1 }\nsteps: []\n', /:4:24: .*"defalt"; the nearest known name is "default"/],
  ['a wrong type', 'steps:\n  - cmdline: { add: quiet }\n', /:4:21: expected a list for "add", found the string "quiet"/],
  ['a wrong type of an item', 'steps:\n  - cmdline: { add: [quiet, 5] }\n', /:4:29: expected a string for "add", found the number 5/],
  ['a missing key', 'steps:\n  - files: [{ content: a }]\n', /:4:13: expected the key "path", found nothing of that name/],
  ['no steps', '', /:1:1: expected the key "steps"/],
  ['two kinds of step in one item', 'steps:\n  - cmdline: { add: [a] }\n    hostname: x\n', /:4:5: expected one kind of step in a list item, found cmdline and hostname/],
  ['no kind of step', 'steps:\n  - name: x\n', /:4:5: expected one kind of step in a list item, found none/],
  ['a step that is no mapping', 'steps:\n  - hostname\n', /:4:5: expected a mapping for "steps", found the string "hostname"/],
  ['a name that is no string', 'steps:\n  - hostname: x\n    name: [a]\n', /:5:11: expected a string for "name", found a list of 1/],
  ['a when_path that is no path', 'steps:\n  - hostname: x\n    when_path: etc/x\n', /:5:16: expected an absolute path for "when_path", found the string "etc\/x"/],
  ['a readiness that nobody knows', 'readiness: nomad\nsteps: []\n', /:3:12: expected one of "kubespray", "kubeadm", "k3s", "rke2" for "readiness", found the string "nomad"/],
  ['YAML that does not parse', 'steps: [\n', /:4:1: expected valid YAML/],
  ['a key twice', 'steps: []\nsteps: []\n', /:4:1: expected each key once, found "steps" again/],
  ['two documents', 'steps: []\n---\na: 1\n', /:4:1: expected valid YAML/],
  ['an unknown tag', 'steps: !!js/function x\n', /:3:8: expected valid YAML/],
  ['an unknown variable', 'variables:\n  hostname: { description: d }\nsteps:\n  - hostname: "{{ hostnam }}"\n', /:6:15: expected a known variable in a template, found "hostnam"; the nearest known name is "hostname"/],
  ['an unknown filter', 'steps:\n  - hostname: "{{ 1 | nofilter }}"\n', /:4:15: expected a template that Liquid can render.*nofilter/],
  ['a template that reads a file', 'steps:\n  - hostname: "{% include \'/etc/passwd\' %}"\n', /:4:15: expected a template.*include/],
  ['a template that asks the clock', 'steps:\n  - hostname: "{{ \'now\' | date: \'%s\' }}"\n', /:4:15: expected a template.*date/],
  ['a template that does not end', 'steps:\n  - hostname: "{{ x"\n', /:4:15: expected a template/],
  ['a template bomb', 'steps:\n  - hostname: "{% for i in (1..100000000) %}xxxxxxxxxxxxxxxx{% endfor %}"\n', /:4:15: expected a template/],
  ['a pattern that is no regular expression', 'variables:\n  x: { description: d, pattern: "(" }\nsteps: []\n', /:4:33: expected a regular expression/],
  ['a parent that is not there', 'extends: [cgroup]\nsteps: []\n', /:3:11: expected the name of a shipped profile .* found "cgroup"; the nearest known name is "cgroups"/],
  ['a parent file that is not there', 'extends: [./gone.yaml]\nsteps: []\n', /:3:11: expected a profile at .\/gone.yaml, found no such file/],
  ['a billion laughs', `a: &a [x,x,x,x,x,x,x,x,x,x]\n${'bcdefg'.split('').map((key, index) => `${key}: &${key} [${Array(10).fill(`*${'abcdef'[index]}`).join(',')}]\n`).join('')}steps: *g\n`, /expected at most 100000 values/],
  ['an alias of itself', 'steps: &a [*a]\n', /expected at most 64 levels/],
  ['100,000 brackets', `steps: ${'['.repeat(100_000)}\n`, /:3:1: expected at most 64 levels/],
  ['a list 100,000 deep on one line', `steps:\n  ${'- '.repeat(100_000)}x\n`, /:4:1: expected at most 64 levels/],
  ['100,000 keys', `steps: []\n${Array.from({ length: 70_000 }, (_, index) => `k${index}: 1\n`).join('')}`, /expected at most 200000 words/],
  ['a prototype', '__proto__: { x: 1 }\nsteps: []\n', /:3:1: expected a key, found "__proto__"/],
];
test.each(mistakes)('%s is told with line and column, by load and by lint', (_, text, message) => {
  const path = profile(text);
  let caught: unknown;
  try {
    load(path);
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(RockberryError);
  expect(caught).toMatchObject({ code: 'profile', message: expect.stringMatching(message) });
  const findings = lintProfile(path);
  expect(findings.map((finding) => `${finding.subject}: ${finding.message}`).join('\n')).toMatch(message);
});

test('lint tells all problems, load the first and how to see the others', () => {
  const path = profile('steps:\n  - cmdline: { ad: [a], remov: [b] }\n  - hostnam: x\n');
  expect(lintProfile(path).map(({ subject }) => subject.replace(/.*p\.yaml/, ''))).toEqual([':4:16', ':4:25', ':5:5']);
  expect(() => load(path)).toThrow(expect.objectContaining({ hint: expect.stringMatching(/2 more: rockberry profile lint .*p\.yaml/) }));
});

const VARIABLES = `variables:
  text: { description: some text, default: fallback }
  words: { description: some words, type: list, default: [] }
  flag: { description: a flag, type: boolean, default: false }
  count: { description: a number, type: number, default: 3 }
  unset: { description: has no value }
`;
const file = (content: string, more = ''): string => `${VARIABLES}steps:\n  - files: [{ path: /etc/x, content: ${content} }]\n${more}`;

test.each<[string, string, string[], string]>([
  ['a default', '"{{ text }}"', [], 'fallback'],
  ['--set', '"<{{ text }}>"', ['text=a=b'], '<a=b>'],
  ['the later --set wins', '"{{ text }}"', ['text=a', 'text=b'], 'b'],
  ['a list', '"{{ words | join: \'+\' }}"', ['words=a,b', 'words=c'], 'a+b+c'],
  ['a comma in a list', '"{{ words | join: \'+\' }}"', ['words=a\\,b,c'], 'a,b+c'],
  ['a boolean', '"{% if flag %}on{% else %}off{% endif %}"', ['flag=yes'], 'on'],
  ['a number', '"{{ count | plus: 1 }}"', ['count=41'], '42'],
  ['no value is nothing in a text', '"<{{ unset }}>"', [], '<>'],
  ['YAML in a value stays text', '"{{ text }}"', ['text="}], evil: [{'], '"}], evil: [{'],
  ['a template in a value stays text', '"{{ text }}"', ['text={{ count }}'], '{{ count }}'],
  ['raw', '"{% raw %}{{ x }}{% endraw %}"', [], '{{ x }}'],
])('values: %s', async (_, content, set, expected) => {
  expect(await contentOf(load(profile(file(content)), set))).toBe(expected);
});

test('a whole variable keeps its type, and its entry is left out when it has no value', async () => {
  const path = profile(`${VARIABLES}steps:\n  - cmdline: { add: "{{ words }}", remove: "{{ unset }}" }\n  - files: [{ path: /etc/x, content: x, mode: "{{ unset }}", owner: "{{ count }}" }]\n`);
  const loaded = load(path, ['words=b,c=1']);
  const tree = memoryTree({ '/boot/cmdline.txt': 'a' });
  for (const step of loaded.steps) await step.apply(tree);
  expect([textOf(tree, '/boot/cmdline.txt'), tree.stat('/etc/x')!.uid, tree.stat('/etc/x')!.mode]).toEqual(['a b c=1', 3, 0o644]);
});

test('an octal mode keeps its digits, quoted or not', async () => {
  for (const mode of ['0600', '"0600"', '0o600', '"600"']) {
    const tree = memoryTree({});
    for (const step of load(profile(`steps:\n  - files: [{ path: /etc/x, content: x, mode: ${mode} }]\n`)).steps) await step.apply(tree);
    expect(tree.stat('/etc/x')!.mode).toBe(0o600);
  }
  expect(() => load(profile('steps:\n  - files: [{ path: /etc/x, content: x, mode: 600 }]\n'))).toThrow(/:4:47: .*found the number 600/);
});

test.each([['', 'skipped'], ['false', 'skipped'], ['0', 'skipped'], ['No', 'skipped'], ['yes', 'run'], ['anything', 'run']])('when: %j is %s', (value, expected) => {
  const loaded = load(profile(`${VARIABLES}steps:\n  - hostname: "{{ unset }}"\n    name: the host name\n    when: "{{ unset }}"\n`), [`unset=${value}`]);
  expect(loaded.skipped.length === 1 ? 'skipped' : 'run').toBe(expected);
  if (expected === 'skipped') expect(loaded.skipped).toEqual(['the host name']);
});

test('when_path leaves a step out of an image without the path, when it is applied and when the result is read', async () => {
  const loaded = load(profile('variables:\n  v: { description: d, default: /opt/b }\nsteps:\n  - files: [{ path: /etc/one, content: x }]\n    when_path: /opt/a\n  - files: [{ path: /etc/two, content: x }]\n    when_path: [/opt/a, "{{ v }}"]\n'));
  expect(loaded.steps.map(({ title }) => title)).toEqual(['files: /etc/one, where the image has /opt/a', 'files: /etc/two, where the image has /opt/a and /opt/b']);
  for (const [there, made] of [[[], []], [['/opt/a'], ['/etc/one']], [['/opt/b'], []], [['/opt/a', '/opt/b'], ['/etc/one', '/etc/two']]] as const) {
    const tree = memoryTree(Object.fromEntries(there.map((path) => [path, ''])));
    for (const step of loaded.steps) await step.apply(tree);
    for (const step of loaded.steps) expect(await step.verify(tree)).toEqual([]);
    expect(['/etc/one', '/etc/two'].filter((path) => tree.stat(path))).toEqual(made);
  }
  const broken = memoryTree({ '/opt/a': '' });
  expect(await loaded.steps[0]!.verify(broken), 'a step that was due is missed').toHaveLength(1);
});

test('readiness comes from the last profile that says it', () => {
  const parent = profile('readiness: k3s\nsteps: []\n', 'r/parent.yaml');
  const child = profile('readiness: rke2\nextends: [./parent.yaml]\nsteps: []\n', 'r/child.yaml');
  const silent = profile('extends: [./parent.yaml]\nsteps: []\n', 'r/silent.yaml');
  const none = profile('steps: []\n', 'r/none.yaml');
  expect([[parent], [child], [silent], [child, none], [child, silent], [none], [none, parent]].map((paths) => load(paths).readiness)).toEqual(['k3s', 'rke2', 'k3s', 'rke2', 'rke2', undefined, 'k3s']);
});

test('a vars file, YAML or JSON, is stronger than a default and weaker than --set; the later file wins', async () => {
  const path = profile(file('"{{ text }} {{ words | join: \'+\' }} {{ count }}"'));
  const first = write('a.yaml', 'text: 0123\nwords: [a, b]\ncount: 5\n');
  const second = write('b.json', '{"text": "json", "words": "single"}');
  expect(await contentOf(load(path, [], [first]))).toBe('0123 a+b 5');
  expect(await contentOf(load(path, ['count=6'], [first, second]))).toBe('json single 6');
});

test.each<[string, string[], string, RegExp]>([
  ['an unknown name in --set', ['txt=a'], '', /--set txt: expected a variable of the profile, found "txt"; the nearest known name is "text"/],
  ['--set without a value', ['text'], '', /expected --set name=value, found "text"/],
  ['an unknown name in a file', [], 'count: 1\ntxt: 1\n', /v\.yaml:2:1: expected a variable of the profile, found "txt"/],
  ['a wrong type in a file', [], 'text: [a]\n', /v\.yaml:1:1: expected a string for the variable "text", found a list of 1/],
  ['a wrong number', ['count=many'], '', /--set count: expected a number for the variable "count", found the string "many"/],
  ['a wrong boolean', ['flag=perhaps'], '', /expected a boolean for the variable "flag"/],
  ['a file that is a list', [], '[a]', /expected a mapping of variables/],
])('refused: %s', (_, set, vars, message) => {
  expect(() => load(profile(file('"{{ text }}"')), set, vars === '' ? [] : [write('v.yaml', vars)])).toThrow(message);
});

const DEMANDS = `variables:
  address: { description: "the node's address", required: true, pattern: "^[0-9.]+$" }
  token: { description: the cluster's token, secret: true, pattern: "^K[0-9]+$" }
steps:
  - files: [{ path: /etc/x, content: "{{ address }} {{ token }}" }]
    name: "address {{ address }} token {{ token }}"
`;

test('a missing variable is named with its description and how to give it; lint does not miss it', () => {
  expect(() => load(profile(DEMANDS))).toThrow(expect.objectContaining({ code: 'profile', message: expect.stringMatching(/"address" \(the node's address\)/), hint: expect.stringContaining('--set address=') }));
  expect(lintProfile(profile(DEMANDS))).toEqual([]);
});

test('a value that does not match tells variable, pattern and description, but no secret', () => {
  expect(() => load(profile(DEMANDS), ['address=x'])).toThrow(/matches \^\[0-9\.\]\+\$ for the variable "address" \(the node's address\), found "x"/);
  expect(() => load(profile(DEMANDS), ['address=1', 'token=hunter2'])).toThrow(expect.objectContaining({ message: expect.not.stringContaining('hunter2') }));
});

test('a secret is in the image and nowhere else', async () => {
  const loaded = load(profile(DEMANDS), ['address=1.2.3.4', 'token=K4711']);
  expect(await contentOf(loaded)).toBe('1.2.3.4 K4711');
  expect(loaded.steps[0]!.title).toBe('address 1.2.3.4 token ***');
  expect(loaded.variables.get('token')).toBe('***');
  const wrong = profile(DEMANDS.replace('/etc/x,', '/etc/x, mode: "{{ token }}",'));
  expect(() => load(wrong, ['address=1', 'token=K4711'])).toThrow(expect.objectContaining({ message: expect.stringMatching(/octal mode.*\*\*\*/) }));
});

test('parents come first, each once, and variables merge', async () => {
  profile('variables:\n  v: { description: base, default: one }\nsteps:\n  - files: [{ path: /etc/base, content: "{{ v }}" }]\n', 'd/base.yaml');
  const left = profile('extends: [base.yaml]\nsteps: []\n'.replace('base.yaml', './base.yaml'), 'd/left.yaml');
  const right = profile('extends: [../d/base.yaml, cgroups]\nvariables:\n  v: { description: mine, default: two }\nsteps:\n  - files: [{ path: /etc/x, content: "{{ v }}" }]\n', 'd/right.yaml');
  const loaded = load([left, right]);
  expect(loaded.steps.map(({ where }) => where.replace(/.*\//, ''))).toEqual(['base.yaml:6:5', 'cgroups.yaml:5:5', 'right.yaml:7:5']);
  expect(await contentOf(loaded)).toBe('two');
  expect(loaded.names).toHaveLength(4);
});

test('profiles in a circle are refused', () => {
  profile('extends: [./b.yaml]\nsteps: []\n', 'c/a.yaml');
  const b = profile('extends: [./a.yaml]\nsteps: []\n', 'c/b.yaml');
  expect(() => load(b)).toThrow(/circle, found .*b\.yaml → .*a\.yaml → .*b\.yaml/);
});

test('a step that fails says where in the profile', async () => {
  const loaded = load(profile('steps:\n  - files: [{ path: /etc/x, content: "", owner: nobody }]\n'));
  await expect(loaded.steps[0]!.apply(memoryTree({}))).rejects.toMatchObject({ code: 'profile', message: expect.stringMatching(/p\.yaml:4:5: expected a user of the image/) });
});

test('a template file gets the variables', async () => {
  write('t.liquid', 'text={{ text }}\n');
  expect(await contentOf(load(profile(`${VARIABLES}steps:\n  - files: [{ path: /etc/x, template: t.liquid }]\n`)))).toBe('text=fallback\n');
});

test('a file that is no profile', () => {
  expect(() => load(join(folder, 'none.yaml'))).toThrow(/expected a profile at .*none\.yaml, found no such file/);
  expect(() => load('nod')).toThrow(/found "nod"/);
  expect(() => load(write('big.yaml', '#'.repeat(1_100_000)))).toThrow(/at most 1048576 bytes/);
  expect(() => load(write('empty.yaml', ''))).toThrow(/expected a mapping, found an empty value/);
});

test('files that are not there: a wrong call, not a finding', () => {
  expect(() => lintProfile('./no-such-profile.yaml')).toThrow(expect.objectContaining({ code: 'profile', message: 'expected a profile at ./no-such-profile.yaml, found no such file' }));
  expect(() => loadProfiles(['node'], { set: [], varsFiles: ['/no/such/vars.yaml'] })).toThrow('expected a readable file at /no/such/vars.yaml, found none');
  expect(() => loadProfiles(['node'], { set: [], varsFiles: ['/usr'] })).toThrow('expected a readable file at /usr, found a directory');
});
