/** What is left of a run that has a mark: a directory's name that is in the path of its root, or in the PATH that its programs got. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

export interface Trace {
  readonly processes: string[];
  readonly mounts: string[];
  readonly namespaces: string[];
}

const KINDS = ['mnt', 'pid', 'pid_for_children', 'user', 'uts', 'ipc', 'net'];

/** Processes that have the mark in their environment, their namespaces, and mounts in whichever namespace on a path with it. A namespace lasts as long as a process in it. */
export function traces(mark: string, own?: string): Trace {
  const found: Trace = { processes: [], mounts: [], namespaces: [] };
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const read = (name: string): string => {
      try {
        return readFileSync(`/proc/${pid}/${name}`, 'latin1');
      } catch {
        return ''; // it is gone
      }
    };
    if (pid !== own && read('environ').includes(mark)) {
      found.processes.push(`${pid} ${read('cmdline').replaceAll('\0', ' ').slice(0, 200)}`);
      found.namespaces.push(...KINDS.map((kind) => linkOf(`/proc/${pid}/ns/${kind}`)).filter((link, at) => link !== '' && link !== linkOf(`/proc/self/ns/${KINDS[at]}`)));
    }
    if (read('mountinfo').includes(mark)) found.mounts.push(pid);
  }
  return found;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
