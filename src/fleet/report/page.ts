/** report.html: a fleet on one page that needs nothing else. It loads nothing, runs nothing, and says the same for the same report. */
import { createHash } from 'node:crypto';
import type { FleetReport } from '../model.js';
import { html, NOTHING, textOfMarkup, type Markup } from './html.js';
import { nodePart, nodeTable, sharedPart } from './nodes.js';
import { partitionSection } from './partitions.js';
import { counted, grouped, madeHow, roleCounts, sizeText } from './phrases.js';
import { problemList } from './problem-list.js';
import { problemsOf } from './problems.js';
import { sharedOf } from './shared.js';
import { STYLE } from './style.js';
import { titleOf, verdict } from './verdict.js';

/** Nothing may be loaded or run; of styles only this page's own, told by its hash (Content Security Policy Level 3, section 6.7.3.4). */
const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(textOfMarkup(STYLE)).digest('base64')}'; base-uri 'none'; form-action 'none'`;

/** The page as HTML, to be written as UTF-8. Everything in the report counts as hostile text. Does not throw for anything that the type allows. */
export function reportPage(report: FleetReport): string {
  const problems = problemsOf(report);
  const shared = sharedOf(report);
  return textOfMarkup(html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${titleOf(report)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<p class="muted">${report.tool.name} fleet report</p>
<h1>Fleet of ${counted(report.nodes.length, 'node')}</h1>
<p class="lead">${leadOf(report)}</p>
${verdict(report, problems)}
<nav aria-label="Parts of this page">${Object.entries(PARTS).map(([id, title], at) => html`${at > 0 ? ' · ' : ''}<a href="#${id}">${title}</a>`)}</nav>
</header>
<main>
${section('wrong', problemList(report, problems))}
${section('disk', partitionSection(report.partitions, report.base.imageBytes))}
${section('nodes', nodeTable(report))}
${section('details', html`${sharedPart(shared)}${report.nodes.map((node, at) => nodePart(node, at, shared))}`)}
</main>
<footer>${footer(report)}</footer>
</body>
</html>
`);
}

const PARTS = { wrong: 'What is wrong', disk: 'The disk', nodes: 'The nodes', details: 'Node by node' } as const;

function section(id: keyof typeof PARTS, content: Markup): Markup {
  return html`<section aria-labelledby="${id}"><h2 id="${id}">${PARTS[id]}</h2>
${content}</section>`;
}

/** What the fleet is, in a sentence. */
function leadOf(report: FleetReport): Markup {
  const { inventory, base, nodes, tool, shard } = report;
  const roles = roleCounts(nodes);
  const part = shard === null ? NOTHING : html` This is part ${shard.index + 1} of ${shard.count} of the fleet.`;
  const isPlan = nodes.some(({ status }) => status === 'planned');
  return html`${counted(nodes.length, 'Raspberry Pi', 'Raspberry Pis')}${roles === '' ? '' : ` (${roles})`} of the inventory <code>${inventory}</code>, ${isPlan ? 'to be made' : 'made'} from the base image <code>${base.name}</code> (${base.format}, ${sizeText(base.bytes)}; as a disk ${sizeText(base.imageBytes)}) ${madeHow(report)}, by ${tool.name} ${tool.version}.${part}`;
}

function footer({ as, base, tool }: FleetReport): Markup {
  const imager = as === 'patch' ? NOTHING : html` <code>os_list.json</code> lists the images for Raspberry Pi Imager.`;
  return html`<p>Beside this page: <code>SHA256SUMS</code>, checked by <code>sha256sum -c SHA256SUMS</code>; <code>fleet.json</code>, this report for programs.${imager}</p>
<p>Base image: <code>${base.name}</code>, ${grouped(base.bytes)} bytes, sha256 <code>${base.sha256}</code>. Made by ${tool.name} ${tool.version}.</p>`;
}
