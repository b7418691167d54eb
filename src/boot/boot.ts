/**
 * `boot`: the image under qemu, with a console to look at. The command line is the image's own; the image is never written. Not a Raspberry Pi: another board, and
 * usually another kernel, but the same partition table, filesystems, command line and userland.
 */
import { accessSync, constants, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { execa } from 'execa';
import { hasProgram } from '../codec/program.js';
import { hostError } from '../device/host.js';
import { RockberryError } from '../errors.js';
import type { Tree } from '../fs/filesystem.js';
import { openImageFile, requireRoles, type Image } from '../image/image.js';
import { silentProgress, type Progress } from '../report.js';
import { openNode, type Node } from '../verify/node.js';
import { QEMU, qemuArguments, shellCommand, type Machine } from './command.js';
import { bootedBoard, ownKernel } from './kernel.js';
import { lineForVirt, type LineExtras } from './line.js';
import { withStage, writeRaw } from './stage.js';

export interface BootOptions extends LineExtras {
  readonly image: string;
  /** Files of the host; without a kernel the image's own is taken, where it can run. */
  readonly kernel?: string;
  readonly initrd?: string;
  /** MiB; default 1024. */
  readonly memory?: number;
  /** Seconds; without it the machine runs until it is powered off. */
  readonly timeout?: number;
  /** Only says what would be run. */
  readonly print?: boolean;
  /** Where the console writes; reading is from standard input. */
  readonly console?: 'stdout' | 'stderr';
  readonly progress?: Progress;
}

export interface BootResult {
  readonly image: string;
  /** What the guest's /proc/cmdline says. */
  readonly commandLine: string;
  readonly command: readonly string[];
  /** What has to be done before the command can be run by hand; only for `print`. */
  readonly before: readonly string[];
  /** Who ended the machine; null when it was not started. */
  readonly ended: 'guest' | 'timeout' | null;
}

/** A file of the host, or one of the image. */
interface Source {
  readonly from: 'host' | 'image';
  readonly path: string;
}

interface Plan {
  readonly line: string;
  readonly kernel: Source;
  readonly initrd: Source | undefined;
  readonly memory: number;
}

const DEFAULT_MEMORY = 1024; // MiB
const FILE_LIMIT = 512 << 20; // bytes; an initramfs has up to 100 MiB, and must fit into the machine

/**
 * Errors: `missing-program` without qemu, `unsupported` for an image without a command line or a kernel that cannot run on virt, `usage`, `io` when qemu fails, and
 * those of opening an image.
 */
export async function boot(options: BootOptions): Promise<BootResult> {
  const progress = options.progress ?? silentProgress;
  if (!options.print && !hasProgram(QEMU)) {
    throw new RockberryError('missing-program', `expected the program ${QEMU}, found none`, {
      hint: 'install it (apt install qemu-system-arm, dnf install qemu-system-aarch64, brew install qemu), or see what would be run with --print',
    });
  }
  for (const file of [options.kernel, options.initrd]) if (file !== undefined) checkReadable(file);
  progress.phase(`opening ${options.image}`);
  const image = await openImageFile(options.image, { progress });
  try {
    const plan = planOf(image, options);
    if (options.print) return printed(image, plan);
    return await withStage((folder, ended) => start(image, plan, folder, ended, options));
  } finally {
    progress.finish();
    image.close();
  }
}

function planOf(image: Image, { kernel, initrd, memory = DEFAULT_MEMORY, ...extras }: BootOptions): Plan {
  requireRoles(image);
  const node = openNode(image);
  const own = kernel === undefined ? ownKernel(node) : undefined;
  return { line: lineForVirt(commandLine(node), extras), kernel: source(kernel, own?.kernel)!, initrd: source(initrd, own?.initrd), memory };
}

function source(host: string | undefined, image: string | undefined): Source | undefined {
  if (host !== undefined) return { from: 'host', path: host };
  return image === undefined ? undefined : { from: 'image', path: image };
}

/** Where config.txt decides by board between several files, the one of the board whose kernel would be loaded. */
function commandLine(node: Node): string {
  const found = node.commandLines();
  const file = found.find(({ path }) => path === bootedBoard(node)?.commandLine.path) ?? found[0];
  if (file) return file.line;
  throw new RockberryError('unsupported', `expected the kernel command line in ${node.tree.bootDirectory}/cmdline.txt, found no such file on the boot partition`);
}

async function start(image: Image, plan: Plan, folder: string, ended: AbortSignal, options: BootOptions): Promise<BootResult> {
  const progress = options.progress ?? silentProgress;
  const stored = ({ from, path }: Source, name: string): string => (from === 'host' ? resolve(path) : storeFile(image.tree(), path, join(folder, name)));
  const disk = image.decoded.format === 'raw' ? resolve(image.path) : join(folder, 'disk.img');
  if (image.decoded.format !== 'raw') {
    progress.phase(`decoding ${image.path}`);
    await writeRaw(image, disk, ended, progress);
  }
  const machine: Machine = { ...plan, disk, kernel: stored(plan.kernel, 'kernel'), initrd: plan.initrd && stored(plan.initrd, 'initrd') };
  progress.finish();
  const command = qemuArguments(machine);
  const { timedOut, isCanceled, exitCode } = await execa(QEMU, command, {
    stdio: ['inherit', options.console === 'stderr' ? 2 : 'inherit', 'inherit'], reject: false, cancelSignal: ended,
    ...(options.timeout !== undefined && { timeout: options.timeout * 1000 }),
  });
  if (!timedOut && !isCanceled && exitCode !== 0) {
    throw new RockberryError('io', `expected ${QEMU} to run the machine, but it ended with status ${exitCode ?? 'unknown'}`, { hint: 'its own message stands above' });
  }
  return { image: image.path, commandLine: plan.line, command: [QEMU, ...command], before: [], ended: timedOut ? 'timeout' : 'guest' };
}

/** The same command, with names that the files of the image get when they are taken out by hand. */
function printed(image: Image, plan: Plan): BootResult {
  const raw = image.decoded.format === 'raw';
  const disk = raw ? image.path : `${basename(image.path).replace(/(\.img|\.raw)?(\.\w+)?$/, '')}.img`;
  const taken = [plan.kernel, plan.initrd].flatMap((file) => (file?.from === 'image' ? [file.path] : []));
  const named = ({ from, path }: Source): string => (from === 'host' ? path : basename(path));
  const machine: Machine = { ...plan, disk: resolve(disk), kernel: named(plan.kernel), initrd: plan.initrd && named(plan.initrd) };
  return {
    image: image.path, commandLine: plan.line, command: [QEMU, ...qemuArguments(machine)], ended: null,
    before: [
      ...(raw ? [] : [shellCommand(['rockberry', 'prepare', image.path, '-o', disk])]),
      ...taken.map((path) => shellCommand(['rockberry', 'get', image.path, path, basename(path)])),
    ],
  };
}

/** Copies a file of the image to a new file of the host. */
function storeFile(tree: Tree, path: string, to: string): string {
  const size = tree.stat(path)!.size;
  if (size > FILE_LIMIT) throw new RockberryError('unsupported', `expected at most ${FILE_LIMIT} bytes in ${path}, found ${size}`);
  try {
    writeFileSync(to, tree.read(path), { flag: 'wx', mode: 0o600 });
    return to;
  } catch (error) {
    throw hostError(error, 'write', to, size);
  }
}

function checkReadable(path: string): void {
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    throw hostError(error, 'read', path);
  }
}

/** For people: the command, what comes before it as comments; or how the machine ended. */
export function bootText({ image, command, before, ended }: BootResult): string {
  if (ended === null) return [...before.map((line) => `# first: ${line}`), shellCommand(command)].join('\n');
  return `the machine was ended by the ${ended}; ${image} is as it was`;
}
