/** A table of nodes: a row a node, a column a variable; see COLUMNS for those that mean more. */
import { parseCsv, type Cell } from './csv.js';
import { addGroup, addHost, emptyInventory, type Given, type HostsAndGroups } from './hosts-and-groups.js';
import { problem, quoted } from './problem.js';
import type { Source } from './source.js';

/** Column → variable; case does not count. "groups" is not one: it says where the node belongs. */
const COLUMNS: Readonly<Record<string, string>> = { address: 'address', mac: 'mac', serial: 'serial', board: 'board', groups: 'groups', profiles: 'rockberry_profiles' };
const NAME_COLUMNS = ['name', 'hostname'];

/** Whether the first line is a header with a name: for files without the ending .csv. */
export function looksLikeCsv(text: string): boolean {
  const [header = ''] = text.split(/\r?\n/, 1);
  return header.includes(',') && header.length < 4096 && header.split(',').some((name) => NAME_COLUMNS.includes(name.trim().replaceAll('"', '').toLowerCase()));
}

/** Errors: `corrupt` for a table that is none, `profile` for a column or a name that cannot be. */
export function readCsvInventory(source: Source): HostsAndGroups {
  const rows = parseCsv(source.text, source.name);
  const { value: header } = rows.next() as IteratorResult<Cell[], undefined>;
  if (!header) throw problem('corrupt', `${source.name}:1:1`, 'expected a row with the names of the columns, found an empty file');
  const columns = readHeader(header);
  const data = emptyInventory(`${source.name}:1:1`);
  for (const row of rows) readNode(data, source, columns, row);
  return data;
}

/** The variable of each column; undefined for a column without a name, which has to be empty. */
function readHeader(header: readonly Cell[]): (string | undefined)[] {
  if (header.length === 1 && header[0]!.text.includes(';')) throw problem('corrupt', header[0]!.where, 'expected columns with commas between, found semicolons', 'save the table as CSV with commas');
  const names = header.map(({ text }) => text.trim());
  const nameColumn = NAME_COLUMNS.find((wanted) => names.some((name) => name.toLowerCase() === wanted));
  if (nameColumn === undefined) throw problem('profile', header[0]!.where, `expected a column "name" or "hostname", found ${names.slice(0, 8).map(quoted).join(', ')}`);
  const columns = names.map((name, index) => {
    if (name === '') return undefined;
    const lower = name.toLowerCase();
    if (lower === nameColumn) return 'name';
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw problem('profile', header[index]!.where, `expected the name of a variable (letters, digits, "_") for a column, found ${quoted(name)}`);
    return COLUMNS[lower] ?? (lower === 'hostname' ? lower : name);
  });
  const again = columns.findIndex((column, index) => column !== undefined && columns.indexOf(column) < index);
  if (again >= 0) throw problem('profile', header[again]!.where, `expected each column once, found ${quoted(names[again]!)} again`);
  return columns;
}

function readNode(data: HostsAndGroups, source: Source, columns: readonly (string | undefined)[], row: readonly Cell[]): void {
  const start = row[0]!.where;
  if (row.length !== columns.length) throw problem('corrupt', start, `expected ${columns.length} cells as in the first row, found ${row.length}`, 'a cell with a comma stands in quotes');
  const cells = new Map<string, Cell>();
  row.forEach((cell, index) => {
    const column = columns[index];
    if (column === undefined && cell.text.trim() !== '') throw problem('profile', cell.where, 'expected an empty cell in a column without a name, found a value');
    if (column !== undefined) cells.set(column, { ...cell, text: cell.text.trim() });
  });
  const name = cells.get('name')!;
  if (name.text === '') throw problem('profile', name.where, 'expected the name of a node, found an empty cell');
  const before = data.hosts.get(name.text);
  if (before) throw problem('profile', name.where, `expected each node once, found ${quoted(name.text)} again (first in ${before.where})`);
  const groups = words(cells.get('groups')?.text).map((group) => addGroup(data, group, cells.get('groups')!.where));
  for (const group of [data.groups.get('all')!, ...groups]) addHost(data, name.text, group, { given: { where: name.where, secret: source.encrypted } });
  const host = data.hosts.get(name.text)!;
  for (const [column, cell] of cells) {
    if (column === 'name' || column === 'groups' || cell.text === '') continue;
    host.vars.set(column, givenOf(column, cell, source.encrypted));
  }
}

function givenOf(column: string, { text, where }: Cell, secret: boolean): Given {
  return { value: column === 'rockberry_profiles' ? words(text) : text, text, where, secret };
}

/** "kube_node; etcd" or "kube_node etcd" */
function words(text = ''): string[] {
  return text.split(/[;\s]+/).filter((word) => word !== '');
}
