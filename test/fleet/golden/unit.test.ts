/** rockberry-node.service: where systemd itself puts it in a boot. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { expect, test } from 'vitest';
import { parseUnitFile } from '../../../src/steps/unit-file.js';
import { needs, oracleEnvironment } from '../../support/oracle.js';
import { SCRIPT } from './board.js';

const NAME = 'rockberry-node.service';
const text = readFileSync(`${SCRIPT}.service`, 'utf8');
const { assignments } = parseUnitFile(text);
const valuesOf = (key: string): string[] => assignments.filter((one) => one.key === key).flatMap(({ value }) => value.split(/\s+/));

test('nothing is held back by it: no unit is required, none is bound, and it ends', () => {
  expect(assignments.filter(({ key }) => /^(Required|Requires|Requisite|BindsTo|PartOf|Upholds|OnFailure|FailureAction)/.test(key))).toEqual([]);
  expect(valuesOf('Type')).toEqual(['oneshot']);
  expect(Number(valuesOf('TimeoutStartSec')[0])).toBeGreaterThan(0);
});

test('it has its own marker, and what it says is on the console and in the journal', () => {
  expect(valuesOf('ConditionPathExists')).toEqual(['!/var/lib/rockberry/node.done']);
  expect(valuesOf('StandardOutput')).toEqual(['journal+console']);
  expect(valuesOf('WantedBy')).toEqual(['sysinit.target']);
  expect(valuesOf('ExecStart')).toEqual(['/usr/local/sbin/rockberry-node']);
});

/** What systemd-analyze says of a boot of this machine's own units with ours among them, and others that are wanted by multi-user.target. */
function analyzed(unit: string, others: Readonly<Record<string, string>> = {}): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'rockberry-analyze-'));
  try {
    for (const directory of ['sysinit.target.wants', 'multi-user.target.wants']) mkdirSync(join(folder, directory));
    for (const [name, content] of Object.entries({ ...others, [NAME]: unit.replace('/usr/local/sbin/rockberry-node', SCRIPT) })) {
      writeFileSync(join(folder, name), content);
      symlinkSync(`../${name}`, join(folder, name === NAME ? 'sysinit.target.wants' : 'multi-user.target.wants', name));
    }
    const env = { ...oracleEnvironment, SYSTEMD_UNIT_PATH: `${folder}:/usr/lib/systemd/system` };
    const { all, exitCode } = execaSync('systemd-analyze', ['verify', '--man=no', 'multi-user.target', NAME], { env, reject: false, all: true });
    if (exitCode === undefined) throw new Error('systemd-analyze did not run');
    return all.split('\n').filter((line) => line.includes('rockberry-') || line.includes('cycle'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const service = (lines = ''): string => `[Unit]\n${lines}[Service]\nType=oneshot\nExecStart=/bin/true\n`;
const withAnalyze = needs('systemd-analyze');

withAnalyze('systemd-analyze verify accepts it, and its place in the boot makes no cycle', () => {
  expect(analyzed(text)).toEqual([]);
  expect(analyzed(text.replace('RemainAfterExit=', 'RemainAfterExti='))).not.toEqual([]);
});

/** If systemd starts it before the unit, then to ask for the opposite is a cycle. */
const isCycle = (name: string, lines: string): boolean => analyzed(text, { [name]: service(lines) }).some((line) => line.includes(`cycle on ${NAME}`) || line.includes('ordering cycle'));

withAnalyze.each(['k3s.service', 'kubelet.service', 'whatever-comes.service'])('before an ordinary service, named or not: %s', (name) => expect(isCycle(name, `Before=${NAME}\n`)).toBe(true));

const EARLY = ['NetworkManager.service', 'sshd.service', 'kubelet.service', 'k3s.service', 'rke2-agent.service', 'containerd.service', 'rockberry-preflight.service', 'rockberry-grow-root.service'];
withAnalyze('before each of those by name, even if they do without the usual dependencies', () => {
  for (const name of EARLY) expect(valuesOf('Before')).toContain(name);
  expect(isCycle('sshd-keygen@rsa.service', `DefaultDependencies=no\nBefore=${NAME}\n`)).toBe(true);
  expect(isCycle('another.service', `DefaultDependencies=no\nBefore=${NAME}\n`)).toBe(false); // that the judge can say no
});

withAnalyze('after the filesystems, and after /etc/machine-id is no mount any more', () => {
  expect(isCycle('late.service', `DefaultDependencies=no\nAfter=${NAME}\nBefore=local-fs.target\n`)).toBe(true);
  expect(isCycle('late.service', `DefaultDependencies=no\nAfter=${NAME}\nBefore=systemd-machine-id-commit.service\n`)).toBe(true);
});
