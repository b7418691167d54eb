/** What verify prints: a table of 80 columns, Markdown as cmark-gfm reads it, XML as libxml2 and expat do; names from images are hostile. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { printable } from '../../src/terminal.js';
import type { Finding } from '../../src/report.js';
import type { RuleResult } from '../../src/verify/readiness.js';
import { verifyJunit, verifyMarkdown, verifyText } from '../../src/verify-text.js';
import type { VerifyResult } from '../../src/verify.js';
import { needs, output, run } from '../support/oracle.js';

const HOSTILE = ['/etc/\x1b[2J\x1b]0;title\x07', '/etc/a\nb\r\nc\td', '/etc/\u0085\u009b31m', 'a|b\\|c\\', '<script>alert(1)</script>&amp;<!--', ']]>', '`code` ``two``', '*bold* _it_ ~~gone~~ **x', '[link](https://evil.example)', 'https://evil.example www.evil.example',
  '@torvalds and #1', '$x$ :smile: !', '/etc/\udcff\udce4', '\ufffe\uffff\ud800', 'naïve ☃ 漢字 \u{1f600}', '"quoted" \'single\'', '  leading', 'trailing  ', '', '-', '+ x', '1. one', '# title', '\x00', '\x7f\x80', '|---|---|', '&#60;b&#62;', '\\x1b'];

const rule = (id: string, findings: readonly Omit<Finding, 'id'>[], parts: Partial<RuleResult> = {}): RuleResult => ({
  id, group: 'hygiene', title: `title of ${id}`, source: 'https://example.org/a_b(c)', detail: null, status: findings[0]?.severity ?? 'ok', findings: findings.map((finding) => ({ id, ...finding })), ...parts,
});
function resultOf(rules: readonly RuleResult[], checks: VerifyResult['checks'] = [], image = 'node.img.xz'): VerifyResult {
  return { image, target: 'kubespray', kubernetes: '1.36', rules, checks, counts: { ok: 1, errors: 2, warnings: 1, notes: 0, skipped: 1 } };
}
const hostile = resultOf(HOSTILE.map((text, at) => rule(`hygiene-${at}`, [{ severity: 'error', subject: text, message: `expected nothing, found ${text}`, hint: `look at ${text}` }])), [], HOSTILE.join(''));

/** Two rules of a group, one of another, one skipped, two checks. */
const SMALL = resultOf([
  rule('boot-root', [], { group: 'boot', title: 'root= names a partition', detail: 'PARTUUID=5f2d8c41-03' }),
  rule('boot-tokens', [{ severity: 'warning', subject: '/boot/cmdline.txt', message: 'expected quiet once, found it twice' }], { group: 'boot' }),
  rule('kernel-config', [], { group: 'kernel', status: 'skipped', detail: 'the image has no config' }),
  rule('hygiene-host-keys', [{ severity: 'error', subject: '/etc/ssh/ssh_host_rsa_key', message: 'expected nothing here, found a file of 2602 bytes: every node would have this key, and whoever has the image could pass for any of them', hint: 'remove it' }, { severity: 'info', subject: '/etc', message: 'more' }]),
], [{ name: 'filesystems are consistent', findings: [] }, { name: 'hostname', findings: [{ severity: 'info', id: 'step-hostname', subject: '/etc/hostname', message: 'a note' }, { severity: 'warning', id: 'step-hostname', subject: '/etc/hostname', message: 'a warning' }] }]);

