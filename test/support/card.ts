/** Flashing onto a card that holds something already: bmaptool's own copier, which does not empty a file as its command does. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { output, run, type Ran } from './oracle.js';

/** `needs(...cardPrograms)`. */
export const cardPrograms = ['bmaptool'] as const;

const COPY = `
import sys
from bmaptools import BmapCopy, TransRead
image, bmap, card = sys.argv[1:]
try:
    BmapCopy.BmapCopy(TransRead.TransRead(image), open(card, 'r+b'), open(bmap, 'rb')).copy(True, True)
except BmapCopy.Error as error:
    sys.exit(str(error))
`;

/** Copies an image (raw or packed) by its block map and verifies each range; status 1 when a check sum is wrong. */
export function copyOntoCard(image: string, map: string, card: string): Ran {
  const shebang = output('sh', ['-c', 'head -n 1 "$(command -v bmaptool)"']).toString();
  return run(shebang.replace(/^#!\s*/, '').trim(), ['-c', COPY, image, map, card]); // the python that has bmaptool's modules
}

/** A card of that size, full of something that is neither zeros nor any structure. */
export function usedCard(path: string, bytes: number, filler = 0xaa): string {
  const descriptor = openSync(path, 'w');
  const piece = Buffer.alloc(1 << 20, filler);
  for (let at = 0; at < bytes; at += piece.length) writeSync(descriptor, piece, 0, Math.min(piece.length, bytes - at), at);
  closeSync(descriptor);
  return path;
}
