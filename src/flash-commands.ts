/** The verbs that write to cards, and look at them. */
import type { Command } from 'commander';
import { action, collect, FINDINGS, type Common, type ProfileFlags, type Work } from './command.js';
import { RockberryError, statusOf } from './errors.js';
import type { CardOptions, FlashReport } from './flash/flash.js';
import type { Customization } from './flash/source.js';
import { profilesOf, withProfiles } from './profile-flags.js';
import type { GivenValues } from './profile/given.js';
import { hasErrors } from './report.js';
import type { Terminal } from './terminal.js';

interface CardFlags extends ProfileFlags {
  readonly allowFixed?: boolean;
  readonly yes?: boolean;
  readonly readFirst?: boolean;
  readonly verify: boolean;
  readonly cache: boolean;
}

interface FlashFlags extends CardFlags {
  readonly patch?: string;
  readonly node?: string;
  readonly fleet?: string;
  readonly slot: readonly string[];
  readonly mint?: string;
  readonly ageIdentity?: string;
  readonly vaultPasswordFile?: string;
  readonly keepGoing?: boolean;
}

/** An image and a card; or, with --fleet, the image is the inventory's, and may be left out. */
const flash: Work<FlashFlags> = async (terminal, flags, first, second) => {
  terminal.stream();
  const [{ flash: flashOne }, { flashText }, options] = await Promise.all([import('./flash/flash.js'), import('./flash-text.js'), cardOptions(terminal, flags)]);
  if (flags.fleet === undefined && second === undefined) throw new RockberryError('usage', 'expected an image and a card, found one of them', { hint: 'rockberry flash IMAGE DEVICE' });
  const result = flags.fleet === undefined
    ? await flashOne({ ...options, image: first!, device: second!, customize: await customizationOf(terminal, flags) })
    : await flashFleet(terminal, flags, [first, second].filter((one) => one !== undefined));
  terminal.result(flashText(result), result);
  const failed = result.cards.find(({ error }) => error !== null);
  if (failed?.error) return statusOf(failed.error.code);
  return result.cards.every(({ isWritten }) => isWritten) ? 0 : FINDINGS;
};

/** `[IMAGE] --fleet INVENTORY --slot NODE=DEVICE…`, or `[IMAGE] DEVICE --fleet INVENTORY --node NAME`. */
async function flashFleet(terminal: Terminal, flags: FlashFlags, given: readonly string[]): Promise<FlashReport> {
  const { flashSlots, parseSlot } = await import('./flash/slots.js');
  if ((flags.node === undefined) === (flags.slot.length === 0)) throw new RockberryError('usage', 'expected either --node NAME or --slot NODE=DEVICE with --fleet', { hint: 'rockberry flash DEVICE --fleet INVENTORY --node NAME' });
  if (flags.profile.length > 0 || flags.patch !== undefined) throw new RockberryError('usage', 'expected --fleet, --profile or --patch, found two of them', { hint: 'the inventory names the profiles of its nodes' });
  const device = flags.node === undefined ? undefined : given.at(-1);
  if (flags.node !== undefined && device === undefined) throw new RockberryError('usage', `expected the card for ${flags.node}, found none`, { hint: 'rockberry flash DEVICE --fleet INVENTORY --node NAME' });
  const image = device === undefined ? given[0] : given.length > 1 ? given[0] : undefined;
  const slots = device === undefined ? flags.slot.map(parseSlot) : [{ node: flags.node!, device }];
  const options = await cardOptions(terminal, flags);
  return flashSlots(slots, {
    inventory: flags.fleet!, given: { set: flags.set, varsFiles: flags.vars, secrets: flags.secret }, keepGoing: flags.keepGoing ?? false, progress: terminal.progress,
    ...(image !== undefined && { image }), ...(options.cache && { cache: options.cache }), ...(flags.mint !== undefined && { mint: flags.mint }),
    ...(flags.ageIdentity !== undefined && { identities: { ageIdentity: flags.ageIdentity } }), ...(flags.vaultPasswordFile !== undefined && { vaultPasswordFile: flags.vaultPasswordFile }),
  }, options);
}

async function cardOptions(terminal: Terminal, flags: CardFlags): Promise<CardOptions> {
  const { openCache } = await import('./cache/cache.js');
  return {
    allowFixed: flags.allowFixed ?? false, yes: flags.yes ?? false, readFirst: flags.readFirst ?? false, prove: flags.verify, progress: terminal.progress,
    ...(flags.cache && { cache: openCache() }),
  };
}

async function customizationOf(terminal: Terminal, flags: FlashFlags): Promise<Customization> {
  if (flags.patch !== undefined && flags.profile.length > 0) throw new RockberryError('usage', 'expected --patch or --profile, found both', { hint: 'a patch holds what its profiles did' });
  if (flags.patch !== undefined) return { kind: 'patch', patch: flags.patch };
  if (flags.profile.length === 0) return { kind: 'none' };
  return { kind: 'profiles', ...await givenOf(terminal, flags) };
}

