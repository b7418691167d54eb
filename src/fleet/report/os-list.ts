/**
 * os_list.json, a repository of Raspberry Pi Imager: people choose their node by name and flash it. Sources, of raspberrypi/rpi-imager: doc/json-schema/os-list-schema.json
 * and doc/schema-notes.md (fields; all of an entry below are required but the last three), src/imagewriter.cpp and src/downloadthread.cpp of 2.0 (what it does with them).
 * - `url` is taken as it is, never relative to the list: a bare name would be a host. So the address of the folder is needed; without one, file:NAME is found only by
 *   an Imager that was started in the folder.
 * - `extract_sha256` is of the raw image. A wrong one makes Imager stop and leave the card without its first MiB; an empty one is as none: Imager writes the card, and
 *   compares what it reads back with what it wrote. A report knows it only of images that are not compressed; for the others it is empty, as the schema wants a text.
 * - `image_download_sha256` is of the file as it lies there. Imager does not check it (rpi-imager issue 1101); SHA256SUMS has the same.
 * - `init_format` "none": these images are customized already, and Imager must not offer it again.
 * - `release_date` is shown as it is, and not at all when it is empty; a build has no date.
 * - `imager.devices`: Imager 2 asks for a device first, and without them shows none to choose.
 */
import { boardOf } from '../lint/board-names.js';
import type { FleetReport, NodeReport } from '../model.js';
import { filesOf, type FleetFile } from './files.js';
import { visible } from './html.js';
import { counted, rolesOf } from './phrases.js';

export interface OsListPlace {
  /** Where the fleet's folder will be: https://…, or file:///… of the folder itself; with or without a slash at its end. */
  readonly url?: string;
}

interface Device { readonly name: string; readonly tags: readonly string[]; readonly description: string }

/** Boards that run 64-bit systems, with the tags and names of Raspberry Pi's own list; a board fits when our name for it begins so. */
const DEVICES: readonly (Device & { readonly boards: readonly string[] })[] = [
  { name: 'Raspberry Pi 5', tags: ['pi5-64bit', 'pi5-32bit'], description: 'Raspberry Pi 5, 500 / 500+, and Compute Module 5', boards: ['Pi 5', 'Compute Module 5'] },
  { name: 'Raspberry Pi 4', tags: ['pi4-64bit', 'pi4-32bit'], description: 'Raspberry Pi 4 Model B, 400, and Compute Module 4 / 4S', boards: ['Pi 4', 'Compute Module 4'] },
  { name: 'Raspberry Pi 3', tags: ['pi3-64bit', 'pi3-32bit'], description: 'Raspberry Pi 3 Model A+ / B / B+ and Compute Module 3 / 3+', boards: ['Pi 3', 'Compute Module 3', 'Zero 2'] },
  { name: 'Raspberry Pi Zero 2 W', tags: ['pi3-64bit', 'pi3-32bit'], description: 'Raspberry Pi Zero 2 W', boards: [] },
];
const ANY_DEVICE: Device = { name: 'No filtering', tags: [], description: 'Show every possible image' };

/** JSON, one entry per image, in the order of the report. Patches are no images: their list is empty. */
export function osList(report: FleetReport, base: OsListPlace): string {
  const files = report.as === 'patch' ? [] : filesOf(report).filter(({ imageBytes }) => imageBytes !== null);
  const document = {
    imager: { devices: [...DEVICES, ANY_DEVICE].map(({ name, tags, description }) => ({ name, tags, icon: '', description, matching_type: 'inclusive', default: tags.length === 0, capabilities: [] })) },
    os_list: files.map((file) => entryOf(report, file, base)),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function entryOf(report: FleetReport, { name, sha256, bytes, imageBytes, nodes }: FleetFile, { url }: OsListPlace): object {
  const isRaw = /\.(img|raw)$/i.test(name) && bytes === imageBytes;
  return {
    name: shown(nodes.length === 1 ? nodes[0]!.name : `All ${counted(nodes.length, 'node')} in one image`),
    description: shown(descriptionOf(report, nodes)),
    icon: '',
    url: addressOf(name, url),
    extract_size: imageBytes,
    extract_sha256: isRaw ? sha256 : '',
    image_download_size: bytes,
    release_date: '',
    image_download_sha256: sha256,
    devices: [...new Set(nodes.flatMap(tagsOf))],
    init_format: 'none',
  };
}

/** "control plane, etcd; 192.0.2.11; pi5-8gb; on Rocky-9.img.xz" */
function descriptionOf({ base }: FleetReport, nodes: readonly NodeReport[]): string {
  const [node] = nodes;
  const own = nodes.length > 1 ? ['each board finds its own settings at the first boot'] : [rolesOf(node!).join(', '), node!.address ?? '', node!.board ?? ''];
  return [...own, `on ${base.name}`].filter((part) => part !== '').join('; ');
}

/** Imager shows names and descriptions as rich text where they look like it, and would load pictures from a network: no angle bracket may reach it. */
function shown(text: string): string {
  return visible(text).replace(/[<>]/g, (bracket) => (bracket === '<' ? '‹' : '›')).replace(/[\n\t\u00a0]+/g, ' ');
}

/** An entry is shown for a device when they have a tag in common, and tags that Imager does not know hide it: a board that is not known fits all. */
function tagsOf({ board }: NodeReport): string[] {
  const name = board === null ? undefined : boardOf(board)?.name;
  const device = DEVICES.find(({ boards }) => boards.some((known) => name?.startsWith(known)));
  return device ? [device.tags[0]!] : ['pi5-64bit', 'pi4-64bit', 'pi3-64bit'];
}

function addressOf(name: string, folder: string | undefined): string {
  const path = name.replace(/[\ud800-\udfff]/gu, '\ufffd').split('/').map(encodeURIComponent).join('/');
  return folder === undefined ? `file:${path}` : `${folder.replace(/\/+$/, '')}/${path}`;
}
