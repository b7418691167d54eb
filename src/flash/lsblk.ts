/**
 * Block devices as util-linux's `lsblk --json` lists them. Its values changed their types over the years (2.27: all strings, "1" for true; 2.33: booleans; 2.37:
 * `mountpoints` beside `mountpoint`), columns come and go, and what has several parents (a RAID array, an LVM volume) is listed below each of them.
 */
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import type { Machine } from './machine.js';

/** A block device and what lies on it. Texts are '' where lsblk says null. */
export interface Block {
  readonly path: string;
  /** "sda1", "dm-0": its name in /sys/class/block. */
  readonly kernelName: string;
  /** "8:1", as in /proc/self/mountinfo. */
  readonly number: string;
  /** "disk", "part", "loop", "rom", "lvm", "crypt", "raid1", "mpath", "dm"… */
  readonly type: string;
  readonly size: number;
  readonly holds: string;
  readonly label: string;
  readonly uuid: string;
  readonly mountpoints: readonly string[];
  readonly vendor: string;
  readonly model: string;
  readonly serial: string;
  readonly transport: string;
  /** "block:scsi:usb:pci": the buses above it. */
  readonly subsystems: string;
  readonly removable: boolean;
  readonly readOnly: boolean;
  readonly sector: number;
  readonly discard: { readonly granularity: number; readonly max: number };
  readonly children: readonly Block[];
}

const text = z.union([z.string(), z.number(), z.boolean()]).nullish().transform((value) => String(value ?? '').trim());
const flag = z.union([z.boolean(), z.number(), z.string()]).nullish().transform((value) => value === true || value === 1 || value === '1');
const count = z.union([z.number(), z.string().regex(/^\d*$/, 'expected a number of bytes')]).nullish().transform((value) => Number(value ?? 0));
/** Of a value we can do without: discarding is left out rather than guessed. */
const countOrNone = count.catch(0);

const row = z.looseObject({
  name: z.string(), kname: text, path: text, 'maj:min': text, type: text, size: count, fstype: text, label: text, uuid: text,
  mountpoint: text, mountpoints: z.array(z.string().nullable()).nullish(), vendor: text, model: text, serial: text, tran: text, subsystems: text,
  rm: flag, ro: flag, 'log-sec': countOrNone, 'disc-gran': countOrNone, 'disc-max': countOrNone, children: z.array(z.unknown()).nullish(),
});

const toBlock = (given: unknown): Block => {
  const found = row.parse(given);
  const kernelName = baseName(found.kname || found.name);
  const places = [found.mountpoint, ...(found.mountpoints ?? [])].filter((place) => typeof place === 'string' && place !== '') as string[];
  return {
    path: found.path || (found.name.startsWith('/') ? found.name : `/dev/${kernelName}`), kernelName, number: found['maj:min'], type: found.type, size: found.size,
    holds: found.fstype, label: found.label, uuid: found.uuid, mountpoints: [...new Set(places)],
    vendor: found.vendor, model: found.model, serial: found.serial, transport: found.tran, subsystems: found.subsystems,
    removable: found.rm, readOnly: found.ro, sector: found['log-sec'] || 512, discard: { granularity: found['disc-gran'], max: found['disc-max'] },
    children: (found.children ?? []).map(toBlock),
  };
};

/** Old versions print kernel names as paths with --paths, and `!` where sysfs has it for `/` (cciss!c0d0). */
const baseName = (name: string): string => name.replace(/^\/dev\//, '').replaceAll('!', '/');

/** Up to 2.32 labels and models with other characters than ASCII are escaped as `\\xC3`, which JSON has not (etcher#2614). */
const validJson = (output: string): string => output.replace(/(?<!\\)((?:\\\\)*)\\x([0-9a-f]{2})/gi, '$1\\u00$2');

/** What `lsblk --json --bytes` printed. Errors: `io` when it is not that. */
export function parseLsblk(output: string): readonly Block[] {
  if (output.trim() === '') return []; // 2.27…2.36 print nothing when there is no block device
  try {
    return z.object({ blockdevices: z.array(z.unknown()) }).parse(JSON.parse(validJson(output))).blockdevices.map(toBlock);
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? cause.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ') : String(cause);
    throw new RockberryError('io', `expected block devices as JSON of lsblk, found something else: ${reason}`, { cause });
  }
}

/**
 * The block devices of this machine, unused loop devices and readers without a card too. Errors: `missing-program` when there is no lsblk, or one older than
 * util-linux 2.27 (2015), which has no --json; `io`.
 */
export async function listBlocks(machine: Machine): Promise<readonly Block[]> {
  const { status, output } = await machine.run('lsblk', ['--json', '--bytes', '--all', '--output-all']).catch((error: unknown) => {
    if (error instanceof RockberryError && error.code === 'missing-program') throw new RockberryError('missing-program', error.message, { hint: INSTALL, cause: error });
    throw error;
  });
  if (status === 0) return parseLsblk(output);
  const help = await machine.run('lsblk', ['--help']);
  if (!help.output.includes('--json')) throw new RockberryError('missing-program', 'expected lsblk of util-linux 2.27 or newer, found one without --json', { hint: INSTALL });
  throw new RockberryError('io', `expected a list of lsblk, found its exit status ${status}`);
}

const INSTALL = 'install util-linux (2.27 or newer)';
