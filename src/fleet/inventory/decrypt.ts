/**
 * Encrypted files and values, opened by the programs that made them: ansible-vault and sops find their keys and passwords in their own ways. What they print
 * stays in memory: it is in no error, no file and no argument.
 */
import { execa } from 'execa';
import { RockberryError } from '../../errors.js';
import { problem } from './problem.js';

export interface DecryptOptions {
  /** For ansible-vault; without it what ANSIBLE_VAULT_PASSWORD_FILE or ansible.cfg say. */
  readonly vaultPasswordFile?: string;
}

const OUTPUT_LIMIT = 1 << 23; // characters
const TIME_LIMIT = 300_000; // milliseconds; a person may have to type a password
const SAID_LIMIT = 200; // characters of what a program says

const HINTS: Readonly<Record<string, { readonly missing: string; readonly failed: string }>> = {
  'ansible-vault': {
    missing: 'install ansible-core: the inventory holds values that ansible-vault encrypted',
    failed: 'name the password\'s file in the environment variable ANSIBLE_VAULT_PASSWORD_FILE, or with --vault-password-file',
  },
  sops: { missing: 'install sops (https://getsops.io): the inventory holds a file that it encrypted', failed: 'sops needs the key (age, GPG or a cloud\'s) of one who may read the file' },
};

/** A whole file of ansible-vault's. */
export function viewVault(path: string, name: string, options: DecryptOptions): Promise<string> {
  return decrypted('ansible-vault', ['view', ...passwordArguments(options), path], { place: name });
}

/** A value of ansible-vault's, "$ANSIBLE_VAULT;1.1;AES256" and its lines. */
export function decryptVaultValue(text: string, where: string, options: DecryptOptions): Promise<string> {
  return decrypted('ansible-vault', ['decrypt', ...passwordArguments(options)], { place: where, input: text });
}

/** A file of sops's, whose text is given. Sops goes by the file's ending; where that tells nothing, or something else than the text, the kind is named. */
export function decryptSops(path: string, name: string, text: string): Promise<string> {
  const isWhole = /^\s*\{/.test(text) && !path.endsWith('.json'); // a file of another kind as a whole: {"data": "ENC[…]", "sops": {…}}
  const kind = isWhole ? 'binary' : /\.(ya?ml|json)$/.test(path) ? undefined : 'yaml';
  return decrypted('sops', ['-d', ...(kind === undefined ? [] : ['--input-type', kind, '--output-type', kind]), path], { place: name });
}

function passwordArguments({ vaultPasswordFile }: DecryptOptions): string[] {
  return vaultPasswordFile === undefined ? [] : ['--vault-password-file', vaultPasswordFile];
}

async function decrypted(program: string, args: readonly string[], { place, input }: { place: string; input?: string }): Promise<string> {
  const result = await execa(program, args, {
    ...(input === undefined ? { stdin: 'ignore' } : { input }), env: { ANSIBLE_NOCOLOR: 'true', ...unicodeLocale() },
    reject: false, stripFinalNewline: false, maxBuffer: OUTPUT_LIMIT, timeout: TIME_LIMIT,
  });
  if (!result.failed) return result.stdout;
  if (result.code === 'ENOENT') throw new RockberryError('missing-program', `${place}: expected the program ${program}, which opens it, found none`, { hint: HINTS[program]!.missing });
  if (result.isMaxBuffer) throw problem('unsupported', place, `expected at most ${OUTPUT_LIMIT} characters after ${program} has opened it, found more`);
  throw problem('io', place, `expected ${program} to open it, found: ${whatItSaid(result.stderr) || (result.timedOut ? 'no answer in time' : `status ${result.exitCode}`)}`, HINTS[program]!.failed);
}

/** Ansible does not start in a locale without UTF-8. */
function unicodeLocale(): Record<string, string> {
  const set = process.env.LC_ALL || process.env.LC_CTYPE || process.env.LANG || '';
  return /utf-?8/i.test(set) ? {} : { LC_ALL: 'C.UTF-8' };
}

/** The sentence of the error, without warnings in front of it; programs wrap it into lines. */
function whatItSaid(stderr: string): string {
  const words = stderr.slice(0, 1 << 16).split(/\s+/).filter((word) => word !== '');
  const start = words.indexOf('ERROR!');
  const text = words.slice(start + 1).join(' ');
  return text.length > SAID_LIMIT ? `${text.slice(0, SAID_LIMIT)}…` : text;
}
