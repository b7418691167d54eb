/** The partition table is what `root=PARTUUID=…` depends on: it must be the base's, bit for bit. */
import { equalBytes } from '../bytes/fields.js';
import type { ReadableDevice } from '../device/device.js';
import type { Image } from '../image/image.js';
import { readPartitionTable, type PartitionTable } from '../partition/table.js';
import type { Finding } from '../report.js';

const GPT_SECTORS = 34; // protective MBR, header, 32 sectors of entries (UEFI 2.10, section 5.3)

export function verifyTable(image: Image, base: ReadableDevice): Finding[] {
  const result = image.overlay; // the bytes as they are, whether or not they were written to a file yet
  if (result.size < base.size) return [differs(`the image is ${result.size} bytes, the base ${base.size}`)];
  if (result.size > base.size) return verifyGrown(image.table, readPartitionTable(base));
  const length = Math.min(GPT_SECTORS * image.table.sectorSize, ...image.partitions.map(({ start }) => start), result.size);
  const places = image.table.scheme === 'gpt' ? [0, result.size - length] : [0];
  const changed = places.find((offset) => !equalBytes(result.read(offset, length), base.read(offset, length)));
  return changed === undefined ? [] : [differs(`bytes from ${changed} on differ from the base`)];
}

/** Of an image that was made larger: everything but the length of the last partition is the base's. */
function verifyGrown(table: PartitionTable, before: PartitionTable): Finding[] {
  const last = Math.max(...before.partitions.map(({ start }) => start));
  const told = ({ diskId, scheme, partitions }: PartitionTable): string => JSON.stringify([diskId, scheme, partitions.map((each) => ({ ...each, length: each.start === last ? 'grown' : each.length }))]);
  return told(table) === told(before) ? [] : [differs('more than the length of the last partition differs from the base')];
}

function differs(message: string): Finding {
  return { severity: 'error', id: 'table-changed', subject: 'partition table', message: `expected the base's partition table bit for bit, but ${message}` };
}
