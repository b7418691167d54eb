/** integrations/kubernetes: manifests that Kubernetes' own types accept, pods that the Pod Security Standard "restricted" admits, and command lines that work. */
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execaSync } from 'execa';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import type { FleetReport } from '../../src/fleet/model.js';
import { ROOT, scratch } from '../support/cli.js';
import { needs, run } from '../support/oracle.js';
import { packedSample } from '../support/samples.js';
import { at, documents, INTEGRATIONS, needsNpm, npmPath, shellcheck, text, type Yaml } from './integrations-support.js';

const FOLDER = join(INTEGRATIONS, 'kubernetes');
const JOBS = ['job.yaml', 'merge.yaml'] as const;
const only = (name: string): Yaml => documents(`kubernetes/${name}`)[0]!;
const pod = (job: Yaml): Yaml => at(job, 'spec.template.spec')!;
const container = (job: Yaml): Yaml => at(pod(job), 'containers.0')!;
const environment = (job: Yaml): Record<string, string> => Object.fromEntries((at(container(job), 'env') as { name: string; value: string }[]).map(({ name, value }) => [name, value]));
const names = (list: Yaml | undefined, key = 'name'): string[] => (list as Record<string, string>[]).map((entry) => entry[key]!);

/** What TypeScript says of a document as a literal of one of kubernetes-types' types, which are made from Kubernetes' OpenAPI document; unknown keys too. */
function typeErrors(value: Yaml, group: 'batch' | 'core', type: string): string[] {
  const folder = scratch();
  const file = join(folder, 'manifest.ts');
  const types = join(dirname(npmPath('kubernetes-types/package.json')), group, 'v1');
  writeFileSync(file, `import type { ${type} } from ${JSON.stringify(types)};\nexport const manifest: ${type} = ${JSON.stringify(value)};\n`);
  const program = ts.createProgram([file], { noEmit: true, strict: true, skipLibCheck: true, lib: ['lib.es5.d.ts'], types: [], module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler });
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '));
}

describe('manifests', () => {
  needsNpm('kubernetes-types/package.json')('are of Kubernetes\' own types', () => {
    for (const name of JOBS) expect(typeErrors(only(name), 'batch', 'Job'), name).toEqual([]);
    const claims = documents('kubernetes/storage.yaml');
    expect(claims).toHaveLength(2);
    for (const claim of claims) expect(typeErrors(claim, 'core', 'PersistentVolumeClaim')).toEqual([]);
  });

  needsNpm('kubernetes-types/package.json')('with a key or a type that is wrong are not', () => {
    const wrong = (change: (spec: Record<string, Yaml>) => void): string => {
      const job = structuredClone(only('job.yaml'));
      change(at(job, 'spec') as Record<string, Yaml>);
      return typeErrors(job, 'batch', 'Job').join('\n');
    };
    expect(wrong((spec) => { spec.completion = 4; })).toMatch(/completion"?' does not exist in type 'JobSpec'/);
    expect(wrong((spec) => { spec.completions = '4'; })).toContain("Type 'string' is not assignable to type 'number'");
    expect(wrong((spec) => { (pod({ spec }) as Record<string, Yaml>).containers = [{ image: 'x' }]; })).toContain("Property 'name' is missing");
  });

  test.each(JOBS)('%s is admitted by the Pod Security Standard "restricted"', (name) => {
    // kubernetes.io/docs/concepts/security/pod-security-standards
    const job = only(name);
    expect(at(pod(job), 'securityContext')).toMatchObject({ runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: { type: 'RuntimeDefault' } });
    expect(at(pod(job), 'containers')).toHaveLength(1);
    expect(at(container(job), 'securityContext')).toEqual({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } });
    for (const key of ['hostNetwork', 'hostPID', 'hostIPC', 'initContainers', 'serviceAccountName']) expect(at(pod(job), key), key).toBeUndefined();
    expect(at(pod(job), 'automountServiceAccountToken')).toBe(false);
    const kinds = (at(pod(job), 'volumes') as Record<string, Yaml>[]).flatMap((volume) => Object.keys(volume).filter((key) => key !== 'name'));
    expect(kinds.filter((kind) => !['persistentVolumeClaim', 'configMap', 'secret', 'emptyDir'].includes(kind))).toEqual([]);
  });

  test.each(JOBS)('%s mounts every volume that it has, and everything that it writes to is one', (name) => {
    const job = only(name);
    expect(names(at(container(job), 'volumeMounts'))).toEqual(names(at(pod(job), 'volumes')));
    const writable = (at(container(job), 'volumeMounts') as Record<string, Yaml>[]).filter(({ readOnly }) => readOnly !== true).map(({ mountPath }) => mountPath);
    expect(writable.filter((path) => !['/out', '/cache', '/tmp'].includes(path as string))).toEqual([]);
    expect(writable).toContain('/tmp');
  });

  test('the number of shards is the same everywhere, and every try that could help is made', () => {
    const job = only('job.yaml');
    const env = environment(job);
    expect(at(job, 'spec.completionMode')).toBe('Indexed');
    expect(env.ROCKBERRY_SHARDS).toBe(String(at(job, 'spec.completions')));
    expect(at(pod(job), 'restartPolicy')).toBe('Never'); // podFailurePolicy asks for it
    // src/errors.ts: 1 is for findings and failed nodes, 5 for the machine; another try may help there
    expect(at(job, 'spec.podFailurePolicy.rules.1')).toEqual({ action: 'FailJob', onExitCodes: { containerName: 'rockberry', operator: 'In', values: [2, 3, 4] } });
    expect(at(job, 'spec.backoffLimitPerIndex')).toBe(1);
  });
});

