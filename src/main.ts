#!/usr/bin/env node
/** The program: each verb calls one function. Modules are loaded by the verb that needs them, so that `--version` is quick. */
import { createRequire } from 'node:module';
import { Command, CommanderError, Option } from 'commander';
import { action, amount, encoding, FINDINGS, kubernetesVersion, size, USAGE, whole, type BuildFlags, type Common, type PrepareFlags, type ProfileFlags, type Work } from './command.js';
import { RockberryError } from './errors.js';
import { addFleetCommands } from './fleet-commands.js';
import { addFlashCommands } from './flash-commands.js';
import { backendOf, mayUseKernel, withBackend } from './backend-flags.js';
import { profilesOf, withProfiles } from './profile-flags.js';
import type { Target, Version } from './verify.js';

const TARGETS: readonly Target[] = ['kubespray', 'kubeadm', 'k3s', 'rke2'];

const buildImage: Work<BuildFlags> = async (terminal, flags, image) => {
  const [{ build }, { buildText }, { openCache }] = await Promise.all([import('./build.js'), import('./report-text.js'), import('./cache/cache.js')]);
  const dryRun = flags.dryRun ?? false;
  if (flags.output === undefined && !dryRun) {
    throw new RockberryError('usage', 'expected --output FILE, found none', { hint: 'name the image to write (.img, .img.xz, .img.gz, .img.zst), or use --dry-run' });
  }
  if (flags.profile.length === 0) throw new RockberryError('usage', 'expected --profile NAME, found none', { hint: 'see: rockberry profile list' });
  const result = await build({
    image: image!, ...await profilesOf(terminal, flags), ...await backendOf(terminal, flags, flags.output), dryRun, force: flags.force ?? false, progress: terminal.progress,
    imageOnly: flags.imageOnly ?? false, encode: encoding(flags),
    ...(flags.output !== undefined && { output: flags.output }), ...(flags.cache && { cache: openCache() }),
  });
  terminal.result(buildText(result, dryRun), result);
  return result.output === null && !dryRun ? FINDINGS : 0;
};

const prepareImage: Work<PrepareFlags> = async (terminal, flags, image) => {
  const [{ prepare }, { humanBytes }] = await Promise.all([import('./prepare.js'), import('./terminal.js')]);
  if (flags.output === undefined) throw new RockberryError('usage', 'expected --output FILE, found none');
  const result = await prepare({ image: image!, output: flags.output, force: flags.force ?? false, encode: encoding(flags), progress: terminal.progress });
  terminal.result(`${result.output}: ${humanBytes(result.bytes)} in ${result.blocks} blocks\nsha256 ${result.sha256}`, result);
  return 0;
};

interface ShrinkFlags extends PrepareFlags {
  readonly slack: number;
  readonly grow: boolean;
}

const shrinkImage: Work<ShrinkFlags> = async (terminal, flags, image) => {
  const [{ shrink }, { humanBytes }] = await Promise.all([import('./shrink.js'), import('./terminal.js')]);
  if (flags.output === undefined) throw new RockberryError('usage', 'expected --output FILE, found none');
  const result = await shrink({ image: image!, output: flags.output, force: flags.force ?? false, slack: flags.slack, growAgain: flags.grow, encode: encoding(flags), progress: terminal.progress });
  const grows = result.growsAgain ? '; root grows to its card at the next boot' : '';
  terminal.result(`${result.output}: ${humanBytes(result.after)} of ${humanBytes(result.before)}, ${humanBytes(result.bytes)} in the file${grows}\nsha256 ${result.sha256}`, result);
  return 0;
};

const cacheList: Work<Common> = async (terminal) => {
  const [{ openCache }, { humanBytes, table }] = await Promise.all([import('./cache/cache.js'), import('./terminal.js')]);
  const cache = openCache();
  const entries = cache.list();
  const rows = entries.map(({ base, bytes, prepared, scanned }) => [base.slice(0, 16), humanBytes(bytes), [prepared ? 'in blocks' : '', scanned ? 'checked' : ''].filter(Boolean).join(', ')]);
  terminal.result([`${cache.directory}: ${entries.length} bases`, ...table(rows)].join('\n'), { directory: cache.directory, entries });
  return 0;
};

const cacheClear: Work<Common> = async (terminal) => {
  const [{ openCache }, { humanBytes }] = await Promise.all([import('./cache/cache.js'), import('./terminal.js')]);
  const cache = openCache();
  const bytes = cache.clear();
  terminal.result(`${cache.directory}: ${humanBytes(bytes)} freed`, { directory: cache.directory, freed: bytes });
  return 0;
};

const inspectImage: Work<Common> = async (terminal, flags, image) => {
  const [{ inspect }, { inspectText }] = await Promise.all([import('./inspect.js'), import('./report-text.js')]);
  const report = await inspect(image!, { progress: terminal.progress, kernelFirst: await mayUseKernel(flags), ...await backendOf(terminal, flags) });
  terminal.result(inspectText(report), report);
  return 0;
};

