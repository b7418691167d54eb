/** manifest.json of a patch: what it is for, what it makes, and where its bytes go. One text per content: reading refuses every other spelling of it. */
import { z } from 'zod';
import { equalBytes } from '../../bytes/fields.js';
import { rangeEnd, type Range } from '../../bytes/ranges.js';
import { CHUNK_LIMIT } from '../../codec/chunks.js';
import { PLAIN_LIMIT } from '../../codec/spool.js';
import { RockberryError } from '../../errors.js';
import { byteCount as bytes, fileName as name, parseDocument, problemOf, sha256Text as sha256 } from './document.js';

/** The version of the form: a reader refuses one that it does not know. */
export const PATCH_FORMAT = 1;
/** Bytes of changed ranges that a patch may hold; who places more is better served with an image. */
export const DATA_LIMIT = 512 * 2 ** 20;
export const MANIFEST_LIMIT = 8 * 2 ** 20; // bytes
export const RANGE_LIMIT = 100_000;

const format = z.enum(['raw', 'xz', 'gzip', 'zstd']);
const range = z.strictObject({ offset: bytes, length: z.number().int().positive() });

const manifestSchema = z.strictObject({
  format: z.literal(PATCH_FORMAT),
  tool: z.strictObject({ name: z.string().max(64), version: z.string().max(64) }),
  node: name,
  /** bytes: of the file; imageBytes: of the raw image, the result's too. */
  base: z.strictObject({ name, sha256, bytes, imageBytes: bytes.max(PLAIN_LIMIT), format }),
  /** blockSize in bytes and preset: what the encoder was given, null for its defaults. sha256 and bytes: of the image's file, null where they are not known. */
  output: z.strictObject({
    name, format, blockSize: z.number().int().min(4096).max(CHUNK_LIMIT).nullable(), preset: z.number().int().min(0).max(19).nullable(), sha256: sha256.nullable(), bytes: bytes.nullable(),
  }),
  profiles: z.array(z.strictObject({ name: z.string().max(4096), sha256 })).max(1000),
  /** As they may be shown: secrets hidden. */
  variables: z.record(z.string(), z.unknown()),
  /** Address of all that decided the content. */
  inputs: sha256,
  /** Of the raw image: sorted, disjoint. */
  ranges: z.array(range).max(RANGE_LIMIT),
  /** The ranges' bytes one after the other. */
  data: z.strictObject({ bytes: bytes.max(DATA_LIMIT), sha256 }),
}).check(({ value, issues }) => {
  const problem = rangeProblem(value.ranges, value.base.imageBytes, value.data.bytes);
  if (problem !== undefined) issues.push({ code: 'custom', message: problem, input: value.ranges, path: ['ranges'] });
});

export type PatchManifest = z.output<typeof manifestSchema>;

/** What is wrong with ranges of an image of `imageBytes` that are to hold `dataBytes`. */
function rangeProblem(ranges: readonly Range[], imageBytes: number, dataBytes: number): string | undefined {
  let end = 0;
  let sum = 0;
  for (const [at, each] of ranges.entries()) {
    if (each.offset < end) return `expected sorted ranges that do not overlap, found range ${at} at offset ${each.offset} before ${end}`;
    end = rangeEnd(each);
    if (end > imageBytes) return `expected ranges inside the image of ${imageBytes} bytes, found one that ends at ${end}`;
    sum += each.length;
  }
  return sum === dataBytes ? undefined : `expected ranges of ${dataBytes} bytes together, found ${sum}`;
}

/** The manifest's text; 'usage' for one that could not be read again. */
export function manifestText(manifest: PatchManifest): string {
  const checked = problemOf(manifest, manifestSchema);
  if (typeof checked === 'string') throw new RockberryError('usage', `cannot make a patch for ${manifest.node}: ${checked}`);
  const text = textOf(checked.value);
  if (Buffer.byteLength(text) > MANIFEST_LIMIT) throw new RockberryError('unsupported', `expected a manifest of at most ${MANIFEST_LIMIT} bytes for the patch of ${manifest.node}, found more`);
  return text;
}

function textOf(manifest: PatchManifest): string {
  const variables = Object.fromEntries(Object.entries(manifest.variables).sort(([a], [b]) => (a < b ? -1 : 1)));
  return `${JSON.stringify({ ...manifest, variables })}\n`;
}

/** Errors are 'corrupt'; `what` names the file. */
export function parseManifest(data: Uint8Array, what: string): PatchManifest {
  if (data.length > MANIFEST_LIMIT) throw new RockberryError('corrupt', `${what}: expected at most ${MANIFEST_LIMIT} bytes, found ${data.length}`);
  const text = Buffer.from(data.buffer, data.byteOffset, data.length).toString();
  const { format: found } = parseDocument(text, z.looseObject({ format: z.number() }), what);
  if (found !== PATCH_FORMAT) throw new RockberryError('corrupt', `${what}: expected patch format ${PATCH_FORMAT}, found ${found}`, { hint: 'read it with the version of rockberry that made it' });
  const manifest = parseDocument(text, manifestSchema, what);
  if (!isSpelledAs(data, manifest)) throw new RockberryError('corrupt', `${what}: expected the manifest as rockberry writes it, found another spelling of it`);
  return manifest;
}

/** Keys that come twice, "__proto__" and the like would be read by us in one way and by others in another. */
function isSpelledAs(data: Uint8Array, manifest: PatchManifest): boolean {
  try {
    return equalBytes(data, Buffer.from(textOf(manifest)));
  } catch {
    return false; // nested deeper than can be written
  }
}