describe('the container image', () => {
  const lines = text('kubernetes/Containerfile').split('\n').filter((line) => line !== '');
  const instructions = lines.filter((line) => !line.startsWith('#')).map((line) => line.split(' '));
  const of = (name: string): string[][] => instructions.filter(([instruction]) => instruction === name).map(([, ...rest]) => rest);

  test('knows no instruction but these, ends as a user by number, and fetches nothing by itself', () => {
    expect(new Set(instructions.map(([name]) => name))).toEqual(new Set(['ARG', 'FROM', 'WORKDIR', 'COPY', 'RUN', 'ENV', 'USER', 'ENTRYPOINT', 'CMD']));
    expect(of('USER')).toEqual([['65532:65532']]);
    expect(of('RUN').map((words) => words.join(' ')).filter((command) => /\b(curl|wget|git|pip|http)/.test(command))).toEqual([]);
    expect(JSON.parse(of('ENTRYPOINT')[0]!.join(' '))).toEqual(['rockberry']);
  });

  test('copies what is there and what the context lets through, and all that the package needs', () => {
    const allowed = text('kubernetes/Containerfile.dockerignore').split('\n').filter((line) => line.startsWith('!')).map((line) => line.slice(1));
    const sources = of('COPY').filter(([first]) => !first!.startsWith('--from')).flatMap((words) => words.slice(0, -1));
    expect(sources.filter((source) => !existsSync(join(ROOT, source)))).toEqual([]);
    expect([...new Set(sources)].sort()).toEqual([...allowed].sort());
    const { files } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { files: string[] };
    const inside = [...sources, ...of('COPY').filter(([first]) => first!.startsWith('--from')).map((words) => words[1]!.split('/').at(-1)!)];
    expect(files.filter((file) => !inside.includes(file))).toEqual([]);
  });

  needs('shellcheck')('has sound shell in RUN', () => {
    const scripts = lines.flatMap((line, index) => (line.startsWith('RUN ') ? [`${lines[index - 1]!.startsWith('# shellcheck') ? `${lines[index - 1]}\n` : ''}${line.slice(4)}\n`] : []));
    expect(scripts.length).toBeGreaterThan(2);
    // the value of PACKAGES comes from the builder
    for (const script of scripts) expect(shellcheck('sh', script.replace(/^(# shellcheck disable=)/, '$1SC2154,')), script).toBe('');
  });
});

/** As a container with that securityContext has it: a read-only root, some writable folders, user 65532 without capabilities or a way to them. For root; others only run it. */
const CONFINE = `
while [ "$1" != -- ]; do mount --bind "$1" "$1"; shift; done
shift
mount -o remount,ro,bind /
exec setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"`;

/** Runs a command so; what it says when it fails, else nothing. */
function confined(command: readonly string[], writable: readonly string[], env: Record<string, string>): string {
  const isRoot = process.getuid?.() === 0;
  const [program, ...args] = isRoot ? ['unshare', '--mount', '--propagation=private', 'sh', '-euc', CONFINE, 'sh', ...writable, '--', ...command] : command;
  const { failed, all } = execaSync(program!, args, { env, reject: false, all: true });
  return failed ? all || 'failed' : '';
}

describe('command lines', () => {
  needs('sh', 'unshare', 'setpriv')('are tried where the root cannot be written, and nobody is root', () => {
    const [folder, other] = [scratch(), scratch()];
    expect(confined(['touch', join(folder, 'x')], [folder], {})).toBe('');
    if (process.getuid?.() !== 0) return;
    expect(confined(['touch', join(other, 'x')], [folder], {})).toMatch(/Read-only file system$/);
    expect(confined(['sh', '-c', 'grep CapEff /proc/self/status; id -u; exit 1'], [folder], {})).toMatch(/0000000000000000\n65532$/);
  });

  const script = at(container(only('merge.yaml')), 'args.0') as string;

  needs('shellcheck')('of merge.yaml are sound shell', () => {
    expect(at(container(only('merge.yaml')), 'command')).toEqual(['sh', '-euc']);
    expect(shellcheck('sh', `set -eu\n${script}`)).toBe('');
    expect(shellcheck('sh', 'ls $1')).toContain('SC2086'); // it would say so
  });

  needs('sh', 'find', 'sha256sum', 'unshare', 'setpriv')('build a fleet in what the securityContext leaves of a machine, shard by shard, and join it', () => {
    const job = only('job.yaml');
    const [base, inventory, out, cache, tmp] = Array.from({ length: 5 }, scratch) as [string, string, string, string, string];
    symlinkSync(packedSample('rocky9-pi-sample'), join(base, 'base.img.xz'));
    // as a ConfigMap is mounted: names that lead through a link to a folder
    mkdirSync(join(inventory, '..data-1'));
    writeFileSync(join(inventory, '..data-1', 'fleet.yaml'), 'profiles: [cgroups]\nnodes:\n  node1: {}\n  node2: {}\n  node3: {}\n');
    symlinkSync('..data-1', join(inventory, '..data'));
    symlinkSync('..data/fleet.yaml', join(inventory, 'fleet.yaml'));
    const places: Record<string, string> = { '/base': base, '/inventory': inventory, '/out': out };
    for (const index of ['0', '1']) { // two instead of four, for time
      const args = (at(container(job), 'args') as string[]).map((arg) => arg.replace('$(JOB_COMPLETION_INDEX)', index).replace(/(?<=^|=)\/(?:base|inventory|out)(?=\/)/, (place) => places[place]!));
      const env = { ...environment(job), ROCKBERRY_SHARDS: '2', JOB_COMPLETION_INDEX: index, XDG_CACHE_HOME: cache, TMPDIR: tmp, HOME: tmp };
      expect(confined([process.execPath, join(ROOT, 'dist/main.js'), ...args], [out, cache, tmp], env)).toBe('');
    }
    const bin = scratch();
    writeFileSync(join(bin, 'rockberry'), `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'dist/main.js')}' "$@"\n`, { mode: 0o755 });
    const merging = run('env', [`PATH=${bin}:${process.env.PATH}`, 'sh', '-euc', script.replace('cd /out', `cd '${out}'`)]);
    expect({ ...merging, output: merging.status === 0 ? '' : merging.output }).toEqual({ status: 0, output: '' });

    const merged = JSON.parse(readFileSync(join(out, 'fleet/fleet.json'), 'utf8')) as FleetReport;
    expect(merged.shard).toBeNull();
    expect(merged.nodes.map(({ name, status }) => [name, status])).toEqual([['node1', 'built'], ['node2', 'built'], ['node3', 'built']]);
    expect(run('sh', ['-c', 'cd "$1" && sha256sum -c SHA256SUMS', 'sh', join(out, 'fleet')])).toMatchObject({ status: 0 });
    for (const { output } of merged.nodes) for (const ending of ['', '.bmap', '.sha256', '.json']) expect(statSync(join(out, 'fleet', `${output}${ending}`)).nlink).toBe(2); // linked, not copied
    expect(readdirSync(out).sort()).toEqual(['fleet', 'shard-0', 'shard-1']);
  });
});

test('README names every file of the folder', () => {
  const readme = text('kubernetes/README.md');
  for (const name of readdirSync(FOLDER).filter((file) => file !== 'README.md')) expect(readme, name).toContain(`\`${name}\``);
});