async function givenOf(terminal: Terminal, flags: ProfileFlags): Promise<{ profiles: readonly string[]; given: GivenValues }> {
  const { profiles, set = [], varsFiles = [], secrets = [], answers = new Map<string, string>() } = await profilesOf(terminal, flags);
  return { profiles, given: { set, varsFiles, secrets, answers } };
}

const devices: Work<Common> = async (terminal) => {
  const [{ listDisks }, { devicesText }] = await Promise.all([import('./flash/disks.js'), import('./devices-text.js')]);
  const disks = await listDisks();
  terminal.result(devicesText(disks), { disks });
  return 0;
};

interface AuditFlags extends Common {
  readonly manifest?: string;
  readonly base?: string;
  readonly all?: boolean;
}

const audit: Work<AuditFlags> = async (terminal, flags, image) => {
  if (flags.manifest === undefined) throw new RockberryError('usage', 'expected --manifest FILE, found none', { hint: 'the .json beside the image, the fleet.json of a fleet, or a node\'s patch' });
  const [{ audit: auditCard }, { auditText }] = await Promise.all([import('./flash/audit.js'), import('./audit-text.js')]);
  const result = await auditCard({ image: image!, manifest: flags.manifest, progress: terminal.progress, ...(flags.base !== undefined && { base: flags.base }) });
  terminal.result(auditText(result, { all: flags.all ?? false }), result);
  return result.findings.length > 0 ? FINDINGS : 0;
};

interface FixFlags extends ProfileFlags {
  readonly allowFixed?: boolean;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly undo?: boolean;
  readonly force?: boolean;
}

const fix: Work<FixFlags> = async (terminal, flags, device) => {
  terminal.stream();
  const [{ fix: fixCard, undoFix }, { fixText, undoText }] = await Promise.all([import('./flash/fix.js'), import('./flash-text.js')]);
  const options = { device: device!, allowFixed: flags.allowFixed ?? false, yes: flags.yes ?? false, progress: terminal.progress };
  if (flags.undo) {
    if (flags.profile.length > 0) throw new RockberryError('usage', 'expected --undo or --profile, found both');
    const undone = await undoFix({ ...options, force: flags.force ?? false });
    terminal.result(undoText(undone), undone);
    return 0;
  }
  if (flags.profile.length === 0) throw new RockberryError('usage', 'expected --profile NAME, found none', { hint: 'see: rockberry profile list' });
  const result = await fixCard({ ...options, ...await givenOf(terminal, flags), dryRun: flags.dryRun ?? false });
  terminal.result(fixText(result), result);
  return hasErrors(result.findings) ? FINDINGS : 0;
};

function withSafety(command: Command): Command {
  return command.option('--allow-fixed', 'the disk may be built in').option('--yes', 'the card needs not be named by its stable id; a file may be written over');
}

/** Adds the verbs to the program. */
export function addFlashCommands(root: Command): void {
  root.command('devices').description('the disks of this machine, and why each may or may not be written').action(action(devices));
  const flashing = root.command('flash').description('write an image to a card, only what it needs, and read it back').argument('[image]', 'in any format; with --fleet, instead of the inventory\'s own')
    .argument('[device]', 'the card, by its stable id (/dev/disk/by-id/…); or a file');
  withSafety(withProfiles(flashing, 'customize it on the way; repeat for several')).option('--patch <file>', 'a node\'s patch, applied on the way')
    .option('--fleet <inventory>', 'the image is a node\'s of this fleet').option('--node <name>', 'which node').option('--slot <node=device>', 'which node onto which card; repeat to write several at once', collect, [])
    .option('--mint <file>', 'the file that keeps the nodes\' identities').option('--age-identity <file>', 'to read it').option('--vault-password-file <file>', 'for ansible-vault')
    .option('--keep-going', 'although lint of the fleet has errors').option('--read-first', 'read the card first, and write only what differs').option('--no-verify', 'do not read it back')
    .option('--no-cache', 'do not use the cache of builds').action(action(flash));
  withSafety(withProfiles(root.command('fix').description('customize a card or a raw image in place; --undo takes it back').argument('<device>'), 'what to apply; repeat for several'))
    .option('--dry-run', 'print what would change; write nothing').option('--undo', 'take the last fix of this card back').option('--force', 'with --undo, although the card was written to since').action(action(fix));
  root.command('audit').description('which node a card is, and which files are not as they were flashed; exit 1 when there are some').argument('<device>', 'a card, or an image in any format; it is only read')
    .option('--manifest <file>', 'the .json beside its image, the fleet.json of its fleet, or its patch').option('--base <file>', 'the image that was flashed: then every file is compared')
    .option('--all', 'show what a running system changes by itself, too').action(action(audit));
}
