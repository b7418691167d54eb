/** The file of identities: kept between runs, by several runs at once, through kills, and only for its owner. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import fc from 'fast-check';
import { rolldown } from 'rolldown';
import { beforeAll, describe, expect, test } from 'vitest';
import { formatIdentities, parseIdentities } from '../../../src/fleet/identity/format.js';
import { openIdentities } from '../../../src/fleet/identity/identities.js';
import { needs, output } from '../../support/oracle.js';
import { byName, quickIdentity, quickMint, testFolder } from './quick.js';

const folder = testFolder();
let count = 0;
const newState = (): string => join(folder, `state${++count}.json`);
const open = (path: string) => openIdentities(path, { mint: quickMint, patience: 0 });
const program = join(folder, 'worker.mjs'); // a child cannot run TypeScript
beforeAll(async () => {
  const bundle = await rolldown({ input: join(import.meta.dirname, 'worker.mjs'), platform: 'node' });
  await bundle.write({ file: program });
});
const worker = (path: string, ...names: string[]): string[] => [program, path, ...names];
const mode = (path: string): string => (statSync(path).mode & 0o7777).toString(8);
const nothingBeside = (path: string): void => expect(readdirSync(folder).filter((name) => name.includes(path.slice(folder.length + 1)))).toEqual([path.slice(folder.length + 1)]);

describe('one run after the other', () => {
  test('what is kept stays; what is missing is minted; nothing missing, nothing written', async () => {
    const path = newState();
    const first = await (await open(path)).ensure(['node2', 'node1']);
    expect([first.minted, [...first.identities.keys()], mode(path)]).toEqual([['node1', 'node2'], ['node2', 'node1'], '600']);
    const before = statSync(path);
    const second = await (await open(path)).ensure(['node1', 'node2', 'node1']);
    expect([second.minted, second.identities.get('node1'), statSync(path).ino, statSync(path).mtimeMs]).toEqual([[], first.identities.get('node1'), before.ino, before.mtimeMs]);
    const third = await (await open(path)).ensure(['node3', 'node1']);
    expect([third.minted, third.identities.get('node1')]).toEqual([['node3'], first.identities.get('node1')]);
    expect([...(await (await open(path)).all()).keys()]).toEqual(['node1', 'node2', 'node3']); // node2 is not in the inventory any more, and stays
    nothingBeside(path);
  });

  test('forget drops by name; the node would get another identity', async () => {
    const path = newState();
    const identities = await open(path);
    const before = await identities.ensure(['a', 'b', 'c']);
    expect(await identities.forget(['c', 'x', 'a'])).toEqual(['a', 'c']);
    expect(await identities.forget(['c'])).toEqual([]);
    const after = await identities.ensure(['a', 'b']);
    expect([after.minted, after.identities.get('b')]).toEqual([['a'], before.identities.get('b')]);
    expect(after.identities.get('a')!.machineId).not.toBe(before.identities.get('a')!.machineId);
  });

  test('mintIdentity is what makes them, and progress is told', async () => {
    const path = newState();
    const told: string[] = [];
    const { identities } = await (await openIdentities(path, { onMinted: (done, total) => told.push(`${done}/${total}`) })).ensure(['n1', 'n2']);
    expect(told).toEqual(['1/2', '2/2']);
    expect(identities.get('n1')!.hostKeys[2]!.privateKey.length).toBeGreaterThan(2500); // RSA with 3072 bits
    expect(parseIdentities(readFileSync(path, 'utf8'), path)).toEqual(identities);
  });

  test('many are written as they are made', async () => {
    const path = newState();
    const names = Array.from({ length: 80 }, (_, index) => `n${index}`);
    let made = 0;
    const failing = await openIdentities(path, { mint: (name) => (++made > 70 ? Promise.reject(new Error('no more')) : quickMint(name)) });
    await expect(failing.ensure(names)).rejects.toThrow('no more');
    const kept = (await (await open(path)).all()).size;
    expect([kept, kept <= 70]).toEqual([64, true]);
    expect((await (await open(path)).ensure(names)).minted).toHaveLength(16);
  });

  test('a link to the file stays a link', async () => {
    const path = newState();
    await (await open(path)).ensure(['a']);
    const link = newState();
    symlinkSync(path, link);
    await (await open(link)).ensure(['b']);
    expect([lstatSync(link).isSymbolicLink(), [...(await (await open(path)).all()).keys()]]).toEqual([true, ['a', 'b']]);
  });

  test('a name that no node has is refused before anything is minted', async () => {
    const path = newState();
    await expect((await open(path)).ensure(['a', '__proto__'])).rejects.toMatchObject({ code: 'usage' });
    expect(existsSync(path)).toBe(false);
  });
});

describe('what it does not believe', () => {
  const good = formatIdentities(byName(quickIdentity('node1')));
  function given(text: string, permissions = 0o600): string {
    const path = newState();
    writeFileSync(path, text);
    chmodSync(path, permissions);
    return path;
  }

  test.each(['0640', '0604', '0660', '0610', '0666', '0644'])('mode %s: group or others may read or write', async (permissions) => {
    await expect(open(given(good, parseInt(permissions, 8)))).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining(permissions) as string, hint: expect.stringContaining('chmod 600') as string });
  });

  test.each(['0600', '0400'])('mode %s is its owner\'s alone', async (permissions) => {
    expect([...(await (await open(given(good, parseInt(permissions, 8)))).all()).keys()]).toEqual(['node1']);
  });

  test.each(['', '{}', good.slice(0, -40), good.replace('node1', 'node2')])('damage %#: an error, and the file stays as it is', async (text) => {
    const path = given(text);
    await expect(open(path)).rejects.toMatchObject({ code: 'corrupt' });
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  test('damage that comes later is not written over either', async () => {
    const path = given(good);
    const identities = await open(path);
    writeFileSync(path, 'no state');
    await expect(identities.ensure(['node1', 'node9'])).rejects.toMatchObject({ code: 'corrupt' });
    expect(readFileSync(path, 'utf8')).toBe('no state');
  });

  test('directories, pipes and missing folders', async () => {
    const directory = newState();
    mkdirSync(directory);
    await expect(open(directory)).rejects.toMatchObject({ code: 'refused', message: expect.stringMatching(/found a directory/) as string });
    await expect(open(join(folder, 'gone/state.json'))).rejects.toMatchObject({ code: 'io' });
  });

  needs('mkfifo')('a pipe does not hold it up', async () => {
    const path = newState();
    output('mkfifo', ['-m', '600', path]);
    await expect(open(path)).rejects.toMatchObject({ code: 'refused' });
  });
});

const gone = spawnSync('true').pid;

describe('at once', () => {
  const finished = async (path: string, ...names: string[]): Promise<Map<string, string>> => {
    const { stdout } = await execa(process.execPath, worker(path, ...names));
    return new Map(stdout.split('\n').map((line) => line.split(' ') as [string, string]));
  };

  test('four runs lose no key and agree on what they share, while locks of a dead one come up between them', async () => {
    const path = newState();
    const own = (run: number): string[] => Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? `shared${index}` : `run${run}-${index}`));
    let planted = 0;
    const planting = setInterval(() => {
      try {
        symlinkSync(`${gone}@${hostname()}`, `${path}.lock`);
        planted++;
      } catch { /* one of the runs holds it */ }
    }, 1);
    const runs = await Promise.all([1, 2, 3, 4].map((run) => finished(path, ...own(run))));
    clearInterval(planting);
    const kept = await (await open(path)).all();
    expect(kept.size).toBe(10 + 4 * 10);
    for (const run of runs) for (const [name, machineId] of run) expect(kept.get(name)!.machineId, name).toBe(machineId);
    expect(planted).toBeGreaterThan(4);
    await (await open(path)).ensure(['last']);
    nothingBeside(path);
  });

  test('in one process, too', async () => {
    const path = newState();
    const results = await Promise.all([1, 2, 3].map(async (run) => (await openIdentities(path, { mint: quickMint })).ensure(['shared', `own${run}`])));
    expect(new Set(results.map(({ identities }) => identities.get('shared')!.machineId)).size).toBe(1);
    expect(results.flatMap(({ minted }) => minted).sort()).toEqual(['own1', 'own2', 'own3', 'shared']);
  });

  test('a lock of a run that lives is waited for, then refused; reading needs none', async () => {
    const path = newState();
    await (await open(path)).ensure(['a']);
    symlinkSync(`${process.ppid}@${hostname()}`, `${path}.lock`);
    const identities = await open(path);
    expect((await identities.ensure(['a'])).minted).toEqual([]);
    await expect(identities.ensure(['b'])).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining(`held by process ${process.ppid}`) as string, hint: expect.stringContaining('.lock') as string });
    expect(readlinkSync(`${path}.lock`)).toBe(`${process.ppid}@${hostname()}`);
  });

  test.each([
    ['a process that is gone', `${gone}@${hostname()}`, true], ['an earlier process of our number', `${process.pid}@${hostname()}`, true],
    ['another machine', `${gone}@another-host`, false], ['no number', 'somebody', false],
  ])('a lock of %s', async (_, target, isTaken) => {
    const path = newState();
    symlinkSync(target, `${path}.lock`);
    const ensured = (await open(path)).ensure(['a']);
    if (isTaken) expect((await ensured).minted).toEqual(['a']);
    else await expect(ensured).rejects.toMatchObject({ code: 'refused' });
    expect(existsSync(path)).toBe(isTaken);
  });

  test('a file in the lock\'s place is nobody\'s lock', async () => {
    const path = newState();
    writeFileSync(`${path}.lock`, 'mine');
    await expect((await open(path)).ensure(['a'])).rejects.toMatchObject({ code: 'refused', message: expect.stringMatching(/something else/) as string });
  });
});

