/** The partitions of the base image: a drawing to scale, and the same as a table. Widths are percentages, so that its text stays readable at any width. */
import type { PartitionReport } from '../model.js';
import { html, NOTHING, type Markup } from './html.js';
import { counted, listed, sizeText } from './phrases.js';

/** Percent; a smaller partition is drawn this wide, so that it can be seen and its number be read. */
const LEAST = 3;
/** Percent; a narrower one has only its number in it where the page is narrow, or anywhere. */
const ROOMY = 22;
const FITTING = 7;
/** Percent of the image; less free space between partitions is not drawn. */
const GAP_SEEN = 1;

export interface Strip {
  /** undefined: space that no partition has. */
  readonly partition: PartitionReport | undefined;
  /** Percent of the drawing. */
  readonly width: number;
  /** Whether it is drawn wider than it is. */
  readonly isWidened: boolean;
}

/** What is drawn, from left to right; the widths add up to 100. Any numbers make a drawing: partitions that overlap stand side by side. */
export function stripsOf(partitions: readonly PartitionReport[], imageBytes: number): Strip[] {
  const parts: { partition: PartitionReport | undefined; bytes: number }[] = [];
  let end = 0;
  for (const partition of [...partitions].sort((a, b) => a.start - b.start)) {
    parts.push({ partition: undefined, bytes: Math.max(0, partition.start - end) }, { partition, bytes: Math.max(0, partition.length) });
    end = Math.max(end, partition.start + partition.length);
  }
  parts.push({ partition: undefined, bytes: Math.max(0, imageBytes - end) });
  const total = Math.max(1, parts.reduce((sum, { bytes }) => sum + bytes, 0));
  const seen = parts.filter(({ partition, bytes }) => partition !== undefined || bytes / total > GAP_SEEN / 100);
  const least = Math.min(LEAST, 60 / seen.length);
  return widened(seen.map(({ partition, bytes }) => ({ partition, width: (100 * bytes) / total })), least);
}

/** Gives the smallest their least width and takes it from the others in proportion. */
function widened(parts: readonly { readonly partition: PartitionReport | undefined; readonly width: number }[], least: number): Strip[] {
  if (parts.every(({ width }) => width === 0)) return parts.map(({ partition }) => ({ partition, width: 100 / parts.length, isWidened: true }));
  const small = parts.map(({ width }) => width < least);
  for (;;) {
    const room = 100 - least * small.filter(Boolean).length;
    const large = parts.reduce((sum, { width }, at) => sum + (small[at] ? 0 : width), 0);
    const next = parts.findIndex(({ width }, at) => !small[at] && (width * room) / large < least);
    if (next < 0) return parts.map(({ partition, width }, at) => ({ partition, width: small[at] ? least : (width * room) / large, isWidened: small[at]! }));
    small[next] = true;
  }
}

export function partitionSection(partitions: readonly PartitionReport[], imageBytes: number): Markup {
  if (partitions.length === 0) return html`<p>Nothing is known of the partitions of the base image.</p>`;
  const strips = stripsOf(partitions, imageBytes);
  const free = imageBytes - partitions.reduce((sum, { length }) => sum + length, 0);
  const wider = strips.flatMap(({ partition, isWidened }) => (partition && isWidened ? [String(partition.number)] : []));
  return html`<p>The base image is a disk of ${sizeText(imageBytes)} with ${counted(partitions.length, 'partition')}, drawn to scale${free > 0 ? `; ${sizeText(free)} belong to none` : ''}.${wider.length > 0
    ? ` Too small to be seen at that scale, and drawn wider: ${wider.length === 1 ? 'partition' : 'partitions'} ${listed(wider)}.` : ''}</p>
${drawing(strips, partitions)}
<table><caption>Partitions of the base image</caption>
<thead><tr><th scope="col">No.</th><th scope="col">Mounted at</th><th scope="col">Size</th><th scope="col">Holds</th><th scope="col">Label</th><th scope="col">Starts at</th></tr></thead>
<tbody>${partitions.map(row)}</tbody></table>`;
}

function row({ number, mountedAt, length, holds, label, start }: PartitionReport): Markup {
  return html`<tr><th scope="row">${number}</th><td>${mountedAt === null ? 'nowhere' : html`<code>${mountedAt}</code>`}</td><td class="size">${sizeText(length)}</td><td>${holds}</td><td>${label === '' ? 'none' : html`<code>${label}</code>`}</td><td class="size">${sizeText(start)}</td></tr>
`;
}

const HEIGHT = 76; // CSS pixels

function drawing(strips: readonly Strip[], partitions: readonly PartitionReport[]): Markup {
  let left = 0;
  const boxes = strips.map((strip, at) => {
    const box = html`<svg x="${left.toFixed(3)}%" width="${strip.width.toFixed(3)}%" height="${HEIGHT}">${strip.partition ? partitionBox(strip.partition, strip.width, at) : freeBox(strip.width)}${at === 0 ? NOTHING : html`<line class="edge" x1="1" y1="0" x2="1" y2="${HEIGHT}"/>`}</svg>`;
    left += strip.width;
    return box;
  });
  const told = partitions.map(({ number, mountedAt, length }) => `${number}: ${mountedAt ?? 'not mounted'}, ${sizeText(length)}`).join('; ');
  return html`<svg class="disk" role="img" aria-label="Partitions from left to right. ${told}" width="100%" height="${HEIGHT}">${boxes}</svg>
`;
}

function partitionBox({ number, mountedAt, holds, length }: PartitionReport, width: number, at: number): Markup {
  const fits = width >= FITTING;
  const when = width < ROOMY ? 'wide' : 'always';
  const words = fits ? html`<tspan class="${when}" dx="8">${mountedAt ?? holds}</tspan>` : NOTHING;
  const below = fits ? html`<text x="10" y="45" class="${when}">${sizeText(length)}</text><text x="10" y="64" class="${when}">${holds}</text>` : NOTHING;
  return html`<title>Partition ${number}: ${mountedAt ?? 'not mounted'}, ${sizeText(length)}, ${holds}</title><rect class="shade${at % 3}" width="100%" height="${HEIGHT}"/><text x="10" y="24" class="strong">${number}${words}</text>${below}`;
}

function freeBox(width: number): Markup {
  return html`<title>Space that no partition has</title>${width < ROOMY ? NOTHING : html`<text x="10" y="24">free</text>`}`;
}
