import fc from 'fast-check';
import { expect, test } from 'vitest';
import { editCommandLine, firstLine, hasWord, ignoredText, LINE_LIMIT, unmetDemands, valueOf, words, type CommandLineEdit } from '../../src/steps/command-line.js';

const TRIO = { add: ['cgroup_enable=cpuset', 'cgroup_memory=1', 'cgroup_enable=memory'] };
const T = 'cgroup_enable=cpuset cgroup_memory=1 cgroup_enable=memory';

const cases: [string, string, CommandLineEdit, string][] = [
  // add
  ['appends at the end, in order, and keeps the line feed', 'a b\n', TRIO, `a b ${T}\n`],
  ['without a line feed it stays without', 'a b', TRIO, `a b ${T}`],
  ['an empty file', '', TRIO, T],
  ['an empty line', '\n', TRIO, `${T}\n`],
  ['carriage returns go', 'a b\r\n', TRIO, `a b ${T}\n`],
  ['carriage returns go without another change', 'a\r\n', { add: ['a'] }, 'a\n'],
  ['a carriage return at the end of the file', 'a b\r', TRIO, `a b ${T}`],
  ['the byte order mark goes', '\xef\xbb\xbfa\n', { add: ['b'] }, 'a b\n'],
  ['only the first line counts, later ones keep their bytes', `a\n${T}\r\n\tx`, TRIO, `a ${T}\n${T}\r\n\tx`],
  ['all of the trio is there', `x ${T} y\n`, TRIO, `x ${T} y\n`],
  ['some of the trio is there', 'cgroup_memory=1 x cgroup_enable=memory\n', TRIO, 'cgroup_memory=1 x cgroup_enable=memory cgroup_enable=cpuset\n'],
  ['a list counts as its members', 'cgroup_enable=cpuset,memory x', TRIO, 'cgroup_enable=cpuset,memory x cgroup_memory=1'],
  ['a list to add: only the missing member', 'cgroup_enable=memory', { add: ['cgroup_enable=cpuset,memory'] }, 'cgroup_enable=memory cgroup_enable=cpuset'],
  ['cgroup_disable=memory goes', 'a cgroup_disable=memory b\n', TRIO, `a b ${T}\n`],
  ['cgroup_disable=memory goes at the beginning', 'cgroup_disable=memory b\n', { add: ['cgroup_enable=memory'] }, 'b cgroup_enable=memory\n'],
  ['cgroup_disable=memory goes at the end', 'b cgroup_disable=memory\n', { add: ['cgroup_enable=memory'] }, 'b cgroup_enable=memory\n'],
  ['cgroup_disable=memory goes out of a list', 'cgroup_disable=io,memory,rdma\n', { add: ['cgroup_enable=memory'] }, 'cgroup_disable=io,rdma cgroup_enable=memory\n'],
  ['cgroup_disable=memory goes out of a list in quotes', '"cgroup_disable=memory,io" cgroup_disable="rdma,memory"', { add: ['cgroup_enable=memory'] }, 'cgroup_disable=io cgroup_disable=rdma cgroup_enable=memory'],
  ['what is left of a list keeps its white space in quotes', '"cgroup_disable=memory,a b"', { add: ['cgroup_enable=memory'] }, 'cgroup_disable="a b" cgroup_enable=memory'],
  ['a list takes more than one out of a list', 'cgroup_disable=memory,cpuset', { add: ['cgroup_enable=cpuset,memory'] }, 'cgroup_enable=cpuset,memory'],
  ['cgroup_disable=memory goes where the trio is there already', `cgroup_disable=memory ${T}`, TRIO, T],
  ['it works the other way round', 'cgroup_enable=memory,cpuset', { add: ['cgroup_disable=memory'] }, 'cgroup_enable=cpuset cgroup_disable=memory'],
  ['several consoles stay', 'console=ttyAMA0,115200 console=tty1', { add: ['console=tty1', 'console=ttyS0'] }, 'console=ttyAMA0,115200 console=tty1 console=ttyS0'],
  ['a word is no part of a word', 'rootwait myquiet quiet2', { add: ['wait', 'quiet'] }, 'rootwait myquiet quiet2 wait quiet'],
  ['the last word is there already', 'a quiet', { add: ['quiet', 'quiet'] }, 'a quiet'],
  ['white space stays', '  a   b\tc  ', { add: ['d'] }, '  a   b\tc  d'],
  ['quotes hold white space', 'a dyndbg="file x +p" b', { add: ['x'] }, 'a dyndbg="file x +p" b x'],
  ['quotes do not belong to the value', 'dyndbg="x" "quiet"', { add: ['dyndbg=x', 'quiet', '"dyndbg=x"'] }, 'dyndbg="x" "quiet"'],
  ['a dash is an underscore in a name', 'cgroup-enable=memory rd-x=a-b', { add: ['cgroup_enable=memory', 'rd_x=a_b'] }, 'cgroup-enable=memory rd-x=a-b rd_x=a_b'],
  ['what follows -- is for init', 'a -- single\n', { add: ['b', 'single'] }, 'a b single -- single\n'],
  ['bytes that are not ASCII stay', 'a=\xc3\xa4 b', { add: ['c'] }, 'a=\xc3\xa4 b c'],
  // remove
  ['remove a word', 'a quiet splash b', { remove: ['quiet'] }, 'a splash b'],
  ['remove a name with all its values', 'elevator=deadline a elevator=none', { remove: ['elevator'] }, 'a'],
  ['remove one value', 'console=tty1 console=ttyS0,9600', { remove: ['console=tty1'] }, 'console=ttyS0,9600'],
  ['remove a member of a list', 'cgroup_enable=cpuset,memory', { remove: ['cgroup_enable=cpuset'] }, 'cgroup_enable=memory'],
  ['remove what is not there', 'a b\n', { remove: ['c', 'b=1'] }, 'a b\n'],
  ['remove nothing of another name', 'resize noresize resize2', { remove: ['resize'] }, 'noresize resize2'],
  ['remove everything', 'a\n', { remove: ['a'] }, '\n'],
  ['the first word takes its white space along', ' a  b', { remove: ['a'] }, ' b'],
  ['remove lets init\'s words be', 'quiet -- quiet', { remove: ['quiet'] }, ' -- quiet'.trimStart()],
  // set
  ['set replaces in place', 'a root=/dev/mmcblk0p2 b', { set: { root: 'LABEL=x' } }, 'a root=LABEL=x b'],
  ['set drops later ones', 'x=1 a x=2 x=3 b', { set: { x: 2 } }, 'x=2 a b'],
  ['set appends', 'a\n', { set: { x: 'y' } }, 'a x=y\n'],
  ['set quotes white space', 'a', { set: { dyndbg: 'file x +p' } }, 'a dyndbg="file x +p"'],
  ['set keeps the bytes of what is the same', 'x="1" a', { set: { x: 1 } }, 'x="1" a'],
  ['set of a bare word', 'quiet a', { set: { quiet: '1' } }, 'quiet=1 a'],
  ['set makes one of several consoles', 'console=a console=b', { set: { console: 'c' } }, 'console=c'],
  // all
  ['remove, then set, then add', 'a=1 b', { remove: ['b'], set: { a: 2 }, add: ['c'] }, 'a=2 c'],
];
test.each(cases)('%s', (_, text, edit, expected) => {
  const once = editCommandLine(text, edit);
  expect(once).toBe(expected);
  expect(editCommandLine(once, edit)).toBe(once);
  expect(unmetDemands(firstLine(once), edit)).toEqual([]);
});

