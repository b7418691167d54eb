/**
 * What files say about a kernel: its configuration, as text or as the kernel carries it inside (kernel/configs.c: a gzip file between "IKCFG_ST" and
 * "IKCFG_ED"), the page size in the header of an arm64 Image, and depmod's lists of modules. Everything is bounded: images are made by anybody.
 */
import { constants, gunzipSync } from 'node:zlib';
import { globFits } from './glob.js';
import { moduleName } from './module-lists.js';

/** "y" is built in, "m" is a module, "n" is off; an option that is not there is off too. */
export type OptionState = 'y' | 'm' | 'n';
export type KernelOptions = ReadonlyMap<string, OptionState>;

export interface KernelContents {
  /** The configuration inside it, undefined where it has none. */
  readonly config: string | undefined;
  /** Whether it knows cgroup_enable=; undefined for a file too small to be a whole kernel: nothing follows from what is not in it. */
  readonly knowsCgroupEnable: boolean | undefined;
}

const CONFIG_LIMIT = 4 << 20; // bytes; distribution kernels have about 300 KB of text in 80 KB
const WHOLE_KERNEL = 2 << 20; // bytes; no arm64 kernel that runs a distribution is smaller
const HEADER_INPUT = 4096; // packed bytes that are enough for the first 64
const HEADER = 64;
const ARM64_MAGIC = 0x644d5241; // "ARM\x64" at byte 56: Documentation/arch/arm64/booting.rst
const PAGE_SIZES = [undefined, 4096, 16384, 65536]; // by bits 1 and 2 of the flags
const START = Buffer.from('IKCFG_ST');
const END = Buffer.from('IKCFG_ED');
const MOST_MARKS = 4; // a kernel has one; what is full of them is hostile
const MOST_TRIES = 32;
const PARAMETER = Buffer.from('cgroup_enable=\0'); // __setup("cgroup_enable=", …)

/** As kubeadm reads it: kubernetes/system-validators, kernel_validator.go. Of an option that stands there twice the last one counts. */
export function parseKernelConfig(text: string): KernelOptions {
  const found = new Map<string, OptionState>();
  for (const line of text.split('\n')) {
    const match = /^CONFIG_([A-Z0-9_]+)=([ymn])/.exec(line.trim());
    if (match) found.set(match[1]!, match[2] as OptionState);
  }
  return found;
}

/** The text between the marks, of a kernel or of its module configs.ko; undefined when there is none that can be read. */
export function embeddedConfig(data: Uint8Array): string | undefined {
  const bytes = buffer(data);
  for (let at = bytes.indexOf(START), marks = 0; at >= 0 && marks < MOST_MARKS; at = bytes.indexOf(START, at + 1), marks++) {
    const end = bytes.indexOf(END, at);
    if (end < 0) return undefined;
    const packed = bytes.subarray(at + START.length, end);
    const text = packed.length <= CONFIG_LIMIT && isGzip(packed) ? unpack(packed, CONFIG_LIMIT) : undefined;
    if (text) return text.toString('latin1');
  }
  return undefined;
}

/** Looks through a kernel, unpacked, piece by piece; never more than a piece and CONFIG_LIMIT bytes are held. */
export function searchKernel(pieces: Iterable<Uint8Array>): KernelContents {
  let size = 0;
  let config: string | undefined;
  let isKnown = false;
  let tries = 0;
  let kept: Buffer = Buffer.alloc(0);
  for (const piece of pieces) {
    const data = kept.length === 0 ? buffer(piece) : Buffer.concat([kept, piece]);
    size += piece.length;
    isKnown ||= data.includes(PARAMETER);
    const start = config === undefined && tries < MOST_TRIES ? data.indexOf(START) : -1;
    if (start >= 0 && data.indexOf(END, start) > 0) {
      tries++;
      config = embeddedConfig(data.subarray(start));
    }
    kept = start >= 0 && config === undefined ? data.subarray(start).subarray(-CONFIG_LIMIT) : data.subarray(-PARAMETER.length); // its end may be in the next piece
  }
  return { config, knowsCgroupEnable: isKnown ? true : size < WHOLE_KERNEL ? undefined : false };
}

/** The page size of a kernel from the first bytes of its file (4096 are enough), packed or not. */
export function kernelPageSize(start: Uint8Array): number | undefined {
  const bytes = buffer(start).subarray(0, HEADER_INPUT);
  const header = isGzip(bytes) ? unpack(bytes, HEADER_INPUT * 1100, constants.Z_SYNC_FLUSH) : bytes; // deflate packs to a 1032nd at best
  return header && pageSize(header);
}

/** Names of modules in modules.dep or modules.builtin, "-" written as "_": "kernel/net/bridge/br_netfilter.ko.xz: …" has br_netfilter. */
export function parseModules(text: string): Set<string> {
  const names = text.split('\n').map((line) => /(?:^|\/)([^/:\s]+)\.ko(?:\.(?:gz|xz|zst|bz2))?(?=:|\s*$)/.exec(line.split(':', 1)[0]!)?.[1]);
  return new Set(names.filter((name) => name !== undefined).map(moduleName));
}

/** Modules that modules.alias gives for a name, whose patterns are a shell's; those of hardware (with a ":") are left out. */
export function aliasedModules(text: string, name: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [, pattern, module] = /^alias\s+([^\s:]+)\s+(\S+)$/.exec(line.trim()) ?? [];
    return pattern !== undefined && globFits(moduleName(name), moduleName(pattern)) ? [moduleName(module!)] : [];
  });
}

function pageSize(image: Buffer): number | undefined {
  if (image.length < HEADER || image.readUInt32LE(56) !== ARM64_MAGIC) return undefined;
  return PAGE_SIZES[(image.readUInt8(24) >> 1) & 3];
}

/** With Z_SYNC_FLUSH as much as there is of a file that was cut. Undefined when it is damaged, too long, or followed by something else. */
function unpack(packed: Buffer, limit: number, finishFlush: number = constants.Z_FINISH): Buffer | undefined {
  try {
    const text = gunzipSync(packed, { maxOutputLength: limit, finishFlush });
    return text.length > 0 ? text : undefined;
  } catch {
    return undefined; // zlib's own errors: the caller says what it could not read
  }
}

function isGzip(bytes: Buffer): boolean {
  return bytes.length > 2 && bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 8;
}

function buffer(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
