/** The looks of the page: one sheet for light and dark, wide and narrow, and paper. Nothing is told by colour alone, and no colour has less contrast than 4.5 to 1. */
import { html } from './html.js';

export const STYLE = html`
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --muted: #57606a; --line: #d0d7de; --panel: #f6f8fa; --link: #0550ae;
  --bad: #a40e26; --bad-paper: #ffebe9; --warn: #7a4b00; --warn-paper: #fff4d6; --good: #0f5323; --good-paper: #e3f5e8; --calm: #424a53; --calm-paper: #eaeef2;
  --shade0: #cfe3fb; --shade1: #d8e8c8; --shade2: #f3ddc4; --edge: #57606a; }
@media (prefers-color-scheme: dark) { :root { --paper: #0f1318; --ink: #e6edf3; --muted: #9da7b3; --line: #363d46; --panel: #171c23; --link: #79b8ff;
  --bad: #ffb3ad; --bad-paper: #45161b; --warn: #f2cc60; --warn-paper: #352a08; --good: #7ee2a0; --good-paper: #10301c; --calm: #c3ccd6; --calm-paper: #262d36;
  --shade0: #1d3b5c; --shade1: #2b4423; --shade2: #553b1c; --edge: #9da7b3; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 78rem; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 2rem; line-height: 1.2; }
h2 { margin: 2.25rem 0 .6rem; font-size: 1.3rem; }
h3 { display: inline; margin: 0; font-size: 1rem; }
h4 { margin: .8rem 0 .2rem; font-size: .9rem; }
p { margin: .4rem 0; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code { font: .875em/1.4 ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", monospace; unicode-bidi: isolate; }
span { unicode-bidi: isolate; }
.muted, .id, footer { color: var(--muted); }
.lead { max-width: 60rem; font-size: 1.1rem; }
.sign { white-space: nowrap; font-weight: 600; }
.sign.bad { color: var(--bad); } .sign.warn { color: var(--warn); } .sign.good { color: var(--good); } .sign.calm { color: var(--calm); }
.verdict { display: flex; flex-wrap: wrap; gap: .25rem .9rem; align-items: baseline; margin: 1rem 0; padding: .8rem 1rem; border: 1px solid; border-left-width: 6px; border-radius: 4px; font-size: 1.1rem; color: var(--ink); }
.verdict > div { flex: 1 1 20rem; min-width: 0; }
.verdict a { color: inherit; }
.bad.verdict, .problems > .bad { border-color: var(--bad); background: var(--bad-paper); }
.warn.verdict, .problems > .warn { border-color: var(--warn); background: var(--warn-paper); }
.good.verdict { border-color: var(--good); background: var(--good-paper); }
.calm.verdict { border-color: var(--calm); background: var(--calm-paper); }
.problems { margin: 0; padding: 0; list-style: none; }
.problems > li { margin: .5rem 0; padding: .6rem .9rem; border-left: 6px solid; border-radius: 4px; color: var(--ink); }
.problems > li a { color: inherit; }
.problems .id, .problems .hint { color: var(--ink); }
.findings { margin: .5rem 0; padding-left: 1.2rem; list-style: none; }
.findings > li { margin: .35rem 0; }
.hint { margin: .1rem 0; }
summary { cursor: pointer; }
.disk { display: block; margin: .75rem 0; border: 2px solid var(--edge); border-radius: 3px; }
.disk text { fill: var(--ink); font-size: 13px; }
.disk .strong { font-weight: 700; font-size: 14px; }
.disk .edge { stroke: var(--edge); stroke-width: 2px; }
.shade0 { fill: var(--shade0); } .shade1 { fill: var(--shade1); } .shade2 { fill: var(--shade2); }
table { width: 100%; border-collapse: collapse; font-size: .92rem; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: .45rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { background: var(--panel); white-space: nowrap; overflow-wrap: normal; }
.size { white-space: nowrap; }
.nodes thead th { position: sticky; top: 0; }
tbody th { font-weight: 600; }
tr.bad > * { background: var(--bad-paper); }
tr.bad .muted { color: var(--ink); }
.nodes th:first-child { min-width: 7rem; } .nodes td:nth-child(2) { min-width: 7rem; } .nodes td:nth-child(4) { min-width: 11.5rem; } .nodes td:nth-child(6) { min-width: 9rem; } .nodes td:nth-child(7) { min-width: 8.5rem; }
.node { border: 1px solid var(--line); border-radius: 4px; margin: .4rem 0; }
.node > summary { padding: .5rem .8rem; background: var(--panel); }
.node.bad { border-color: var(--bad); }
.node > div { padding: .2rem 1rem .8rem; scroll-margin-top: 3.5rem; }
.files { margin: 0; padding-left: 1.2rem; columns: 22rem; }
footer { margin-top: 2.5rem; padding-top: .8rem; border-top: 1px solid var(--line); font-size: .9rem; }
@media screen and (max-width: 56rem) {
  body { padding: 1rem .75rem 2rem; }
  h1 { font-size: 1.6rem; }
  .disk .wide { display: none; }
  th, td { padding: .3rem .35rem; }
  thead th { white-space: normal; }
  .cards thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .cards, .cards tbody, .cards tr, .cards th, .cards td { display: block; min-width: 0; }
  .cards tr { margin: .6rem 0; border: 1px solid var(--line); border-radius: 4px; }
  .cards tr.bad { border-color: var(--bad); }
  .cards tbody th, .cards td { display: grid; grid-template-columns: 9rem minmax(0, 1fr); gap: 0 .75rem; padding: .25rem .75rem; border: 0; }
  .cards tbody th { padding-top: .5rem; } .cards td:last-child { padding-bottom: .5rem; }
  .cards tbody th::before, .cards td::before { content: attr(data-label); grid-row: 1 / span 9; color: var(--muted); font-weight: 400; }
  .cards tr.bad > *::before { color: var(--ink); }
  .cards tbody th > *, .cards td > * { grid-column: 2; }
}
@media screen and (max-width: 30rem) { table { font-size: .82rem; } }
@media print {
  :root { font-size: 8.5pt; color-scheme: light; --paper: #ffffff; --ink: #000000; --muted: #404040; --line: #a0a0a0; --panel: #f2f2f2; --link: #000000;
    --bad: #7d0014; --bad-paper: #ffffff; --warn: #5c3a00; --warn-paper: #ffffff; --good: #0b3d1a; --good-paper: #ffffff; --calm: #303030; --calm-paper: #ffffff;
    --shade0: #e8e8e8; --shade1: #ffffff; --shade2: #d0d0d0; --edge: #000000; }
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; }
  .disk text, .disk .strong { font-size: 9.5px; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  summary { list-style: none; }
  nav { display: none; }
  .nodes thead th { position: static; }
  h2, h3, h4, summary { break-after: avoid; }
  tr, .problems > li, .findings > li, .disk { break-inside: avoid; }
}
`;
