/** The collection as Python and Ansible see it: the source itself, or built and installed by ansible-galaxy. Nothing is written into the repository. */
import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { execa, execaSync } from 'execa';
import { oracleEnvironment, type Ran } from '../support/oracle.js';
import { ROOT, scratch } from '../support/cli.js';

export const SOURCE = join(ROOT, 'integrations/ansible');
/** The seed of every property test here; ROCKBERRY_SEED replays another. */
export const SEED = Number(process.env.ROCKBERRY_SEED ?? 20_261_123);

export type Environment = Record<string, string | undefined>;

/** A folder in which the source is the package that it is once it is installed. */
export function asInstalled(): string {
  const folder = scratch();
  mkdirSync(join(folder, 'ansible_collections/rockberry'), { recursive: true });
  symlinkSync(SOURCE, join(folder, 'ansible_collections/rockberry/node'));
  return folder;
}

export function pythonEnvironment(): Environment {
  return { ...oracleEnvironment, PYTHONPATH: asInstalled(), PYTHONDONTWRITEBYTECODE: '1' };
}

/** Runs a Python program over cases given as JSON on its standard input; it prints its answers as one JSON document. */
export function askPython(program: string, cases: unknown): unknown {
  return JSON.parse(execaSync('python3', ['-c', program], { env: pythonEnvironment(), input: JSON.stringify(cases), maxBuffer: 1 << 28 }).stdout);
}

/** Ansible with the collections of one folder and with nothing of the user's; it insists on a locale of UTF-8. */
export function ansibleEnvironment(home: string, collections: string): Environment {
  const own = { HOME: home, ANSIBLE_COLLECTIONS_PATH: collections, ANSIBLE_COLLECTIONS_PATHS: collections, ANSIBLE_NOCOLOR: 'true', ANSIBLE_LOCALHOST_WARNING: 'false', ANSIBLE_FORKS: '4', ANSIBLE_PIPELINING: 'true' };
  return { ...oracleEnvironment, LC_ALL: 'C.UTF-8', PYTHONDONTWRITEBYTECODE: '1', ...own };
}

/** Runs a program of Ansible's; its exit status is for the caller to judge. */
export async function runAnsible(environment: Environment, cwd: string, program: string, args: readonly string[]): Promise<Ran> {
  const result = await execa(program, args, { env: environment, cwd, reject: false, all: true, stdin: 'ignore' });
  if (result.exitCode === undefined) throw new Error(`${program} did not run: ${result.message}`);
  return { status: result.exitCode, output: result.all ?? '' };
}

export interface Installed { readonly environment: Environment; readonly home: string; readonly artifact: string; readonly folder: string }

/** Builds the collection and installs what was built, as a user does. */
export async function installCollection(): Promise<Installed> {
  const home = scratch();
  const environment = ansibleEnvironment(home, join(home, 'collections'));
  await execa('ansible-galaxy', ['collection', 'build', SOURCE, '--output-path', home], { env: environment, cwd: home });
  const artifact = join(home, readdirSync(home).find((name) => name.endsWith('.tar.gz'))!);
  await execa('ansible-galaxy', ['collection', 'install', artifact, '--offline'], { env: environment, cwd: home });
  return { environment, home, artifact, folder: join(home, 'collections/ansible_collections/rockberry/node') };
}