const list: Work<Common> = async (terminal, flags, image, path) => {
  const [{ listPath, withTree }, { listText }] = await Promise.all([import('./browse.js'), import('./report-text.js')]);
  const entries = await withTree(image!, { progress: terminal.progress, ...await backendOf(terminal, flags) }, (tree) => listPath(tree, path ?? '/'));
  terminal.result(listText(entries), entries);
  return 0;
};

const cat: Work<Common> = async (terminal, flags, image, path) => {
  const { readPieces, withTree } = await import('./browse.js');
  await withTree(image!, { progress: terminal.progress, ...await backendOf(terminal, flags) }, (tree) => {
    if (!flags.json) for (const piece of readPieces(tree, path!)) terminal.raw(piece);
    else terminal.result('', { path, base64: Buffer.concat([...readPieces(tree, path!)]).toString('base64') });
  });
  return 0;
};

const get: Work<Common> = async (terminal, flags, image, path, destination) => {
  const { getPath, withTree } = await import('./browse.js');
  const written = await withTree(image!, { progress: terminal.progress, ...await backendOf(terminal, flags) }, (tree) => getPath(tree, path!, destination!));
  terminal.result(written.join('\n'), { written });
  return 0;
};

interface DiffFlags extends Common {
  readonly times?: boolean;
  readonly text: boolean;
}

interface VerifyFlags extends ProfileFlags {
  readonly for?: Target;
  readonly kubernetes?: Version;
  readonly junit?: string;
  readonly markdown?: boolean;
  readonly all?: boolean;
  readonly full?: boolean;
}

const verifyImage: Work<VerifyFlags> = async (terminal, flags, image) => {
  const [{ verify, writeReport }, { verifyJunit, verifyMarkdown, verifyText }] = await Promise.all([import('./verify.js'), import('./verify-text.js')]);
  const result = await verify({
    image: image!, ...await profilesOf(terminal, flags), ...await backendOf(terminal, flags), progress: terminal.progress,
    full: flags.full ?? false, ...(flags.junit !== undefined && { report: flags.junit }), ...(flags.for && { target: flags.for }), ...(flags.kubernetes && { kubernetes: flags.kubernetes }),
  });
  if (flags.junit !== undefined) await writeReport(flags.junit, verifyJunit(result), image!);
  if (flags.markdown) terminal.result(verifyMarkdown(result), result);
  else terminal.styled(verifyText(result, { color: terminal.color, verbose: flags.all ?? false }), result);
  return result.counts.errors > 0 ? FINDINGS : 0;
};

const diff: Work<DiffFlags> = async (terminal, flags, a, b) => {
  const [{ diffImages }, { diffText }] = await Promise.all([import('./diff.js'), import('./diff-text.js')]);
  const result = await diffImages(a!, b!, { times: flags.times ?? false, text: flags.text, progress: terminal.progress, kernelFirst: await mayUseKernel(flags), ...await backendOf(terminal, flags) });
  terminal.result(diffText(result), result);
  return result.equal ? 0 : FINDINGS;
};

interface BootFlags extends Common {
  readonly kernel?: string;
  readonly initrd?: string;
  readonly prepend?: string;
  readonly append?: string;
  readonly memory?: number;
  readonly timeout?: number;
  readonly print?: boolean;
}

const bootImage: Work<BootFlags> = async (terminal, { json, kernel, initrd, prepend, append, memory, timeout, print }, image) => {
  const { boot, bootText } = await import('./boot/boot.js');
  const result = await boot({ image: image!, kernel, initrd, prepend, append, memory, timeout, print, console: json ? 'stderr' : 'stdout', progress: terminal.progress });
  terminal.result(bootText(result), result);
  return result.ended === 'timeout' ? FINDINGS : 0;
};

const profileList: Work<Common> = async (terminal) => {
  const [{ listProfiles }, { profileListText }] = await Promise.all([import('./profile.js'), import('./report-text.js')]);
  const profiles = listProfiles();
  terminal.result(profileListText(profiles), profiles);
  return 0;
};

const profileShow: Work<Common> = async (terminal, _flags, name) => {
  const { showProfile } = await import('./profile.js');
  const text = showProfile(name!);
  terminal.result(text.trimEnd(), { name, text });
  return 0;
};

const profileLint: Work<Common> = async (terminal, _flags, file) => {
  const [{ lintProfile }, { findingLines }] = await Promise.all([import('./profile.js'), import('./terminal.js')]);
  const findings = lintProfile(file!);
  terminal.result(findings.length === 0 ? `${file}: no findings` : findingLines(findings).join('\n'), { file, findings });
  return findings.length === 0 ? 0 : FINDINGS;
};

const profileSchema: Work<Common> = async (terminal) => {
  const { profileSchema: schema } = await import('./profile.js');
  const document = schema();
  terminal.result(JSON.stringify(document, null, 2), document);
  return 0;
};

