/** Patches: small, the same for the same input, and nothing that was done to one goes unseen. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { coalesce, type Range } from '../../src/bytes/ranges.js';
import { RockberryError } from '../../src/errors.js';
import { packPatch, readPatch, type PatchFacts, type PatchManifest } from '../../src/fleet/patch.js';
import { readContainer, writeContainer } from '../../src/fleet/patch/container.js';
import { openImageFile, type Image } from '../../src/image/image.js';
import { loadProfiles } from '../../src/profile.js';
import { needs, output, run } from '../support/oracle.js';
import { packedSample } from '../support/samples.js';

const folder = mkdtempSync(join(tmpdir(), 'rockberry-patch-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const SEED = Number(process.env.ROCKBERRY_SEED ?? 20260801);
const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

const IMAGE_BYTES = 1 << 20;
/** The "image": bytes that differ from place to place. */
const plain = Buffer.from(Array.from({ length: IMAGE_BYTES }, (_, at) => (at * 31 + (at >> 8)) & 255));
const read = (offset: number, length: number): Uint8Array => plain.subarray(offset, offset + length);
const facts = (imageBytes = IMAGE_BYTES): PatchFacts => ({
  tool: { name: 'rockberry', version: '0.1.0' },
  node: 'node1',
  base: { name: 'base.img.xz', sha256: 'a'.repeat(64), bytes: 1000, imageBytes, format: 'xz' },
  output: { name: 'node1.img.xz', format: 'xz', blockSize: 4 << 20, preset: 1, sha256: 'b'.repeat(64), bytes: 1001 },
  profiles: [{ name: 'node', sha256: 'c'.repeat(64) }],
  variables: { user: 'ops', hostname: 'node1', token: '***', dns: ['192.0.2.1'] },
  inputs: 'd'.repeat(64),
});
const RANGES: readonly Range[] = [{ offset: 0, length: 3 }, { offset: 4096, length: 700 }, { offset: IMAGE_BYTES - 5, length: 5 }];

let files = 0;
async function open(data: Uint8Array): ReturnType<typeof readPatch> {
  const path = join(folder, `${files++}.patch`);
  writeFileSync(path, data);
  try {
    return await readPatch(path);
  } finally {
    rmSync(path);
  }
}

async function applied(data: Uint8Array): Promise<{ ranges: Range[]; bytes: Uint8Array; manifest: PatchManifest }> {
  const patch = await open(data);
  const found: Range[] = [];
  const bytes: Uint8Array[] = [];
  for await (const { offset, data: piece } of patch.ranges()) {
    expect(piece.length).toBeGreaterThan(0);
    expect(piece.length).toBeLessThanOrEqual(1 << 20);
    found.push({ offset, length: piece.length });
    bytes.push(piece);
  }
  return { ranges: coalesce(found), bytes: Buffer.concat(bytes), manifest: patch.manifest };
}

/** The error of reading; fails when there is none, or another than a RockberryError. */
async function refusal(data: Uint8Array): Promise<RockberryError> {
  const outcome = await open(data).then(() => 'it was read', (error: unknown) => error);
  expect(outcome).toBeInstanceOf(RockberryError);
  return outcome as RockberryError;
}

