import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { dnfStep, excluded, withExcluded } from '../../src/steps/dnf.js';
import { memoryTree, textOf, touched } from '../support/memory-tree.js';
import { needs, output } from '../support/oracle.js';
import { applyTwice } from './support.js';

const ROCKY = '[main]\ngpgcheck=1\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=True\nskip_if_unavailable=False\n';
const CASES: readonly (readonly [name: string, before: string, after: string])[] = [
  ['Rocky\'s own file', ROCKY, `${ROCKY}exclude=a* b\n`],
  ['no newline at the end', '[main]\nbest=True', '[main]\nbest=True\nexclude=a* b\n'],
  ['an assignment', '[main]\nexclude=c\nbest=True\n', '[main]\nexclude=a* b c\nbest=True\n'],
  ['the newer name, commas, spaces', '[main]\nexcludepkgs = c, a*\n', '[main]\nexcludepkgs =b c, a*\n'],
  ['an assignment over several lines', '[main]\nexclude=\n  c\n  a*\nbest=True\n', '[main]\nexclude=b\n  c\n  a*\nbest=True\n'],
  ['there already', '[main]\nexclude=b,a*\n', '[main]\nexclude=b,a*\n'],
  ['another section behind', '[main]\nbest=True\n\n[extra]\nexclude=a* b\n', '[main]\nbest=True\nexclude=a* b\n\n[extra]\nexclude=a* b\n'],
  ['a comment is no assignment', '[main]\n#exclude=a* b\n', '[main]\n#exclude=a* b\nexclude=a* b\n'],
  ['no [main], and another section that excludes', '[extra]\nexclude=a* b\n', '[main]\nexclude=a* b\n[extra]\nexclude=a* b\n'],
  ['an empty file', '', '[main]\nexclude=a* b\n'],
];

test.each(CASES)('%s', (_, before, after) => {
  expect(withExcluded(before, ['a*', 'b'])).toBe(after);
  expect(withExcluded(after, ['a*', 'b'])).toBe(after);
  expect(excluded(after)).toEqual(expect.arrayContaining(['a*', 'b']));
});

// dnf reads its file with the rules of Python's configparser (dnf.conf(5)): "=" or ":", values that go on in indented lines.
needs('python3').each(CASES)('Python\'s configparser reads the same words: %s', (_, before) => {
  const folder = mkdtempSync(join(tmpdir(), 'rockberry-dnf-'));
  try {
    const file = join(folder, 'dnf.conf');
    writeFileSync(file, withExcluded(before, ['a*', 'b']));
    const program = 'import configparser, re, sys; c = configparser.ConfigParser(interpolation=None); c.read(sys.argv[1]); m = c["main"]; print(" ".join(sorted(re.split(r"[\\s,]+", m.get("exclude", m.get("excludepkgs")).strip()))))';
    expect(output('python3', ['-c', program, file]).toString().trim().split(' ')).toEqual(excluded(withExcluded(before, ['a*', 'b'])).sort());
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the step keeps mode and the other lines; a second time it changes nothing', async () => {
  const tree = memoryTree({ '/etc/dnf/dnf.conf': { content: ROCKY, mode: 0o600 } });
  expect(await applyTwice(dnfStep, tree, { exclude: ['kernel-rpi*'] })).toEqual([]);
  expect(textOf(tree, '/etc/dnf/dnf.conf')).toBe(`${ROCKY}exclude=kernel-rpi*\n`);
  expect([tree.stat('/etc/dnf/dnf.conf')!.mode, touched(tree)]).toEqual([0o600, ['changed /etc/dnf/dnf.conf']]);
});

test('verify misses a word; an image without dnf and a pattern that is none are refused', async () => {
  expect(await dnfStep.verify(memoryTree({ '/etc/dnf/dnf.conf': '[main]\nexclude=a\n' }), { exclude: ['a', 'b*'] }, { directory: '/' })).toMatchObject([{ id: 'step-dnf', message: expect.stringContaining('b*') }]);
  expect(() => dnfStep.apply(memoryTree({}), { exclude: ['a'] }, { directory: '/' })).toThrow(/expected \/etc\/dnf\/dnf.conf/);
  for (const pattern of ['', 'a b', 'a,b', '-x', 'a\nb']) expect(dnfStep.schema.safeParse({ exclude: [pattern] }).success, pattern).toBe(false);
});
