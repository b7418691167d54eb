/** The Python module edits as the engine does, byte for byte, and refuses what the engine refuses, with the same sentence. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { RockberryError } from '../../src/errors.js';
import { findCommandLines } from '../../src/steps/cmdline.js';
import { editCommandLine, isOneWord, LINE_LIMIT, type CommandLineEdit } from '../../src/steps/command-line.js';
import { memoryTree } from '../support/memory-tree.js';
import { needs } from '../support/oracle.js';
import { askPython, SEED } from './support.js';

type Case = readonly [text: string, edit: CommandLineEdit];

const EDIT = `
import json, sys
from ansible_collections.rockberry.node.plugins.module_utils import kernel_command_line as line
def answer(text, edit):
    values = {name: str(value) for name, value in edit.get('set', {}).items()}
    try:
        return {'text': line.edit_command_line(text, edit.get('add', []), edit.get('remove', []), values)}
    except line.CommandLineError as error:
        return {'code': error.code, 'message': error.message, 'hint': error.hint}
json.dump([answer(*case) for case in json.load(sys.stdin)], sys.stdout)
`;

function engine([text, edit]: Case): unknown {
  try {
    return { text: editCommandLine(text, edit) };
  } catch (error) {
    if (!(error instanceof RockberryError)) throw error;
    return { code: error.code, message: error.message, hint: error.hint ?? null };
  }
}

/** Says of the first case that differs what it was; returns how many edits were made and how many refused. */
function compare(cases: readonly Case[]): { edited: number; refused: number } {
  const answers = askPython(EDIT, cases) as { text?: string }[];
  expect(answers.length).toBe(cases.length);
  cases.forEach((one, at) => expect({ case: one, answer: answers[at] }, `seed ${SEED}`).toEqual({ case: one, answer: engine(one) }));
  const edited = answers.filter(({ text }) => text !== undefined).length;
  return { edited, refused: answers.length - edited };
}

const TRIO = { add: ['cgroup_enable=cpuset', 'cgroup_memory=1', 'cgroup_enable=memory'] };
const T = TRIO.add.join(' ');
// The inputs and the edits of test/steps/command-line.test.ts, each with each.
const texts = [
  'a b\n', 'a b', '', '\n', 'a b\r\n', 'a\r\n', 'a b\r', '\xef\xbb\xbfa\n', `a\n${T}\r\n\tx`, `x ${T} y\n`, 'cgroup_memory=1 x cgroup_enable=memory\n', 'cgroup_enable=cpuset,memory x', 'cgroup_enable=memory',
  'a cgroup_disable=memory b\n', 'cgroup_disable=memory b\n', 'b cgroup_disable=memory\n', 'cgroup_disable=io,memory,rdma\n', 'cgroup_disable=memory,cpuset', `cgroup_disable=memory ${T}`, 'cgroup_enable=memory,cpuset',
  'console=ttyAMA0,115200 console=tty1', 'rootwait myquiet quiet2', 'a quiet', '  a   b\tc  ', 'a dyndbg="file x +p" b', 'dyndbg="x" "quiet"', 'cgroup-enable=memory rd-x=a-b', 'a -- single\n', 'a=\xc3\xa4 b', 'a\xa0b',
  'a quiet splash b', 'elevator=deadline a elevator=none', 'console=tty1 console=ttyS0,9600', 'resize noresize resize2', ' a  b', 'quiet -- quiet', 'a root=/dev/mmcblk0p2 b', 'x=1 a x=2 x=3 b', 'x="1" a', 'quiet a', 'a=1 b',
  '"cgroup_disable=memory,io" a', 'cgroup_disable="memory,io" a', 'cgroup_disable=,memory', '=x cgroup_disable', 'a\0b', 'ab\x1b[0m', 'a\rb', '\xff\xfea\0 \0b\0', 'a="b c', '"', 'x'.repeat(LINE_LIMIT - 3), 'x'.repeat(LINE_LIMIT + 1),
];
const edits: CommandLineEdit[] = [
  TRIO, { add: ['a'] }, { add: ['b', 'single'] }, { add: ['cgroup_enable=cpuset,memory'] }, { add: ['cgroup_disable=memory'] }, { add: ['console=tty1', 'console=ttyS0'] }, { add: ['wait', 'quiet', 'quiet'] }, { add: ['abc'] },
  { add: ['dyndbg=x', 'quiet', '"dyndbg=x"'] }, { add: ['cgroup_enable=memory', 'rd_x=a_b'] }, { remove: ['quiet'] }, { remove: ['elevator'] }, { remove: ['console=tty1'] }, { remove: ['cgroup_enable=cpuset'] }, { remove: ['c', 'b=1', 'a'] },
  { set: { root: 'LABEL=x' } }, { set: { x: 2 } }, { set: { dyndbg: 'file x +p' } }, { set: { x: 1 } }, { set: { quiet: '1', console: 'c' } }, { remove: ['b'], set: { a: 2 }, add: ['c'] },
  { add: ['cgroup_enable=memory', 'cgroup_disable=memory'] }, { set: { x: 1 }, add: ['x=2'] },
];