describe('a patch', () => {
  test('gives back its manifest and its bytes, and is the same every time', async () => {
    const data = await packPatch({ manifest: facts(), ranges: RANGES, read });
    expect(Buffer.compare(await packPatch({ manifest: facts(), ranges: RANGES, read }), data)).toBe(0);
    const { manifest, ranges, bytes } = await applied(data);
    const expected = Buffer.concat(RANGES.map(({ offset, length }) => read(offset, length)));
    expect(manifest).toEqual({ ...facts(), format: 1, ranges: RANGES, data: { bytes: 708, sha256: sha256(expected) } });
    expect(ranges).toEqual(RANGES);
    expect(Buffer.compare(bytes, expected)).toBe(0);
  });

  test('without changes is a patch too', async () => {
    expect(await applied(await packPatch({ manifest: facts(), ranges: [], read }))).toMatchObject({ ranges: [], bytes: Buffer.alloc(0) });
  });

  test('may be read twice', async () => {
    const patch = await open(await packPatch({ manifest: facts(), ranges: RANGES, read }));
    const lengths = async (): Promise<number[]> => {
      const all: number[] = [];
      for await (const { data } of patch.ranges()) all.push(data.length);
      return all;
    };
    expect(await lengths()).toEqual(await lengths());
    for await (const { offset } of patch.ranges()) {
      expect(offset).toBe(0);
      break; // a reader that stops early
    }
  });

  test('round trip of any ranges and any bytes', async () => {
    const range = fc.record({ offset: fc.nat(IMAGE_BYTES - 1), length: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 200_000 })) });
    await fc.assert(fc.asyncProperty(fc.array(range, { maxLength: 30 }), fc.nat(), async (wanted, salt) => {
      const ranges = coalesce(wanted.map(({ offset, length }) => ({ offset, length: Math.min(length, IMAGE_BYTES - offset) })));
      const noisy = (offset: number, length: number): Uint8Array => Buffer.from(read(offset, length)).map((byte, at) => byte ^ ((salt * (offset + at)) >>> 13));
      const result = await applied(await packPatch({ manifest: facts(), ranges, read: noisy }));
      expect(result.ranges).toEqual(ranges);
      expect(Buffer.compare(result.bytes, Buffer.concat(ranges.map(({ offset, length }) => noisy(offset, length))))).toBe(0);
    }), { seed: SEED, numRuns: 60 });
  });

  needs('tar', 'sha256sum')('is a tar that other programs read and check', async () => {
    const path = join(folder, 'node1.patch');
    const data = await packPatch({ manifest: facts(), ranges: RANGES, read });
    writeFileSync(path, data);
    const listing = output('tar', ['--numeric-owner', '--full-time', '-tvf', path]).toString().trim().split('\n').map((line) => line.replace(/ +/g, ' '));
    expect(listing.map((line) => line.split(' ').toSpliced(2, 1).join(' '))).toEqual(['manifest.json', 'ranges.br', 'SHA256SUMS'].map((name) => `-rw------- 0/0 1970-01-01 00:00:00 ${name}`));
    output('tar', ['-C', folder, '-xf', path]);
    expect(run('sh', ['-c', 'cd "$1" && sha256sum -c SHA256SUMS', 'sh', folder])).toEqual({ status: 0, output: 'manifest.json: OK\nranges.br: OK' });
  });

  test('cannot be made of ranges or names that no reader takes', async () => {
    const fails = async (manifest: PatchFacts, ranges: readonly Range[]): Promise<string> => packPatch({ manifest, ranges, read: (_, length) => Buffer.alloc(length) }).then(() => 'made', (error: RockberryError) => `${error.code}: ${error.message}`);
    expect(await fails(facts(), [{ offset: 10, length: 5 }, { offset: 12, length: 5 }])).toBe('usage: cannot make a patch for node1: at ranges: expected sorted ranges that do not overlap, found range 1 at offset 12 before 15');
    expect(await fails(facts(), [{ offset: IMAGE_BYTES - 1, length: 2 }])).toBe(`usage: cannot make a patch for node1: at ranges: expected ranges inside the image of ${IMAGE_BYTES} bytes, found one that ends at ${IMAGE_BYTES + 1}`);
    expect(await fails(facts(), [{ offset: 0, length: 0 }])).toMatch(/^usage: cannot make a patch for node1: at ranges\[0\]\.length: /);
    expect(await fails({ ...facts(), node: '../node1' }, [])).toMatch(/^usage: .*expected a name without slashes/);
    expect(await fails(facts(2 ** 40), [{ offset: 0, length: 2 ** 30 }])).toBe(`unsupported: expected at most ${512 * 2 ** 20} bytes of changes for the patch of node1, found ${2 ** 30}`);
    expect(await fails(facts(), Array.from({ length: 100_001 }, (_, at) => ({ offset: at * 2, length: 1 })))).toBe('unsupported: expected at most 100000 changed ranges for the patch of node1, found 100001');
  });
});

