/** The list of what is wrong, and findings wherever they are shown. */
import type { Finding } from '../../report.js';
import type { FleetReport } from '../model.js';
import { html, NOTHING, type Markup } from './html.js';
import { counted, grouped, severitySign, statusSign, type Sign } from './phrases.js';
import type { Problem } from './problems.js';

/** Nodes that are named before the rest is folded away; and problems. */
const NAMED = 8;
const LISTED = 12;

/** The anchor of a node's part; by its place, as names may be anything, and twice the same. */
export const anchorOf = (at: number): string => `n${at + 1}`;

export function nodeLink({ nodes }: FleetReport, at: number): Markup {
  return html`<a href="#${anchorOf(at)}"><bdi>${nodes[at]!.name}</bdi></a>`;
}

/** The links of the first few nodes, and how many more there are. */
export function nodeLinks(report: FleetReport, nodes: readonly number[]): Markup {
  const links = nodes.slice(0, NAMED).map((at, index) => html`${index > 0 ? ', ' : ''}${nodeLink(report, at)}`);
  return html`${links}${nodes.length > NAMED ? html` and <a href="#wrong">${grouped(nodes.length - NAMED)} more</a>` : NOTHING}`;
}

export function signMarkup({ mark, word, tone }: Sign): Markup {
  return html`<span class="sign ${tone}"><span aria-hidden="true">${mark}</span> ${word}</span>`;
}

export function problemList(report: FleetReport, problems: readonly Problem[]): Markup {
  if (problems.length === 0) return html`<p>${signMarkup({ mark: '✓', word: 'Nothing', tone: 'good' })} No node failed, and no check found an error or a warning.</p>`;
  const urgent = problems.filter(({ kind }, at) => kind === 'failed' || at < LISTED);
  const others = problems.slice(urgent.length);
  const list = (some: readonly Problem[]): Markup => html`<ol class="problems">${some.map((problem) => problemItem(report, problem))}</ol>`;
  return html`${list(urgent)}${others.length === 0 ? NOTHING : html`<details><summary>${grouped(others.length)} more</summary>${list(others)}</details>`}`;
}

function problemItem(report: FleetReport, { kind, message, subject, id, hint, causes, nodes }: Problem): Markup {
  const sign = kind === 'failed' ? statusSign(report.nodes[nodes[0]!]!) : severitySign(kind);
  const isMany = nodes.length > NAMED && nodes.length < report.nodes.length;
  const place = subject === undefined ? NOTHING : html`${nodes.length > 0 ? ', ' : ''}<code>${subject}</code>`;
  return html`<li class="${sign.tone}">${signMarkup(sign)} <strong>${whoMarkup(report, nodes, subject)}${place}</strong>: <span>${message}</span>${idMarkup(id)}${hintMarkup(hint)}${causes.length === 0 ? NOTHING : findingList(causes)}${isMany ? allLinks(report, nodes) : NOTHING}</li>
`;
}

function whoMarkup(report: FleetReport, nodes: readonly number[], subject: string | undefined): Markup {
  if (nodes.length === 0) return html`${subject === undefined ? 'the whole fleet' : ''}`;
  if (nodes.length > 1 && nodes.length === report.nodes.length) return html`all ${counted(nodes.length, 'node')}`;
  return nodes.length > NAMED ? html`${counted(nodes.length, 'node')}` : nodeLinks(report, nodes);
}

function allLinks(report: FleetReport, nodes: readonly number[]): Markup {
  return html`<details><summary>Which nodes</summary>${nodes.map((at, index) => html`${index > 0 ? ', ' : ''}${nodeLink(report, at)}`)}</details>`;
}

export function findingList(findings: readonly Finding[]): Markup {
  return html`<ul class="findings">${findings.map(({ severity, id, subject, message, hint }) => html`<li>${signMarkup(severitySign(severity))} <code>${subject}</code>: <span>${message}</span>${idMarkup(id)}${hintMarkup(hint)}</li>
`)}</ul>`;
}

function idMarkup(id: string | undefined): Markup {
  return id === undefined ? NOTHING : html` <code class="id">[${id}]</code>`;
}

function hintMarkup(hint: string | undefined): Markup {
  return hint === undefined ? NOTHING : html`<p class="hint"><strong>What to do:</strong> <span>${hint}</span></p>`;
}
