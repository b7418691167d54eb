/** The time zone: /etc/localtime as a relative link into the image's own zone database, as localtime(5) and timedatectl(1) have it. */
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { notAsAsked, readText, writeText } from './content.js';
import { didYouMean } from './nearest.js';
import { namesIn, placeLink } from './placed.js';
import type { Step } from './step.js';

const ZONES = '/usr/share/zoneinfo';
const DEPTH = 3; // America/Argentina/Ushuaia is the deepest there is
const LINK = '/etc/localtime';

const schema = z.string().max(64).regex(/^[A-Za-z0-9_+-]+(\/[A-Za-z0-9_+-]+)*$/, 'expected the name of a time zone, as "Europe/Berlin" or "UTC"')
  .describe('Name of a zone in the image\'s /usr/share/zoneinfo: "UTC", "Europe/Berlin".');

export const timezoneStep: Step<string> = {
  key: 'timezone',
  summary: 'Sets the time zone by the link /etc/localtime; the zone must be in the image.',
  schema,
  describe: (zone) => `time zone ${zone}`,
  apply(tree, zone) {
    if (!isZone(tree, zone)) throw unknownZone(tree, zone);
    const there = tree.stat(LINK);
    if (there && there.type !== 'symlink') tree.remove(LINK); // a copy of the zone's file, as older tools made it
    placeLink(tree, LINK, targetOf(zone));
    if (tree.stat('/etc/timezone')) writeText(tree, '/etc/timezone', `${zone}\n`); // Debian's; made by nothing on EL
  },
  verify(tree, zone) {
    return [...checkLink(tree, zone), ...checkDebianFile(tree, zone)];
  },
};

function targetOf(zone: string): string {
  return `..${ZONES}/${zone}`;
}

/** A compiled zone begins with "TZif" (RFC 8536 section 3.1). */
function isZone(tree: Tree, zone: string): boolean {
  const path = tree.resolve(`${ZONES}/${zone}`);
  return tree.stat(path)?.type === 'file' && Buffer.from(tree.read(path, 0, 4)).toString('latin1') === 'TZif';
}

function unknownZone(tree: Tree, zone: string): RockberryError {
  const zones = zonesUnder(tree, '', DEPTH).filter((name) => !/^(posix|right)\/|\./.test(name));
  const hint = zones.length === 0 ? 'the image has no time zones at all: its tzdata package is missing' : didYouMean(zone, zones, 'use a name as in "timedatectl list-timezones"');
  return new RockberryError('profile', `expected a time zone that the image has, found "${zone}", which is not in its ${ZONES}`, { hint });
}

function zonesUnder(tree: Tree, prefix: string, depth: number): string[] {
  return namesIn(tree, `${ZONES}/${prefix}`).flatMap((name) => {
    const isDirectory = depth > 1 && tree.stat(`${ZONES}/${prefix}${name}`)?.type === 'directory';
    return isDirectory ? zonesUnder(tree, `${prefix}${name}/`, depth - 1) : [prefix + name];
  });
}

function checkLink(tree: Tree, zone: string): Finding[] {
  const found = tree.stat(LINK)?.type === 'symlink' ? tree.readLink(LINK) : undefined;
  if (found !== targetOf(zone)) return [notAsAsked('timezone', LINK, `expected ${LINK} to be a link to ${targetOf(zone)}, found ${found ?? 'no link'}`)];
  return isZone(tree, zone) ? [] : [notAsAsked('timezone', LINK, `expected the zone ${zone} behind ${LINK}, found none in ${ZONES}`)];
}

function checkDebianFile(tree: Tree, zone: string): Finding[] {
  const found = readText(tree, '/etc/timezone');
  if (found === undefined || found.trim() === zone) return [];
  return [notAsAsked('timezone', '/etc/timezone', `expected ${zone} in /etc/timezone, found "${found.trim().slice(0, 64)}"`)];
}
