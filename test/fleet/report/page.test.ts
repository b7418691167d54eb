/** report.html as text: what it says of which fleet, in which order, and that it needs nothing else. How a browser shows it is in browser.test.ts. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Finding } from '../../../src/report.js';
import type { FleetReport, PartitionReport } from '../../../src/fleet/model.js';
import { html, textOfMarkup } from '../../../src/fleet/report/html.js';
import { reportPage } from '../../../src/fleet/report/page.js';
import { stripsOf } from '../../../src/fleet/report/partitions.js';
import { problemsOf } from '../../../src/fleet/report/problems.js';
import { FAILED_CHECK, fleet, node, PARTITIONS } from './sample.js';

/** The words of a page, with one blank where there are several. */
function wordsOf(report: FleetReport): string {
  const body = reportPage(report).replace(/^[\s\S]*<body>/, '');
  const entities: Readonly<Record<string, string>> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" };
  return body.replace(/<[^>]*>/g, ' ').replace(/&[a-z#0-9]+;/g, (entity) => entities[entity]!).replace(/\s+/g, ' ').replace(/ ([,:.;])/g, '$1');
}

const finding = (severity: Finding['severity'], id: string, subject = '/etc/x'): Finding => ({ severity, id, subject, message: `expected something else (${id})` });

describe('what the fleet is', () => {
  test('how many nodes, by role, on which image, made how, in the first sentences', () => {
    const words = wordsOf(fleet(50));
    expect(words.slice(0, 700)).toContain('Fleet of 50 nodes 50 Raspberry Pis (5 control planes and 45 workers) of the inventory inventory/edge/inventory.ini, made from the base image RockyLinuxRpi_9-latest.img.xz (xz, 1.2 GiB; as a disk 3.5 GiB) as one image for each node, by rockberry 0.1.0.');
    expect(words.slice(0, 700)).toContain('Failed 1 of 50 nodes failed: node3. The other 49 nodes are ready to flash. 2 warnings to look at.');
  });

  test.each<[string, FleetReport, string[]]>([
    ['one node', fleet(1, { nodes: [node(1, { findings: [] })] }), ['Fleet of 1 node 1 Raspberry Pi (1 control plane)', 'All is well The node is ready to flash.', 'No node failed, and no check found an error or a warning.']],
    ['patches', fleet(2, { as: 'patch' }), ['as one patch for each node', 'All 2 nodes are ready to be applied. 1 warning to look at.']],
    ['one image for all', fleet(2, { as: 'golden' }), ['as one image for all nodes, in which each board finds its own settings at the first boot', 'All 2 nodes are in the image.']],
    ['a plan', fleet(2, { nodes: [1, 2].map((number) => node(number, { status: 'planned', findings: [] })) }), ['to be made from the base image', '2 nodes would be made; this is a plan, and nothing was written.']],
    ['a shard', fleet(2, { shard: { index: 1, count: 4 }, nodes: [node(1), node(2, { status: 'left', findings: [], files: [] })] }), ['This is part 2 of 4 of the fleet.', '1 node was left out of this run.', '– left out']],
    ['groups that no installer has', fleet(1, { nodes: [node(1, { groups: ['kitchen'] })] }), ['1 Raspberry Pi of the inventory', 'kitchen']],
    ['an etcd of its own', fleet(1, { nodes: [node(1, { groups: ['etcd'] }), node(2)] }), ['(1 worker and 1 etcd)']],
    ['no nodes', fleet(0), ['Fleet of 0 nodes', 'Nothing made']],
  ])('%s', (_name, report, expected) => {
    for (const text of expected) expect(wordsOf(report)).toContain(text);
  });

  test('a patch is nothing for Imager', () => {
    expect(wordsOf(fleet(2, { as: 'patch' }))).not.toContain('os_list.json');
    expect(wordsOf(fleet(2))).toContain('os_list.json lists the images');
  });
});

describe('what is wrong', () => {
  test('node3 with what failed, why, and what to do, before anything else', () => {
    const words = wordsOf(fleet(5));
    expect(words).toContain(`What is wrong ✗ FAILED node3: the image did not pass its checks, and was not written ✗ Error /boot/cmdline.txt: ${FAILED_CHECK.message} [cgroup-memory] What to do: ${FAILED_CHECK.hint} `);
  });

  test('failed nodes, then errors, then warnings; notes are not wrong', () => {
    const report = fleet(0, {
      nodes: [node(1, { findings: [finding('warning', 'w1'), finding('error', 'e1')] }), node(2, { status: 'failed', why: 'no space', findings: [finding('error', 'e2'), finding('warning', 'w2'), finding('info', 'i2')] })],
      findings: [finding('warning', 'w0', 'fleet'), finding('error', 'e0', 'group etcd'), finding('info', 'i0', 'fleet')],
    });
    expect(problemsOf(report).map(({ kind, id, causes, nodes, subject }) => [kind, id ?? causes.map((cause) => cause.id), nodes, subject])).toEqual([
      ['failed', ['e2'], [1], undefined], ['error', 'e0', [], 'group etcd'], ['error', 'e1', [0], '/etc/x'], ['warning', 'w0', [], undefined], ['warning', 'w1', [0], '/etc/x'], ['warning', 'w2', [1], '/etc/x'],
    ]);
    expect(wordsOf(report)).toContain('! Warning the whole fleet: expected something else (w0)');
  });

  test('what many nodes have is told once, with all of them', () => {
    const nodes = Array.from({ length: 400 }, (_, at) => node(at + 1, { findings: at % 2 === 0 ? [finding('warning', 'half')] : [] }));
    const problems = problemsOf(fleet(0, { nodes }));
    expect(problems).toHaveLength(1);
    expect(problems[0]!.nodes).toEqual(nodes.flatMap((_, at) => (at % 2 === 0 ? [at] : [])));
    expect(wordsOf(fleet(0, { nodes }))).toContain('! Warning 200 nodes, /etc/x: expected something else (half) [half] Which nodes node1, node3, ');
  });

  test('a lint finding of a node leads to the node', () => {
    const page = reportPage(fleet(5));
    expect(page).toMatch(/<a href="#n2"><bdi>node2<\/bdi><\/a><\/strong>: <span>expected a gateway/);
  });

  test('every warning of a long list is there, the later ones folded', () => {
    const nodes = [node(1, { findings: Array.from({ length: 40 }, (_, at) => finding('warning', `w${at}`)) })];
    const words = wordsOf(fleet(1, { nodes }));
    expect(words).toContain('28 more');
    for (let at = 0; at < 40; at++) expect(words).toContain(`[w${at}]`);
  });
});

describe('the nodes', () => {
  test('all that is known of a node is in its row and part', () => {
    const words = wordsOf(fleet(5));
    const { sha256 } = node(1);
    expect(words).toContain(`node1 ✓ built 1 warning control plane, etcd etcd, k8s_cluster, kube_control_plane 192.0.2.11, pi5-8gb MAC d8:3a:dd:00:00:01 serial 1000000000000001 kubespray-node node1.img.xz 1.2 GiB ${sha256!.slice(0, 12)}… `);
    expect(words).toContain(`✓ built new. 1.3 MiB of 3.5 GiB differ from the base image (1,404,928 bytes). Ready for Kubernetes by kubespray: yes, 0 errors, 1 warning sha256 ${sha256!}`);
    expect(words).toContain('✗ FAILED 1 error, 1 warning worker');
    expect(words).toContain('✓ up to date');
    expect(reportPage(fleet(5))).toContain(`<code title="${sha256!}">`);
  });

  test('what all nodes have is told once, but for a failed one', () => {
    const page = reportPage(fleet(50));
    const count = (text: string): number => page.split(text).length - 1;
    expect(count('<code>/etc/fstab</code>')).toBe(2); // in the shared part, and in node3's
    expect(count('node17.nmconnection')).toBe(1);
    expect(wordsOf(fleet(50))).toContain('And 29 files and 2 findings that are the same in every node that was made.');
  });

  test('links lead somewhere, and no anchor is there twice, also with names that are', () => {
    const page = reportPage(fleet(0, { nodes: [node(1), node(1), node(2, { name: '' }), node(3, { name: 'wrong' })] }));
    const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id!);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, target] of page.matchAll(/href="#([^"]*)"/g)) expect(ids).toContain(target);
  });

  test('headings and tables are made for a screen reader', () => {
    const page = reportPage(fleet(5));
    const levels = [...page.matchAll(/<h([1-6])/g)].map(([, level]) => Number(level));
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
    levels.forEach((level, at) => { expect(level).toBeLessThanOrEqual((levels[at - 1] ?? 0) + 1); });
    expect(page.match(/<th(?![^>]*scope=)[ >]/g)).toBeNull();
    expect(page.match(/<table[^>]*>(?!<caption>)/g)).toBeNull();
    expect(page).toContain('<html lang="en">');
    expect(page).toMatch(/<svg class="disk" role="img" aria-label="Partitions from left to right\. 1: \/boot, 286\u00a0MiB; 2: swap, 488\u00a0MiB; 3: \/, 2\.6\u00a0GiB"/);
  });

  test('400 nodes of 40 files and 10 findings stay below 2 MB', () => {
    const nodes = Array.from({ length: 400 }, (_, at) => node(at + 1, {
      files: [...node(at + 1).files, ...Array.from({ length: 12 }, (_file, number) => ({ path: `/etc/rockberry/node${at + 1}/${number}.conf`, action: 'created' as const }))],
      findings: [...node(at + 1).findings, ...Array.from({ length: 8 }, (_finding, number) => ({ ...finding(number < 2 ? 'warning' : 'info', `id-${number}`), hint: 'set something for it, in the variables of the group' }))],
    }));
    const bytes = Buffer.byteLength(reportPage(fleet(0, { nodes })));
    expect(bytes).toBeLessThan(2_000_000);
    expect(bytes).toBeGreaterThan(400 * 1500);
  });
});