describe('killed', () => {
  const seed = 20_261_126;
  const hasEntry = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

  /** Stops the run until it is found where it is wanted: what it has then beside the file, it has when it dies. */
  async function killWhere(child: ChildProcess, isThere: () => boolean, waits: readonly number[]): Promise<void> {
    const stopped = (): boolean => /\) [Tt] /.test(readFileSync(`/proc/${child.pid}/stat`, 'utf8'));
    for (let round = 0; ; round++) {
      child.kill('SIGSTOP');
      while (!stopped()) await pause(0);
      if (isThere()) break;
      child.kill('SIGCONT');
      await pause(waits[round % waits.length]!);
    }
    child.kill('SIGKILL');
    await new Promise((resolve) => { child.on('close', resolve); });
  }

  test(`kill -9 at 4 moments, in the middle of a change too: what was said to be kept is kept, and the next run goes on (seed ${seed})`, async () => {
    const path = newState();
    const [lock, part] = [`${path}.lock`, join(folder, `.${path.slice(folder.length + 1)}.part`)];
    const waits = fc.sample(fc.array(fc.nat(4), { minLength: 5, maxLength: 5 }), { seed, numRuns: 4 });
    const said = new Map<string, string>();
    for (const [round, wanted] of [lock, part, undefined, part].entries()) {
      const child = spawn(process.execPath, worker(path, `*r${round}-`), { stdio: ['ignore', 'pipe', 'inherit'] });
      let printed = '';
      child.stdout.on('data', (data: Buffer) => { printed += data.toString(); });
      while (printed.split('\n').length < 3) await pause(1);
      await killWhere(child, () => wanted === undefined || hasEntry(wanted), waits[round]!);
      if (wanted !== undefined) expect(hasEntry(wanted)).toBe(true);
      for (const text of printed.split('\n').slice(0, -1)) said.set(...(text.split(' ') as [string, string]));
      const kept = parseIdentities(readFileSync(path, 'utf8'), path);
      expect([...said].filter(([name, machineId]) => kept.get(name)?.machineId !== machineId)).toEqual([]);
      expect([mode(path), kept.size - said.size <= round + 1]).toEqual(['600', true]); // each may have died between keeping and saying
      if (hasEntry(part)) expect(mode(part)).toBe('600');
    }
    expect((await (await open(path)).ensure(['last'])).minted).toEqual(['last']);
    nothingBeside(path);
  });

  test('what a killed run left beside the file goes, and was for its owner alone', async () => {
    const path = newState();
    const part = join(folder, `.${path.slice(folder.length + 1)}.part`);
    writeFileSync(part, 'half a sta', { mode: 0o600 });
    await (await open(path)).ensure(['a']);
    nothingBeside(path);
  });

  test('a disk that takes no file: the old one stays', async () => {
    const path = newState();
    const identities = await open(path);
    await identities.ensure(['a']);
    const before = readFileSync(path, 'utf8');
    const part = join(folder, `.${path.slice(folder.length + 1)}.part`);
    mkdirSync(part);
    writeFileSync(join(part, 'x'), '');
    await expect(identities.ensure(['b'])).rejects.toMatchObject({ code: 'io' });
    expect([readFileSync(path, 'utf8'), existsSync(`${path}.lock`)]).toEqual([before, false]);
    renameSync(part, join(folder, `moved${count}`));
    expect((await identities.ensure(['b'])).minted).toEqual(['b']);
  });
});

