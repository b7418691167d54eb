/**
 * Block maps, version 2.0, as bmaptool writes and reads them (bmap-tools, bmaptools/BmapCreate.py and BmapCopy.py): which blocks of a raw image have to be
 * copied, and the SHA-256 of each range, so that the copy is checked on the way. The text is the one that `bmaptool create` would write, comments and all.
 */
import { createHash } from 'node:crypto';
import { rangeEnd, type Range } from '../bytes/ranges.js';

const BLOCK = 4096;

export interface HashedRange extends Range {
  /** Of the range's bytes; lower-case hexadecimal. */
  readonly sha256: string;
}

/**
 * Cuts mapped ranges at the borders of a base's chunks, so that the hash of a range that lies in untouched chunks stays the same from build to build.
 * @param mapped sorted, disjoint, on borders of 4096 bytes (the last may end where the image does): what mappedRanges gives
 * @param cuts sorted offsets in bytes of the raw image; one between two blocks cuts at the next block, so a range may reach into the following chunk by less
 *   than a block
 */
export function planRanges(mapped: readonly Range[], cuts: readonly number[]): Range[] {
  const planned: Range[] = [];
  let next = 0;
  for (const range of mapped) {
    let at = range.offset;
    for (; next < cuts.length; next++) {
      const cut = Math.ceil(cuts[next]! / BLOCK) * BLOCK;
      if (cut >= rangeEnd(range)) break;
      if (cut > at) planned.push({ offset: at, length: cut - at });
      at = Math.max(at, cut);
    }
    planned.push({ offset: at, length: rangeEnd(range) - at });
  }
  return planned;
}

/** The map as a file's text. `imageSize` in bytes; ranges as planRanges gives them. */
export function bmapText(imageSize: number, ranges: readonly HashedRange[]): string {
  const zeros = '0'.repeat(64);
  const [before, after] = partsOf(imageSize, ranges);
  const sum = createHash('sha256').update(before + zeros + after).digest('hex'); // bmaptool: over the file with zeros in its own place
  return before + sum + after;
}

/** The text before and behind the file's own check sum. */
function partsOf(imageSize: number, ranges: readonly HashedRange[]): [string, string] {
  const blocks = Math.ceil(imageSize / BLOCK);
  const mapped = ranges.reduce((sum, { length }) => sum + Math.ceil(length / BLOCK), 0);
  const size = humanSize(imageSize);
  // bmaptool leaves room for both counts and writes over it when it knows them.
  const share = `${humanSize(mapped * BLOCK)} or ${(blocks === 0 ? 0 : (mapped * 100) / blocks).toFixed(1)}%`.padEnd(`${size} or 100.0%`.length + 3);
  const before = `${HEAD}
    <!-- Image size in bytes: ${size} -->
    <ImageSize> ${imageSize} </ImageSize>

    <!-- Size of a block in bytes -->
    <BlockSize> ${BLOCK} </BlockSize>

    <!-- Count of blocks in the image file -->
    <BlocksCount> ${blocks} </BlocksCount>

    <!-- Count of mapped blocks: ${share}-->
    <MappedBlocksCount> ${String(mapped).padEnd(String(blocks).length)} </MappedBlocksCount>

    <!-- Type of checksum used in this file -->
    <ChecksumType> sha256 </ChecksumType>

    <!-- The checksum of this bmap file. When it is calculated, the value of
         the checksum has be zero (all ASCII "0" symbols).  -->
    <BmapFileChecksum> `;
  const after = ` </BmapFileChecksum>

    <!-- The block map which consists of elements which may either be a
         range of blocks or a single block. The 'chksum' attribute
         (if present) is the checksum of this blocks range. -->
    <BlockMap>
${ranges.map(rangeLine).join('')}    </BlockMap>
</bmap>
`;
  return [before, after];
}

function rangeLine({ offset, length, sha256 }: HashedRange): string {
  const first = offset / BLOCK;
  const last = Math.ceil((offset + length) / BLOCK) - 1;
  return `        <Range chksum="${sha256}"> ${first === last ? first : `${first}-${last}`} </Range>\n`;
}

/** As bmaptools/BmapHelpers.py has it. */
function humanSize(bytes: number): string {
  if (bytes < 512) return bytes === 1 ? '1 byte' : `${bytes} bytes`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  const fits = units.findIndex((_, index) => bytes / 1024 ** (index + 1) < 1024);
  const power = fits < 0 ? units.length : fits + 1;
  return `${(bytes / 1024 ** power).toFixed(1)} ${units[power - 1]}`;
}

const HEAD = `<?xml version="1.0" ?>
<!-- This file contains the block map for an image file, which is basically
     a list of useful (mapped) block numbers in the image file. In other words,
     it lists only those blocks which contain data (boot sector, partition
     table, file-system metadata, files, directories, extents, etc). These
     blocks have to be copied to the target device. The other blocks do not
     contain any useful data and do not have to be copied to the target
     device.

     The block map an optimization which allows to copy or flash the image to
     the image quicker than copying of flashing the entire image. This is
     because with bmap less data is copied: <MappedBlocksCount> blocks instead
     of <BlocksCount> blocks.

     Besides the machine-readable data, this file contains useful commentaries
     which contain human-readable information like image size, percentage of
     mapped data, etc.

     The 'version' attribute is the block map file format version in the
     'major.minor' format. The version major number is increased whenever an
     incompatible block map format change is made. The minor number changes
     in case of minor backward-compatible changes. -->

<bmap version="2.0">`;
