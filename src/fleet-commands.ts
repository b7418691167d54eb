/** The verbs about fleets, and what fleets make. */
import { Option, type Command } from 'commander';
import { action, amount, collect, encoding, FINDINGS, size, whole, type Common, type ProfileFlags, type Work } from './command.js';
import { RockberryError } from './errors.js';
import type { FleetOptions } from './fleet/fleet.js';
import type { Terminal } from './terminal.js';

interface FleetFlags extends Omit<ProfileFlags, 'profile'> {
  readonly output?: string;
  readonly image?: string;
  readonly as: FleetOptions['as'];
  readonly jobs: number;
  readonly only?: string;
  readonly keepGoing?: boolean;
  readonly shard?: string;
  readonly mint?: string | boolean;
  readonly ageRecipient: readonly string[];
  readonly ageIdentity?: string;
  readonly vaultPasswordFile?: string;
  readonly allowSecret: readonly string[];
  readonly url?: string;
  readonly cache: boolean;
  readonly blockSize?: number;
  readonly preset?: number;
}

/** Where identities are kept when `--mint` names no file: beside the outputs, 0600. */
const IDENTITIES = 'identities.json';

async function optionsOf(terminal: Terminal, flags: FleetFlags, inventory: string): Promise<FleetOptions & { readonly directory: string }> {
  const [{ openCache }, { shardOf }] = await Promise.all([import('./cache/cache.js'), import('./fleet/shard.js')]);
  const directory = flags.output ?? 'fleet';
  const shard = shardOf(flags.shard, process.env);
  const mint = flags.mint === true ? `${directory}/${IDENTITIES}` : flags.mint || undefined;
  return {
    inventory, directory, as: flags.as, allowSecrets: flags.allowSecret, jobs: flags.jobs, keepGoing: flags.keepGoing ?? false, progress: terminal.progress, encode: encoding(flags),
    given: { set: flags.set, varsFiles: flags.vars, secrets: flags.secret },
    identities: { ...(flags.ageRecipient.length > 0 && { ageRecipients: flags.ageRecipient }), ...(flags.ageIdentity !== undefined && { ageIdentity: flags.ageIdentity }) },
    ...(flags.image !== undefined && { image: flags.image }), ...(flags.only !== undefined && { only: flags.only }), ...(shard && { shard }), ...(mint !== undefined && { mint }),
    ...(flags.vaultPasswordFile !== undefined && { vaultPasswordFile: flags.vaultPasswordFile }), ...(flags.cache && { cache: openCache() }),
  };
}

const lint: Work<FleetFlags> = async (terminal, flags, inventory) => {
  const [{ readInventory }, { lintFleet }, { lintText }] = await Promise.all([import('./fleet/inventory.js'), import('./fleet/lint.js'), import('./fleet/lint/text.js')]);
  const read = await readInventory(inventory!, { ...(flags.vaultPasswordFile !== undefined && { vaultPasswordFile: flags.vaultPasswordFile }) });
  const findings = await lintFleet(read, { given: { set: flags.set, varsFiles: flags.vars, secrets: flags.secret } });
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  terminal.result(`${inventory}: ${read.nodes.length} nodes\n${lintText(findings)}`, { inventory, nodes: read.nodes.length, findings });
  return errors > 0 ? FINDINGS : 0;
};

const plan: Work<FleetFlags> = async (terminal, flags, inventory) => {
  const [{ planFleet }, { planText }] = await Promise.all([import('./fleet/plan.js'), import('./fleet-text.js')]);
  const report = await planFleet(await optionsOf(terminal, flags, inventory!));
  terminal.result(planText(report), report);
  return report.nodes.some(({ status }) => status === 'failed') ? FINDINGS : 0;
};

const build: Work<FleetFlags> = async (terminal, flags, inventory) => {
  if (flags.output === undefined) throw new RockberryError('usage', 'expected --output DIR, found none', { hint: 'name the folder for the nodes\' files' });
  const [{ buildFleet, prepareFleet, fleetFailed }, { leaveBeside }, { fleetText, nodeLine }] = await Promise.all([import('./fleet/fleet.js'), import('./fleet/leave.js'), import('./fleet-text.js')]);
  const options = await optionsOf(terminal, flags, inventory!);
  const prepared = await prepareFleet(options);
  const board = terminal.board(prepared.nodes.map(({ name }) => name));
  const report = await buildFleet({ ...options, progress: board.progress, onNode: (node) => { if (node.status !== 'left') board.settle(node.name, nodeLine(node)); } }, prepared);
  board.finish();
  const files = await leaveBeside(flags.output, report, prepared, { ...(flags.url !== undefined && { url: flags.url }) });
  terminal.result(fleetText(report, flags.output, files), report);
  return fleetFailed(report) ? FINDINGS : 0;
};