describe('a node of a real fleet', () => {
  const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGd0n8Pq0G4hbVPt0cKCtqvsaT/2bZWYO+5Y6h2q3nJz me@laptop';
  const set = ['hostname=node1', 'user=ops', `ssh_keys=${KEY}`, 'address=192.0.2.11/24', 'gateway=192.0.2.1', 'dns=192.0.2.1'];

  async function built(): Promise<Image> {
    const image = await openImageFile(packedSample('rocky9-pi-sample'));
    const tree = image.tree();
    for (const step of loadProfiles(['kubespray-node'], { set, varsFiles: [], secrets: [], answers: new Map() }).steps) await step.apply(tree);
    tree.flush();
    return image;
  }

  test('in whole pages it takes less than 300 KB, and makes of the base what the steps made', async () => {
    const image = await built();
    const fresh = await openImageFile(packedSample('rocky9-pi-sample'));
    try {
      const { overlay } = image;
      const changes = overlay.changes();
      const pages = coalesce(changes.map(({ offset, length }) => ({ offset: offset - (offset % 4096), length: Math.ceil(((offset % 4096) + length) / 4096) * 4096 })));
      const data = await packPatch({ manifest: facts(overlay.size), ranges: pages, read: (offset, length) => overlay.read(offset, length) });
      expect(pages.reduce((sum, { length }) => sum + length, 0)).toBeGreaterThan(40 * 4096); // a change worth the name
      expect(data.length).toBeLessThan(300_000);
      for await (const { offset, data: piece } of (await open(data)).ranges()) fresh.overlay.write(offset, piece);
      expect(fresh.overlay.changes()).toEqual(changes);
      for (const { offset, length } of changes) expect(Buffer.compare(fresh.overlay.read(offset, length), overlay.read(offset, length))).toBe(0);
    } finally {
      image.close();
      fresh.close();
    }
  });
});

describe('a damaged patch', () => {
  test('is noticed wherever it is cut, and whichever byte is flipped', async () => {
    const data = Buffer.from(await packPatch({ manifest: facts(), ranges: RANGES, read }));
    const code = (changed: Uint8Array): Promise<unknown> => readContainer(changed, 'it').then(() => 'read', (error: RockberryError) => error.code);
    expect(await code(data)).toBe('read');
    for (let length = 0; length < data.length; length++) expect(await code(data.subarray(0, length)), `cut at ${length}`).toBe('corrupt');
    for (let at = 0; at < data.length; at++) {
      data[at]! ^= 1 << (at % 8);
      expect(await code(data), `flipped at ${at}`).toBe('corrupt');
      data[at]! ^= 1 << (at % 8);
    }
  });

  test('is noticed when bytes are put in, taken out or added at the end', async () => {
    const data = Buffer.from(await packPatch({ manifest: facts(), ranges: RANGES, read }));
    await fc.assert(fc.asyncProperty(fc.nat(data.length - 1), fc.nat(2048), fc.uint8Array({ maxLength: 1024 }), async (at, removed, added) => {
      const changed = Buffer.concat([data.subarray(0, at), added, data.subarray(at + removed)]);
      fc.pre(Buffer.compare(changed, data) !== 0);
      expect((await refusal(changed)).code).toBe('corrupt');
    }), { seed: SEED, numRuns: 300 });
    for (const tail of [Buffer.alloc(1), Buffer.alloc(512), Buffer.alloc(10240), data]) {
      expect((await refusal(Buffer.concat([data, tail]))).message).toMatch(new RegExp(`expected its end at offset ${data.length}, found ${tail.length} more bytes$`));
    }
  });

  test('says what it found', async () => {
    const data = Buffer.from(await packPatch({ manifest: facts(), ranges: RANGES, read }));
    expect((await refusal(Buffer.alloc(0))).message).toMatch(/expected a patch of rockberry, a tar that begins with manifest\.json, found something else$/);
    expect((await refusal(data.subarray(0, 600))).message).toMatch(/expected \d+ bytes of manifest\.json at offset 512, found 88: the file is cut off$/);
    const flipped = Buffer.from(data);
    flipped[700]! ^= 4;
    expect((await refusal(flipped)).message).toMatch(/and their check sums, found another byte at offset \d+: the file is damaged or no patch$/);
    await expect(readPatch(join(folder, 'none'))).rejects.toMatchObject({ code: 'io' });
    await expect(readPatch(folder)).rejects.toMatchObject({ code: 'io' });
  });
});

