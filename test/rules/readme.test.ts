/** Every command in the README runs as written, in a folder that looks like a fresh clone; the two `npm ci` lines lose only their `npm ci` and `npm test`, which CI itself runs. */
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { lintProfile } from '../../src/profile.js';
import { PROGRAM, ROOT, scratch } from '../support/cli.js';

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
const blocks = (language: string): string[] => [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, text]) => text!);
const commands = blocks('sh').flatMap((text) => text.replace(/\\\n\s*/g, '').trim().split('\n'));

describe('README', () => {
  const clone = scratch();
  for (const name of ['images', 'profiles', 'integrations', 'package.json', 'dist']) symlinkSync(join(ROOT, name), join(clone, name));

  test('the first two commands are the promised ones', () => {
    expect(commands.slice(0, 2)).toEqual([
      'npm ci && npx rockberry build images/rocky9-pi-sample.img.xz --profile cgroups --output node1.img.xz', 'npm ci && npm test',
    ]);
  });

  test.each(commands.filter((command) => command !== 'npm ci && npm test'))('%s', async (command) => {
    const line = command.replace(/^npm ci && /, '').replace(/\bnpx rockberry\b/g, `'${process.execPath}' '${PROGRAM}'`);
    const result = await execa('sh', ['-c', line], { cwd: clone, reject: false });
    expect({ exitCode: result.exitCode, stderr: result.stderr.slice(0, 400) }).toMatchObject({ exitCode: 0 });
    expect(result.stdout).not.toBe('');
  });

  test.each(blocks('yaml'))('profile %#', (text) => {
    const file = join(clone, `${(parse(text) as { name: string }).name}.yaml`);
    writeFileSync(file, text);
    expect(lintProfile(file)).toEqual([]);
  });
});
