/** More room in the image, before the other steps: done when the image is opened (image/grow.ts). */
import { z } from 'zod';
import { sizeInBytes } from './host-text.js';
import type { Step } from './step.js';

const size = z.string().regex(/^\d{1,6}(?:\.\d)? ?[KMGT]i?B?$/, 'expected a size such as 8GiB or 500MiB');
const schema = z.strictObject({
  size: size.optional().describe('Of the whole image, at least, such as "8GiB".'),
  free: z.union([z.literal('auto'), size]).optional().describe('In the root filesystem before anything is placed, such as "500MiB"; "auto": enough for the files of this host that the steps place.'),
}).refine(({ size: whole, free }) => whole !== undefined || free !== undefined, 'expected "size" or "free"');
export type GrowImageOptions = z.infer<typeof schema>;

export const growImageStep: Step<GrowImageOptions> = {
  key: 'grow_image',
  summary: 'Makes the image, its root partition and the ext4 on it larger, before the other steps.',
  schema,
  describe: ({ size: whole, free }) => `grow the image${whole === undefined ? '' : ` to ${whole}`}${free === undefined ? '' : free === 'auto' ? ' by the need of the files' : `, ${free} free`}`,
  growth: ({ size: whole, free }) => ({ ...(whole !== undefined && { size: sizeInBytes(whole) }), ...(free === 'auto' ? { free } : free !== undefined && { free: sizeInBytes(free) }) }),
  apply: () => undefined,
  verify: () => [], // the size of the image and its partition table are checked for every image
};
