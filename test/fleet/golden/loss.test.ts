/**
 * Power is lost before every operation of rockberry-node on the card, and the node boots again. One run, with a copy of the card before each operation: that is what
 * a loss at this point leaves if all operations were on the card (what a loss leaves if only those up to the last sync were is among the copies too). A second copy is
 * the card on which names were written before data, as ext4 may have it: files written since the last sync are empty. A `cp` is torn as well.
 */
import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { expect } from 'vitest';
import type { Shell } from '../../preflight/node.js';
import { needs, run } from '../../support/oracle.js';
import { entry, goldenTree, inFolder, onCard, PI4, plug, programs, runNode, SERIAL, SHELLS, stateOf } from './board.js';

/** Whatever changes the card. */
const OPERATIONS = ['chmod', 'chown', 'cp', 'ln', 'mkdir', 'mv', 'restorecon', 'rm', 'rmdir', 'sync'];
type State = Map<string, string>;

/** Inode, size and time of every file: what is equal has the same data. */
const LIST = 'find "$ROCKBERRY_ROOT" -type f -printf "%i %s %T@ %P\\n"';
const place = (program: string): string => run('sh', ['-c', 'command -v "$1"', 'sh', program]).output;

const count = (folder: string): string => `read -r n <${folder}/count; n=$((n + 1)); echo $n >${folder}/count; read -r step <${folder}/step\n`;
const work = (name: string): string => (name === 'sync' ? ':' : name === 'restorecon' ? 'cat >/dev/null' : `exec ${place(name)} "$@"`);

/** A program that sets the card aside before it does its work, each `step` calls. */
function copying(name: string, folder: string): string {
  const cp = place('cp');
  const torn = `${cp} -a "$ROCKBERRY_ROOT" ${folder}/$n.torn; head -c "$(($(wc -c <"$1") / 2))" "$1" >"${folder}/$n.torn\${2#"$ROCKBERRY_ROOT"}"\n`;
  return `${count(folder)}if [ $(((n - 1) % step)) -eq 0 ]; then
  ${cp} -a "$ROCKBERRY_ROOT" ${folder}/$n
  ${LIST} >${folder}/$n.files
  [ ! -e ${folder}/synced ] || ${cp} ${folder}/synced ${folder}/$n.synced
  ${name === 'cp' ? torn : ''}
fi
${name === 'sync' ? `${LIST} >${folder}/synced\n` : ''}${work(name)}`;
}

/** A program that ends its caller, and does not do its work, from the call number in the file "last" on. */
const ending = (name: string, folder: string): string => `${count(folder)}read -r last <${folder}/last
if [ $n -ge $last ]; then kill -9 $PPID; exit 137; fi
${work(name)}`;

interface Card { readonly root: string; readonly before: State; readonly done: State; readonly operations: number }

/** A boot without a loss: what it comes to. */
function boot(root: string, plain: string, shell: Shell): State {
  const { status, said } = runNode(root, plain, shell);
  expect({ status, said }).toEqual({ status: 0, said: expect.not.stringContaining('cannot') });
  return stateOf(root);
}

/** Every place that the entry writes to holds the old or the new, whole; and the marker is true. */
function expectWhole(now: State, { before, done }: Card): void {
  for (const path of new Set([...before.keys(), ...done.keys()])) {
    const isDirectory = /directory$/.test(done.get(path) ?? ''); // is made before it gets its owner
    if (isDirectory || /^\/(etc\/rockberry\/nodes|var\/lib\/rockberry)/.test(path) || before.get(path) === done.get(path)) continue;
    expect([before.get(path), done.get(path)], path).toContain(now.get(path));
  }
  if (now.has('/var/lib/rockberry/node.done')) expect(now).toEqual(done);
}

/** The card before the operation number n, without the data written since the last sync. */
function withoutData(folder: string, n: number): string {
  const lines = (file: string): string[] => readFileSync(join(folder, file), 'latin1').split('\n').filter((line) => line !== '');
  const data = (line: string): string => line.split(' ').slice(0, 3).join(' ');
  const safe = new Set(lines(existsSync(join(folder, `${n}.synced`)) ? `${n}.synced` : '1.files').map(data));
  const root = join(folder, `${n}.lost`);
  execaSync('cp', ['-a', join(folder, String(n)), root]);
  for (const line of lines(`${n}.files`)) if (!safe.has(data(line))) truncateSync(join(root, line.split(' ').slice(3).join(' ')), 0);
  return root;
}

async function everyLoss(shell: Shell, keepEntries: boolean, step: number): Promise<void> {
  const [node1, node2] = [entry('node1', { serial: SERIAL }), entry('node2', { serial: '12345678' })];
  const mine = { ...node1, files: node1.files.filter(({ path }) => !path.includes('NetworkManager')), remove: ['/etc/old.d/a', '/etc/old.d'] };
  const tree = await goldenTree([node2, mine], { keepEntries });
  inFolder((folder) => {
    const root = join(folder, 'root');
    mkdirSync(root);
    onCard(tree, root);
    plug(root, PI4);
    const before = stateOf(root);
    const plain = programs(join(folder, 'plain'));
    const killed = [1, 2, 3].map((quarter) => ({ quarter, left: `${root}.${quarter}` }));
    for (const { left } of killed) execaSync('cp', ['-a', root, left]);
    writeFileSync(join(folder, 'step'), `${step}\n`);
    expect(runAs(copying, folder, root, shell)).toBe(0);
    const card: Card = { root, before, done: stateOf(root), operations: Number(readFileSync(join(folder, 'count'), 'utf8')) };
    expect(card.operations).toBeGreaterThan(25);

    const proven = new Set<string>(); // losses that leave the same card behind need one boot
    const expectDone = (left: string): void => {
      const state = JSON.stringify([...stateOf(left)]);
      if (!proven.has(state)) expect(boot(left, plain, shell), left).toEqual(card.done);
      proven.add(state);
    };
    for (let n = 1; n <= card.operations; n += step) {
      const left = join(folder, String(n));
      expectWhole(stateOf(left), card);
      const lost = withoutData(folder, n);
      for (const one of [left, lost, `${left}.torn`]) if (existsSync(one)) expectDone(one);
    }
    expect(proven.size).toBeGreaterThan(card.operations / step);

    for (const { quarter, left } of killed) { // that a copy is what a killed script leaves
      const last = Math.ceil((card.operations * quarter) / 4);
      writeFileSync(join(folder, 'last'), `${last}\n`);
      expect(runAs(ending, folder, left, shell)).not.toBe(0);
      expectDone(left);
    }
  });
}

/** Runs it with every operation done by such a program. */
function runAs(program: (name: string, folder: string) => string, folder: string, root: string, shell: Shell): number | undefined {
  writeFileSync(join(folder, 'count'), '0\n');
  const path = programs(join(folder, program.name), Object.fromEntries(OPERATIONS.map((name) => [name, program(name, folder)])));
  return runNode(root, path, shell).status;
}

const [dash, bash] = SHELLS;
needs(...dash.programs)('power lost at any operation: the next boot comes to the same', () => everyLoss(dash, false, 1));
needs(...bash.programs)('the same with the shell of Rocky Linux, and where the table stays', () => everyLoss(bash, true, 8));
