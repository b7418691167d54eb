/** rockberry-node under every shell: whom it takes the board for, what it then puts in place, and that it changes nothing when it is not sure. */
import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { GoldenOptions } from '../../../src/fleet/golden.js';
import type { GoldenEntry } from '../../../src/fleet/golden/entry.js';
import { needs, run } from '../../support/oracle.js';
import { bare, entry, goldenTree, GROUP, inFolder, MAC, onCard, OWNER, PI4, plug, programs, runNode, SCRIPT, SERIAL, SHELLS, stateOf, type Board, type Ran } from './board.js';

needs('shellcheck')('shellcheck has nothing to say', () => expect(run('shellcheck', ['-s', 'sh', SCRIPT])).toEqual({ status: 0, output: '' }));

const OTHER = entry('node2', { serial: '1000000012345678', mac: 'dc:a6:32:99:99:99' });
const MINE = entry('node1', { serial: SERIAL });
const UID = `${process.getuid!()}:${process.getgid!()}`;
const text = (root: string, path: string): string => readFileSync(join(root, path), 'utf8');

interface Outcome extends Ran { readonly root: string; readonly before: Map<string, string>; readonly after: Map<string, string> }
/** Fake programs that leave word of their calls beside the root. */
const LEAVING_WORD = { sleep: 'echo >>"$ROCKBERRY_ROOT/../slept"', restorecon: 'cat >"$ROCKBERRY_ROOT/../labelled"; echo "$*" >>"$ROCKBERRY_ROOT/../labelled"' };

/** Those that one shell may read differently than another come first. */
const MATCHES: [what: string, match: GoldenEntry['match'], board: Board][] = [
  ['in /proc/cpuinfo', { serial: SERIAL }, { cpuinfo: `processor\t: 0\n\nHardware\t: BCM2835\nSerial\t\t: ${SERIAL}\nModel\t\t: Raspberry Pi\n` }],
  ['a Pi 5 whose leading zero got lost in the inventory', { serial: 'c8f7e5cbd989ae1' }, { serial: '0c8f7e5cbd989ae1\0' }],
  ['a lower half with zeros of its own', { serial: '00cdef01' }, { serial: '1000000000cdef01\0' }],
  ['serial and MAC both', { serial: SERIAL, mac: MAC }, PI4],
  ['the serial in the device tree', { serial: SERIAL }, { serial: `${SERIAL}\0` }],
  ['without its NUL', { serial: SERIAL }, { serial: SERIAL }],
  ['in the other place', { serial: SERIAL }, { base: `${SERIAL}\0` }],
  ['in the third place, where the first two have none', { serial: SERIAL }, { serial: '0000000000000000\0', base: '', cpuinfo: `Serial\t\t: ${SERIAL}\n` }],
  ['upper case', { serial: SERIAL }, { serial: `${SERIAL.toUpperCase()}\0` }],
  ['upper case in the inventory', { serial: SERIAL.toUpperCase() }, { serial: `${SERIAL}\0` }],
  ['leading zeros in the inventory only', { serial: '00000000765fc593' }, { serial: '765fc593\0' }],
  ['leading zeros on the board only', { serial: '765fc593' }, { serial: '00000000765fc593\0' }],
  ['the lower half, as network boot has it', { serial: 'abcdef01' }, { serial: `${SERIAL}\0` }],
  ['the MAC', { mac: MAC }, PI4],
  ['a MAC of the second interface, in another spelling', { mac: 'DC-A6-32-01-02-04' }, PI4],
  ['a MAC, where the serial is another\'s', { serial: '1000000000000001', mac: MAC }, PI4],
  ['a MAC on a board without a serial', { mac: MAC }, { interfaces: PI4.interfaces! }],
];

const DAMAGES: [what: string, spoil: (root: string) => void, sentence: string][] = [
  ['a content that was cut', (root) => {
    const contents = join(root, 'etc/rockberry/nodes/contents');
    for (const path of stateOf(contents).keys()) truncateSync(join(contents, path), 1);
  }, 'the entry of node1 in this image is damaged: flash the card again; nothing was changed'],
  ['contents that are not there', (root) => rmSync(join(root, 'etc/rockberry/nodes/contents'), { recursive: true }), 'the entry of node1 in this image is damaged'],
  ['an entry that was cut', (root) => truncateSync(join(root, 'etc/rockberry/nodes/entries/node1'), 20), 'the entry of node1 in this image is damaged'],
  ['an entry that is not there', (root) => rmSync(join(root, 'etc/rockberry/nodes/entries/node1')), 'the entry of node1 in this image is damaged'],
  ['a name that leads elsewhere', (root) => writeFileSync(join(root, 'etc/rockberry/nodes/table'), `serial ${SERIAL.replace(/^0+/, '')} ../../x 00\n`), 'the entry of ../../x in this image is damaged'],
  ['a table that was cut', (root) => writeFileSync(join(root, 'etc/rockberry/nodes/table'), `serial ${SERIAL} node1\n`), 'the entry of node1 in this image is damaged'],
  ['no table', (root) => rmSync(join(root, 'etc/rockberry/nodes'), { recursive: true }), 'there is no table of nodes at /etc/rockberry/nodes/table; nothing was changed'],
];

