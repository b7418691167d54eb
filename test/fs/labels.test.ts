/** Labels against libselinux: its matchpathcon on Debian's own policy, and on private policies that use every file. */
import fc from 'fast-check';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { FileType } from '../../src/fs/filesystem.js';
import { openLabels, type Labels } from '../../src/fs/labels.js';
import { needs, output, run } from '../support/oracle.js';

const DEBIAN = '/etc/selinux/default/contexts/files';
const SAMPLE = join(dirname(fileURLToPath(import.meta.url)), '../../images/policy');
const SUFFIXES = ['', '.homedirs', '.local', '.subs', '.subs_dist'];
const CLASSES: Record<FileType, string> = {
  file: 'file', directory: 'dir', symlink: 'lnk_file', character: 'chr_file', block: 'blk_file', fifo: 'pipe', socket: 'sock_file',
};
const TYPES = Object.keys(CLASSES) as FileType[];

/** Reads a host folder as if it were the image's policy. */
function labelsOf(folder: string, policy = 'targeted'): Labels {
  const labels = openLabels({
    read: (path) => {
      if (path === '/etc/selinux/config') return Buffer.from(`SELINUX=enforcing\nSELINUXTYPE=${policy}\n`);
      try {
        return readFileSync(join(folder, path.slice(path.lastIndexOf('/') + 1)));
      } catch {
        return undefined;
      }
    },
  });
  if (!labels) throw new Error(`no policy in ${folder}`);
  return labels;
}

/** A private policy: file name's suffix -> text. */
function policyOf(texts: Record<string, string>): { labels: Labels; file: string; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'rockberry-labels-'));
  for (const [suffix, text] of Object.entries(texts)) writeFileSync(join(folder, `file_contexts${suffix}`), text, 'latin1');
  return { labels: labelsOf(folder), file: join(folder, 'file_contexts'), folder };
}

/** What libselinux says, path by path. */
function oracle(file: string, type: FileType, paths: readonly string[]): Map<string, string | undefined> {
  const found = new Map<string, string | undefined>();
  for (let at = 0; at < paths.length; at += 2000) {
    const lines = output('matchpathcon', ['-f', file, '-n', '-m', CLASSES[type], ...paths.slice(at, at + 2000)]).toString('latin1').trimEnd().split('\n');
    paths.slice(at, at + 2000).forEach((path, index) => found.set(path, lines[index] === '<<none>>' ? undefined : lines[index]));
  }
  return found;
}

/** Paths where we and libselinux differ. */
function differences(labels: Labels, file: string, type: FileType, paths: readonly string[]): string[] {
  const theirs = oracle(file, type, paths);
  return paths.filter((path) => labels.label(path, type) !== theirs.get(path)).map((path) => `${path} (${type}): ours ${labels.label(path, type)}, libselinux ${theirs.get(path)}`);
}

/** A path that an expression likes: classes, groups and quantifiers replaced by something that fits, or nearly. */
function pathFor(pattern: string, filler: string): string {
  let text = pattern;
  for (let round = 0; round < 6; round++) text = text.replace(/\(([^()|]*)(?:\|[^()]*)?\)[?*+]?/g, '$1');
  return text.replace(/\\(.)/g, '$1').replace(/\[\^[^\]]*\]/g, 'q').replace(/\[(.)[^\]]*\]/g, '$1').replace(/\.[*+]/g, filler).replace(/[*+?]/g, '').replace(/\/{2,}/g, '/').replace(/(.)\/$/, '$1');
}

function patternsOf(folder: string): string[] {
  return SUFFIXES.slice(0, 3).flatMap((suffix) => {
    try {
      return readFileSync(join(folder, `file_contexts${suffix}`), 'latin1').split('\n').filter((line) => line.startsWith('/')).map((line) => line.split(/\s/)[0]!);
    } catch {
      return [];
    }
  });
}

