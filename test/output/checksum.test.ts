/** Check sum files: ours by other people's readers, theirs by ours. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checksumText, parseChecksums } from '../../src/output/checksum.js';
import { hasProgram, needs, oracleEnvironment } from '../support/oracle.js';

let folder: string;
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'rockberry-checksum-')); });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const NAMES = ['node1.img.xz', 'with space and (brackets) = .img', 'back\\slash', 'line\nbreak', 'both\\n\\and\nmore', '\\leading', 'carriage\rreturn', ' blank', 'é☃', 'u2028\u2028'];
const HEX = 'a'.repeat(63) + '1';

function fileNamed(name: string): string {
  const content = `content of ${name}`;
  writeFileSync(join(folder, name), content);
  return createHash('sha256').update(content).digest('hex');
}

function inFolder(program: string, args: readonly string[], input?: string): { status: number; text: string } {
  const result = execaSync(program, args, { cwd: folder, env: oracleEnvironment, reject: false, input });
  return { status: result.exitCode ?? -1, text: `${result.stdout}\n${result.stderr}` };
}

/** Readers that are installed; GNU's is the one that must be. */
const READERS: readonly (readonly [program: string, args: readonly string[]])[] = ([
  ['sha256sum', ['-c', '--strict', '-']], ['shasum', ['-c', '--strict', '-']], ['cksum', ['-c', '--strict', '-']], ['gsha256sum', ['-c', '-']],
] as const).filter(([program]) => program === 'sha256sum' || hasProgram(program));

describe.each(READERS)('%s -c', (program, args) => {
  const names = NAMES.filter((name) => program !== 'shasum' || !name.includes('\r')); // Perl's shasum has no escape for \r
  needs(program).each(names)('reads our line for %j', (name) => {
    const line = checksumText(name, fileNamed(name));
    expect(line.split('\n')).toHaveLength(2);
    expect(inFolder(program, args, line)).toMatchObject({ status: 0 });
    const wrong = checksumText(name, HEX);
    expect(inFolder(program, args, wrong).status).toBe(1);
  });
});

describe('parseChecksums', () => {
  test.each(NAMES)('reads our own line for %j', (name) => {
    expect(parseChecksums(checksumText(name, HEX))).toEqual([{ name, sha256: HEX }]);
  });

  needs('sha256sum').each(NAMES)('reads what sha256sum prints for %j, in each of its modes', (name) => {
    const sha256 = fileNamed(name);
    for (const mode of [['-t'], ['-b'], ['--tag']]) {
      const printed = execaSync('sha256sum', [...mode, name], { cwd: folder, env: oracleEnvironment, stripFinalNewline: false }).stdout;
      expect(parseChecksums(printed)).toEqual([{ name, sha256 }]);
      if (mode[0] === '--tag') expect(printed).toBe(checksumText(name, sha256));
    }
  });

  test("the vendor's file: comments with sizes, several entries, either case, CR LF", () => {
    const dated = 'Rocky-10-SBC-RaspberryPi-10.1-20251122.2.aarch64.raw.xz';
    const text = [
      `# ${dated}: 706248036 bytes`, `SHA256 (${dated}) = ${HEX.toUpperCase()}`, '', '# Rocky-10-SBC-RaspberryPi.latest.aarch64.raw.xz: 706248036 bytes\r',
      `SHA256 (Rocky-10-SBC-RaspberryPi.latest.aarch64.raw.xz) = ${HEX}\r`, `${HEX}  other.img`, `  ${HEX} *binary.img`,
    ].join('\n');
    expect(parseChecksums(text)).toEqual([
      dated, 'Rocky-10-SBC-RaspberryPi.latest.aarch64.raw.xz', 'other.img', 'binary.img',
    ].map((name) => ({ name, sha256: HEX })));
  });

  test.each<[string, string]>([
    ['other algorithms', `SHA512 (x) = ${HEX}${HEX}\nMD5 (x) = ${HEX.slice(32)}\n${HEX}${HEX}  x`],
    ['a signature around', '-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n'],
    ['a short sum', `SHA256 (x) = ${HEX.slice(1)}\n${HEX.slice(1)}  x`],
    ['no name', `SHA256 () = ${HEX}\n${HEX}  \n${HEX}`],
    ['nothing', ''],
  ])('passes over %s', (_, text) => {
    expect(parseChecksums(text)).toEqual([]);
  });

  test('is done at once with a long line', () => {
    expect(parseChecksums(`SHA256 (${') = '.repeat(200_000)}\n${'a '.repeat(500_000)}`)).toEqual([]);
  });
});
