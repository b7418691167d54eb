/** The nodes: a table of all, and a part for each with its findings and with what was changed in its image. */
import type { FileAction, FileActionKind, Finding } from '../../report.js';
import type { FleetReport, NodeReport } from '../model.js';
import { html, NOTHING, type Markup, type Piece } from './html.js';
import { counted, grouped, rolesOf, sizeText, statusSign } from './phrases.js';
import { anchorOf, findingList, nodeLink, signMarkup } from './problem-list.js';
import { own, type Shared } from './shared.js';

/** More of one node are only counted: fleet.json has all. */
const FILES_SHOWN = 200;
const FINDINGS_SHOWN = 50;

const COLUMNS = ['Node', 'Status', 'Role, groups', 'Address, hardware', 'Profiles', 'File', 'Size, sha256'] as const;

export function nodeTable(report: FleetReport): Markup {
  return html`<table role="table" class="cards nodes"><caption>All nodes of the fleet</caption>
<thead role="rowgroup"><tr role="row">${COLUMNS.map((name) => html`<th role="columnheader" scope="col">${name}</th>`)}</tr></thead>
<tbody role="rowgroup">${report.nodes.map((node, at) => nodeRow(report, node, at))}</tbody></table>`;
}

function nodeRow(report: FleetReport, node: NodeReport, at: number): Markup {
  const cells = [
    html`${signMarkup(statusSign(node))}${troubles(node)}`,
    lines([rolesOf(node).join(', '), muted(node.groups.join(', '))]),
    lines([[node.address, node.board].filter((part) => part !== null).join(', '), node.mac === null ? '' : `MAC ${node.mac}`, node.serial === null ? '' : `serial ${node.serial}`]),
    lines(node.profiles),
    lines([node.output === null ? '' : html`<code>${node.output}</code>`]),
    lines([node.bytes === null ? '' : sizeText(node.bytes), node.sha256 === null ? '' : html`<code title="${node.sha256}">${node.sha256.slice(0, 12)}…</code>`]),
  ];
  return html`<tr role="row" class="${statusSign(node).tone}"><th role="rowheader" scope="row" data-label="Node">${nodeLink(report, at)}</th>${cells.map((cell, column) => html`<td role="cell" data-label="${COLUMNS[column + 1]!}">${cell}</td>`)}</tr>
`;
}

/** One under the other, without what is empty; "none" when all is. */
function lines(pieces: readonly Piece[]): Markup {
  const told = pieces.filter((piece) => piece !== '' && piece !== NOTHING);
  return told.length === 0 ? html`<span class="muted">none</span>` : html`${told.map((piece) => html`<div>${piece}</div>`)}`;
}

const muted = (text: string): Markup => (text === '' ? NOTHING : html`<span class="muted">${text}</span>`);

/** "2 errors, 1 warning", under the status. */
function troubles({ findings }: NodeReport): Markup {
  const text = troubleText(findings);
  return text === '' ? NOTHING : html`<div class="muted">${text}</div>`;
}

function troubleText(findings: readonly Finding[]): string {
  return (['error', 'warning'] as const).flatMap((severity) => {
    const count = findings.filter((finding) => finding.severity === severity).length;
    return count === 0 ? [] : [counted(count, severity)];
  }).join(', ');
}

/** What every node has, once. */
export function sharedPart({ files, findings }: Shared): Markup {
  if (files.length + findings.length === 0) return NOTHING;
  return html`<details class="node"><summary><h3 id="shared">The same in every node that was made</h3> <span class="muted">${counts(files, findings)}</span></summary><div>
${findings.length === 0 ? NOTHING : findingList(findings)}${fileLists(files)}</div></details>
`;
}

export function nodePart(node: NodeReport, at: number, shared: Shared): Markup {
  const isCovered = shared.covers(node);
  const files = isCovered ? own(node.files, shared.files) : node.files;
  const findings = isCovered ? own(node.findings, shared.findings) : node.findings;
  const trouble = troubleText(node.findings);
  const open = node.status === 'failed' ? html` open` : NOTHING;
  return html`<details class="node ${statusSign(node).tone}"${open}><summary><h3><bdi>${node.name}</bdi></h3> ${signMarkup(statusSign(node))} <span class="muted">${trouble === '' ? node.why : trouble}</span></summary><div id="${anchorOf(at)}">
<p>${signMarkup(statusSign(node))} <span>${node.why}</span>${changeText(node)}${readinessText(node)}</p>
${node.sha256 === null ? NOTHING : html`<p class="muted">sha256 <code>${node.sha256}</code></p>`}
${findings.length === 0 ? NOTHING : findingList(findings.slice(0, FINDINGS_SHOWN))}${more(findings.length - FINDINGS_SHOWN, 'finding')}
${fileLists(files)}${isCovered ? alsoText(shared) : NOTHING}</div></details>
`;
}

function changeText({ status, changedBytes, imageBytes }: NodeReport): string {
  if (changedBytes === null) return '';
  return `. ${sizeText(changedBytes)}${imageBytes === null ? '' : ` of ${sizeText(imageBytes)}`} ${status === 'failed' ? 'would differ' : 'differ'} from the base image (${grouped(changedBytes)} bytes)`;
}

function readinessText({ readiness }: NodeReport): string {
  if (readiness === null) return '';
  const by = readiness.target === null ? '' : ` by ${readiness.target}`;
  return `. Ready for Kubernetes${by}: ${readiness.errors === 0 ? 'yes' : 'NO'}, ${counted(readiness.errors, 'error')}, ${counted(readiness.warnings, 'warning')}`;
}

function alsoText({ files, findings }: Shared): Markup {
  return files.length + findings.length === 0 ? NOTHING : html`<p class="muted">And ${counts(files, findings)} that are <a href="#shared">the same in every node that was made</a>.</p>`;
}

function counts(files: readonly FileAction[], findings: readonly Finding[]): string {
  return [
    ...(files.length === 0 ? [] : [counted(files.length, 'file')]), ...(findings.length === 0 ? [] : [counted(findings.length, 'finding')]),
  ].join(' and ');
}

const ACTIONS: readonly (readonly [FileActionKind, string])[] = [['created', 'Created'], ['changed', 'Changed'], ['removed', 'Removed'], ['unchanged', 'Already as asked']];

function fileLists(files: readonly FileAction[]): Markup {
  const shown = files.slice(0, FILES_SHOWN);
  const lists = ACTIONS.flatMap(([kind, title]) => {
    const paths = shown.filter(({ action }) => action === kind);
    return paths.length === 0 ? [] : [html`<h4>${title}: ${counted(paths.length, 'file')}</h4><ul class="files">${paths.map(({ path }) => html`<li><code>${path}</code></li>
`)}</ul>`];
  });
  return html`${lists}${more(files.length - FILES_SHOWN, 'file')}`;
}

function more(count: number, what: string): Markup {
  return count <= 0 ? NOTHING : html`<p class="muted">And ${counted(count, what)} more; fleet.json has all.</p>`;
}