describe('the partitions', () => {
  const MIB = 1 << 20;
  const partition = (number: number, start: number, length: number): PartitionReport => ({ number, start, length, holds: 'ext4', label: '', mountedAt: null });

  test('are drawn to scale', () => {
    const strips = stripsOf(PARTITIONS, 3787456512);
    expect(strips.map(({ partition: one, width }) => [one?.number, Math.round(width)])).toEqual([[1, 8], [2, 14], [3, 74], [undefined, 5]]);
    expect(strips[2]!.width / strips[0]!.width).toBeCloseTo(2670 / 286, 5);
  });

  test('a small one is widened so that it can be seen, which is said; the others keep their proportions', () => {
    const strips = stripsOf([partition(1, MIB, MIB), partition(2, 2 * MIB, 1000 * MIB), partition(3, 1002 * MIB, 3000 * MIB)], 4002 * MIB);
    expect(strips.map(({ isWidened }) => isWidened)).toEqual([true, false, false]);
    expect(strips[0]!.width).toBe(3);
    expect(strips[2]!.width / strips[1]!.width).toBeCloseTo(3, 5);
    expect(wordsOf(fleet(1, { partitions: [partition(1, MIB, MIB), partition(2, 2 * MIB, 3000 * MIB)] }))).toContain('drawn wider: partition 1.');
  });

  test('any numbers make a drawing of 100 percent', () => {
    const number = fc.oneof(fc.nat(), fc.integer(), fc.constantFrom(0, -1, 2 ** 53 - 1, 4096));
    fc.assert(fc.property(fc.array(fc.record({ number: fc.nat(200), start: number, length: number, holds: fc.string(), label: fc.string(), mountedAt: fc.option(fc.string()) }), { maxLength: 140 }), number, (partitions, bytes) => {
      const strips = stripsOf(partitions, bytes);
      expect(strips.filter(({ partition: one }) => one).length).toBe(partitions.length);
      for (const { width } of strips) expect(width).toBeGreaterThan(0);
      if (strips.length > 0) expect(strips.reduce((sum, { width }) => sum + width, 0)).toBeCloseTo(100, 6);
    }));
  });

  test('an image without any is told', () => {
    expect(wordsOf(fleet(1, { partitions: [] }))).toContain('Nothing is known of the partitions');
  });
});

