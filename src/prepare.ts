/** `prepare`: an image as it is, encoded in blocks, so that every later build on it copies what it does not change. */
import { formatOfName, openImage } from './codec/codec.js';
import { encodeImage, type EncodeOptions } from './codec/encode.js';
import { RockberryError } from './errors.js';
import { checkOutput, stageOutput } from './output/atomic.js';
import { silentProgress, type Progress } from './report.js';

export interface PrepareOptions {
  readonly image: string;
  readonly output: string;
  readonly force: boolean;
  readonly encode: Pick<EncodeOptions, 'blockSize' | 'preset'>;
  readonly progress?: Progress;
}

export interface PrepareResult {
  readonly image: string;
  readonly output: string;
  readonly sha256: string;
  /** Of the output file. */
  readonly bytes: number;
  /** Blocks, members or frames; 0 for a raw output. */
  readonly blocks: number;
}

export async function prepare({ image, output, force, encode, progress = silentProgress }: PrepareOptions): Promise<PrepareResult> {
  const format = formatOfName(output);
  checkOutput(output, force, [image]);
  progress.phase(`opening ${image}`);
  const decoded = await openImage(image, { progress });
  try {
    progress.phase(`writing ${output}`);
    const staged = await stageOutput(output, encodeImage(decoded.device, format, { ...encode, progress, prefetch: decoded.prefetch }), { force, sparse: format === 'raw' });
    try {
      const blocks = await readBack(staged.path, output, decoded.device.size);
      staged.commit();
      return { image, output, sha256: staged.sha256, bytes: staged.bytes, blocks };
    } catch (error) {
      staged.discard();
      throw error;
    }
  } finally {
    progress.finish();
    decoded.close();
  }
}

async function readBack(path: string, output: string, size: number): Promise<number> {
  const written = await openImage(path);
  try {
    await written.scan();
    if (written.device.size !== size) throw new RockberryError('io', `expected ${output} to read back as ${size} bytes, found ${written.device.size}`);
    return written.chunks.length;
  } finally {
    written.close();
  }
}