const NODE_FILES = ['/etc/hostname', '/etc/hosts', '/etc/machine-id', '/etc/fstab', '/etc/modules-load.d/k8s.conf', '/etc/sysctl.d/99-kubernetes-cri.conf',
  '/etc/NetworkManager/conf.d/k8s.conf', '/etc/NetworkManager/system-connections/eth0.nmconnection', '/etc/ssh/sshd_config.d/01-node.conf', '/etc/ssh/ssh_host_rsa_key',
  '/home/rocky', '/home/rocky/.ssh', '/home/rocky/.ssh/authorized_keys', '/root/.ssh/authorized_keys', '/etc/sudoers.d/90-k8s', '/etc/passwd', '/etc/group', '/etc/shadow',
  '/etc/gshadow', '/etc/systemd/system/k3s.service', '/etc/systemd/system/multi-user.target.wants/k3s.service', '/etc/systemd/system/swap.target',
  '/etc/systemd/system-preset/10-node.preset', '/usr/local/sbin/node-setup', '/etc/chrony.conf', '/etc/firewalld/zones/public.xml', '/etc/rancher/k3s/config.yaml',
  '/var/lib/rancher/k3s/agent/images/a.tar.zst', '/etc/modprobe.d/k8s.conf', '/etc/udev/rules.d/10-a.rules', '/etc/selinux/config', '/.autorelabel', '/', '/etc', '/var/run', '/lib',
  '/lib/systemd/system/a.service', '/bin/sh', '/tmp/x', '/proc/1', '/nowhere', '/etc/with space', '/etc/ümlaut'];