needs('python3')('the edge cases: every text with every edit', () => {
  const { edited, refused } = compare(texts.flatMap((text) => edits.map((edit): Case => [text, edit])));
  expect([edited > 900, refused > 200]).toEqual([true, true]);
});

needs('python3')(`anything to anything (seed ${SEED})`, () => {
  const name = fc.constantFrom('console', 'cgroup_enable', 'cgroup-enable', 'cgroup_disable', 'quiet', 'root', 'rd-x', 'rd_x', 'x');
  const value = fc.constantFrom('memory', 'cpuset', 'memory,cpuset', 'io,memory', 'memory,memory', 'tty1', '"a b"', '"memory,io"', '1', '', ',');
  const token = fc.oneof({ weight: 2, arbitrary: name }, { weight: 6, arbitrary: fc.tuple(name, value).map(([key, text]) => `${key}=${text}`) }, fc.tuple(name, value).map(([key, text]) => `"${key}=${text.replaceAll('"', '')}"`),
    fc.constantFrom('--', '=', '"', '\xc3\xa4', '=x', '"x', '\x00', 'x'.repeat(900)));
  const line = fc.array(fc.tuple(fc.constantFrom(' ', '  ', '\t', '\xa0', ''), token), { maxLength: 12 }).map((parts) => parts.flat().join(''));
  const text = fc.tuple(fc.constantFrom('', '', '\xef\xbb\xbf'), line, fc.constantFrom('', '\n', '\r\n', '\r', '  \n', '\nsecond line\n')).map((parts) => parts.join(''));
  const word = token.filter(isOneWord);
  const setting = fc.dictionary(name, fc.constantFrom('memory', 'a b', 'a\xa0b', 'x', ''), { maxKeys: 2 });
  const edit = fc.record({ add: fc.array(word, { maxLength: 4 }), remove: fc.array(word, { maxLength: 2 }), set: setting });
  const { edited, refused } = compare(fc.sample(fc.tuple(text, edit), { seed: SEED, numRuns: 3000 }));
  expect([edited > 500, refused > 500]).toEqual([true, true]);
});

const FIND = `
import json, os, sys, tempfile
from ansible_collections.rockberry.node.plugins.module_utils import firmware_files
def answer(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            os.makedirs(os.path.dirname(root + name), exist_ok=True)
            with open(root + name, 'wb') as handle:
                handle.write(text.encode('latin-1'))
        return [path[len(root):] for path in firmware_files.find_command_lines(root + '/boot')]
json.dump([answer(files) for files in json.load(sys.stdin)], sys.stdout)
`;

function compareFiles(cases: readonly Record<string, string>[]): string[] {
  const answers = askPython(FIND, cases) as string[][];
  cases.forEach((files, at) => expect({ files, found: answers[at] }, `seed ${SEED}`).toEqual({ files, found: findCommandLines(memoryTree(files)).map(({ path }) => path) }));
  return [...new Set(answers.map((paths) => paths.join(' ')))];
}

