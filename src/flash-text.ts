/** What was done to cards, for people. */
import type { FixReport, UndoReport } from './flash/fix.js';
import type { CardReport, FlashReport } from './flash/flash.js';
import { placeText } from './flash/locate.js';
import { hasErrors } from './report.js';
import { findingLines, humanBytes, printable } from './terminal.js';

export function flashText({ image, cards, seconds }: FlashReport): string {
  return [...cards.flatMap(cardLines), `${image}: ${cards.filter(({ isWritten }) => isWritten).length} of ${cards.length} cards in ${seconds.toFixed(1)} s`].join('\n');
}

function cardLines(card: CardReport): string[] {
  const { device, node, findings, error } = card;
  const name = node === null ? printable(device) : `${printable(device)} (${printable(node)})`;
  const notes = findingLines(findings);
  if (error) return [`${name}: FAILED: ${error.message}`, ...(error.places.length > 0 ? [`  ${placeText(error.places)}`] : []), ...(error.hint === null ? [] : [`  hint: ${error.hint}`]), ...notes];
  return [card.isWritten ? `${name}: ${amounts(card)}` : `${name}: not written, because of these errors:`, ...notes];
}

function amounts({ written, skipped, verified, discarded, isDirect }: CardReport): string {
  const parts = [`${humanBytes(written)} written`, ...(skipped > 0 ? [`${humanBytes(skipped)} were there`] : []), ...(discarded > 0 ? [`${humanBytes(discarded)} discarded`] : [])];
  const proof = verified === 0 ? 'not read back' : `${humanBytes(verified)} read back${isDirect ? '' : ', through the cache of the host: its filesystem has no direct I/O'}`;
  return [...parts, proof].join(', ');
}

export function fixText({ device, tookBack, changed, files, findings, undo }: FixReport): string {
  const touched = files.filter(({ action }) => action !== 'unchanged');
  const bytes = changed.reduce((sum, { length }) => sum + length, 0);
  return [
    ...(tookBack ? [`${printable(device)}: an earlier fix that was interrupted was taken back first`] : []),
    ...touched.map(({ path, action }) => `  ${action.padEnd(9)} ${printable(path)}`), ...findingLines(findings),
    hasErrors(findings) ? `${printable(device)}: not written, because of these errors` : changed.length === 0 ? `${printable(device)}: nothing to change` : `${printable(device)}: ${humanBytes(bytes)} ${undo === null ? 'would change' : `changed and read back; to take it back: rockberry fix ${printable(device)} --undo`}`,
  ].join('\n');
}

export function undoText({ device, restored }: UndoReport): string {
  return `${printable(device)}: ${humanBytes(restored.reduce((sum, { length }) => sum + length, 0))} put back as they were, and read back`;
}
