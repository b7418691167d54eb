/** Cards that were pulled from a running node: their ext4 is as the kernel left it in the middle of its work. Looked at, they need what a mount would do first. */
import { sliceDevice } from '../device/device.js';
import { replayJournal, type Replayed } from '../fs/ext4/journal.js';
import { forkImage, type Image } from './image.js';

export interface Recovered extends Replayed {
  /** Number of the partition. */
  readonly partition: number;
}

/**
 * The image with the journals of its ext4 filesystems replayed in memory, and which ones those were. The file or card is only read. The result is another view
 * of the image that was given, which stays open and is closed by its owner; closing the result's overlay frees what it keeps. Errors: those of replayJournal.
 */
export async function recoverImage(image: Image): Promise<{ readonly image: Image; readonly recovered: readonly Recovered[] }> {
  const waiting = image.partitions.filter(({ problem }) => problem?.code === 'refused');
  const recovered = waiting.flatMap(({ number, start, length }): Recovered[] => {
    const replayed = replayJournal(sliceDevice(image.overlay, start, length));
    return replayed ? [{ partition: number, ...replayed }] : [];
  });
  return { image: await forkImage(image), recovered };
}
