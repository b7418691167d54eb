/** The partition table is judged by the bytes that are written, not by the base that the image was opened from. */
import { expect, test } from 'vitest';
import { forkImage, openImageFile } from '../../src/image/image.js';
import { verifyTable } from '../../src/verify/table.js';
import { packedSample } from '../support/samples.js';

test('what was written over the table is found, in the image and in a fork of it', async () => {
  const image = await openImageFile(packedSample('rocky9-pi-sample'));
  try {
    const base = image.decoded.device;
    expect(verifyTable(image, base)).toEqual([]);
    image.overlay.write(440, Uint8Array.of(1, 2, 3, 4)); // the disk id: root=PARTUUID= hangs on it
    for (const written of [image, await forkImage(image)]) expect(verifyTable(written, base)).toMatchObject([{ severity: 'error', id: 'table-changed' }]);
  } finally {
    image.close();
  }
});
