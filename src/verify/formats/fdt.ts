/**
 * A flattened device tree: header, structure block, strings block (Devicetree Specification v0.4, chapter 5, https://www.devicetree.org/specifications/).
 * The structure block is a run of big-endian tokens, aligned to four bytes: BEGIN_NODE with a name, PROP with a length, the offset of its name in the strings
 * block and its value, END_NODE, NOP, and END once. Everything is checked before it is used; a tree of any depth costs no stack.
 */
import { u32be } from '../../bytes/fields.js';
import { RockberryError } from '../../errors.js';

export interface DeviceTreeNode {
  /** "chosen", "memory@0"; the root's is empty. */
  readonly name: string;
  /** The first one where a name stands twice, as libfdt's fdt_getprop has it. */
  readonly properties: ReadonlyMap<string, Uint8Array>;
  readonly children: readonly DeviceTreeNode[];
}

/** What the arm64 kernel takes (Documentation/arch/arm64/booting.rst, section 2: "must not exceed 2 megabytes in size"). */
export const DEVICE_TREE_LIMIT = 2 << 20; // bytes

const MAGIC = 0xd00dfeed;
const VERSION = 17;
const OLDEST = 16; // version 16 has no size_dt_struct; older ones have another structure block
const MAX_DEPTH = 64; // drivers/of/fdt.c: FDT_MAX_DEPTH
const MAX_NAME = 256; // bytes; section 2.2 allows 31, labels in __symbols__ are longer. Without a limit every property could name the whole strings block

const BEGIN_NODE = 1;
const END_NODE = 2;
const PROP = 3;
const NOP = 4;
const END = 9;

interface Blocks {
  readonly structure: Uint8Array;
  readonly strings: Uint8Array;
}

interface Open {
  readonly name: string;
  readonly properties: Map<string, Uint8Array>;
  readonly children: Open[];
}

/** The root node. Errors: `corrupt` for anything that the specification does not allow, `unsupported` for another version or more than DEVICE_TREE_LIMIT bytes. */
export function readDeviceTree(data: Uint8Array): DeviceTreeNode {
  return parse(readBlocks(data));
}

/** The node at a path such as "/chosen"; a name without "@" finds a node with any unit address, as libfdt's fdt_path_offset does. */
export function deviceTreeNode(root: DeviceTreeNode, path: string): DeviceTreeNode | undefined {
  const names = path.split('/').filter((name) => name !== '');
  return names.reduce<DeviceTreeNode | undefined>((node, name) => node?.children.find((child) => child.name === name || child.name.startsWith(`${name}@`)), root);
}

/** A string property up to its NUL, one character per byte; undefined when there is none. */
export function deviceTreeText(node: DeviceTreeNode, property: string): string | undefined {
  const value = node.properties.get(property);
  return value && Buffer.from(value).toString('latin1').replace(/\0.*$/s, '');
}

/** Section 5.2: the header says where the blocks are. Bytes behind totalsize are not the tree's. */
function readBlocks(data: Uint8Array): Blocks {
  if (data.length > DEVICE_TREE_LIMIT) throw new RockberryError('unsupported', `expected a device tree of at most ${DEVICE_TREE_LIMIT} bytes, found ${data.length}`);
  if (u32be(data, 0) !== MAGIC) throw corrupt(`the magic 0xd00dfeed, found 0x${u32be(data, 0).toString(16)}`);
  const [total, structAt, stringsAt] = [u32be(data, 4), u32be(data, 8), u32be(data, 12)];
  const [version, compatible, stringsSize] = [u32be(data, 20), u32be(data, 24), u32be(data, 32)];
  if (version < OLDEST || compatible > VERSION || compatible > version) {
    throw new RockberryError('unsupported', `expected a device tree of version ${OLDEST} or ${VERSION}, found ${version}, compatible to ${compatible}`);
  }
  if (total > data.length) throw corrupt(`${total} bytes, found ${data.length}`);
  if (structAt % 4 !== 0) throw corrupt(`the structure block at a multiple of 4, found it at ${structAt}`);
  const tree = data.subarray(0, total);
  const header = version >= VERSION ? 40 : 36;
  const structSize = version >= VERSION ? u32be(data, 36) : Math.max(0, total - structAt);
  return { structure: block(tree, structAt, structSize, header, 'structure'), strings: block(tree, stringsAt, stringsSize, header, 'strings') };
}

function block(tree: Uint8Array, start: number, size: number, header: number, name: string): Uint8Array {
  if (start < header || start + size > tree.length) throw corrupt(`the ${name} block between ${header} and ${tree.length}, found it at ${start} with ${size} bytes`);
  return tree.subarray(start, start + size);
}

/** Section 5.4. */
function parse({ structure, strings }: Blocks): DeviceTreeNode {
  const open: Open[] = [];
  let root: Open | undefined;
  for (let at = 0; ;) {
    const token = u32be(structure, at);
    at += 4;
    if (token === NOP) continue;
    if (token === END && root && open.length === 0) return root;
    if (token === BEGIN_NODE && !(root && open.length === 0)) {
      const name = textAt(structure, at, 'a node name');
      const node: Open = { name, properties: new Map(), children: [] };
      open.at(-1)?.children.push(node);
      root ??= node;
      if (open.push(node) > MAX_DEPTH) throw corrupt(`at most ${MAX_DEPTH} nodes inside each other, found more at offset ${at} of the structure block`);
      at = aligned(at + name.length + 1);
    } else if (token === END_NODE && open.length > 0) {
      open.pop();
    } else if (token === PROP && open.length > 0 && open.at(-1)!.children.length === 0) {
      const [length, nameAt] = [u32be(structure, at), u32be(structure, at + 4)];
      const value = structure.subarray(at + 8, at + 8 + length);
      if (value.length !== length) throw corrupt(`a property of ${length} bytes at offset ${at} of the structure block, found only ${value.length}`);
      const name = textAt(strings, nameAt, 'a property name');
      const { properties } = open.at(-1)!;
      if (!properties.has(name)) properties.set(name, value);
      at = aligned(at + 8 + length);
    } else {
      throw corrupt(`another token at offset ${at - 4} of the structure block, found ${token}`);
    }
  }
}

function textAt(data: Uint8Array, start: number, what: string): string {
  const window = data.subarray(start, start + MAX_NAME + 1);
  const end = window.indexOf(0);
  if (end < 0) throw corrupt(`${what} of at most ${MAX_NAME} bytes that ends in NUL at offset ${start} of its block, found none`);
  return Buffer.from(window.subarray(0, end)).toString('latin1');
}

function aligned(offset: number): number {
  return (offset + 3) & ~3;
}

function corrupt(what: string): RockberryError {
  return new RockberryError('corrupt', `expected in a device tree ${what}`);
}
