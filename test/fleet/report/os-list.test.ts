/** os_list.json: Imager's demands (fixtures/README.md says where they are written), judged by Python's jsonschema. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { FleetReport } from '../../../src/fleet/model.js';
import { osList } from '../../../src/fleet/report/os-list.js';
import { needs, run } from '../../support/oracle.js';
import { scratch } from '../../support/cli.js';
import { fleet, node, sha256, withTexts } from './sample.js';

interface Entry { readonly name: string; readonly description: string; readonly url: string; readonly extract_sha256: string; readonly devices: readonly string[]; readonly [field: string]: unknown }
const entries = (report: FleetReport, url?: string): readonly Entry[] => (JSON.parse(osList(report, { url })) as { os_list: Entry[] }).os_list;
const one = (changes: Parameters<typeof node>[1], url?: string): Entry => entries(fleet(0, { nodes: [node(1, changes)] }), url)[0]!;

const SCHEMA = join(import.meta.dirname, 'fixtures/imager-os-list.schema.json');
/** 0 when all of them are valid. */
function judged(documents: readonly string[]): { readonly status: number; readonly output: string } {
  const folder = scratch();
  const files = documents.map((document, at) => {
    writeFileSync(join(folder, `${at}.json`), document);
    return join(folder, `${at}.json`);
  });
  return run('jsonschema', [...files.flatMap((file) => ['-i', file]), SCHEMA]);
}

describe('os_list.json', () => {
  needs('jsonschema')('is what Imager takes', () => {
    const long = (report: FleetReport): FleetReport => withTexts(report, (text, where) => (where === 'sha256' ? text : `${text} <b>ü\n\u202e\ud800`));
    const reports = [fleet(1), fleet(50), fleet(2, { as: 'golden' }), fleet(2, { as: 'patch' }), long(fleet(5))];
    const places = [undefined, 'https://example.org/fleet', pathToFileURL('/srv/my fleet').href];
    expect(judged(reports.flatMap((report) => places.map((url) => osList(report, { url }))))).toMatchObject({ status: 0 });
    const spoilt = JSON.parse(osList(fleet(1), {})) as { os_list: Record<string, unknown>[] };
    delete spoilt.os_list[0]!.extract_size;
    expect(judged([JSON.stringify(spoilt)])).toMatchObject({ status: 1, output: expect.stringContaining('extract_size') });
  });

  test('an entry for each image that is there, which tells its node', () => {
    const listed = entries(fleet(5), 'https://example.org/fleet/');
    expect(listed.map(({ name }) => name)).toEqual(['node1', 'node2', 'node4', 'node5']); // node3 failed
    expect(listed[0]).toEqual({
      name: 'node1', description: 'control plane, etcd; 192.0.2.11; pi5-8gb; on RockyLinuxRpi_9-latest.img.xz', icon: '', url: 'https://example.org/fleet/node1.img.xz',
      extract_size: 3787456512, extract_sha256: '', image_download_size: 1288490189, image_download_sha256: sha256('node1'), release_date: '', devices: ['pi5-64bit'], init_format: 'none',
    });
  });

  test('the hash of the raw image is told only when it is known', () => {
    expect(one({}).extract_sha256).toBe('');
    expect(one({ output: 'node1.img', bytes: 3787456512 }).extract_sha256).toBe(sha256('node1'));
    expect(one({ output: 'node1.img', bytes: 3787456000 }).extract_sha256).toBe(''); // no raw image has another size
  });

  test('addresses are whole, and names in them are encoded', () => {
    expect(one({ output: 'my node#1?.img.xz' }, 'https://example.org/a b').url).toBe('https://example.org/a b/my%20node%231%3F.img.xz');
    expect(one({ output: 'a/b.img' }, pathToFileURL('/srv/my fleet/').href).url).toBe('file:///srv/my%20fleet/a/b.img');
    expect(one({ output: 'a.img' }).url).toBe('file:a.img');
  });

  test('boards get the tags of Imager, and what is not known is shown for all', () => {
    expect(['pi5-8gb', 'Raspberry Pi 500', 'cm4', 'pi400', 'pi3b+', 'Zero 2 W'].map((board) => one({ board }).devices)).toEqual([['pi5-64bit'], ['pi5-64bit'], ['pi4-64bit'], ['pi4-64bit'], ['pi3-64bit'], ['pi3-64bit']]);
    expect([null, 'rock64', 'constructor'].map((board) => one({ board }).devices)).toEqual(Array(3).fill(['pi5-64bit', 'pi4-64bit', 'pi3-64bit']));
  });

  test('one image for all is one entry; patches are none', () => {
    const nodes = ['pi5', 'pi4', 'pi4'].map((board, at) => node(at + 1, { output: 'fleet.img.xz', board }));
    const [entry, ...others] = entries(fleet(0, { as: 'golden', nodes }));
    expect(others).toEqual([]);
    expect(entry).toMatchObject({ name: 'All 3 nodes in one image', description: 'each board finds its own settings at the first boot; on RockyLinuxRpi_9-latest.img.xz', devices: ['pi5-64bit', 'pi4-64bit'] });
    expect(entries(fleet(5, { as: 'patch' }))).toEqual([]);
  });

  test('nothing that Imager would show as rich text, or that turns the writing', () => {
    const { name, description } = one({ name: 'node<img src="http://example.org/x">\u202e', address: '<b>\n192.0.2.1' });
    expect(name).toBe('node‹img src="http://example.org/x"›\\u202e');
    expect(description).toContain('‹b› 192.0.2.1');
  });
});