describe('against libselinux', () => {
  const withPolicy = process.env.CI || existsSync(`${DEBIAN}/file_contexts`);

  (withPolicy ? needs('matchpathcon') : test.skip)('every file of this host and paths made from every specification, on Debian\'s policy', () => {
    const copy = policyOf(Object.fromEntries(SUFFIXES.flatMap((suffix) => {
      // A copy without the .bin files, so that both read the same text.
      const exists = existsSync(`${DEBIAN}/file_contexts${suffix}`);
      return exists ? [[suffix, readFileSync(`${DEBIAN}/file_contexts${suffix}`, 'latin1')]] : [];
    })));
    try {
      const patterns = patternsOf(DEBIAN);
      const made = patterns.flatMap((pattern) => [pathFor(pattern, 'x'), pathFor(pattern, '/a.b/c'), `${pathFor(pattern, '')}/deeper`, `/x${pathFor(pattern, 'y')}`]);
      const host = run('find', ['/etc', '/usr', '/var', '/lib', '/run', '/home', '/root', '-xdev', '-maxdepth', '5', '-name', '*[a-z0-9]']).output.split('\n');
      const listed = host.filter((path) => /^\/[\x20-\x7e]*$/.test(path)).filter((_, index) => index % 7 === 0).slice(0, 4000);
      const paths = [...new Set([...NODE_FILES, ...made, ...listed])].filter((path) => path.startsWith('/') && !path.includes('//') && (path === '/' || !path.endsWith('/')));
      expect(patterns.length).toBeGreaterThan(3000);
      expect(paths.length).toBeGreaterThan(10_000);
      for (const type of ['file', 'directory'] as const) expect(differences(copy.labels, copy.file, type, paths)).toEqual([]);
      for (const type of TYPES) expect(differences(copy.labels, copy.file, type, paths.filter((_, index) => index % 15 === 0))).toEqual([]);
      expect(copy.labels.problems).toEqual([]);
    } finally {
      rmSync(copy.folder, { recursive: true });
    }
  });

  needs('matchpathcon')('the sample images\' policy, with all five files', () => {
    const patterns = patternsOf(SAMPLE);
    const made = patterns.flatMap((pattern) => [pathFor(pattern, 'x'), pathFor(pattern, '/a.b/c'), `${pathFor(pattern, '')}/deeper`]);
    const paths = [...new Set([...NODE_FILES, ...made])].filter((path) => path.startsWith('/') && (path === '/' || !path.endsWith('/')));
    const labels = labelsOf(SAMPLE);
    for (const type of TYPES) expect(differences(labels, join(SAMPLE, 'file_contexts'), type, paths)).toEqual([]);
  });

  needs('matchpathcon')('the order of files, of lines, of substitutions, and every construct of an expression', () => {
    const { labels, file, folder } = policyOf({
      '': ['/.*\tu:r:all:s0', '/a/b\tu:r:literal:s0', '/a/.*\tu:r:under:s0', '/a/b\t-d\tu:r:literal_dir:s0', '/a/lost\\+found\t--\tu:r:lost:s0', '/a/(b|c)(/.*)?\tu:r:group:s0',
        '/n/.*\t<<none>>', '/n/keep\tu:r:keep:s0', '/d/[0-9]{2,3}x?\tu:r:count:s0', '/d/[^a-c/]+\tu:r:class:s0', '/d/[]x-]z\tu:r:bracket:s0', '/e/a|/b\tu:r:split:s0',
        '/f/\\w+\\.\\d\tu:r:generic:s0', '/g/a{,2}\tu:r:brace:s0', '/g/[[:digit:]_]+\tu:r:posix:s0', '# comment', '', '  /h/indented   --   u:r:indented:s0  ',
        '/i/x.*y\tu:r:line:s0', '/j/a*?b\tu:r:lazy:s0', '/st\\-em/x\tu:r:stem:s0', '/k/(?:a|bc)+\tu:r:noncapture:s0', '/o/dup\tu:r:first:s0', '/ahead/x-(?!lxc).*\tu:r:ahead:s0', '/ahead/(?=.*q$)[^/]+\tu:r:q:s0', '/alt/a|/alt/c\tu:r:alt:s0', '/o/dup\tu:r:second:s0',
        '/q\\.q/.*\tu:r:dotstem:s0', '/r/(a(b)?)*\tu:r:nested:s0', '/s/\\[x\\]\tu:r:escaped:s0', '/t/é.*\tu:r:nonascii:s0'].filter((line) => !line.includes('é')).join('\n') + '\n',
      '.homedirs': '/home/[^/]+/.+\tu:r:home:s0\n/a/homed\tu:r:homed:s0\n',
      '.local': '/a/homed\tu:r:local:s0\n/home/x(/.*)?\tu:r:localhome:s0',
      '.subs': '/srv/app /a\n/srv /n\n/late /d\n',
      '.subs_dist': '/a/alias /home\n/root2 /\n/opt/x /srv/app\n/opt/x /home/y\n',
    });
    try {
      const paths = ['/a/b', '/a/c', '/a/b/d', '/a/bx', '/a/lost+found', '/n/x', '/n/keep', '/d/12', '/d/1', '/d/1234', '/d/123x', '/d/abc', '/d/xyz', '/d/]z', '/d/-z', '/e/a', '/e/ab', '/x/b',
        '/f/ab_1.7', '/f/ab.x', '/g/aa', '/g/a{,2}', '/g/12_', '/h/indented', '/i/x\ny'.replace('\n', ' '), '/j/aab', '/st-em/x', '/st\\-em/x', '/k/abca', '/k/ab', '/o/dup', '/q.q/x', '/qxq/x',
        '/r/abab', '/r/ba', '/s/[x]', '/home/u/x', '/home/u', '/home/x/y', '/a/homed', '/srv/app/b', '/srv/app', '/srv/appx', '/srv/keep', '/late/12', '/a/alias/u/x', '/srv/app/alias/u/x',
        '/root2/a/b', '/root2', '/opt/x/z', '/b', '/a', '/', '/a/é', '/f/é.1',
        '/ahead/x-lxc1', '/ahead/x-lx', '/ahead/aq', '/ahead/aqb', '/ahead/a/q', '/alt/c', '/alt/a', '/alt/x/c', '/alt/x/alt/c', '/alt/ab'];
      for (const type of TYPES) expect(differences(labels, file, type, paths)).toEqual([]);
      expect(labels.problems).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  needs('matchpathcon')('random expressions on random paths', () => {
    const seed = process.env.ROCKBERRY_SEED ? Number(process.env.ROCKBERRY_SEED) : 20230516;
    console.error(`labels: seed ${seed}`);
    const piece = fc.constantFrom('a', 'b', '/', '.', '.*', 'a?', 'b+', '[ab]', '[^/]', '[^a]*', '(a|b)', '(/.*)?', '(ab)+', '\\.', 'a{1,2}', '|', 'a*', '(a|/b)*', '\\+', '$', '^');
    const pattern = fc.array(piece, { minLength: 1, maxLength: 6 }).map((parts) => `/${parts.join('')}`).filter((text) => !/[$^][*+?{]|[*+?}][*+?{]|[$^]\(|\|\|/.test(text));
    const path = fc.array(fc.constantFrom('a', 'b', '/a', '/b', '.', '+', '/'), { maxLength: 6 }).map((parts) => `/${parts.join('')}`.replace(/\/{2,}/g, '/').replace(/(.)\/$/, '$1'));
    const type = fc.constantFrom('', '', '\t--', '\t-d');
    fc.assert(fc.property(fc.array(fc.tuple(pattern, type), { minLength: 1, maxLength: 12 }), fc.uniqueArray(path, { minLength: 20, maxLength: 40 }), (specifications, paths) => {
      const { labels, file, folder } = policyOf({ '': specifications.map(([text, kind], index) => `${text}${kind}\tu:r:t${index}:s0\n`).join('') });
      try {
        expect(differences(labels, file, 'file', paths)).toEqual([]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    }), { numRuns: 150, seed });
  });
});

describe('without an oracle', () => {
  const reading = (files: Record<string, string>): Labels | undefined => openLabels({ read: (path) => (path in files ? Buffer.from(files[path]!, 'latin1') : undefined) });
  const config = '/etc/selinux/config';
  const main = '/etc/selinux/targeted/contexts/files/file_contexts';

  test('no policy, no labels', () => {
    expect(reading({})).toBeUndefined();
    expect(reading({ [config]: 'SELINUXTYPE=targeted\n' })).toBeUndefined();
    expect(reading({ [main]: '/.*\tu:r:x:s0\n' })).toBeUndefined();
  });

  test('the name of the policy: the last SELINUXTYPE, targeted by default, a single component', () => {
    expect(reading({ [config]: 'SELINUX=disabled\n', [main]: '/.*\tu:r:x:s0\n' })?.policy).toBe('targeted');
    expect(reading({ [config]: '#SELINUXTYPE=a\nSELINUXTYPE=a\nselinuxtype= mls \r\n', '/etc/selinux/mls/contexts/files/file_contexts': '/.*\tu:r:x:s0\n' })?.policy).toBe('mls');
    expect(() => reading({ [config]: 'SELINUXTYPE=../../x\n' })).toThrow(expect.objectContaining({ code: 'corrupt' }) as Error);
  });

  test('what cannot be used is left out and told', () => {
    const labels = reading({ [config]: '', [main]: ['/.*\tu:r:all:s0', '/only', '/a\t-x\tu:r:a:s0', '/b(c\tu:r:b:s0', '/(a)\\1\tu:r:ref:s0', '/\xe9\tu:r:e:s0', `/${'x'.repeat(5000)}\tu:r:long:s0`].join('\n') })!;
    expect(labels.label('/b', 'file')).toBe('u:r:all:s0');
    expect(labels.label('/aa', 'file')).toBe('u:r:all:s0');
    expect([...labels.problems].sort()).toEqual([
      'file_contexts line 2: expected an expression and a context, found one field',
      'file_contexts line 3: expected a file type such as --, found "-x"',
      'file_contexts line 4: the expression /b(c is left out, it has a group without its )',
      'file_contexts line 5: the expression /(a)\\1 is left out, it has \\1',
      'file_contexts line 6: expected ASCII',
      'file_contexts line 7: longer than 4096 bytes, left out',
    ]);
  });

  test('a hostile policy: no hang, a clear end', () => {
    const path = `/${'a'.repeat(4000)}`;
    const evil = ['/(a+)+b', '/(a|a)*b', '/(a*)*(a*)*(a*)*c', '/(.*.*.*.*.*.*.*.*)*d', '/(a{1,100}){1,100}e', '/((?=(a*)*q)a)*f', '/((((a{60000}){60000}){60000}){60000}g', '/(((?=a{9999})){9999}){9999}h'];
    const started = performance.now();
    for (const expression of evil) {
      const labels = reading({ [config]: '', [main]: `/.*\tu:r:all:s0\n${expression}\tu:r:evil:s0\n` })!;
      try {
        expect(labels.label(path, 'file')).toBe('u:r:all:s0');
      } catch (error) {
        expect(error).toMatchObject({ code: 'unsupported' });
      }
    }
    const many = reading({ [config]: '', [main]: `${'/(.*a.*a.*a.*)+b\tu:r:x:s0\n'.repeat(50_000)}` })!;
    expect(() => many.label(path, 'file')).toThrow(expect.objectContaining({ code: 'unsupported' }) as Error);
    expect(performance.now() - started).toBeLessThan(60_000);
    expect(() => reading({ [config]: '', [main]: '/a\tb\n'.repeat(100_001) })).toThrow(expect.objectContaining({ code: 'unsupported' }) as Error);
    expect(() => reading({ [config]: '', [main]: '#'.repeat(2 ** 25 + 1) })).toThrow(expect.objectContaining({ code: 'unsupported' }) as Error);
  });

  test('names that are not UTF-8', () => {
    const labels = reading({ [config]: '', [main]: '/.*\tu:r:all:s0\n/a/..\tu:r:two:s0\n' })!;
    expect(labels.label('/a/\u00e9', 'file')).toBe('u:r:two:s0'); // two bytes
    expect(labels.label('/a/\udce9', 'file')).toBe('u:r:all:s0'); // one byte
    expect(labels.label('/a/\udce9\udcff', 'file')).toBe('u:r:two:s0');
  });
});
