/** Pages as Chromium lays them out: in frames of given widths, light and dark, measured by a script of the page around them, as the pages themselves may run none. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { oracleEnvironment } from '../../support/oracle.js';
import { scratch } from '../../support/cli.js';

export interface View { readonly page: string; readonly width: number; readonly dark?: boolean; readonly measuresContrast?: boolean }

export interface Seen {
  /** CSS pixels; more than the frame is wide when something sticks out. */
  readonly scrollWidth: number;
  /** Every element with the names of its attributes, in the order of the document. */
  readonly tree: readonly string[];
  readonly text: string;
  /** Where it was asked for: texts whose contrast to what is behind them is below 4.5 to 1 (WCAG 2.2, success criterion 1.4.3). */
  readonly faint: readonly string[];
  readonly background: string;
  /** What scripts of any of the frames set to true: "ran", "proof". */
  readonly set: readonly string[];
}

/** Of /work/.library/env/machines/node.md: no sandbox as root, nothing asked of the network. */
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--hide-scrollbars', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

/** Runs it; what it printed. */
export async function chromium(args: readonly string[]): Promise<string> {
  const home = scratch();
  const { stdout } = await execa('chromium', [...FLAGS, `--user-data-dir=${home}`, ...args], { env: { ...oracleEnvironment, HOME: home }, maxBuffer: 1 << 28, timeout: 100_000 });
  return stdout;
}

export async function look(views: readonly View[]): Promise<Seen[]> {
  const file = join(scratch(), 'frames.html');
  writeFileSync(file, `<!DOCTYPE html><meta charset="utf-8"><body><script>${SCRIPT.replace('VIEWS', JSON.stringify(views).replaceAll('<', '\\u003c'))}</script>`);
  const dump = await chromium(['--virtual-time-budget=60000', '--dump-dom', `file://${file}`]);
  const found = /<pre id="seen">([^<]*)<\/pre>/.exec(dump);
  if (!found) throw new Error(`expected what the frames show, found ${dump.slice(0, 500)}`);
  return JSON.parse(Buffer.from(found[1]!, 'base64').toString()) as Seen[];
}

/** The PDF of a page, as it would be printed. */
export async function printed(page: string): Promise<{ readonly file: string; readonly bytes: Buffer }> {
  const folder = scratch();
  writeFileSync(join(folder, 'page.html'), page);
  const file = join(folder, 'page.pdf');
  await chromium(['--no-pdf-header-footer', `--print-to-pdf=${file}`, `file://${join(folder, 'page.html')}`]);
  return { file, bytes: readFileSync(file) };
}

const SCRIPT = String.raw`
const views = VIEWS;
const frames = views.map(({ page, width, dark }) => {
  const frame = document.createElement('iframe');
  frame.style = 'border: 0; height: 900px; width: ' + width + 'px; color-scheme: ' + (dark ? 'dark' : 'light');
  frame.srcdoc = page;
  document.body.append(frame);
  return frame;
});
const numbers = (color) => color.match(/[\d.]+/g).map(Number);
const luminance = (color) => numbers(color).slice(0, 3).map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
const contrast = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
const behind = (element, style) => {
  const box = element.closest('svg svg')?.querySelector('rect');
  if (box) return style(box).fill;
  for (let at = element; at; at = at.parentElement) if ((numbers(style(at).backgroundColor)[3] ?? 1) > 0) return style(at).backgroundColor;
  return 'rgb(255, 255, 255)';
};
addEventListener('load', () => {
  const seen = frames.map((frame, at) => {
    const inner = frame.contentDocument;
    const style = (element) => frame.contentWindow.getComputedStyle(element);
    const elements = [...inner.querySelectorAll('*')];
    const told = !views[at].measuresContrast ? [] : elements.filter((element) => !['STYLE', 'TITLE', 'title'].includes(element.tagName) && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== ''));
    return {
      scrollWidth: inner.documentElement.scrollWidth, text: inner.body.textContent, background: style(inner.body).backgroundColor, set: ['ran', 'proof'].filter((name) => window[name] === true),
      tree: elements.map((element) => element.tagName + ' ' + [...element.attributes].map(({ name }) => name).join(' ')),
      faint: told.filter((element) => contrast(element instanceof frame.contentWindow.SVGElement ? style(element).fill : style(element).color, behind(element, style)) < 4.5).map((element) => element.textContent.slice(0, 60)),
    };
  });
  const bytes = new TextEncoder().encode(JSON.stringify(seen));
  const result = document.createElement('pre');
  result.id = 'seen';
  result.textContent = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
  document.body.append(result);
  frames.forEach((frame) => frame.remove());
});
`;
