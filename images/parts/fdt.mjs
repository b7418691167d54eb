/** Flattened device trees (Devicetree Specification 0.4, chapter 5), version 17, laid out as dtc does: header, an empty reserve map, structure, strings. */

const MAGIC = 0xd00dfeed;
const [BEGIN_NODE, END_NODE, PROP, END] = [1, 2, 3, 9];
const HEADER = 40;
const RESERVE_MAP = 16; // its closing entry alone

/** @typedef {{ [name: string]: string | string[] | number[] | Tree }} Tree A string or several are text, numbers are cells, an object is a node. Properties first. */

/** @param {Tree} root */
export function flattened(root) {
  const names = [];
  const structure = Buffer.concat([node('', root, names), word(END)]);
  const strings = Buffer.from(names.map((name) => `${name}\0`).join(''));
  const header = [MAGIC, HEADER + RESERVE_MAP + structure.length + strings.length, HEADER + RESERVE_MAP, HEADER + RESERVE_MAP + structure.length, HEADER, 17, 16, 0, strings.length, structure.length];
  return Buffer.concat([...header.map(word), Buffer.alloc(RESERVE_MAP), structure, strings]);
}

function node(name, content, names) {
  const inner = Object.entries(content).map(([key, value]) => (typeof value === 'object' && !Array.isArray(value) ? node(key, value, names) : property(key, value, names)));
  return Buffer.concat([word(BEGIN_NODE), aligned(Buffer.from(`${name}\0`)), ...inner, word(END_NODE)]);
}

function property(name, value, names) {
  if (!names.includes(name)) names.push(name);
  const offset = names.slice(0, names.indexOf(name)).reduce((sum, one) => sum + one.length + 1, 0);
  const parts = [value].flat().map((one) => (typeof one === 'number' ? word(one) : Buffer.from(`${one}\0`)));
  const data = Buffer.concat(parts);
  return Buffer.concat([word(PROP), word(data.length), word(offset), aligned(data)]);
}

function word(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function aligned(data) {
  return Buffer.concat([data, Buffer.alloc(-data.length & 3)]);
}
