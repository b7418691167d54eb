/** Secrets in clear in files that git tracks: whoever can read the repository, today or in years, can join the cluster. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { Fleet } from '../fleet.js';
import type { FleetProblem, FleetRule } from '../rule.js';
import { isSecretName, secretPlaces, type SecretPlace } from '../secret-text.js';
import { realPath, repositoryFinder, trackedPaths, type Tracked } from '../tracked.js';
import { own, quoted, some, textOf } from '../words.js';

const VAULT = 'https://docs.ansible.com/ansible/latest/vault_guide/vault_encrypting_content.html';

export const secretRules: readonly FleetRule[] = [
  { id: 'fleet-secret-tracked', severity: 'error', title: 'no secret is in clear in a file that git tracks', source: VAULT, check: checkSecrets },
  {
    id: 'fleet-vault-password-tracked', severity: 'error', title: 'no password of a vault is in a file that git tracks', check: checkVaultPasswords,
    source: 'https://docs.ansible.com/ansible/latest/vault_guide/vault_managing_passwords.html',
  },
  { id: 'fleet-git-silent', severity: 'info', title: 'git says which files it tracks', source: 'https://git-scm.com/docs/git-ls-files', check: checkGit },
];

const LARGEST = 4 << 20; // bytes of a file that are looked at
/** Names that Ansible's documentation, its examples and people use. */
const PASSWORD_FILES = ['.vault_pass', '.vault_pass.txt', 'vault_pass', 'vault_pass.txt', '.vault-pass', 'vault-pass', '.vault_password', 'vault_password', '.vault-password', 'vault-password', 'vault_password.txt', '.vaultpass', 'vaultpass.txt'];
/** A script that asks somebody else, or something that is encrypted itself. */
const NO_PASSWORD = /^(#!|\$ANSIBLE_VAULT|age-encryption\.org|-----BEGIN (AGE ENCRYPTED FILE|PGP MESSAGE)-----|\x7fELF|\0|\{"data": ?"ENC\[)/;

interface Suspect { readonly path: string; readonly places: readonly SecretPlace[] }

/** Files with secrets in clear, wherever they are. Real paths, sorted. */
function suspects({ inventory, members }: Fleet): Suspect[] {
  const declared = new Set(members.flatMap(({ profiles }) => profiles ?? []).flatMap(({ declarations }) => [...declarations].filter(([, { secret }]) => secret).map(([name]) => name)));
  const isTable = inventory.kind === 'csv';
  return [...new Set(inventory.files.flatMap(({ path }) => realPath(path) ?? []))].sort().flatMap((path) => {
    const text = textOfFile(path, LARGEST);
    const places = text === undefined ? [] : isTable ? columnPlaces(members, declared) : secretPlaces(text, declared);
    return places.length > 0 ? [{ path, places }] : [];
  });
}

/** A table has its names in its first line only; what it gave to the nodes says enough, for it is the whole inventory. */
function columnPlaces(members: Fleet['members'], declared: ReadonlySet<string>): SecretPlace[] {
  const names = members.flatMap(({ node }) => [node.hostVars, node.variables].flatMap((record) => Object.keys(record).filter((name) => isSecretName(name, declared) && textOf(own(record, name)) !== undefined)));
  return [...new Set(names)].sort().map((what) => ({ what, line: undefined }));
}

interface Answer extends Tracked { readonly suspects: readonly Suspect[]; repositoryOf(path: string): string | undefined }

const answers = new WeakMap<Fleet, Promise<Answer>>();

/** Two rules ask; the files are read, and git is asked, once. */
function answerFor(fleet: Fleet): Promise<Answer> {
  const known = answers.get(fleet) ?? askGit(fleet);
  answers.set(fleet, known);
  return known;
}

async function askGit(fleet: Fleet): Promise<Answer> {
  const repositoryOf = repositoryFinder();
  const found = suspects(fleet);
  return { suspects: found, repositoryOf, ...await trackedPaths(found.map(({ path }) => path), repositoryOf) };
}

/** A hash of a password is less than the password: others need time for it. */
async function checkSecrets(fleet: Fleet): Promise<FleetProblem[]> {
  const { suspects: found, tracked, repositoryOf } = await answerFor(fleet);
  return found.filter(({ path }) => tracked.has(path)).map(({ path, places }) => ({
    subject: 'fleet', message: `expected no secret in clear in ${quoted(relative(repositoryOf(path)!, path))}, which git tracks, found ${some(places.map(({ what, line }) => `${what} (${line === undefined ? 'a column' : `line ${line}`})`))}`,
    hint: 'encrypt it with ansible-vault or sops, or give it with --secret; then replace the secret: the old one stays in the history',
    ...(places.every(({ what }) => what.endsWith('_hash')) && { severity: 'warning' as const }),
  }));
}

/** Files of such names beside the inventory's files, and in the folders above up to the repository's. */
async function checkVaultPasswords({ inventory }: Fleet): Promise<FleetProblem[]> {
  const repositoryOf = repositoryFinder();
  const folders = new Set<string>();
  for (const path of inventory.files.flatMap((file) => realPath(file.path) ?? [])) {
    const repository = repositoryOf(path);
    for (let folder = dirname(path); repository !== undefined && !folders.has(folder); folder = dirname(folder)) {
      folders.add(folder);
      if (folder === repository) break;
    }
  }
  const candidates = [...folders].sort().flatMap((folder) => PASSWORD_FILES.map((name) => join(folder, name))).filter((path) => {
    const text = realPath(path) === path ? textOfFile(path, 4096) : undefined;
    return text !== undefined && text.trim() !== '' && !NO_PASSWORD.test(text);
  });
  const { tracked } = await trackedPaths(candidates, repositoryOf);
  return candidates.filter((path) => tracked.has(path)).map((path) => ({
    subject: 'fleet', message: `expected the password of a vault outside of git, found that it tracks ${quoted(relative(repositoryOf(path)!, path))}`,
    hint: 'take it out of git, add it to .gitignore, and give the vaults a new password: the old one stays in the history',
  }));
}

/** Only where it matters: a file of a repository has secrets in clear. */
async function checkGit(fleet: Fleet): Promise<FleetProblem[]> {
  const { problems } = await answerFor(fleet);
  return problems.map((problem) => ({
    subject: 'fleet', message: `expected git to say whether it tracks files with secrets in clear, found that ${problem}`, hint: 'install git, or look at it with: git ls-files',
  }));
}

/** The beginning of a regular file; undefined for others and for what cannot be read. */
function textOfFile(path: string, most: number): string | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!fstatSync(descriptor).isFile()) return undefined;
    const buffer = Buffer.alloc(Math.min(most, fstatSync(descriptor).size));
    return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, buffer.length, 0));
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
