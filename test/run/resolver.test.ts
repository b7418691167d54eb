/** The host's resolver is in the image while a command runs, and what the image has there is as it was afterwards. */
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { everything, makeRoot, rooted, runThere } from './roots.js';

const SHOW = 'cat /etc/resolv.conf; echo "changed" >/etc/resolv.conf; cat /etc/resolv.conf';

const KINDS: Readonly<Record<string, (etc: string) => void>> = {
  'a file': (etc) => writeFileSync(join(etc, 'resolv.conf'), 'nameserver 192.0.2.1\n'),
  'an absolute link into /run': (etc) => symlinkSync('/run/systemd/resolve/stub-resolv.conf', join(etc, 'resolv.conf')),
  'a relative link into /run': (etc) => symlinkSync('../run/NetworkManager/resolv.conf', join(etc, 'resolv.conf')),
  'a relative link to a file': (etc) => {
    symlinkSync('resolv.real', join(etc, 'resolv.conf'));
    writeFileSync(join(etc, 'resolv.real'), 'nameserver 192.0.2.1\n');
  },
  'a link to nothing': (etc) => symlinkSync('/var/lib/none/resolv.conf', join(etc, 'resolv.conf')),
  nothing: () => undefined,
  'no /etc': (etc) => rmSync(etc, { recursive: true }),
};

for (const [kind, make] of Object.entries(KINDS)) {
  rooted(`the image has ${kind}`, async () => {
    const root = makeRoot();
    make(join(root, 'etc'));
    const before = everything(root);
    const { lines, status } = await runThere(root, SHOW, { network: 'host' });
    expect({ status, lines: lines.join('\n') }).toEqual({ status: 0, lines: `${readFileSync('/etc/resolv.conf', 'utf8').trimEnd()}\nchanged` });
    expect(everything(root)).toEqual(before);
    await runThere(root, 'sleep 1000', { network: 'host', timeoutSeconds: 0.5 });
    expect(everything(root)).toEqual(before);
  });
}

rooted('without a network the image\'s own is seen', async () => {
  const root = makeRoot();
  KINDS['a file']!(join(root, 'etc'));
  expect((await runThere(root, 'cat /etc/resolv.conf')).lines).toEqual(['nameserver 192.0.2.1']);
});

rooted('a directory there, or a link to a device, is refused', async () => {
  const root = makeRoot();
  mkdirSync(join(root, 'etc/resolv.conf'));
  await expect(runThere(root, ['true'], { network: 'host' })).rejects.toMatchObject({ code: 'refused' });
  rmSync(join(root, 'etc/resolv.conf'), { recursive: true });
  symlinkSync('/dev/null', join(root, 'etc/resolv.conf'));
  await expect(runThere(root, ['true'], { network: 'host' })).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining('/dev/null') });
});

rooted('a command that puts a link in the place of /etc has nothing removed on the host', async () => {
  const root = makeRoot();
  const victim = join(root, '../victim');
  mkdirSync(victim);
  writeFileSync(join(victim, 'resolv.conf'), ''); // empty, as a placeholder is
  const before = everything(victim, true);
  const ran = await runThere(root, ['sh', '-c', 'mv /etc /moved && ln -s "$1" /etc', 'sh', victim], { network: 'host' });
  expect(ran.status).toBe(0);
  expect(everything(victim, true)).toEqual(before);
  expect(everything(root).filter((line) => line.includes('resolv.conf'))).toEqual([]); // nor is it left in the image
});
