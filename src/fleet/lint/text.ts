/** Findings of fleet lint as text for people: the same problem of many nodes is told once. */
import type { Finding } from '../../report.js';
import { some } from './words.js';

const MARK: Readonly<Record<Finding['severity'], string>> = { error: 'error', warning: 'warning', info: 'note' };

/** One finding under the other, and a line with their numbers. Names may still hold control characters: they are the terminal's to escape. */
export function lintText(findings: readonly Finding[]): string {
  const alike = new Map<string, Finding[]>();
  for (const finding of findings) {
    const key = [finding.id, finding.severity, finding.message, finding.hint].join('\0');
    const group = alike.get(key);
    if (group) group.push(finding);
    else alike.set(key, [finding]);
  }
  const lines = [...alike.values()].flatMap(([first, ...others]) => {
    const { severity, id, subject, message, hint } = first!;
    const subjects = others.length === 0 ? subject : some([subject, ...others.slice(0, 3).map((one) => one.subject)], others.length + 1);
    return [`  ${MARK[severity]}: ${oneLine(subjects)}: ${oneLine(message)} [${id}]`, ...(hint === undefined ? [] : [`    hint: ${oneLine(hint)}`])];
  });
  return [...lines, ...(lines.length > 0 ? [''] : []), summary(findings)].join('\n');
}

function summary(findings: readonly Finding[]): string {
  const [errors, warnings, notes] = (['error', 'warning', 'info'] as const).map((severity) => findings.filter((finding) => finding.severity === severity).length);
  if (findings.length === 0) return 'nothing found';
  return [[errors, 'error'], [warnings, 'warning'], [notes, 'note']].map(([count, word]) => `${count} ${word}${count === 1 ? '' : 's'}`).join(', ');
}

function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, ' ');
}