describe('the page', () => {
  test('is the same for the same report, also after it went through a file', () => {
    const page = reportPage(fleet(50));
    expect(reportPage(fleet(50))).toBe(page);
    expect(reportPage(JSON.parse(JSON.stringify(fleet(50))) as FleetReport)).toBe(page);
  });

  test('names nothing to load, and forbids it', () => {
    const page = reportPage(fleet(5));
    expect(page).toMatch(/<meta http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; style-src &#39;sha256-[\w+/=]{44}&#39;; base-uri &#39;none&#39;; form-action &#39;none&#39;">/);
    expect(page).not.toMatch(/https?:|\bsrc=|<link|<script|@import|url\(|data:/);
  });

  test('every text is escaped where it is written, and invisible characters are shown', () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.nat(0x7f), fc.nat(0xffff)), { maxLength: 60 }), (codes) => {
      const written = textOfMarkup(html`${String.fromCharCode(...codes)}`);
      expect(written).not.toMatch(/[<>"']|&(?!amp;|lt;|gt;|quot;|#39;)/);
    }));
    expect(textOfMarkup(html`<a title="${'"><b>'}">${['\u202e', '\0', '\ud800', html`<i>`]}</a>`)).toBe('<a title="&quot;&gt;&lt;b&gt;">\\u202e\\x00\ufffd<i></a>');
    expect(textOfMarkup(html`${JSON.parse('{"markup":"<b>"}').markup as string}`)).toBe('&lt;b&gt;');
  });
});
