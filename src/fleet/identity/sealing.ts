/**
 * How the file of identities is closed: not at all (then its mode keeps it), by `age` when its name ends in ".age", or by `sops` when it ends in ".sops.json" or
 * ".sops.yaml". Secrets go through standard input and output, and come back in no error and no argument.
 */
import { execa } from 'execa';
import { RockberryError } from '../../errors.js';

export interface SealingOptions {
  /** Public keys of age or SSH that may open the file; else AGE_RECIPIENTS or SOPS_AGE_RECIPIENTS (by commas or spaces), the file AGE_RECIPIENTS_FILE, or whom the identity is of. */
  readonly ageRecipients?: readonly string[];
  /** File with the secret key of age; else SOPS_AGE_KEY_FILE or AGE_IDENTITY. */
  readonly ageIdentity?: string;
}

export interface Sealing {
  readonly kind: 'plain' | 'age' | 'sops';
  open(sealed: Uint8Array): Promise<Uint8Array>;
  seal(plain: Uint8Array): Promise<Uint8Array>;
}

/** Name of the encrypting program's message, and how one gets on. */
interface Call {
  readonly program: 'age' | 'sops';
  readonly args: readonly string[];
  readonly input: Uint8Array;
  /** "open nodes.age" */
  readonly doing: string;
  readonly hint: string;
}

const OUTPUT_LIMIT = 128 << 20; // bytes
const SAID_LIMIT = 200; // characters of what a program says
const INSTALL = { age: 'install it: apt-get install age, dnf install age, brew install age', sops: 'install it: https://getsops.io' } as const;
/** Every private key has it, and nothing sealed has. */
const SECRET_MARK = 'PRIVATE KEY';

/** By the file's name alone. Errors: `usage` for a name that says encrypted and means neither: its keys would stand in clear. */
export function sealingOf(path: string, options: SealingOptions = {}, environment: NodeJS.ProcessEnv = process.env): Sealing {
  if (path.endsWith('.age')) return ageSealing(path, options, environment);
  if (/\.sops\.(json|ya?ml)$/.test(path)) return sopsSealing(path);
  const claims = /\.(gpg|asc|enc|vault|sops|sops\.[^./]+)$/.exec(path)?.[0];
  if (claims !== undefined) throw new RockberryError('usage', `expected a name that ends in .age, .sops.json or .sops.yaml, or says nothing of encryption, found ${claims} at the end of ${path}`);
  return { kind: 'plain', open: (bytes) => Promise.resolve(bytes), seal: (bytes) => Promise.resolve(bytes) };
}

function ageSealing(path: string, options: SealingOptions, environment: NodeJS.ProcessEnv): Sealing {
  const identity = options.ageIdentity ?? (environment.SOPS_AGE_KEY_FILE || environment.AGE_IDENTITY || undefined);
  return {
    kind: 'age',
    open(bytes) {
      const hint = 'name the file of an age key that may open it: --age-identity, SOPS_AGE_KEY_FILE or AGE_IDENTITY';
      if (identity === undefined) throw new RockberryError('usage', `expected an age key for ${path}, found none`, { hint });
      return run({ program: 'age', args: ['--decrypt', '--identity', identity], input: bytes, doing: `open ${path}`, hint });
    },
    async seal(plain) {
      const hint = 'say who may open it: --age-recipient, AGE_RECIPIENTS or AGE_RECIPIENTS_FILE; or name an age key of your own: --age-identity';
      const recipients = recipientArguments(options, environment);
      const to = recipients.length > 0 ? recipients : identity === undefined ? [] : ['--identity', identity];
      if (to.length === 0) throw new RockberryError('usage', `expected a recipient for ${path}, found none`, { hint });
      return sealed(path, await run({ program: 'age', args: ['--encrypt', '--armor', ...to], input: plain, doing: `seal ${path}`, hint }), '-----BEGIN AGE ENCRYPTED FILE-----');
    },
  };
}

function recipientArguments({ ageRecipients }: SealingOptions, environment: NodeJS.ProcessEnv): string[] {
  const listed = ageRecipients ?? (environment.AGE_RECIPIENTS || environment.SOPS_AGE_RECIPIENTS || '').split(/[\s,]+/).filter((text) => text !== '');
  // Arguments can be seen by everybody on the machine.
  if (listed.some((recipient) => /SECRET-KEY/i.test(recipient))) {
    throw new RockberryError('usage', 'expected the public key of a recipient (age1…), found a secret key', { hint: 'name its file instead: --age-identity' });
  }
  const file = ageRecipients === undefined && environment.AGE_RECIPIENTS_FILE ? ['--recipients-file', environment.AGE_RECIPIENTS_FILE] : [];
  return [...listed.flatMap((recipient) => ['--recipient', recipient]), ...file];
}

/**
 * The text as one value ("binary" of sops): rules of .sops.yaml that encrypt only some keys, as Flux's do, would leave a structure in clear. Standard input
 * needs sops 3.10.
 */
function sopsSealing(path: string): Sealing {
  const hint = 'sops 3.10 or newer needs a key, and to seal a creation rule in .sops.yaml or SOPS_AGE_RECIPIENTS; its own documentation is at https://getsops.io';
  return {
    kind: 'sops',
    open: (bytes) => run({ program: 'sops', args: ['decrypt', '--filename-override', path, '--output-type', 'binary'], input: bytes, doing: `open ${path}`, hint }),
    seal: async (plain) => sealed(path, await run({ program: 'sops', args: ['encrypt', '--filename-override', path, '--input-type', 'binary'], input: plain, doing: `seal ${path}`, hint }), 'ENC['),
  };
}

/** Nothing that can be read is written under a name that says it cannot. */
function sealed(path: string, bytes: Uint8Array, mark: string): Uint8Array {
  const text = Buffer.from(bytes);
  if (text.includes(mark) && !text.includes(SECRET_MARK)) return bytes;
  throw new RockberryError('refused', `expected the program to encrypt what goes to ${path}, found keys in clear or nothing sealed in its output`, { hint: 'look at the rules in .sops.yaml: all of the file has to be encrypted' });
}

async function run({ program, args, input, doing, hint }: Call): Promise<Uint8Array> {
  const result = await execa(program, args, { input, encoding: 'buffer', reject: false, stripFinalNewline: false, maxBuffer: OUTPUT_LIMIT });
  if (!result.failed) return result.stdout;
  if (result.code === 'ENOENT') throw new RockberryError('missing-program', `cannot ${doing}: expected the program ${program}, found none`, { hint: INSTALL[program] });
  throw new RockberryError('io', `cannot ${doing}: ${program} says: ${whatItSaid(result.stderr, input) || `nothing, and ends with status ${result.exitCode ?? 'unknown'}`}`, { hint });
}

/** Its first line, without what it may quote of its input. */
function whatItSaid(stderr: Uint8Array, input: Uint8Array): string {
  const line = Buffer.from(stderr).toString('utf8').split('\n').find((one) => one.trim() !== '') ?? '';
  const given = Buffer.from(input);
  const shown = line.replace(/[^\x20-\x7e]/g, ' ').trim().replace(/[A-Za-z0-9+/=]{16,}/g, (run) => (given.includes(run) ? '***' : run));
  return shown.length > SAID_LIMIT ? `${shown.slice(0, SAID_LIMIT)}…` : shown;
}
