import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RockberryError } from '../../src/errors.js';
import { listBlocks, parseLsblk } from '../../src/flash/lsblk.js';
import { captured, dataFile } from '../support/captured.js';

const listings = readdirSync(join(import.meta.dirname, 'data')).filter((name) => name.endsWith('.json'));

test.each(listings)('%s is read: every device has a path, a size in bytes and a type', (file) => {
  for (const block of parseLsblk(dataFile(file))) {
    expect(block.path).toMatch(/^\/dev\/[\w/-]+$/);
    expect(Number.isSafeInteger(block.size)).toBe(true);
    expect(block.type).not.toBe('');
    expect(block.mountpoints).not.toContain('');
  }
});

test('every listing has its origin in README.md', () => {
  const readme = dataFile('README.md');
  const files = readdirSync(join(import.meta.dirname, 'data')).filter((name) => name !== 'README.md');
  expect(files.filter((name) => !readme.includes(name.startsWith('mac-2024') ? 'mac-2024-*.plist' : name))).toEqual([]);
});

describe('what versions say differently', () => {
  const one = (row: object): ReturnType<typeof parseLsblk>[number] => parseLsblk(JSON.stringify({ blockdevices: [{ name: 'sda', type: 'disk', ...row }] }))[0]!;

  test.each([['"1"', '1', true], ['true', true, true], ['1', 1, true], ['"0"', '0', false], ['false', false, false], ['null', null, false], ['a missing column', undefined, false]])('a flag that is %s', (_name, rm, expected) => {
    expect(one({ rm }).removable).toBe(expected);
  });

  test.each([['a number', 512], ['text', '512']])('a size that is %s', (_name, size) => {
    expect(one({ size }).size).toBe(512);
  });

  test.each([['null', null], ['""', ''], ['a missing column', undefined]])('no size: %s', (_name, size) => {
    expect(one({ size }).size).toBe(0);
  });

  test('mountpoint and mountpoints, with nulls', () => {
    expect(one({ mountpoint: '/a' }).mountpoints).toEqual(['/a']);
    expect(one({ mountpoint: '/a', mountpoints: ['/a', null, '/b'] }).mountpoints).toEqual(['/a', '/b']);
    expect(one({ mountpoints: [null] }).mountpoints).toEqual([]);
  });

  test('no path before 2.33; names as paths with --paths; `!` for `/`', () => {
    expect(one({ name: 'sda' }).path).toBe('/dev/sda');
    expect(one({ name: '/dev/mapper/x', kname: '/dev/dm-0' })).toMatchObject({ path: '/dev/mapper/x', kernelName: 'dm-0' });
    expect(one({ name: 'cciss!c0d0' }).path).toBe('/dev/cciss/c0d0');
  });

  test('labels of 2.31 that are no JSON; a backslash before an x that is one', () => {
    const [block] = parseLsblk(String.raw`{"blockdevices": [{"name": "sda", "type": "disk", "label": "a\x1bb\\x20", "model": "\\\x41"}]}`);
    expect(block).toMatchObject({ label: 'a\x1bb\\x20', model: '\\A' });
  });

  test('a discard that is no number is no discard; a sector size that is missing is 512', () => {
    expect(one({ 'disc-max': '4G', 'disc-gran': '0B' })).toMatchObject({ discard: { granularity: 0, max: 0 }, sector: 512 });
  });
});

test.each([
  ['a size with a unit', '{"blockdevices":[{"name":"sda","type":"disk","size":"14.3G"}]}', 'expected a number of bytes'],
  ['a row without a name', '{"blockdevices":[{"type":"disk"}]}', 'name'],
  ['no blockdevices', '{}', 'blockdevices'],
  ['no JSON', 'lsblk: warning', 'JSON'],
])('%s is an error, not a guess', (_name, output, reason) => {
  expect(() => parseLsblk(output)).toThrow(RockberryError);
  expect(() => parseLsblk(output)).toThrow(reason);
});

test('no devices at all, in words of 2.27 and of 2.41', () => {
  expect(parseLsblk('')).toEqual([]);
  expect(parseLsblk('{\n   "blockdevices": [\n\n   ]\n}\n')).toEqual([]);
});

test('empty readers and all columns are asked for, in bytes', async () => {
  const asked: string[] = [];
  const machine = captured({ programs: { lsblk: '' } });
  await listBlocks({ ...machine, run: (program, args) => { asked.push([program, ...args].join(' ')); return machine.run(program, args); } });
  expect(asked).toEqual(['lsblk --json --bytes --all --output-all']);
});

test('no lsblk, and one without --json', async () => {
  await expect(listBlocks(captured({}))).rejects.toMatchObject({ code: 'missing-program', hint: 'install util-linux (2.27 or newer)' });
  const old = { 'lsblk --output-all': { status: 1, output: '' }, 'lsblk --help': 'Options:\n -a, --all\n -P, --pairs\n' };
  await expect(listBlocks(captured({ programs: old }))).rejects.toMatchObject({ code: 'missing-program', message: 'expected lsblk of util-linux 2.27 or newer, found one without --json' });
  const broken = { 'lsblk --output-all': { status: 32, output: '' }, 'lsblk --help': ' -J, --json\n' };
  await expect(listBlocks(captured({ programs: broken }))).rejects.toMatchObject({ code: 'io', message: 'expected a list of lsblk, found its exit status 32' });
});
