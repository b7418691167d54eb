/**
 * `shrink`: an image of a card, cut down to what it holds, to be flashed to smaller cards. The root filesystem is shrunk in user space, its partition and the image
 * after it; at the next boot it grows to its card again (step grow_root). The input is only read.
 */
import { formatOfName, type ImageFormat } from './codec/codec.js';
import { encodeImage, type EncodeOptions } from './codec/encode.js';
import { sliceDevice } from './device/device.js';
import { RockberryError } from './errors.js';
import { minimumBlocks } from './fs/ext4/minimum.js';
import { shrinkExt4 } from './fs/ext4/shrink.js';
import { openImageFile, requireRoles, type Image } from './image/image.js';
import { checkOutput, stageOutput } from './output/atomic.js';
import { hashFile } from './output/hashes.js';
import { resizePartition } from './partition/resize.js';
import { hasErrors, silentProgress, type Progress } from './report.js';
import { growRootStep } from './steps/grow_root.js';
import { verifyFilesystems } from './verify/filesystems.js';

export interface ShrinkOptions {
  readonly image: string;
  readonly output: string;
  readonly force: boolean;
  /** Free bytes that the root filesystem keeps, at least. */
  readonly slack: number;
  /** Whether root grows to its card at the next boot. */
  readonly growAgain: boolean;
  readonly encode: Pick<EncodeOptions, 'blockSize' | 'preset'>;
  readonly progress?: Progress;
}

export interface ShrinkResult {
  readonly image: string;
  readonly output: string;
  readonly sha256: string;
  /** Of the output file. */
  readonly bytes: number;
  /** Of the raw image, before and after. */
  readonly before: number;
  readonly after: number;
  readonly growsAgain: boolean;
}

const MIB = 2 ** 20;
const GPT_BACKUP = 33 * 512; // bytes: entries and header (UEFI 2.10, section 5.3)
/** Where moving needs more room than the estimate has: so many times a bit more. */
const TRIES = 4;

export async function shrink({ image: path, output, force, slack, growAgain, encode, progress = silentProgress }: ShrinkOptions): Promise<ShrinkResult> {
  const format = formatOfName(output);
  checkOutput(output, force, [path]);
  progress.phase(`opening ${path}`);
  const image = await openImageFile(path, { progress, wide: true });
  try {
    requireRoles(image);
    if (growAgain) {
      await growRootStep.apply(image.tree(), true, { directory: '/' });
      image.tree().flush();
    }
    progress.phase('moving what lies behind the new end');
    const after = shrinkLast(image, slack);
    const written = await write(image, after, { output, format, force, encode, progress });
    return { image: path, output, ...written, before: image.overlay.size, after, growsAgain: growAgain };
  } finally {
    progress.finish();
    image.close();
  }
}

/** The size of the raw image that is left. */
function shrinkLast(image: Image, slack: number): number {
  const root = image.roles.root!;
  const behind = image.partitions.find(({ start, extended }) => start > root.start && !extended);
  if (behind) throw new RockberryError('unsupported', `expected the root filesystem on the last partition to shrink it, found partition ${behind.number} behind it`);
  if (root.holds !== 'ext4') throw new RockberryError('unsupported', `expected an ext4 root filesystem to shrink, found ${root.holds}`);
  const { blockSize } = root.filesystem!.info();
  const device = sliceDevice(image.overlay, root.start, root.length);
  const least = minimumBlocks(device) * blockSize + slack;
  const sizes = Array.from({ length: TRIES }, (_, tried) => Math.ceil((least * (1 + tried * 0.02)) / MIB) * MIB);
  const length = sizes.find((size, tried) => size >= root.length || shrinks(() => shrinkExt4(device, Math.floor(size / blockSize)), tried === TRIES - 1)) ?? root.length;
  if (length >= root.length) return image.overlay.size;
  const size = root.start + length + (image.table.scheme === 'gpt' ? MIB : 0);
  resizePartition(image.overlay, root.number, length, size);
  return Math.max(size, root.start + length + (image.table.scheme === 'gpt' ? GPT_BACKUP : 0));
}

/** False when it needs more room, unless it was the last try. */
function shrinks(work: () => unknown, isLast: boolean): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (isLast || !(error instanceof RockberryError) || error.code !== 'no-space') throw error;
    return false;
  }
}

interface Writing extends Pick<ShrinkOptions, 'output' | 'force' | 'encode'> {
  readonly format: ImageFormat;
  readonly progress: Progress;
}

/** Under its name only when it is complete, and its filesystems are sound. */
async function write(image: Image, size: number, { output, format, force, encode, progress }: Writing): Promise<Pick<ShrinkResult, 'sha256' | 'bytes'>> {
  progress.phase(`writing ${output}`);
  const device = sliceDevice(image.overlay, 0, size, 'image');
  const staged = await stageOutput(output, encodeImage(device, format, { ...encode, progress }), { force, sparse: format === 'raw' });
  try {
    progress.phase(`checking ${output}`);
    const reopened = await openImageFile(staged.path, { progress, wide: true });
    try {
      const [worst] = verifyFilesystems(reopened).filter((finding) => hasErrors([finding]));
      if (worst) throw new RockberryError('corrupt', `expected sound filesystems after shrinking, found: ${worst.subject}: ${worst.message}`);
      if (await hashFile(staged.path) !== staged.sha256) throw new RockberryError('io', `expected ${output} to read back as it was written, found another content`);
    } finally {
      reopened.close();
    }
    staged.commit();
    return { sha256: staged.sha256, bytes: staged.bytes };
  } catch (error) {
    staged.discard();
    throw error;
  }
}