describe('a hostile patch, with check sums that are right', () => {
  const good = async (): Promise<PatchManifest> => (await open(await packPatch({ manifest: facts(), ranges: RANGES, read }))).manifest;
  const QUICK = { params: { [constants.BROTLI_PARAM_QUALITY]: 2 } };
  const bytes = Buffer.concat(RANGES.map(({ offset, length }) => read(offset, length)));

  /** A patch of a manifest's text and packed data, as an enemy would write it. */
  async function forged(manifest: object | string, packed: Uint8Array = brotliCompressSync(bytes)): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    const text = typeof manifest === 'string' ? manifest : `${JSON.stringify(manifest)}\n`;
    for await (const piece of writeContainer({ manifest: Buffer.from(text), packed })) pieces.push(piece);
    return Buffer.concat(pieces);
  }
  const told = async (manifest: object | string, packed?: Uint8Array): Promise<string> => {
    const { code, message } = await refusal(await forged(manifest, packed));
    expect(code).toBe('corrupt');
    return message.replace(/^.*?\.patch(, |: )/, '');
  };

  test('the forger can forge: what he does not change is read', async () => {
    expect((await applied(await forged(await good()))).ranges).toEqual(RANGES);
  });

  test.each<[string, (manifest: PatchManifest) => unknown, RegExp]>([
    ['another version', (m) => ({ ...m, format: 2 }), /^manifest\.json: expected patch format 1, found 2$/],
    ['no version', (m) => ({ ...m, format: undefined }), /^manifest\.json: at format: /],
    ['a key more', (m) => ({ ...m, more: 1 }), /Unrecognized key: "more"$/],
    ['overlap', (m) => ({ ...m, ranges: [{ offset: 0, length: 704 }, { offset: 700, length: 4 }] }), /at ranges: expected sorted ranges that do not overlap, found range 1 at offset 700 before 704$/],
    ['order', (m) => ({ ...m, ranges: [...m.ranges].reverse() }), /expected sorted ranges/],
    ['outside', (m) => ({ ...m, base: { ...m.base, imageBytes: 5000 } }), /expected ranges inside the image of 5000 bytes, found one that ends at 1048576$/],
    ['too many bytes for the ranges', (m) => ({ ...m, data: { ...m.data, bytes: 709 } }), /expected ranges of 709 bytes together, found 708$/],
    ['negative', (m) => ({ ...m, ranges: [{ offset: -1, length: 708 }] }), /at ranges\[0\]\.offset: /],
    ['a fraction', (m) => ({ ...m, ranges: [{ offset: 0.5, length: 708 }] }), /at ranges\[0\]\.offset: /],
    ['too large a number', (m) => ({ ...m, ranges: [{ offset: 2 ** 53, length: 708 }] }), /at ranges\[0\]\.offset: /],
    ['empty range', (m) => ({ ...m, ranges: [{ offset: 0, length: 0 }, ...m.ranges] }), /at ranges\[0\]\.length: /],
    ['huge image', (m) => ({ ...m, base: { ...m.base, imageBytes: 2 ** 50 } }), /at base\.imageBytes: /],
    ['huge data', (m) => ({ ...m, base: { ...m.base, imageBytes: 2 ** 40 }, ranges: [{ offset: 0, length: 2 ** 39 }], data: { ...m.data, bytes: 2 ** 39 } }), /at data\.bytes: /],
    ['a path for a name', (m) => ({ ...m, output: { ...m.output, name: '../../etc/passwd' } }), /at output\.name: expected a name without slashes and control characters$/],
    ['dots for a name', (m) => ({ ...m, node: '..' }), /at node: expected a name/],
    ['a terminal code in a name', (m) => ({ ...m, node: 'a\x1b[2Jb' }), /at node: expected a name/],
    ['another sum', (m) => ({ ...m, data: { ...m.data, sha256: 'e'.repeat(64) } }), /^expected ranges with the sha256 of the manifest, found other bytes$/],
    ['a list', () => [], /^manifest\.json: expected object, received array$/],
    ['null', () => null, /^manifest\.json: expected object, received null$/],
  ])('%s', async (_, change, message) => {
    expect(await told(change(await good()) as object)).toMatch(message);
  });

  test('a manifest in another spelling', async () => {
    const text = JSON.stringify(await good());
    const spelling = /expected the manifest as rockberry writes it, found another spelling of it$/;
    expect(await told(text)).toMatch(spelling); // the line's end
    expect(await told(`${text.replace('"format":1', '"format":1,"format":1')}\n`)).toMatch(spelling);
    expect(await told(`${text.replace('"variables":{', '"variables":{"__proto__":{"polluted":true},')}\n`)).toMatch(spelling);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(await told(`${text.replace('"token":"***"', `"token":${'['.repeat(200_000)}${']'.repeat(200_000)}`)}\n`)).toMatch(spelling);
    expect(await told(`${text.slice(0, -1)},"__proto__":{}}\n`)).toMatch(/Unrecognized key/);
    expect(await told('{"format":1,')).toMatch(/expected JSON, found something else$/);
    expect(await told(' '.repeat(2 ** 23 + 1))).toMatch(/expected at most 8388608 bytes, found 8388609$/);
  });

  test('data that decodes to more, to less, to nothing, or goes on behind its end', async () => {
    const manifest = await good();
    expect(await told(manifest, brotliCompressSync(Buffer.alloc(2 ** 26), QUICK))).toMatch(/^expected 708 bytes in its ranges, found more$/); // a bomb of 64 MiB
    expect(await told(manifest, brotliCompressSync(bytes.subarray(1)))).toMatch(/^expected 708 bytes in its ranges, found 707$/);
    expect(await told(manifest, Buffer.alloc(0))).toMatch(/^expected ranges compressed with brotli, found damage$/);
    const packed = brotliCompressSync(bytes);
    expect(await told(manifest, Buffer.concat([packed, Buffer.from('x')]))).toBe(`expected the end of its compressed ranges after ${packed.length} bytes, found ${packed.length + 1}`);
    expect(await told(manifest, Buffer.concat([packed, packed]))).toMatch(/^expected the end of its compressed ranges/);
    expect(await told({ ...manifest, ranges: [], data: { bytes: 0, sha256: sha256(Buffer.alloc(0)) } }, packed)).toMatch(/^expected 0 bytes in its ranges, found more$/);
  });

  test('a large honest one is handed out in pieces', async () => {
    const large = 32 * 2 ** 20;
    const hash = createHash('sha256');
    const zeros = Buffer.alloc(2 ** 20);
    for (let at = 0; at < large; at += zeros.length) hash.update(zeros);
    const manifest = { ...(await good()), base: { ...facts().base, imageBytes: large }, ranges: [{ offset: 0, length: large }], data: { bytes: large, sha256: hash.digest('hex') } };
    const data = await forged(manifest, brotliCompressSync(Buffer.alloc(large), QUICK));
    expect(data.length).toBeLessThan(10_000);
    let end = 0;
    for await (const { offset, data: piece } of (await open(data)).ranges()) {
      expect(offset).toBe(end);
      expect(piece.length).toBeLessThanOrEqual(1 << 20);
      end += piece.length;
    }
    expect(end).toBe(large);
  });

  test('any damage to the compressed bytes gives the right bytes or an error', async () => {
    const manifest = await good();
    const packed = brotliCompressSync(bytes);
    let refused = 0;
    await fc.assert(fc.asyncProperty(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), async (at, flip, cut) => {
      const changed = cut ? packed.subarray(0, at) : Buffer.from(packed).fill(packed[at]! ^ flip, at, at + 1);
      try {
        expect(Buffer.compare((await applied(await forged(manifest, changed))).bytes, bytes)).toBe(0);
      } catch (error) {
        expect(error).toMatchObject({ name: 'RockberryError', code: 'corrupt' });
        refused++;
      }
    }), { seed: SEED, numRuns: 400 });
    expect(refused).toBeGreaterThan(390);
  });

  test('members in another order, more of them, or other headers', async () => {
    const data = await forged(await good());
    const size = (at: number): number => 512 + Math.ceil(parseInt(data.subarray(at + 124, at + 135).toString(), 8) / 512) * 512;
    const starts = [0, size(0), size(0) + size(size(0))];
    const members = starts.map((start, at) => data.subarray(start, starts[at + 1] ?? data.length - 1024));
    const tail = data.subarray(data.length - 1024);
    const whole = (...order: number[]): Buffer => Buffer.concat([...order.map((at) => members[at]!), tail]);
    expect(Buffer.compare(whole(0, 1, 2), data)).toBe(0);
    for (const order of [[1, 0, 2], [0, 2, 1], [0, 1], [0, 1, 2, 2], [0, 0, 1, 2], [0, 1, 1, 2], [0]]) expect((await refusal(whole(...order))).code, String(order)).toBe('corrupt');
    const huge = Buffer.from(data);
    huge.write('77777777777 ', 124); // 8 GiB of manifest
    expect((await refusal(huge)).message).toMatch(/expected 8589934591 bytes of manifest\.json at offset 512, found \d+: the file is cut off$/);
    const binary = Buffer.from(data);
    binary.writeUInt8(0x80, 124);
    expect((await refusal(binary)).message).toMatch(/expected the size of manifest\.json at offset 124, found none/);
  });
});
