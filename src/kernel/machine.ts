/** The image's root with its other partitions in it, mounted for writing, for the image's own programs; and what they left. */
import { join } from 'node:path';
import type { FileType, TreeChange, TreeMachine } from '../fs/filesystem.js';
import type { MountedPart } from '../image/backend.js';
import type { Progress } from '../report.js';
import { runInRoot } from '../run/run.js';
import { copyOut } from './copied-part.js';
import type { KernelFileSystem } from './filesystem.js';
import { bindDirectory, memoryAt, unmount, type MountPoint } from './mounts.js';
import { differences, snapshot, type Snapshot } from './snapshot.js';

export interface MachinePart {
  readonly point: MountPoint;
  readonly filesystem: KernelFileSystem;
}

type Label = (path: string, type: FileType) => string | undefined;

/** What stands at a place in the root while programs run. */
interface Attached {
  /** Takes it away; what changed in it, as paths of the tree. */
  detach(): TreeChange[];
}

const LINES = 400; // of a command's output that are kept
const LONG = 1000; // characters of a line that are kept

/** `mounted`: by partition number; the others are copied. */
export function machine(parts: readonly MountedPart[], mounted: ReadonlyMap<number, MachinePart>, label: Label, progress: Progress): TreeMachine | undefined {
  const [root, ...others] = parts;
  const rootPart = root && mounted.get(root.number);
  if (!rootPart) return undefined;
  return {
    async run(command) {
      for (const { filesystem } of parts) filesystem.flush();
      const directory = rootPart.point.directory(true);
      const before = snapshot(directory);
      const attached: Attached[] = [];
      const output: string[] = [];
      try {
        for (const part of [...others].sort((a, b) => a.path.length - b.path.length)) attached.push(attach(part, mounted.get(part.number), directory));
        const request = { ...command, root: directory, output: (line: string) => keepLine(line, output, progress) };
        const { status, ended, how, emulated } = await runInRoot(request);
        const inside = attached.splice(0).reverse().flatMap(({ detach }) => detach());
        const changes = [...changesIn(rootPart, directory, '', before, label), ...inside];
        return { status, ended, how, emulated, output, changes: changes.sort((a, b) => (a.path < b.path ? -1 : 1)) };
      } finally {
        for (const { detach } of attached.reverse()) detach();
      }
    },
  };

  function attach(part: MountedPart, own: MachinePart | undefined, directory: string): Attached {
    const place = placeIn(rootPart!, part.path, directory);
    if (own) {
      const inner = own.point.directory(true);
      const before = snapshot(inner);
      bindDirectory(inner, place);
      return {
        detach() {
          unmount(place);
          return changesIn(own, inner, part.path, before, label);
        },
      };
    }
    memoryAt(place);
    const copied = copyOut(part.filesystem, place, `partition ${part.number}`);
    return {
      detach() {
        const found = copied.bringBack();
        unmount(place);
        return found.map((each) => ({ ...each, path: `${part.path}${each.path}` }));
      },
    };
  }
}

/** The host's path of a directory of the image; every part of it is a directory there, and no link. */
function placeIn({ filesystem }: MachinePart, path: string, directory: string): string {
  if (filesystem.stat(path)?.type !== 'directory') filesystem.makeDirectory(path);
  return join(directory, path);
}

function changesIn({ filesystem }: MachinePart, directory: string, prefix: string, before: Snapshot, label: Label): TreeChange[] {
  filesystem.forget();
  const found = differences(before, snapshot(directory));
  const wanted = found.flatMap(({ path, exists }): [string, string][] => {
    const stat = exists ? filesystem.stat(path) : undefined;
    const context = stat && label(`${prefix}${path}`, stat.type);
    return context === undefined ? [] : [[path, context]];
  });
  filesystem.labelMissing(wanted);
  return found.map((each) => ({ ...each, path: `${prefix}${each.path}` }));
}

function keepLine(line: string, output: string[], progress: Progress): void {
  progress.line?.(line);
  output.push(line.slice(0, LONG));
  if (output.length > LINES) output.shift();
}
