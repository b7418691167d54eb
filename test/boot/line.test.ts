import { describe, expect, test } from 'vitest';
import { lineForVirt } from '../../src/boot/line.js';

const ROCKY = 'console=ttyAMA0,115200 console=tty1 root=PARTUUID=6c586e13-03 rootfstype=ext4 elevator=deadline rootwait';

describe('the command line on virt', () => {
  test.each<[what: string, line: string, prepend: string | undefined, append: string | undefined, expected: string]>([
    ['the console is last, for init gets the last one', ROCKY, undefined, undefined, `${ROCKY} console=ttyAMA0`],
    ['the firmware\'s words come first, the user\'s last', 'a b', 'cgroup_disable=memory x', ' single  y=1 ', 'cgroup_disable=memory x a b console=ttyAMA0 single y=1'],
    ['what is init\'s stays behind "--"', 'a -- 3', undefined, 'b', 'a console=ttyAMA0 b -- 3'],
    ['a card\'s partition has the same number on the disk', 'root=/dev/mmcblk0p2 rw', undefined, undefined, 'root=/dev/vda2 rw console=ttyAMA0'],
    ['a label stays', 'root=LABEL=RPIROOT', undefined, undefined, 'root=LABEL=RPIROOT console=ttyAMA0'],
    ['quoted white space stays in its word', 'a="b  c"   d', undefined, undefined, 'a="b  c" d console=ttyAMA0'],
    ['nothing', '', undefined, undefined, 'console=ttyAMA0'],
  ])('%s', (_, line, prepend, append, expected) => expect(lineForVirt(line, { prepend, append })).toBe(expected));

  test('one byte more than the kernel takes is refused', () => {
    const longest = 2047 - ' console=ttyAMA0'.length;
    expect(lineForVirt('x'.repeat(longest))).toHaveLength(2047);
    expect(() => lineForVirt('x'.repeat(longest + 1))).toThrow(/at most 2047 bytes, found 2048/);
  });
});