const line = (name: string): Record<string, string> => ({ [`/boot/${name}`]: 'a' });
const kernel = { '/boot/current/vmlinuz': 'k', '/boot/current/bcm2712-rpi-5-b.dtb': 'd' };
needs('python3')('the file is found where the engine finds it', () => {
  // The places of test/steps/cmdline.test.ts.
  const found = compareFiles([
    line('cmdline.txt'), { ...line('cmdline.txt'), ...line('other.txt'), '/boot/config.txt': '[pi4]\nx=1\n[all]\ncmdline=other.txt\n' }, { ...line('cmdline.txt'), ...line('four.txt'), '/boot/config.txt': '[pi4]\ncmdline=four.txt\n' },
    { ...line('cmdline.txt'), ...line('four.txt'), '/boot/config.txt': '[pi4]\ncmdline=four.txt\n[all]\ncmdline=cmdline.txt\n' }, { ...line('cmdline.txt'), ...line('no.txt'), '/boot/config.txt': '[none]\ncmdline=no.txt\n' },
    { ...line('cmdline.txt'), ...line('no.txt'), '/boot/config.txt': '#cmdline=no.txt\n' }, { ...line('cmdline.txt'), '/boot/config.txt': '[pi4]\ncmdline=gone.txt\n' },
    { ...kernel, ...line('current/cmdline.txt'), '/boot/config.txt': '[all]\nkernel=vmlinuz\nos_prefix=current/\n' }, { ...kernel, ...line('current/cmdline.txt'), ...line('new/cmdline.txt'), '/boot/config.txt': 'os_prefix=current/\n[tryboot]\nos_prefix=new/\n' },
    { ...kernel, ...line('cmdline.txt'), ...line('current/cmdline.txt'), '/boot/config.txt': 'os_prefix=current/\n' }, { ...line('cmdline.txt'), ...line('x/cmdline.txt'), '/boot/config.txt': 'os_prefix=x/\n' },
    { ...line('test-cmdline.txt'), ...line('test-kernel8.img'), ...line('test-bcm.dtb'), ...line('cmdline.txt'), '/boot/config.txt': 'os_prefix=test-\n' }, { ...kernel, ...line('mine.txt'), '/boot/config.txt': 'os_prefix=current/\ncmdline=/mine.txt\r\n' },
    { ...line('cmdline.txt'), '/boot/usercfg.txt': 'cmdline=u.txt\ninclude config.txt\n', ...line('u.txt'), '/boot/config.txt': 'include usercfg.txt\n' }, { ...line('cmdline.txt'), '/etc/passwd': 'root', '/boot/config.txt': '[pi4]\ncmdline=../etc/passwd\n' },
    { '/boot/EFI/BOOT/grubaa64.efi': 'g' }, { ...line('upstream/cmdline.txt'), ...line('upstream/kernel8.img'), ...line('upstream/a.dtb'), '/boot/config.txt': 'upstream_kernel=1\n' },
  ]);
  expect(found.length).toBeGreaterThan(8);
});

needs('python3')(`any config.txt (seed ${SEED})`, () => {
  const row = fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom('[all]', '[pi4]', '[pi5]', '[cm4]', '[none]', ' [0x1f]', '[EDID=VSC-TD2220]', '[tryboot]', '[board-type=0x14]', '#cmdline=b.txt', 'upstream_kernel=1', 'include b.cfg', 'include\tb.cfg', 'include ../x', 'arm_64bit=1', '') },
    { weight: 2, arbitrary: fc.tuple(fc.constantFrom('cmdline=', ' cmdline=', 'os_prefix='), fc.constantFrom('a.txt', 'b.txt', '/b.txt', 'x/', 'x/./', 'x-', '', '../boot/', ' a.txt', 'cmdline')).map((parts) => parts.join('')) },
  );
  const text = fc.array(row, { maxLength: 8 }).chain((rows) => fc.constantFrom('\n', '\r\n').map((ending) => rows.join(ending)));
  const present = fc.subarray(['cmdline.txt', 'a.txt', 'b.txt', 'x/cmdline.txt', 'x/a.txt', 'x-cmdline.txt', 'x-b.txt', 'x/kernel8.img', 'x/a.dtb', 'x-vmlinuz', 'x-b.dtb', 'upstream/cmdline.txt', 'Image.gz', 'c.dtb'], { minLength: 5 });
  const files = fc.tuple(present, text, fc.option(text, { nil: '' })).map(([names, config, included]) => ({ ...Object.assign({}, ...names.map(line)) as Record<string, string>, '/boot/config.txt': config, '/boot/b.cfg': included }));
  expect(compareFiles(fc.sample(files, { seed: SEED, numRuns: 400 })).length).toBeGreaterThan(15);
});