test.each<[string, string, CommandLineEdit, string, RegExp]>([
  ['NUL', 'a\0b', TRIO, 'corrupt', /0x00 at byte 1/],
  ['a control character', 'ab\x1b[0m', TRIO, 'corrupt', /0x1b/],
  ['a carriage return in the middle', 'a\rb', TRIO, 'corrupt', /0x0d/],
  ['UTF-16', '\xff\xfea\0 \0b\0', TRIO, 'corrupt', /0x00/],
  ['an open quote', 'a="b c', TRIO, 'corrupt', /closing quote/],
  ['a line that grows too long', 'x'.repeat(LINE_LIMIT - 3), { add: ['abc'] }, 'profile', /at most 1024 bytes .* found 1025/],
  ['a line that is too long', 'x'.repeat(LINE_LIMIT + 1), { add: ['abc'] }, 'unsupported', /1024/],
  ['a contradiction', 'a', { add: ['cgroup_enable=memory', 'cgroup_disable=memory'] }, 'profile', /agrees with itself/],
  ['set and add of one name', 'a', { set: { x: 1 }, add: ['x=2'] }, 'profile', /agrees with itself/],
])('refused: %s', (_, text, edit, code, message) => {
  expect(() => editCommandLine(text, edit)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
});

test('exactly 1024 bytes are fine', () => {
  expect(firstLine(editCommandLine(`${'x'.repeat(LINE_LIMIT - 4)}\n`, { add: ['abc'] })).length).toBe(LINE_LIMIT);
});

test('what is read: words, the value in force, members, text that nobody reads', () => {
  expect(words(' a  b="c d" ')).toEqual(['a', 'b="c d"']);
  expect([valueOf('x=1 x="2 3"', 'x'), valueOf('quiet', 'quiet'), valueOf('a -- x=1', 'x')]).toEqual(['2 3', '', undefined]);
  expect([hasWord('cgroup_enable=cpuset,memory', 'cgroup_enable=memory'), hasWord('console=tty1,memory', 'console=memory')]).toEqual([true, false]);
  expect([ignoredText('a\n\n'), ignoredText('a\nb\n')]).toEqual(['', 'b']);
});

test('anything to anything: twice is once, what was asked is there, the rest keeps order and bytes', () => {
  const name = fc.constantFrom('console', 'cgroup_enable', 'cgroup_disable', 'quiet', 'root', 'rd-x', 'rd_x');
  const value = fc.constantFrom('memory', 'cpuset', 'memory,cpuset', 'tty1', '"a b"', '');
  const token = fc.oneof(name, fc.tuple(name, value).map(([key, text]) => `${key}=${text}`), fc.constant('--'));
  const line = fc.array(fc.tuple(token, fc.constantFrom(' ', '  ', '\t')), { maxLength: 12 }).map((parts) => parts.flat().join(''));
  const text = fc.tuple(line, fc.constantFrom('', '\n', '\r\n', '\nsecond line\n')).map((parts) => parts.join(''));
  const wanted = token.filter((word) => word !== '--');
  const edit = fc.record({ add: fc.array(wanted, { maxLength: 4 }), remove: fc.array(wanted, { maxLength: 2 }) });
  const seed = Number(process.env.ROCKBERRY_SEED ?? 20_261_123);
  fc.assert(fc.property(text, edit, (before, wish) => {
    let once: string;
    try {
      once = editCommandLine(before, wish);
    } catch (error) {
      expect((error as Error).message).toMatch(/agrees with itself/);
      return;
    }
    expect(editCommandLine(once, wish)).toBe(once);
    expect(unmetDemands(firstLine(once), wish)).toEqual([]);
    const untouched = (line: string): string[] => words(line).filter((word) => /^(root|--)/.test(word) && ![...wish.add, ...wish.remove].some((other) => other.startsWith('root')));
    expect(untouched(firstLine(once))).toEqual(untouched(firstLine(before)));
  }), { seed, numRuns: 3000 });
});
