/** Tables of nodes: RFC 4180 by a property and by Python's reader, and what the columns mean. */
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseCsv } from '../../../src/fleet/inventory/csv.js';
import { readInventory } from '../../../src/fleet/inventory.js';
import { SEED } from '../../ansible/support.js';
import { needs, output } from '../../support/oracle.js';
import { folderOf } from './oracle.js';

const cell = fc.string({ unit: fc.constantFrom('a', 'é', '"', ',', '\n', '\r', ' ', ';', '😀'), maxLength: 6 });
/** At least two cells: a line with one empty cell is an empty line. */
const table = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 5 });

function texts(text: string): string[][] {
  return [...parseCsv(text, 'x.csv')].map((row) => row.map((one) => one.text));
}

function written(rows: readonly (readonly string[])[], end: string, quoteAll: boolean): string {
  return rows.map((row) => row.map((one) => (quoteAll || /[",\r\n]/.test(one) ? `"${one.replaceAll('"', '""')}"` : one)).join(',')).join(end);
}

test(`what was written is read (seed ${SEED})`, () => {
  fc.assert(fc.property(table, fc.constantFrom('\n', '\r\n'), fc.boolean(), fc.boolean(), (rows, end, quoteAll, closed) => {
    expect(texts(written(rows, end, quoteAll) + (closed ? end : ''))).toEqual(rows);
  }), { seed: SEED, numRuns: 2_000 });
});

test(`each cell has its place (seed ${SEED})`, () => {
  fc.assert(fc.property(table, (rows) => {
    const text = written(rows, '\n', true);
    const starts = text.split('\n').reduce<number[]>((all, line) => [...all, all.at(-1)! + line.length + 1], [0]);
    for (const { text: value, where } of [...parseCsv(text, 'x')].flat()) {
      const [, line, column] = where.split(':').map(Number);
      expect(text.slice(starts[line! - 1]! + column! - 1)).toMatch(new RegExp(`^"${value.replaceAll('"', '""').replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}"`));
    }
  }), { seed: SEED, numRuns: 500 });
});

needs('python3')(`Python's reader reads the same, and refuses what we refuse (seed ${SEED})`, () => {
  const program = `
import csv, io, json, sys
def read(text):
    try: return [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error: return None
print(json.dumps([read(text) for text in json.load(sys.stdin)]))`;
  const pieces = fc.sample(fc.array(fc.constantFrom('a', '"', '""', ',', '\n', '\r\n', ' ', '"x"', '"b,c"'), { maxLength: 8 }).map((parts) => parts.join('')), { seed: SEED, numRuns: 3_000 });
  const theirs = JSON.parse(output('python3', ['-c', program], JSON.stringify(pieces)).toString()) as (string[][] | null)[];
  const differences = pieces.map((text, index) => [text, attempt(text), theirs[index]] as const)
    // Python takes a quote inside a cell without quotes as a character; RFC 4180 does not allow one.
    .filter(([text, ours, answer]) => JSON.stringify(ours) !== JSON.stringify(answer) && !(ours === null && hasStrayQuote(text)));
  expect(differences).toEqual([]);
  expect(pieces.filter((text) => attempt(text) !== null).length).toBeGreaterThan(500);
});

function attempt(text: string): string[][] | null {
  try {
    return texts(text);
  } catch {
    return null;
  }
}

/** A quote behind other characters of an unquoted cell. */
function hasStrayQuote(text: string): boolean {
  const outside = text.replace(/(^|[,\n])"(?:[^"]|"")*"(?=[,\r\n]|$)/g, '$1');
  return /[^,\n"\r]"/.test(outside);
}

test('columns, groups, byte order mark, CRLF, quotes', async () => {
  const text = [
    '\ufeffName,Address,MAC,serial,board,Groups,profiles,user,dns,rack,ansible_user', 'cp1,192.0.2.11/24,DC-A6-32-00-00-01,10000000e1234567,pi5-8gb,kube_control_plane; etcd,,pi,192.0.2.53;192.0.2.54,"A, 1",ada', '',
    '"node1",192.0.2.12,,,,kube_node shelf,"node k3s-agent",,,"say ""hi""",', '',
  ].join('\r\n');
  const inventory = await readInventory(join(folderOf({ 'nodes.csv': text }), 'nodes.csv'));
  expect(inventory.kind).toBe('csv');
  expect(inventory.nodes.map(({ where, ...node }) => ({ ...node, where: where.replace(/.*\//, '') }))).toEqual([
    {
      name: 'cp1', groups: ['etcd', 'kube_control_plane'], profiles: ['kubespray-node'], address: '192.0.2.11', mac: 'dc:a6:32:00:00:01', serial: '10000000e1234567', board: 'pi5-8gb', where: 'nodes.csv:2',
      variables: { hostname: 'cp1', user: 'pi', address: '192.0.2.11/24', dns: ['192.0.2.53', '192.0.2.54'], role: 'control-plane' },
      hostVars: { address: '192.0.2.11/24', mac: 'DC-A6-32-00-00-01', serial: '10000000e1234567', board: 'pi5-8gb', user: 'pi', dns: '192.0.2.53;192.0.2.54', rack: 'A, 1', ansible_user: 'ada' },
    },
    {
      name: 'node1', groups: ['kube_node', 'shelf'], profiles: ['node', 'k3s-agent'], address: '192.0.2.12', mac: undefined, serial: undefined, board: undefined, where: 'nodes.csv:4',
      variables: { hostname: 'node1', role: 'worker', server: undefined },
      hostVars: { address: '192.0.2.12', rockberry_profiles: ['node', 'k3s-agent'], rack: 'say "hi"' },
    },
  ]);
  expect([...inventory.groups]).toEqual([['kube_control_plane', ['cp1']], ['etcd', ['cp1']], ['kube_node', ['node1']], ['shelf', ['node1']]]);
});

test('a host name may stand in a column of its own', async () => {
  const { nodes } = await readInventory(join(folderOf({ 'nodes.csv': 'name,hostname,prefix,address\na,pi-a,24,192.0.2.1\n' }), 'nodes.csv'));
  expect([nodes[0]!.name, nodes[0]!.variables]).toEqual(['a', { hostname: 'pi-a', address: '192.0.2.1/24' }]);
});
