/** SHA256SUMS, as GNU coreutils writes and reads it ("md5sum invocation" in its manual). */
import { byText } from '../lint/words.js';
import type { FleetReport } from '../model.js';
import { filesOf } from './files.js';

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r' };

/** A line per file, by name in the order of code units. A name with a backslash or a line break is escaped, and its line begins with a backslash to say so. */
export function sha256Sums(report: FleetReport): string {
  return filesOf(report).sort((a, b) => byText(a.name, b.name)).map(({ name, sha256 }) => {
    const escaped = name.replace(/[\\\n\r]/g, (character) => ESCAPES[character]!);
    return `${escaped === name ? '' : '\\'}${sha256}  ${escaped}\n`;
  }).join('');
}