const merge: Work<FleetFlags> = async (terminal, flags, ...folders) => {
  if (flags.output === undefined) throw new RockberryError('usage', 'expected --output DIR, found none', { hint: 'name the folder for the joined report' });
  const [{ mergeReports, readReport }, { leaveMerged }, { fleetText }] = await Promise.all([import('./fleet/merge.js'), import('./fleet/leave.js'), import('./fleet-text.js')]);
  const report = mergeReports(folders.flat().map((folder) => readReport(`${folder}/fleet.json`)));
  const files = await leaveMerged(flags.output, report, { ...(flags.url !== undefined && { url: flags.url }) });
  terminal.result(fleetText(report, flags.output, files), report);
  return report.nodes.some(({ status }) => status === 'failed') ? FINDINGS : 0;
};

const schema: Work<Common> = async (terminal) => {
  const { fleetSchema } = await import('./fleet/inventory.js');
  terminal.result(JSON.stringify(fleetSchema(), null, 2), fleetSchema());
  return 0;
};

interface ApplyFlags extends Common {
  readonly output?: string;
  readonly force?: boolean;
  readonly imageOnly?: boolean;
  readonly cache: boolean;
}

const apply: Work<ApplyFlags> = async (terminal, flags, patch, base) => {
  if (flags.output === undefined) throw new RockberryError('usage', 'expected --output FILE, found none', { hint: 'name the image to write (.img, .img.xz, .img.gz, .img.zst)' });
  const [{ applyPatch }, { applyText }, { openCache }] = await Promise.all([import('./fleet/apply.js'), import('./fleet-text.js'), import('./cache/cache.js')]);
  const result = await applyPatch({
    patch: patch!, base: base!, output: flags.output, force: flags.force ?? false, imageOnly: flags.imageOnly ?? false, progress: terminal.progress, ...(flags.cache && { cache: openCache() }),
  });
  terminal.result(applyText(result), result);
  return result.output === null ? FINDINGS : 0;
};

/** Adds the verbs to the program; returns those below `fleet`. */
export function addFleetCommands(root: Command): readonly Command[] {
  const fleet = root.command('fleet').description('one inventory in, an image for every node out');
  const about = (name: string, description: string): Command => fleet.command(name).description(description).argument('<inventory>', 'our YAML, CSV, or Ansible\'s INI or YAML')
    .option('--set <k=v>', 'a variable of all nodes\' profiles', collect, []).option('--vars <file>', 'variables from a YAML or JSON file', collect, [])
    .option('--secret <name=file>', 'a secret variable from a file', collect, []).option('--vault-password-file <file>', 'for ansible-vault');
  const building = (command: Command): Command => command.option('-o, --output <dir>', 'the folder for the nodes\' files')
    .option('--image <file>', 'the base, instead of the inventory\'s own').addOption(new Option('--as <form>', 'what to make of each node').choices(['image', 'patch', 'golden']).default('image'))
    .option('--only <pattern>', 'names of nodes, with * and ?').option('--shard <I/N>', 'part I of N of the fleet; also from JOB_COMPLETION_INDEX and its like')
    .option('--mint [file]', 'make the nodes\' SSH host keys and machine-ids here; the file keeps them (0600, or .age, .sops.yaml)')
    .option('--age-recipient <key>', 'for a file that ends in .age', collect, []).option('--age-identity <file>', 'to read it again')
    .option('--block-size <size>', 'plain bytes per encoded block, such as 4MiB', size).option('--preset <n>', 'of the encoder', whole)
    .option('--allow-secret <name>', 'a secret variable that may be in a golden image', collect, [])
    .option('--jobs <n>', 'nodes at once', amount, 2).option('--keep-going', 'build although lint has errors').option('--no-cache', 'neither use nor fill the cache');
  about('lint', 'what would bite at the first boot; exit 1 on errors').action(action(lint));
  building(about('plan', 'what a build would do, node by node, and why')).action(action(plan));
  building(about('build', 'build every node that is not up to date')).option('--url <address>', 'where the folder will be served from, for os_list.json').action(action(build));
  fleet.command('merge').description('join the reports of shards').argument('<folders...>').option('-o, --output <dir>', 'the folder for the joined report')
    .option('--url <address>', 'where the folder will be served from, for os_list.json').action(action(merge));
  fleet.command('schema').description('JSON Schema of our YAML inventories, for editors').action(action(schema));
  root.command('apply').description('make a node\'s image of its patch and the base').argument('<patch>').argument('<base>', 'the image that the fleet was built on')
    .option('-o, --output <file>', 'where to write; the ending decides the format').option('--force', 'overwrite the output')
    .option('--image-only', 'no .bmap, .sha256 and .json beside the output').option('--no-cache', 'neither use nor fill the cache').action(action(apply));
  return fleet.commands;
}