describe.each(SHELLS)('$name', (shell) => {
  const given = needs(...shell.programs);
  /** All of a table for the shell of Rocky Linux, the beginning for the others. */
  const some = <T>(table: readonly T[]): readonly T[] => (shell === SHELLS[1] ? table : table.slice(0, 5));

  /** The card in the board, and one boot. */
  async function boot(entries: readonly GoldenEntry[], board: Board, options: { golden?: Partial<GoldenOptions>; spoil?: (root: string) => void; more?: Record<string, string> } = {}, look: (outcome: Outcome) => void): Promise<void> {
    const tree = await goldenTree(entries, options.golden);
    inFolder((folder) => {
      const root = join(folder, 'root');
      onCard(tree, root);
      plug(root, board);
      options.spoil?.(root);
      const before = stateOf(root);
      look({ ...runNode(root, programs(join(folder, 'bin'), options.more), shell), root, before, after: stateOf(root) });
    });
  }

  const known = (name: string) => ({ status, said }: Outcome): void => expect({ status, said }).toEqual({ status: 0, said: expect.stringMatching(new RegExp(`^rockberry-node: this board is ${name}: serial [^\n]*\n$`)) });

  given.each(some(MATCHES))('finds its entry by %s', (_, match, board) => boot([OTHER, bare('node1', match)], board, { more: LEAVING_WORD }, (outcome) => {
    known('node1')(outcome);
    expect(existsSync(join(outcome.root, '../slept'))).toBe(false);
  }));

  given('puts in place what is the node\'s own, and takes the table away', () => boot([OTHER, MINE], PI4, { more: LEAVING_WORD }, ({ root, before, after, said }) => {
    expect(said).toBe(`rockberry-node: this board is node1: serial ${SERIAL}, MAC ${MAC} (eth0) dc:a6:32:01:02:04 (wlan0)\n`);
    const changed = new Map([...after].filter(([path, state]) => before.get(path) !== state));
    expect(Object.fromEntries(changed)).toEqual({
      '/etc/NetworkManager/system-connections/wired.nmconnection': `600 ${UID} file [connection]\nid=node1\n`,
      '/etc/hostname': `644 ${UID} file node1\n`,
      '/etc/localtime': ` ${UID} link ../usr/share/zoneinfo/Etc/node1`,
      '/etc/rancher': `750 ${OWNER}:${GROUP} directory`,
      '/srv': `755 ${UID} directory`, '/srv/new': `755 ${UID} directory`, '/srv/new/deep': `755 ${UID} directory`,
      '/srv/new/deep/odd': `4751 ${OWNER}:${GROUP} file node1 alone`,
      '/var/lib/rockberry': `755 ${UID} directory`,
      '/var/lib/rockberry/node.done': `600 ${UID} file node1\n`,
    });
    const gone = [...before.keys()].filter((path) => !after.has(path));
    expect(gone.filter((path) => !path.startsWith('/etc/rockberry/nodes'))).toEqual(['/etc/old.conf', '/etc/old.d', '/etc/old.d/a']);
    expect(gone).toContain('/etc/rockberry/nodes');
    expect(text(root, 'proc/sys/kernel/hostname')).toBe('node1\n');
    const labelled = text(root, '../labelled').split('\n');
    expect(labelled.slice(0, 3)).toEqual(['old.d/a', 'old.d', 'old.conf'].map((path) => `${root}/etc/${path}`));
    expect(labelled).toEqual(expect.arrayContaining(['/etc/hostname', '/etc/localtime', '/etc/rancher', '/srv', '/srv/new', '/srv/new/deep', '/srv/new/deep/odd'].map((path) => root + path)));
    expect(labelled.at(-2)).toBe('-F -i -f -');
  }));

  given('run again, it changes nothing and says nothing', () => boot([OTHER, MINE], PI4, {}, ({ root, after }) => {
    expect(runNode(root, join(root, '../bin'), shell)).toMatchObject({ status: 0, said: '' });
    expect(stateOf(root)).toEqual(after);
  }));

  given('keeps the table where that is asked for', () => boot([OTHER, MINE], PI4, { golden: { keepEntries: true } }, (outcome) => {
    known('node1')(outcome);
    expect([...outcome.before.keys()].filter((path) => path.startsWith('/etc/rockberry') && !outcome.after.has(path))).toEqual([]);
    expect(runNode(outcome.root, join(outcome.root, '../bin'), shell)).toMatchObject({ status: 0, said: '' });
  }));

  given('without an entry: says so with what the inventory needs, and changes nothing', () => boot([OTHER], PI4, { more: LEAVING_WORD }, ({ root, status, said, before, after }) => {
    expect({ status, said }).toEqual({
      status: 1,
      said: `rockberry-node: no node of this image is this board: serial ${SERIAL}, MAC ${MAC} (eth0) dc:a6:32:01:02:04 (wlan0)
rockberry-node: in the inventory give its node serial "${SERIAL}" or mac "${MAC}", build the image again and flash it
rockberry-node: nothing was changed; the next boot tries again
`,
    });
    expect(after).toEqual(before);
    expect(text(root, '../slept').length).toBe(10);
  }));

  given('a board of which nothing is known', () => boot([OTHER], {}, {}, ({ status, said }) => {
    expect({ status, said }).toMatchObject({ status: 1, said: expect.stringMatching(/this board: serial unknown, MAC unknown\n.*give its node serial "\.\.\." or mac "\.\.\.", build/) });
  }));

  given('two entries that fit: says which, and changes nothing', () => boot([MINE, OTHER, bare('node3', { mac: MAC })], PI4, {}, ({ status, said, before, after }) => {
    expect({ status, said }).toEqual({ status: 1, said: expect.stringContaining('rockberry-node: more than one node of this image is this board: node1 node3 \nrockberry-node: this board: serial 10000000abcdef01, MAC dc:a6:32:01:02:03 (eth0)') });
    expect(after).toEqual(before);
  }));

  given('a MAC of an interface that is no device, no Ethernet or has none of its own does not count; nor does what is no MAC', () => {
    const interfaces = { br0: { mac: MAC, isVirtual: true }, usb0: { mac: MAC, assigned: '1' }, can0: { mac: MAC, type: '280' }, eth1: { mac: `${MAC}:04` }, eth2: { mac: 'dc:a6:32:01:02:0g' } };
    return boot([bare('node1', { mac: MAC })], { interfaces }, {}, ({ status, said, before, after }) => {
      expect({ status, said }).toEqual({ status: 1, said: expect.stringContaining('serial unknown, MAC unknown\n') });
      expect(after).toEqual(before);
    });
  });

  given.each<[what: string, board: Board]>([
    ['words, too many digits, a program', { serial: 'Not Specified\0', base: `${SERIAL}1`, cpuinfo: 'Serial\t: $(reboot)\n' }],
    ['nothing, a pattern, zeros', { serial: '\0', base: '10000000abcdef0*', cpuinfo: 'Serial\t: 0000000000000000\n' }],
  ])('what is no serial does not count: %s', (_, board) => boot([MINE], board, {}, ({ status, said, before, after }) => {
    expect({ status, said }).toEqual({ status: 1, said: expect.stringContaining('serial unknown, MAC unknown\n') });
    expect(after).toEqual(before);
  }));

  given('waits for an interface that comes late', () => inFolder((late) => boot([bare('node1', { mac: MAC })], { serial: `${SERIAL}\0` }, {
    more: { sleep: `echo >>${late}/slept; [ "$(wc -l <${late}/slept)" -ne 3 ] || cp -r ${late}/sys "$ROCKBERRY_ROOT/"` },
    spoil: () => plug(late, PI4),
  }, (outcome) => {
    known('node1')(outcome);
    expect(text(late, 'slept').length).toBe(3);
  })));

  given.each(some(DAMAGES))('%s: changes nothing', (_, spoil, sentence) => boot([OTHER, MINE], PI4, { spoil }, ({ status, said, before, after }) => {
    expect({ status, said }).toEqual({ status: 1, said: expect.stringContaining(sentence) });
    expect(after).toEqual(before);
  }));

  given.each<[what: string, lines: string]>(some([
    ['a path that climbs', 'file\t0644\t0:0\tDIGEST\t/etc/../../x\n'], ['a relative path', 'remove\t-\t-\t-\tetc/hostname\n'], ['an unknown word', 'run\t-\t-\t-\t/bin/sh\n'], ['no path', 'remove\t-\t-\t-\n'],
  ]))('an entry with %s is damaged, although its sum is right', (_, lines) => boot([OTHER, MINE], PI4, {
    spoil: (root) => {
      const [at, digest] = ['etc/rockberry/nodes/entries/node1', (file: string) => run('sha256sum', [file]).output.split(' ')[0]!] as const;
      const old = digest(join(root, at));
      writeFileSync(join(root, at), lines);
      writeFileSync(join(root, 'etc/rockberry/nodes/table'), text(root, 'etc/rockberry/nodes/table').replace(old, digest(join(root, at))));
    },
  }, ({ status, said, before, after }) => {
    expect({ status, said }).toEqual({ status: 1, said: expect.stringContaining('the entry of node1 in this image is damaged') });
    expect(after).toEqual(before);
  }));

  given('names of files are data, whatever is in them', () => {
    const odd = ['/etc/two words', '/etc/ends in a space ', '/etc/$(touch pwned)`touch pwned`', '/etc/"quoted" and \'quoted\'', '/etc/back\\slash\\x2dn', '/etc/*?[a-z]', '/etc/-rf', '/etc/;reboot&|<>', '/etc/%s%n#~!{a,b}'];
    const file = (path: string) => ({ path, content: Buffer.from(path), mode: 0o640, owner: process.getuid!(), group: process.getgid!() });
    const links = odd.map((path) => ({ path: `${path}.link`, target: path, owner: process.getuid!(), group: process.getgid!() }));
    return boot([entry('node1', { serial: SERIAL }, { files: odd.map(file), links, directories: [], remove: [] })], PI4, {}, (outcome) => {
      known('node1')(outcome);
      for (const path of odd) expect([outcome.after.get(path), outcome.after.get(`${path}.link`)]).toEqual([`640 ${UID} file ${path}`, ` ${UID} link ${path}`]);
      expect([...outcome.after.keys()].filter((path) => path.includes('pwned') && !odd.some((one) => path.startsWith(one)))).toEqual([]);
    });
  });

  given('a file where the image has a link is the node\'s own; what is behind the link stays', () => {
    const files = [{ path: '/etc/localtime', content: Buffer.from('mine'), mode: 0o644, owner: process.getuid!(), group: process.getgid!() }];
    const more = { files, links: [{ path: '/etc/to', target: 'hostname', owner: process.getuid!(), group: process.getgid!() }], directories: [], remove: [] };
    return boot([entry('node1', { serial: SERIAL }, more)], PI4, { spoil: (root) => mkdirSync(join(root, 'usr/share/zoneinfo/UTC'), { recursive: true }) }, (outcome) => {
      known('node1')(outcome);
      expect([outcome.after.get('/etc/localtime'), outcome.after.get('/usr/share/zoneinfo/UTC'), outcome.after.get('/etc/to')]).toEqual([`644 ${UID} file mine`, outcome.before.get('/usr/share/zoneinfo/UTC'), ` ${UID} link hostname`]);
    });
  });

  given('a directory that is not empty stays', () => boot([entry('node1', { serial: SERIAL }, { remove: ['/etc/old.d'] })], PI4, {}, ({ status, said, after }) => {
    expect({ status, said }).toEqual({ status: 0, said: expect.stringMatching(/^rockberry-node: \/etc\/old\.d stays: it is not empty\nrockberry-node: this board is node1/) });
    expect(after.has('/etc/old.d/a')).toBe(true);
  }));

  given('what cannot be put in place: no marker, and the next boot does it', () => boot([MINE], PI4, { more: { chown: 'exit 1' } }, ({ root, status, said, after }) => {
    expect({ status, said }).toEqual({ status: 1, said: expect.stringMatching(/^rockberry-node: cannot put \/etc\/NetworkManager\/system-connections\/wired\.nmconnection in place; the next boot tries again\n$/) });
    expect(after.has('/var/lib/rockberry')).toBe(false);
    rmSync(join(root, '../bin/chown'));
    expect(runNode(root, join(root, '../bin'), shell)).toMatchObject({ status: 0, said: expect.stringContaining('this board is node1') });
  }));

  given('starts again once where a file is read early; in a test it only says so', () => {
    const files = [{ path: '/etc/fstab', content: Buffer.from('# mine\n'), mode: 0o644, owner: process.getuid!(), group: process.getgid!() }, ...MINE.files];
    return boot([entry('node1', { serial: SERIAL }, { files })], PI4, { more: { systemctl: 'echo systemctl was called' } }, ({ status, said, root }) => {
      expect({ status, said }).toEqual({ status: 0, said: expect.stringMatching(/\nrockberry-node: starting again, once: \/etc\/fstab has been read already\n$/) });
      expect(runNode(root, join(root, '../bin'), shell)).toMatchObject({ status: 0, said: '' });
    });
  });
});

test('what the script promises of its form is what it reads', () => {
  const words = [...readFileSync(SCRIPT, 'utf8').matchAll(/^#\s{20}(remove|directory|file|link|restart) /gm)].map(([, word]) => word);
  expect(words).toEqual(['remove', 'directory', 'file', 'link', 'restart']);
});
