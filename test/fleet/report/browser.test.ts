/** report.html in a browser: it fits, it can be read, it loads and runs nothing, and it can be printed. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'vitest';
import type { FleetReport } from '../../../src/fleet/model.js';
import { reportPage } from '../../../src/fleet/report/page.js';
import { needs, output } from '../../support/oracle.js';
import { chromium, look, printed } from './browser.js';
import { fleet, withTexts } from './sample.js';

const test = needs('chromium');

/** Everything that a page could be made to load or run, from a text that is not escaped. */
const attack = (address: string): string => `</code></style></title><script>parent.ran=true</script>"'><img src="${address}/img" onerror="parent.ran=true"><link rel=stylesheet href=${address}/css>`
  + `<script src=${address}/js></script><iframe src=${address}/frame></iframe><meta http-equiv=refresh content="0;url=${address}/refresh"><svg onload=parent.ran=true>&lt;b&gt; --><b style="background:url(${address}/style)">`;
const RTL = '\u202e\u2066שלום\u05d0 \u200f\u0007';
const LONG = 'W'.repeat(400);
const hostile = (report: FleetReport, address: string): FleetReport => withTexts(report, (text) => `${text}${attack(address)}${RTL}${LONG}`);
const tame = (report: FleetReport): FleetReport => withTexts(report, (text) => `${text} and more`);

const withoutPolicy = (page: string): string => page.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, '<meta>');

const WIDTHS = [1280, 656, 400]; // 656: a terminal's 80 characters beside it

test('1, 4, 50 and 400 nodes fit into wide and narrow windows', async () => {
  const cases = [1, 4, 50, 400].flatMap((count) => WIDTHS.filter((width) => count < 400 || width !== 656).map((width) => ({ count, width, page: reportPage(fleet(count)) })));
  const broken = { page: withoutPolicy(reportPage(fleet(1))).replace('</style>', 'h1 { width: 500px }</style>'), width: 400 };
  const seen = await look([...cases, broken]);
  expect(seen.pop()!.scrollWidth).toBeGreaterThan(500); // so a page that does not fit would have been seen
  expect(seen.map(({ scrollWidth }, at) => ({ count: cases[at]!.count, scrollWidth }))).toEqual(cases.map(({ count, width }) => ({ count, scrollWidth: width })));
});

test('every text has a contrast of 4.5 to 1, light and dark, wide and narrow', async () => {
  const pale = { page: withoutPolicy(reportPage(fleet(5))).replace('</style>', '.muted { color: #999 }</style>'), width: 1280, measuresContrast: true };
  const [control, ...seen] = await look([pale, ...[false, true].flatMap((dark) => WIDTHS.map((width) => ({ page: reportPage(fleet(5)), width, dark, measuresContrast: true })))]);
  expect(control!.faint).toContain('rockberry fleet report');
  expect(seen.map(({ faint }) => faint)).toEqual(seen.map(() => []));
  expect(new Set(seen.map(({ background }) => background)).size).toBe(2); // the dark ones were dark
});

test('hostile texts make no element, run nothing and break no layout, even without the policy', async () => {
  const report = fleet(5);
  const pages = [tame(report), hostile(report, 'http://127.0.0.1:9')].map((one) => withoutPolicy(reportPage(one)));
  const control = '<!DOCTYPE html><body><script>parent.proof=true</script>';
  const [expected, ...seen] = await look([...[...pages, pages[1]!].map((page, at) => ({ page, width: at === 2 ? 400 : 1280 })), { page: control, width: 400 }]);
  expect(seen.pop()!.tree).toHaveLength(4);
  for (const { tree, set } of seen) expect({ tree, set }).toEqual({ tree: expected!.tree, set: ['proof'] }); // a script that got in would have run
  expect(seen.map(({ scrollWidth }) => scrollWidth)).toEqual([1280, 400]);
  expect(seen[0]!.text).toContain(`node3${attack('http://127.0.0.1:9')}\\u202e\\u2066שלום`);
  expect(seen[0]!.text).not.toMatch(/[\u202a-\u202e\u2066-\u2069\u200e\u200f\0-\x08]/);
});

test('it asks nothing of the network', async () => {
  const asked: string[] = [];
  const pages = new Map<string, string>();
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(pages.has(request.url ?? '') ? 200 : 404, { 'content-type': 'text/html' });
    response.end(pages.get(request.url ?? ''));
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  pages.set('/report.html', reportPage(hostile(fleet(5), address)));
  pages.set('/control.html', `<!DOCTYPE html><title>x</title><body>${attack(address)}`);
  const visit = async (path: string): Promise<string[]> => {
    asked.length = 0;
    await chromium(['--virtual-time-budget=5000', '--dump-dom', address + path]);
    return asked.filter((url) => url !== path);
  };
  try {
    expect(await visit('/report.html')).toEqual([]);
    expect(await visit('/control.html')).toEqual(expect.arrayContaining(['/img', '/js', '/style'])); // so the server would have seen it
  } finally {
    server.close();
  }
});

needs('chromium', 'pdftotext')('on paper everything is there, also what is folded on the screen', async () => {
  const { file, bytes } = await printed(reportPage(fleet(5)));
  expect(bytes.subarray(0, 5).toString()).toBe('%PDF-');
  const text = output('pdftotext', ['-raw', file, '-']).toString();
  for (const folded of ['node5.nmconnection', 'parts/23-settings.conf', fleet(5).nodes[0]!.sha256!, 'the root filesystem grows']) expect(text.replace(/-\n|\n/g, (end) => (end === '-\n' ? '-' : ' '))).toContain(folded);
  expect(text.indexOf('1 of 5')).toBeLessThan(text.indexOf('What is wrong'));
});
