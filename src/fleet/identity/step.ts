/** An identity in an image: host keys as the image's own sshd-keygen would leave them, and the machine-id. */
import { createHash } from 'node:crypto';
import type { Finding } from '../../report.js';
import type { Tree } from '../../fs/filesystem.js';
import type { BoundStep } from '../../profile.js';
import { readGroups } from '../../steps/accounts.js';
import { readText } from '../../steps/content.js';
import { filesStep } from '../../steps/files.js';
import { KEY_TYPES, type Identity } from './mint.js';
import { checkRegeneration, disableRegeneration, keepingFiles } from './regeneration.js';

/** One file as it has to be in the image. */
export interface IdentityFile {
  readonly path: string;
  /** ASCII. */
  readonly content: Uint8Array;
  readonly mode: number;
  readonly owner: number;
  readonly group: number;
}

const STEP = 'minted';
const MACHINE_ID = '/etc/machine-id';
/** Says whose image it is, by the host name in it: what verify's rules of hygiene ask when they find one machine's keys. */
const OWNER = '/etc/rockberry/node';
const keyPath = (type: string): string => `/etc/ssh/ssh_host_${type}_key`;
const CONTEXT = { directory: '/' };

/** Every path that an identity has, sorted: what a check that nothing of one machine is in the image has to leave out. */
export const MINTED_PATHS: readonly string[] = [MACHINE_ID, ...KEY_TYPES.flatMap((type) => [keyPath(type), `${keyPath(type)}.pub`])].sort();

/** The files for this image. EL's ssh-keysign reads host keys by the group ssh_keys (0640), where the image has one; elsewhere they are root's alone (0600). */
export function identityFiles({ machineId, hostKeys }: Identity, tree: Tree): IdentityFile[] {
  const group = readGroups(tree).find(({ name }) => name === 'ssh_keys')?.gid;
  const file = (path: string, text: string, mode: number, gid = 0): IdentityFile => ({ path, content: Buffer.from(text, 'latin1'), mode, owner: 0, group: gid });
  return [
    ...hostKeys.flatMap(({ type, privateKey, publicKey }) => [file(keyPath(type), privateKey, group === undefined ? 0o600 : 0o640, group), file(`${keyPath(type)}.pub`, `${publicKey}\n`, 0o644)]),
    file(MACHINE_ID, `${machineId}\n`, 0o444),
  ];
}

/** With what a fleet asks of a profile's steps, too: another identity is another fingerprint. */
export interface IdentityStep extends BoundStep {
  /** sha256 of the whole identity. */
  readonly fingerprint: string;
  /** Nothing of the host is read. */
  readonly sources: readonly string[];
}

/** Places the identity as the files step places files, and keeps the image from replacing it at its first boot. No secret is in what it says. */
export function identityStep(identity: Identity): IdentityStep {
  const title = `identity of ${identity.name}: SSH host keys and machine-id`;
  return {
    step: STEP, title, where: `identity of ${identity.name}`, sources: [],
    fingerprint: createHash('sha256').update(JSON.stringify([STEP, identity])).digest('hex'),
    describe: () => title,
    async apply(tree) {
      disableRegeneration(tree);
      await filesStep.apply(tree, entries(identity, tree), CONTEXT);
    },
    async verify(tree) {
      const findings = await filesStep.verify(tree, entries(identity, tree), CONTEXT);
      return [...findings.map((finding): Finding => ({ ...finding, id: `step-${STEP}` })), ...checkRegeneration(tree, STEP)];
    },
  };
}

function entries(identity: Identity, tree: Tree): Parameters<typeof filesStep.apply>[1] {
  const files = identityFiles(identity, tree).map(({ path, content, mode, owner, group }) => ({ path, content: Buffer.from(content).toString('latin1'), mode: mode.toString(8).padStart(4, '0'), owner, group }));
  const owner = (readText(tree, '/etc/hostname') ?? '').trim() || identity.name;
  return [...files, { path: OWNER, content: `${owner}\n`, mode: '0644', owner: 0, group: 0 }, ...keepingFiles(tree)];
}
