/** `rockberry verify` as a user runs it: exit codes, the JSON document, JUnit and Markdown, targets and profiles, bad images and hostile ones; the image stays as it was. */
import { createHash } from 'node:crypto';
import { copyFileSync, linkSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { left, rockberry, ROOT, scratch, type CliOptions, type Outcome } from '../support/cli.js';
import { debugfs, debugfsStat, extractPolicy, policyLabel, sfdiskParts, type Part } from '../support/disk.js';
import { needs, output, run } from '../support/oracle.js';
import { smallImage, smallPrograms } from '../support/small.js';
import { unpack } from '../support/unpack.js';

const SAMPLE = join(ROOT, 'images/rocky9-pi-sample.img.xz');
const folder = scratch();

interface Finding { readonly severity: string; readonly id: string; readonly subject: string; readonly message: string; readonly hint?: string }
interface Rule { readonly id: string; readonly group: string; readonly title: string; readonly source: string; readonly status: string; readonly detail: string | null; readonly findings: readonly Finding[] }
interface Result {
  readonly image: string; readonly target: string | null; readonly kubernetes: string; readonly rules: readonly Rule[];
  readonly checks: readonly { readonly name: string; readonly findings: readonly Finding[] }[];
  readonly counts: Readonly<Record<'ok' | 'errors' | 'warnings' | 'notes' | 'skipped', number>>;
}

const verify = (args: readonly string[], options: CliOptions = {}): Promise<Outcome> => rockberry(['verify', ...args], options);

/** The document; the exit status must be what its errors make it. */
async function judged(args: readonly string[], options: CliOptions = {}): Promise<Result> {
  const { status, stdout, stderr } = await verify([...args, '--json'], options);
  expect(stderr).not.toMatch(/^rockberry:/m);
  const result = JSON.parse(stdout) as Result;
  expect(status).toBe(result.counts.errors > 0 ? 1 : 0);
  return result;
}

function ruleOf(result: Result, id: string): Rule {
  const found = result.rules.find((rule) => rule.id === id);
  if (!found) throw new Error(`no rule ${id}`);
  return found;
}

const digest = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

function unbroken({ stderr, stdout }: Outcome): void {
  expect(stderr).not.toMatch(/^\s+at .*\d+:\d+|node:internal/m);
  expect(stdout + stderr).not.toMatch(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/);
}

describe('a vendor\'s image', () => {
  let result: Result;
  beforeAll(async () => {
    result = await judged([SAMPLE]);
  });

  test('the document: every rule with its group, source, status and findings, and counts that are true', () => {
    expect(Object.keys(result)).toEqual(['image', 'target', 'kubernetes', 'rules', 'checks', 'counts']);
    expect(result).toMatchObject({ image: SAMPLE, target: null, kubernetes: '1.36' });
    for (const rule of result.rules) {
      expect(rule).toEqual({
        id: expect.stringMatching(/^[a-z]+(-[a-z0-9]+)+$/), group: expect.stringMatching(/^[a-z]+$/), title: expect.any(String), source: expect.stringMatching(/^https:\/\//),
        status: rule.findings.length === 0 ? expect.stringMatching(/^(ok|skipped)$/) : ['error', 'warning', 'info'].find((severity) => rule.findings.some((finding) => finding.severity === severity)),
        detail: rule.findings.length === 0 ? expect.any(String) : null, findings: expect.any(Array),
      });
      for (const finding of rule.findings) expect(finding).toMatchObject({ id: rule.id, severity: expect.stringMatching(/^(error|warning|info)$/) as string, subject: expect.any(String) as string, message: expect.any(String) as string });
    }
    expect(new Set(result.rules.map(({ id }) => id)).size).toBe(result.rules.length);
    const findings = [...result.rules, ...result.checks].flatMap((one) => one.findings);
    const count = (severity: string): number => findings.filter((finding) => finding.severity === severity).length;
    expect(result.counts).toEqual({
      ok: result.rules.filter(({ status }) => status === 'ok').length + result.checks.filter((check) => check.findings.length === 0).length, errors: count('error'), warnings: count('warning'), notes: count('info'),
      skipped: result.rules.filter(({ status }) => status === 'skipped').length,
    });
  });

  test('its SELinux labels, hygiene and programs are well', () => {
    const own = result.rules.filter(({ group }) => ['selinux', 'hygiene', 'programs'].includes(group));
    expect(own.length).toBeGreaterThan(25);
    expect(own.filter(({ status }) => status === 'error')).toEqual([]);
    expect(ruleOf(result, 'selinux-labels').detail).toMatch(/^\d+ paths by the policy targeted$/);
    expect(ruleOf(result, 'hygiene-machine-id').status).toBe('ok');
    expect(result.checks).toEqual([{ name: 'filesystems open (--full checks all of them)', findings: [] }]);
  });

  test('the table says the same; what was not judged only with --all; stdout holds nothing but it', async () => {
    const [short, long] = await Promise.all([verify([SAMPLE]), verify([SAMPLE, '--all'])]);
    for (const one of [short, long]) {
      unbroken(one);
      const { counts } = result;
      expect(one.stdout).toContain(`${counts.errors} error${counts.errors === 1 ? '' : 's'}, ${counts.warnings} warning`);
      expect(one.stdout.replace(/\s+/g, ' ').startsWith(`${SAMPLE}: ready for Kubernetes 1.36?`)).toBe(true);
      for (const line of one.stdout.split('\n')) if (line.length > 80) expect(line.trim().replace(/^see /, '')).not.toContain(' ');
    }
    const skipped = result.rules.filter(({ status }) => status === 'skipped');
    expect(long.stdout.match(/^ {2}- {7} /gm)).toHaveLength(skipped.length);
    expect(short.stdout).not.toMatch(/^ {2}- {7} /m);
  });

  test('--for and --kubernetes', async () => {
    const [kubespray, k3s] = [await judged([SAMPLE, '--for', 'kubespray', '--kubernetes', 'v1.35.2']), await verify([SAMPLE, '--for', 'k3s'])];
    expect(kubespray).toMatchObject({ target: 'kubespray', kubernetes: '1.35' });
    expect(kubespray.rules.length).toBeGreaterThan(result.rules.length);
    // The title is wrapped where the image's path makes it longer than a line.
    expect(k3s.stdout.replace(/\s+/g, ' ')).toContain('ready for Kubernetes 1.36 by k3s?');
  });

  test('in the dark: read-only, by somebody else, in a folder that nobody may write to', async () => {
    const outcome = await verify([SAMPLE, '--json'], { nobody: true, cwd: '/' });
    expect((JSON.parse(outcome.stdout) as Result).rules).toEqual(result.rules);
  });
});

describe('reports', () => {
  const report = (): string => join(folder, 'junit.xml');

  needs('xmllint')('--junit beside the table, with as many failures as rules and checks have errors', async () => {
    writeFileSync(report(), 'an older report');
    const outcome = await verify([SAMPLE, '--junit', report()]);
    const result = await judged([SAMPLE]);
    expect(outcome.stdout).toContain('ready for Kubernetes');
    const number = (path: string): number => Number(output('xmllint', ['--nonet', '--xpath', `number(${path})`, report()]).toString());
    expect(number('count(//testcase)')).toBe(result.rules.length + result.checks.length);
    expect(number('/testsuites/@failures')).toBe(number('count(//testcase[failure])'));
    expect(number('count(//testcase[failure])')).toBe([...result.rules, ...result.checks].filter(({ findings }) => findings.some(({ severity }) => severity === 'error')).length);
    expect(number('count(//testcase[skipped])')).toBe(result.counts.skipped);
    expect(number('count(//testcase[starts-with(@name, "selinux-labels:")])')).toBe(1);
  });

  needs('cmark-gfm')('--markdown: a row per finding', async () => {
    const { stdout } = await verify([SAMPLE, '--markdown']);
    const { counts } = await judged([SAMPLE]);
    const html = output('cmark-gfm', ['-e', 'table'], stdout).toString();
    expect(html.match(/<tr>/g)).toHaveLength(1 + counts.errors + counts.warnings + counts.notes);
    expect(html).toMatch(/<h2>.*ready for Kubernetes 1\.36\?<\/h2>/);
  });

  test('a report never takes the place of the image, under any of its names', async () => {
    const work = join(folder, 'names');
    mkdirSync(work);
    const image = join(work, 'image.img.xz');
    copyFileSync(SAMPLE, image);
    symlinkSync('image.img.xz', join(work, 'link.img.xz'));
    linkSync(image, join(work, 'hard.img.xz'));
    for (const name of ['image.img.xz', './image.img.xz', 'link.img.xz', 'hard.img.xz']) {
      const outcome = await verify([image, '--junit', `${work}/${name}`]);
      expect({ name, status: outcome.status }).toEqual({ name, status: 4 });
      expect(digest(image)).toBe(digest(SAMPLE));
    }
    expect(left(work)).toEqual(['hard.img.xz', 'image.img.xz', 'link.img.xz']);
  });

  test('a report that cannot be written', async () => {
    for (const path of [join(folder, 'none/junit.xml'), folder]) {
      const outcome = await verify([SAMPLE, '--junit', path]);
      unbroken(outcome);
      expect([4, 5]).toContain(outcome.status);
    }
  });
});

describe('what is refused', () => {
  const image = (name: string, content: Uint8Array | string): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  test.each<[name: string, status: number, sentence: RegExp, args: () => readonly string[]]>([
    ['no image', 2, /missing required argument/, () => []],
    ['an unknown target', 2, /Allowed choices are kubespray, kubeadm, k3s, rke2/, () => [SAMPLE, '--for', 'openshift']],
    ['a version that is none', 2, /expected a version such as 1\.36/, () => [SAMPLE, '--kubernetes', 'latest']],
    ['an unknown profile', 2, /kubernets/, () => [SAMPLE, '-p', 'kubernets']],
    ['a variable that no profile has', 2, /nonsense/, () => [SAMPLE, '-p', 'cgroups', '--set', 'nonsense=1']],
    ['a file that is not there', 5, /./, () => [join(folder, 'none.img')]],
    ['a directory', 5, /directory/i, () => [folder]],
    ['an empty file', 3, /empty/i, () => [image('empty.img', '')]],
    ['noise', 3, /partition table/i, () => [image('noise.img', Buffer.from(Array.from({ length: 65536 }, (_, at) => (at * 7919) >> 3)))]],
    ['half a file', 3, /truncated|ends|expected/i, () => [image('half.img.xz', readFileSync(SAMPLE).subarray(0, 200_000))]],
  ])('%s', async (_, status, sentence, args) => {
    const before = left(folder).length;
    const given = args();
    for (const json of [[], ['--json']]) {
      const outcome = await verify([...given, ...json]);
      unbroken(outcome);
      expect({ status: outcome.status, stderr: outcome.stderr }).toEqual({ status, stderr: expect.stringMatching(sentence) });
      if (json.length > 0) expect(JSON.parse(outcome.stdout)).toMatchObject({ error: { message: expect.any(String) as string } });
      else expect(outcome.stdout).toBe('');
    }
    expect(left(folder).length - before).toBeLessThanOrEqual(1);
  });
});

describe('a raw image without SELinux', () => {
  needs(...smallPrograms)('the same bytes afterwards, and nothing beside it', async () => {
    const work = join(folder, 'small');
    mkdirSync(work);
    const small = smallImage(work);
    const [before, files, { mtimeMs }] = [digest(small), left(work), statSync(small)];
    const result = await judged([small, '-p', 'cgroups', '--full']);
    expect(result.checks.map(({ name }) => name)).toContain('filesystems are consistent');
    expect(ruleOf(result, 'selinux-labels')).toMatchObject({ status: 'skipped', detail: 'the image has no SELinux policy' });
    expect(ruleOf(result, 'hygiene-machine-id')).toMatchObject({ status: 'error', findings: [{ subject: '/etc/machine-id' }] });
    expect({ digest: digest(small), files: left(work), mtimeMs: statSync(small).mtimeMs }).toEqual({ digest: before, files, mtimeMs });
  });
});

/** One profile, built; then one thing of the result spoiled with debugfs. */
describe('with a profile', () => {
  const built = join(folder, 'built.img');
  const profile = join(folder, 'own.yaml');
  let root: Part;
  const UNIT = '/etc/systemd/system/setup.service';
  const SCRIPT = '/usr/local/sbin/setup';
  const oracles = needs('debugfs', 'sfdisk', 'matchpathcon', 'cp');

  beforeAll(async () => {
    writeFileSync(profile, `name: own
description: for the tests of verify
steps:
  - hostname: node7
  - files:
      - { path: ${SCRIPT}, content: "#!/usr/bin/env bash\\ntrue\\n", mode: "0755" }
      - { path: /etc/rancher/k3s/config.yaml, content: "token: placed-on-purpose\\n", mode: "0600" }
  - unit:
      name: setup.service
      content: "[Unit]\\nDescription=x\\n[Service]\\nType=oneshot\\nExecStart=${SCRIPT}\\n[Install]\\nWantedBy=multi-user.target\\n"
      enable: true
`);
    const outcome = await rockberry(['build', SAMPLE, '-p', profile, '-o', `${built}.xz`, '--image-only']);
    expect(outcome.stderr).not.toMatch(/^rockberry:/m);
    unpack(`${built}.xz`, built);
    root = sfdiskParts(built)[2]!;
  });

  test('on the base, what the profile asks for is missing: errors, exit 1', async () => {
    const result = await judged([SAMPLE, '-p', profile]);
    expect(result.counts.errors).toBeGreaterThan(0);
    expect(result.checks.filter(({ findings }) => findings.some(({ severity }) => severity === 'error')).length).toBeGreaterThan(1);
  });

  oracles('on the result all of it is there, labelled as libselinux labels it; the token is a warning, the name is meant', async () => {
    const result = await judged([built, '-p', profile]);
    expect(result.checks.flatMap(({ findings }) => findings)).toEqual([]);
    expect(result.checks.length).toBeGreaterThanOrEqual(4);
    expect(ruleOf(result, 'selinux-labels')).toMatchObject({ status: 'ok', detail: expect.stringMatching(/^\d+ paths by the policy targeted$/) as string });
    for (const id of ['programs-interpreter', 'programs-mode', 'programs-units', 'access-file-modes', 'hygiene-hostname', 'hygiene-private-keys']) expect(ruleOf(result, id)).toMatchObject({ id, status: 'ok' });
    expect(ruleOf(result, 'hygiene-join-token').findings).toMatchObject([{ severity: 'warning', subject: '/etc/rancher/k3s/config.yaml' }]);
    expect(JSON.stringify(result)).not.toContain('placed-on-purpose');
    const policy = extractPolicy(built, root, folder);
    for (const path of [UNIT, SCRIPT, '/etc/rancher/k3s', '/etc/systemd/system/multi-user.target.wants/setup.service']) {
      const { label, type } = debugfsStat(built, root, path);
      expect(`${path} ${label}`).toBe(`${path} ${policyLabel(policy, path, type)}`);
    }
  });

  const defects: [rule: string, severity: string, subject: string, message: RegExp, commands: readonly string[]][] = [
    ['selinux-labels', 'error', UNIT, /systemd_unit_file_t:s0, found none/, [`ea_rm ${UNIT} security.selinux`]],
    ['programs-units', 'error', UNIT, /found a file without the executable bit/, [`sif ${SCRIPT} mode 0100644`]],
    ['selinux-labels', 'warning', SCRIPT, /bin_t:s0, found system_u:object_r:tmp_t:s0$/, [`ea_set ${SCRIPT} security.selinux system_u:object_r:tmp_t:s0\\000`]],
    ['programs-mode', 'warning', SCRIPT, /mode 0755/, []],
    ['programs-interpreter', 'error', SCRIPT, /expected bash, which its first line has env run/, ['rm /usr/bin/bash']],
    ['access-file-modes', 'error', '/etc/rancher/k3s/config.yaml', /expected mode 0600 .*found 0644/, ['sif /etc/rancher/k3s/config.yaml mode 0100644']],
    ['access-file-modes', 'error', SCRIPT, /found 0755 and 1000:0/, [`sif ${SCRIPT} uid 1000`]],
    ['hygiene-machine-id', 'error', '/etc/machine-id', /found an id/, ['rm /etc/machine-id', 'write MACHINE /etc/machine-id']],
    ['hygiene-private-keys', 'error', '/etc/pki.key', /a private key/, ['write KEY /etc/pki.key']],
    ['hygiene-host-keys', 'error', '/etc/ssh/ssh_host_rsa_key', /every node would have this key/, ['write KEY /etc/ssh/ssh_host_rsa_key']],
    ['selinux-relabel', 'info', '/.autorelabel', /relabels every file/, ['write /dev/null /.autorelabel']],
  ];
  oracles('each defect that debugfs puts in is named', async () => {
    writeFileSync(join(folder, 'MACHINE'), '0123456789abcdef0123456789abcdef\n');
    writeFileSync(join(folder, 'KEY'), `-----BEGIN PRIVATE KEY-----\n${'A'.repeat(64)}\n-----END PRIVATE KEY-----\n`);
    const spoiled = join(folder, 'spoiled.img');
    for (const part of [defects.filter((_, at) => at % 2 === 0), defects.filter((_, at) => at % 2 === 1)]) { // neighbours spoil the same files
      run('cp', ['--sparse=always', built, spoiled]);
      const commands = part.flatMap((defect) => defect[4]).map((command) => command.replace(/\b(MACHINE|KEY)\b/, (name) => join(folder, name)));
      run('debugfs', ['-w', '-f', '-', `${spoiled}?offset=${root.start}`], `${commands.join('\n')}\n`);
      const result = await judged([spoiled, '-p', profile]);
      for (const [rule, severity, subject, message] of part) {
        const { findings } = ruleOf(result, rule);
        expect({ rule, findings }).toEqual({ rule, findings: expect.arrayContaining([expect.objectContaining({ severity, subject, message: expect.stringMatching(message) as string })]) as unknown });
      }
    }
  });

  oracles('hostile contents: a loop of links, directories and monsters in place of files, names with escapes; an answer within seconds', async () => {
    const spoiled = join(folder, 'spoiled.img');
    run('cp', ['--sparse=always', built, spoiled]);
    const commands = [
      'rm /etc/hosts', 'mkdir /etc/hosts', 'rm /etc/resolv.conf', 'symlink /etc/resolv.conf /etc/resolv.conf', 'rm /etc/machine-id', 'symlink /etc/machine-id /etc/../etc/machine-id', 'sif /etc/selinux/config size 0x10000000000', 'sif /etc/chrony.conf size 0x7fffffff000',
      'sif /etc/nsswitch.conf size 0x7fffffff000', `mknod /etc/systemd/system/pipe.service p`, 'rm /etc/fstab', 'symlink /etc/fstab /dev/zero', 'write /dev/null "/etc/ssh/\x1b[31mred"', `ea_rm /etc/ssh security.selinux`, 'symlink /usr/local/bin/loop /usr/local/bin', 'symlink /home/evil /', 'symlink /opt/root /',
    ];
    run('debugfs', ['-w', '-f', '-', `${spoiled}?offset=${root.start}`], `${commands.join('\n')}\n`);
    expect(debugfs(spoiled, root, 'stat /etc/hosts')).toContain('Type: directory');
    for (const args of [['-p', profile], ['--markdown', '--junit', join(folder, 'hostile.xml')]]) {
      const started = performance.now();
      const outcome = await verify([spoiled, ...args]);
      unbroken(outcome);
      expect(outcome.status).toBeGreaterThan(0);
      expect(outcome.status).toBeLessThan(6);
      expect(performance.now() - started).toBeLessThan(30_000);
    }
    const { status, stdout } = await verify([spoiled, '--json']);
    expect(status).toBe(1);
    expect((JSON.parse(stdout) as Result).rules.length).toBeGreaterThan(30);
  });
});
