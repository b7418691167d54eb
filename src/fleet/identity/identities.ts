/**
 * The identities of a fleet's nodes, kept by name in one file and stable between runs. A node that leaves the inventory keeps its identity until it is forgotten
 * by name. Several runs may use the file at once: keys are made outside the lock, and what is in the file already wins.
 */
import { availableParallelism } from 'node:os';
import { RockberryError } from '../../errors.js';
import type { Finding } from '../../report.js';
import { formatIdentities, parseIdentities } from './format.js';
import { gitFindings } from './git-finding.js';
import { withLock } from './lock.js';
import { mintIdentity, requireNodeName, type Identity } from './mint.js';
import { readPrivateFile, replacePrivateFile, settledPath } from './private-file.js';
import { sealingOf, type Sealing, type SealingOptions } from './sealing.js';

export interface IdentitiesOptions extends SealingOptions {
  /** Told after each new identity: how many of how many are made. */
  readonly onMinted?: (done: number, total: number) => void;
  /** Milliseconds to wait for another run that writes; a minute unless given. */
  readonly patience?: number;
  /** Makes one identity; mintIdentity unless given. */
  readonly mint?: (name: string) => Promise<Identity>;
}

export interface Ensured {
  /** Of the names that were asked for, in their order. */
  readonly identities: ReadonlyMap<string, Identity>;
  /** Those that had none before, sorted. */
  readonly minted: readonly string[];
}

export interface Identities {
  /** Absolute, links followed. */
  readonly path: string;
  readonly kind: Sealing['kind'];
  /** Whether git would carry a file in clear away. */
  readonly findings: readonly Finding[];
  /** What is kept, by name, sorted. */
  all(): Promise<ReadonlyMap<string, Identity>>;
  /** The identities of these nodes: what is kept stays as it is, the rest is made and on the disk before this returns. */
  ensure(names: readonly string[]): Promise<Ensured>;
  /** Drops them for good; their nodes would get new ones. Returns the names that had one, sorted. */
  forget(names: readonly string[]): Promise<readonly string[]>;
}

const BATCH = 32; // identities that are made before they are written: what a kill can cost

/**
 * Opens the file, which need not exist. Errors: `refused` when group or others may read a file in clear, or another run holds its lock; `corrupt` or
 * `unsupported` when it is not as rockberry writes it: nothing is minted then; `usage`, `missing-program` and `io` of the encryption.
 */
export async function openIdentities(path: string, options: IdentitiesOptions = {}): Promise<Identities> {
  const settled = settledPath(path);
  const sealing = sealingOf(settled, options);
  const load = loader(settled, sealing);
  await load();
  const findings = sealing.kind === 'plain' ? await gitFindings(settled) : [];

  /** Changes the file while nobody else does; `change` returns undefined to leave it as it is. */
  async function update(change: (kept: ReadonlyMap<string, Identity>) => Map<string, Identity> | undefined): Promise<ReadonlyMap<string, Identity>> {
    return withLock(settled, async () => {
      const kept = await load();
      const changed = change(kept);
      if (!changed) return kept;
      replacePrivateFile(settled, await sealing.seal(Buffer.from(formatIdentities(changed), 'utf8')));
      return changed;
    }, options.patience);
  }

  return {
    path: settled, kind: sealing.kind, findings, all: load,
    async ensure(names) {
      names.forEach(requireNodeName);
      let kept = await load();
      const missing = [...new Set(names)].filter((name) => !kept.has(name)).sort();
      const minted: string[] = [];
      let made = 0;
      const mint = async (name: string): Promise<Identity> => {
        const identity = await (options.mint ?? mintIdentity)(name);
        options.onMinted?.(++made, missing.length);
        return identity;
      };
      for (let start = 0; start < missing.length; start += BATCH) {
        const fresh = await mapLimited(missing.slice(start, start + BATCH), availableParallelism(), mint);
        kept = await update((now) => {
          const added = fresh.filter(({ name }) => !now.has(name));
          minted.push(...added.map(({ name }) => name));
          return added.length === 0 ? undefined : new Map([...now, ...added.map((identity) => [identity.name, identity] as const)]);
        });
      }
      return { identities: new Map([...new Set(names)].map((name) => [name, requireKept(kept, name, settled)])), minted };
    },
    async forget(names) {
      let dropped: string[] = [];
      await update((now) => {
        dropped = [...new Set(names)].filter((name) => now.has(name)).sort();
        return dropped.length === 0 ? undefined : new Map([...now].filter(([name]) => !dropped.includes(name)));
      });
      return dropped;
    },
  };
}

/** Reads the file each time; what has not changed is not decrypted again, for that may ask for a passphrase. */
function loader(path: string, sealing: Sealing): () => Promise<ReadonlyMap<string, Identity>> {
  let last: { readonly bytes: Uint8Array; readonly identities: ReadonlyMap<string, Identity> } | undefined;
  return async () => {
    const bytes = readPrivateFile(path, sealing.kind !== 'plain');
    if (!bytes) return new Map();
    if (last && Buffer.compare(last.bytes, bytes) === 0) return last.identities;
    if (bytes.length === 0) return parseIdentities('', path);
    const identities = parseIdentities(Buffer.from(await sealing.open(bytes)).toString('utf8'), path);
    last = { bytes, identities };
    return identities;
  };
}

/** Somebody may have forgotten it between two batches. */
function requireKept(kept: ReadonlyMap<string, Identity>, name: string, path: string): Identity {
  const identity = kept.get(name);
  if (identity) return identity;
  throw new RockberryError('io', `expected the identity of ${name} in ${path}, found that another run has dropped it meanwhile`, { hint: 'run it again' });
}

/** The results in the order of the items, with at most `limit` at work. */
async function mapLimited<T, R>(items: readonly T[], limit: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = new Array<R>(items.length);
  const pending = items.entries();
  await Promise.all(Array.from({ length: limit }, async () => {
    for (const [index, item] of pending) results[index] = await work(item);
  }));
  return results;
}
