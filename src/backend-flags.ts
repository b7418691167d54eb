/** The flag that says who reads and writes an image's filesystems. */
import { dirname } from 'node:path';
import { Option, type Command } from 'commander';
import { BACKENDS, type Common } from './command.js';
import type { Backend } from './image/backend.js';
import type { Terminal } from './terminal.js';

export function withBackend(command: Command): Command {
  return command.addOption(new Option('--backend <name>', 'who reads the filesystems: rockberry itself (user), the kernel through loop mounts (loop: Linux, root), or whoever can (auto)').choices(BACKENDS).default('auto'));
}

/** `output`: the decoded image is kept beside it while it is worked on; without one in the directory for temporary files. */
export async function backendOf(terminal: Terminal, { backend }: Common, output?: string): Promise<{ readonly backend?: Backend }> {
  if (backend !== 'loop') return {};
  const [{ loopBackend }, { tmpdir }] = await Promise.all([import('./kernel/backend.js'), import('node:os')]);
  return { backend: loopBackend({ directory: output === undefined ? tmpdir() : dirname(output), progress: terminal.progress }) };
}

/** Whether what only the kernel can do is left to it: in doubt a command tells what it could. */
export async function mayUseKernel({ backend }: Common): Promise<boolean> {
  return backend === 'auto' && (await import('./kernel/namespace.js')).whyNoKernel() === undefined;
}