const plainText = (result: VerifyResult, verbose = false): string => verifyText(result, { color: false, verbose });
const strip = (text: string): string => text.replace(/\x1b\[\d+m/g, '');

describe('the table', () => {
  test('grouped, a line per rule, findings and hints below it', () => {
    expect(plainText(SMALL)).toBe(`node.img.xz: ready for Kubernetes 1.36 by kubespray?

boot
  ok       root= names a partition: PARTUUID=5f2d8c41-03
  warning  title of boot-tokens
           /boot/cmdline.txt: expected quiet once, found it twice
           [boot-tokens]
           see https://example.org/a_b(c)

hygiene
  ERROR    title of hygiene-host-keys
           /etc/ssh/ssh_host_rsa_key: expected nothing here, found a file of
           2602 bytes: every node would have this key, and whoever has the
           image could pass for any of them [hygiene-host-keys]
           → remove it
           see https://example.org/a_b(c)

image and profiles
  ok       filesystems are consistent
  warning  hostname
           /etc/hostname: a warning [step-hostname]

not ready: 2 errors, 1 warning, 0 notes, 1 ok, 1 not judged
(--all shows what the notes say, and what was not judged)`);
  });

  test('what notes say, and a detail that does not fit, only on request', () => {
    const long: VerifyResult = { ...SMALL, rules: [{ ...SMALL.rules[0]!, title: 'all is well', status: 'ok', findings: [], detail: 'a detail of many words '.repeat(4).trim() }] };
    expect(plainText(long)).toMatch(/ {2}ok {7}all is well\n/);
    expect(plainText(long)).not.toContain('a note');
    expect(plainText(long, true)).toMatch(/ {2}ok {7}all is well: a detail[\s\S]*\/etc\/hostname: a note \[step-hostname\]/);
  });

  test('with everything that was not judged, on request', () => {
    expect(plainText(SMALL)).not.toContain('kernel');
    expect(plainText(SMALL, true)).toContain('\nkernel\n  -        title of kernel-config: the image has no config\n');
  });

  test('colours add nothing but colours, and mark the severities', () => {
    const coloured = verifyText(SMALL, { color: true, verbose: true });
    expect(strip(coloured)).toBe(plainText(SMALL, true));
    expect(coloured).toContain('\x1b[31mERROR  \x1b[0m');
    expect(coloured).toContain('\x1b[32mok     \x1b[0m');
  });

  test('nothing of an image reaches the terminal as a control character', () => {
    for (const color of [false, true]) expect(strip(verifyText(hostile, { color, verbose: true }))).not.toMatch(/[\0-\x09\x0b-\x1f\x7f-\x9f]/);
    expect(plainText(hostile)).toContain('\\x1b[2J\\x1b]0;title\\x07');
    expect(plainText(hostile)).toContain('/etc/a\\x0ab\\x0d\\x0ac\\x09d');
  });

  test('80 columns: a longer line is one word', () => {
    const seed = process.env.ROCKBERRY_SEED ? Number(process.env.ROCKBERRY_SEED) : 20260814;
    console.error(`verify text: seed ${seed}`);
    const text = fc.array(fc.oneof(fc.string({ unit: 'binary', maxLength: 12 }), fc.constantFrom(...HOSTILE), fc.constantFrom(' ', '  ', 'word', 'x'.repeat(90)))).map((parts) => parts.join(''));
    fc.assert(fc.property(text, text, text, text, fc.boolean(), (image, subject, message, hint, verbose) => {
      const lines = plainText(resultOf([rule('hygiene-x', [{ severity: 'error', subject, message, hint }], { detail: message })], [{ name: subject, findings: [] }], image), verbose).split('\n');
      for (const line of lines) {
        expect(line).not.toMatch(/[\0-\x1f\x7f-\x9f]/);
        if (line.length > 80) expect(line.trim().replace(/^(→|ERROR|ok) +/, '')).not.toContain(' ');
      }
    }), { numRuns: 500, seed });
  });
});

/** The tables and headings of an HTML text, as Python's parser reads them. */
const READ_HTML = `
import html.parser, json, sys
class Reader(html.parser.HTMLParser):
    rows, tags, headings, at = [], set(), [], None
    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == 'tr': self.rows.append([])
        if tag in ('td', 'th'): self.rows[-1].append(''); self.at = 'cell'
        if tag == 'h2': self.headings.append(''); self.at = 'heading'
    def handle_endtag(self, tag):
        if tag in ('td', 'th', 'h2'): self.at = None
    def handle_data(self, data):
        if self.at == 'cell': self.rows[-1][-1] += data
        if self.at == 'heading': self.headings[-1] += data
reader = Reader()
reader.feed(sys.stdin.buffer.read().decode())
print(json.dumps({'rows': reader.rows, 'tags': sorted(reader.tags), 'headings': reader.headings}))
`;
interface Html { readonly rows: readonly (readonly string[])[]; readonly tags: readonly string[]; readonly headings: readonly string[] }

function rendered(markdown: string): Html {
  const html = output('cmark-gfm', ['--unsafe', '-e', 'table', '-e', 'strikethrough', '-e', 'autolink', '-e', 'tagfilter', '-t', 'html'], markdown);
  return JSON.parse(output('python3', ['-c', READ_HTML], html).toString()) as Html;
}

describe('Markdown', () => {
  needs('cmark-gfm', 'python3')('a table of four columns whatever the names hold, and nothing that they mean', () => {
    const { rows, tags, headings } = rendered(verifyMarkdown(hostile));
    expect(rows[0]).toEqual(['severity', 'rule', 'where', 'what']);
    const shown = (text: string): string => printable(text).replace(/[\ud800-\udfff]/gu, '\ufffd').replaceAll('@', '@\u200b');
    const wanted = HOSTILE.map((text, at) => ['error', `hygiene-${at}`, shown(text).trim(), shown(`expected nothing, found ${text} `) + shown(`look at ${text}`.trim())]);
    expect(rows.slice(1).map((row) => row.map((one) => one.trim()))).toEqual(wanted.map((row) => row.map((one) => one.trim())));
    expect(tags.filter((tag) => !['a', 'em', 'h2', 'p', 'table', 'thead', 'tbody', 'tr', 'th', 'td'].includes(tag))).toEqual([]);
    expect(headings).toEqual([shown(`${HOSTILE.join('')}: ready for Kubernetes 1.36 by kubespray?`)]);
  });

  needs('cmark-gfm', 'python3')('links are to the rules\' sources only', () => {
    const html = output('cmark-gfm', ['-e', 'table', '-e', 'autolink'], verifyMarkdown(hostile)).toString();
    expect(new Set([...html.matchAll(/href="([^"]*)"/g)].map(([, target]) => target))).toEqual(new Set(['https://example.org/a_b(c)']));
  });

  test('the findings of rules and checks, and the count', () => {
    expect(verifyMarkdown(SMALL).split('\n')).toEqual([
      '## node.img.xz\\: ready for Kubernetes 1.36 by kubespray?', '', '| severity | rule | where | what |', '|---|---|---|---|',
      '| warning | [boot-tokens](https://example.org/a_b(c)) | /boot/cmdline.txt | expected quiet once, found it twice |',
      '| error | [hygiene-host-keys](https://example.org/a_b(c)) | /etc/ssh/ssh\\_host\\_rsa\\_key | expected nothing here, found a file of 2602 bytes\\: every node would have this key, and whoever has the image could pass for any of them _remove it_ |',
      '| info | [hygiene-host-keys](https://example.org/a_b(c)) | /etc | more |', '| info | image-2 | /etc/hostname | a note |', '| warning | image-2 | /etc/hostname | a warning |', '',
      'not ready: 2 errors, 1 warning, 0 notes, 1 ok, 1 not judged', '',
    ]);
  });

  test('no findings, no table', () => {
    expect(verifyMarkdown({ ...resultOf([rule('boot-root', [])]), counts: { ok: 1, errors: 0, warnings: 0, notes: 0, skipped: 0 } })).toBe('## node.img.xz\\: ready for Kubernetes 1.36 by kubespray?\n\nready: 0 errors, 0 warnings, 0 notes, 1 ok, 0 not judged\n');
  });
});

const READ_XML = `
import json, sys, xml.etree.ElementTree as tree
root = tree.fromstring(sys.stdin.buffer.read())
print(json.dumps({'tag': root.tag, 'totals': root.attrib, 'suites': [{'attributes': suite.attrib, 'cases': [
    {**case.attrib, 'inside': [[child.tag, child.attrib.get('message'), child.text] for child in case]} for case in suite]} for suite in root]}))
`;
interface Case { readonly classname: string; readonly name: string; readonly inside: readonly (readonly [tag: string, message: string | null, text: string | null])[] }
interface Xml { readonly tag: string; readonly totals: Record<string, string>; readonly suites: readonly { attributes: Record<string, string>; cases: readonly Case[] }[] }

const parsed = (text: string): Xml => JSON.parse(output('python3', ['-c', READ_XML], text).toString()) as Xml;

describe('JUnit', () => {
  needs('python3')('a case per rule and check, with failures, skips and the rest, and totals that are true', () => {
    const { tag, totals, suites } = parsed(verifyJunit(SMALL));
    expect({ tag, totals }).toEqual({ tag: 'testsuites', totals: { tests: '6', failures: '1', skipped: '1', errors: '0' } });
    expect(suites).toHaveLength(1);
    expect(suites[0]!.attributes).toEqual({ name: 'node.img.xz: ready for Kubernetes 1.36 by kubespray?', tests: '6', failures: '1', skipped: '1', errors: '0' });
    const { cases } = suites[0]!;
    expect(cases.map(({ classname, name }) => [classname, name.split(':')[0]])).toEqual([['boot', 'boot-root'], ['boot', 'boot-tokens'], ['kernel', 'kernel-config'], ['hygiene', 'hygiene-host-keys'], ['image and profiles', 'image-1'], ['image and profiles', 'image-2']]);
    expect(cases.map(({ inside }) => inside.map(([kind]) => kind))).toEqual([[], ['system-out'], ['skipped'], ['failure', 'system-out'], [], ['system-out']]);
    expect(cases[3]!.inside[0]![2]).toMatch(/^\/etc\/ssh\/ssh_host_rsa_key: expected nothing here.*\(remove it\)$/);
    expect(cases[2]!.inside[0]![1]).toBe('the image has no config');
    expect(cases[5]!.inside[0]![2]).toBe('/etc/hostname: a note\n/etc/hostname: a warning');
  });

  needs('python3', 'xmllint')('well-formed whatever the names hold, and nothing of them is lost', () => {
    const text = verifyJunit(hostile);
    expect(run('xmllint', ['--noout', '--nonet', '-'], text)).toEqual({ status: 0, output: '' });
    const { cases } = parsed(text).suites[0]!;
    const shown = (value: string): string => value.split('\n').map(printable).join('\n').replace(/[\ud800-\udfff\ufffe\uffff]/gu, '\ufffd');
    expect(cases.map(({ inside }) => inside[0]![2])).toEqual(HOSTILE.map((value) => shown(`${value}: expected nothing, found ${value} (look at ${value})`)));
  });

  needs('xmllint')('any text', () => {
    const seed = process.env.ROCKBERRY_SEED ? Number(process.env.ROCKBERRY_SEED) : 20260815;
    console.error(`verify JUnit: seed ${seed}`);
    fc.assert(fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 20 }), { minLength: 60, maxLength: 60 }), (texts) => {
      const rules = texts.map((text) => rule(`x${text}`, [{ severity: 'error', subject: text, message: text }], { title: text, group: text as RuleResult['group'] }));
      expect(run('xmllint', ['--noout', '--nonet', '-'], verifyJunit(resultOf(rules, [], texts[0])))).toEqual({ status: 0, output: '' });
    }), { numRuns: 30, seed });
  });
});