describe('in a git repository', () => {
  const repository = (name: string): string => {
    const path = join(folder, name);
    mkdirSync(path);
    output('git', ['-C', path, 'init', '-q']);
    return path;
  };
  const findingsOf = async (path: string): Promise<string[]> => (await open(path)).findings.map(({ severity, id, message }) => `${severity} ${id} ${message.split(':')[0]}`);

  needs('git')('ignored or outside is fine; not ignored and tracked are told; encrypted may be there', async () => {
    const path = repository('fleet');
    writeFileSync(join(path, '.gitignore'), '/secret/\n*.keys\n');
    mkdirSync(join(path, 'secret'));
    mkdirSync(join(path, 'sub'));
    const loose = ['warning identity-in-git git does not ignore it'];
    expect(await findingsOf(newState())).toEqual([]);
    expect(await findingsOf(join(path, 'secret/state.json'))).toEqual([]);
    expect(await findingsOf(join(path, 'sub/nodes.keys'))).toEqual([]);
    expect(await findingsOf(join(path, 'sub/state.json'))).toEqual(loose); // not there yet
    await (await open(join(path, 'sub/state.json'))).ensure(['a']);
    expect(await findingsOf(join(path, 'sub/state.json'))).toEqual(loose);
    await (await open(join(path, 'sub/nodes.keys'))).ensure(['a']);
    output('git', ['-C', path, 'add', '-f', 'sub/nodes.keys']);
    expect(await findingsOf(join(path, 'sub/nodes.keys'))).toEqual(['warning identity-in-git git tracks it']);
    expect((await openIdentities(join(path, 'state.age'))).findings).toEqual([]);
  });

  needs('git')('a repository that git does not read is told; its settings run no program', async () => {
    const path = repository('hostile');
    writeFileSync(join(path, '.git/config'), `[core]\n\trepositoryformatversion = 0\n\tfsmonitor = "touch ${folder}/ran; false"\n`);
    expect(await findingsOf(join(path, 'state.json'))).toEqual(['warning identity-in-git git does not ignore it']);
    expect(existsSync(join(folder, 'ran'))).toBe(false);
    writeFileSync(join(path, '.git/config'), '[core\n');
    expect(await findingsOf(join(path, 'state.json'))).toEqual(['warning identity-in-git it is in a git repository, and git could not say whether it is ignored']);
  });
});
