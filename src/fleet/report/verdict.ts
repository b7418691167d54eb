/** The first thing that is read: whether the fleet is all right, and if not, who is concerned. */
import type { FleetReport } from '../model.js';
import { html, type Markup } from './html.js';
import { counted, readyFor, type Sign } from './phrases.js';
import { nodeLinks, signMarkup } from './problem-list.js';
import type { Problem } from './problems.js';

/** Of the browser's tab and of the printed page. */
export function titleOf({ nodes, tool }: FleetReport): string {
  const failed = nodes.filter(({ status }) => status === 'failed').length;
  return `Fleet of ${counted(nodes.length, 'node')}${failed > 0 ? `, ${failed} failed` : ''} - ${tool.name}`;
}

const BAD: Sign = { mark: '✗', word: 'Failed', tone: 'bad' };
const CARE: Sign = { mark: '!', word: 'Look at it', tone: 'warn' };
const GOOD: Sign = { mark: '✓', word: 'All is well', tone: 'good' };
const NONE: Sign = { mark: '–', word: 'Nothing made', tone: 'calm' };

export function verdict(report: FleetReport, problems: readonly Problem[]): Markup {
  const { nodes } = report;
  const failed = nodes.flatMap(({ status }, at) => (status === 'failed' ? [at] : []));
  const made = nodes.filter(({ status }) => status === 'built' || status === 'current').length;
  const left = nodes.filter(({ status }) => status === 'left').length;
  const planned = nodes.filter(({ status }) => status === 'planned').length;
  const count = (kind: Problem['kind']): number => problems.filter((problem) => problem.kind === kind).length;
  const [errors, warnings] = [count('error'), count('warning')];
  const sign = failed.length > 0 ? BAD : errors + warnings > 0 ? CARE : made > 0 ? GOOD : NONE;
  const sentences = [
    ...(failed.length > 0 ? [html`<strong>${failed.length} of ${counted(nodes.length, 'node')} failed: ${nodeLinks(report, failed)}.</strong>`] : []),
    ...(made > 0 ? [html`${madeText(made, nodes.length, failed.length)} ${readyFor(report)}.`] : []),
    ...(planned > 0 ? [html`${counted(planned, 'node')} would be made; this is a plan, and nothing was written.`] : []),
    ...(left > 0 ? [html`${counted(left, 'node')} ${left === 1 ? 'was' : 'were'} left out of this run.`] : []),
    ...(errors + warnings > 0 ? [html`<a href="#wrong">${[...(errors > 0 ? [counted(errors, 'error')] : []), ...(warnings > 0 ? [counted(warnings, 'warning')] : [])].join(' and ')}</a> to look at.`] : []),
  ];
  return html`<div class="verdict ${sign.tone}">${signMarkup(sign)} <div>${sentences.map((sentence) => html`${sentence} `)}</div></div>`;
}

function madeText(made: number, all: number, failed: number): string {
  if (made === all) return all === 1 ? 'The node is' : `All ${counted(all, 'node')} are`;
  const others = made + failed === all ? 'The other ' : '';
  return made === 1 ? `${others === '' ? '1\u00a0node' : 'The other node'} is` : `${others}${counted(made, 'node')} are`;
}