function program(): Command {
  const { version } = createRequire(import.meta.url)('../package.json') as { version: string };
  const root = new Command('rockberry').description('Raspberry Pi images that Kubernetes accepts, without root').version(version)
    .option('--json', 'one JSON document on stdout').option('--debug', 'show stack traces')
    .showHelpAfterError('(see: rockberry --help)').exitOverride();
  withProfiles(withBackend(root.command('build')).description('customize an image and write it, ready to flash').argument('<image>', 'raw, .xz, .gz or .zst; told by content'), 'a shipped profile or a path; repeat for several')
    .option('-o, --output <file>', 'where to write; the ending decides the format')
    .option('--dry-run', 'print what would change; write nothing').option('--force', 'overwrite the output')
    .option('--image-only', 'no .bmap, .sha256 and .json beside the output').option('--no-cache', 'neither use nor fill the cache')
    .option('--block-size <size>', 'plain bytes per encoded block, such as 4MiB', size).option('--preset <n>', 'of the encoder', whole).action(action(buildImage));
  root.command('prepare').description('encode an image in blocks, for quick builds on it').argument('<image>')
    .option('-o, --output <file>', 'where to write; the ending decides the format').option('--force', 'overwrite the output')
    .option('--block-size <size>', 'plain bytes per block, such as 4MiB', size).option('--preset <n>', 'of the encoder', whole).action(action(prepareImage));
  root.command('shrink').description('cut an image of a card down to what it holds; it grows again at the next boot').argument('<image>', 'in any format; it is only read')
    .option('-o, --output <file>', 'where to write; the ending decides the format').option('--force', 'overwrite the output')
    .option('--slack <size>', 'free space that stays in the root filesystem, such as 200MiB', size, 64 * 2 ** 20).option('--no-grow', 'do not grow again at the next boot')
    .option('--block-size <size>', 'plain bytes per block, such as 4MiB', size).option('--preset <n>', 'of the encoder', whole).action(action(shrinkImage));
  withBackend(root.command('inspect')).description('tell what an image holds').argument('<image>').action(action(inspectImage));
  withProfiles(withBackend(root.command('verify')).description('is this image a node that Kubernetes accepts? exit 1 when it is not').argument('<image>', 'in any format; it is only read'), 'also whether all that the profile asks for is there')
    .addOption(new Option('--for <target>', 'who installs Kubernetes').choices(TARGETS)).option('--kubernetes <version>', 'such as 1.36', kubernetesVersion)
    .option('--junit <file>', 'write a JUnit report too').option('--markdown', 'a table for a pull request').option('--full', 'check the filesystems whole, too: reads most of the image').option('--all', 'show what was not judged too').action(action(verifyImage));
  withBackend(root.command('ls')).description('list a directory of the image').argument('<image>').argument('[path]', 'as the running system sees it', '/').action(action(list));
  withBackend(root.command('cat')).description('print a file of the image').argument('<image>').argument('<path>').action(action(cat));
  withBackend(root.command('get')).description('copy a file or directory out of the image').argument('<image>').argument('<path>').argument('<destination>').action(action(get));
  withBackend(root.command('diff')).description('what differs between two images, by file; exit 1 when they differ').argument('<a>', 'in any format').argument('<b>', 'in any format')
    .option('--times', 'compare modification times too').option('--no-text', 'no text diffs of changed files').action(action(diff));
  root.command('boot').description('start the image under qemu, with a console (Ctrl-A X ends it); the image is never written').argument('<image>', 'in any format')
    .option('--kernel <file>', 'an arm64 kernel with virtio, instead of the image\'s own').option('--initrd <file>', 'an initramfs for it')
    .option('--prepend <words>', 'in front of the kernel command line, as the firmware does').option('--append <words>', 'at its end')
    .option('--memory <MiB>', 'of the machine', amount, 1024).option('--timeout <seconds>', 'end the machine then, with exit status 1', amount)
    .option('--print', 'print the command; start nothing').action(action(bootImage));
  addFlashCommands(root);
  const fleet = addFleetCommands(root);
  const profile = root.command('profile').description('the profiles that ship, and checking your own');
  profile.command('list').description('the shipped profiles').action(action(profileList));
  profile.command('show').description('a profile\'s text, variables and steps').argument('<name>').action(action(profileShow));
  profile.command('lint').description('check a profile').argument('<file>').action(action(profileLint));
  profile.command('schema').description('JSON Schema of profiles, for editors').action(action(profileSchema));
  const cache = root.command('cache').description('what is remembered about bases');
  cache.command('list').description('the bases in the cache').action(action(cacheList));
  cache.command('clear').description('empty the cache').action(action(cacheClear));
  // Settings of the root reach subcommands only when they are copied.
  const all = [...root.commands, ...profile.commands, ...cache.commands, ...fleet];
  for (const command of all) command.copyInheritedSettings(root).option('--json', 'one JSON document on stdout').option('--debug', 'show stack traces');
  return root;
}

try {
  await program().parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  if (process.exitCode === USAGE && process.argv.includes('--json')) {
    const message = error.code === 'commander.help' ? 'expected a command, found none' : error.message.replace(/^error: /, '');
    const document = { error: { code: 'usage', message, hint: 'see: rockberry --help' } };
    process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
  }
}
