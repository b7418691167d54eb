/** The same random operations on the kernel's mount and on our own driver, in a namespace of its own: what they answer, and what is there at the end. Told as JSON. */
import { openImageFile } from '../../src/image/image.js';
import { loopBackend } from '../../src/kernel/backend.js';
import { silentProgress } from '../../src/report.js';

const [image, directory, seed, steps] = process.argv.slice(2);

function random(state) {
  let at = state;
  return (below) => {
    at = (at + 0x6d2b79f5) | 0;
    let mixed = Math.imul(at ^ (at >>> 15), 1 | at);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const next = random(Number(seed));
const of = (list) => list[next(list.length)];
const NAMES = ['a', 'b', 'c', 'ü', 'with space', 'back\\slash', 'equal=sign', '\udcff\udc80', 'x'.repeat(200)];
const path = () => `/t/${Array.from({ length: 1 + next(3) }, () => of(NAMES)).join('/')}`;
const bytes = (length) => Uint8Array.from({ length }, (_, at) => (at * 31 + length) & 255);
// "user." attributes are for files and directories only (xattr(7)): the kernel refuses them on links, and nobody asks our driver for them there.
const attributes = () => ({
  ...(next(2) && { mode: of([0o644, 0o755, 0o600, 0o4755, 0o1777]) }), ...(next(3) === 0 && { uid: next(70000), gid: next(70000) }), ...(next(3) === 0 && { mtime: { seconds: 1_000_000_000 + next(1e9), nanoseconds: 0 } }),
  ...(next(3) === 0 && { xattrs: new Map([['security.selinux', Buffer.from(`system_u:object_r:t${next(9)}_t:s0\0`)], ['trusted.note', next(3) ? bytes(next(40)) : null]]) }),
});

/** One operation, as a function of a filesystem. */
function operation() {
  const target = of(['/etc', '../../..', '/t/a', 'b']);
  const [one, two, given, size, from] = [path(), path(), attributes(), next(3) ? next(5000) : next(3e5), next(100)];
  return of([
    ['write', (fs) => fs.write(one, bytes(size), given)], ['write', (fs) => fs.write(one, bytes(size), given)], ['append', (fs) => fs.append(one, bytes(size))], ['truncate', (fs) => fs.truncate(one, size)],
    ['makeDirectory', (fs) => fs.makeDirectory(one, given)], ['makeDirectory', (fs) => fs.makeDirectory(one, given)], ['makeLink', (fs) => fs.makeLink(one, target, {})],
    ['makeHardLink', (fs) => fs.makeHardLink(one, two)], ['rename', (fs) => fs.rename(one, two)], ['change', (fs) => fs.change(one, given)], ['remove', (fs) => fs.remove(one)],
    ['read', (fs) => Buffer.from(fs.read(one, from, 50)).toString('hex')],
  ]);
}

const state = (fs, at, into = {}) => {
  for (const { name, type } of fs.list(at)) {
    const inner = `${at}/${name}`;
    const { mode, uid, gid, size, mtime, links } = fs.stat(inner);
    const attributes = Object.fromEntries([...fs.xattrs(inner)].map(([key, value]) => [key, Buffer.from(value).toString('hex')]).sort());
    into[JSON.stringify(inner)] = {
      type, uid, gid, attributes, ...(type !== 'symlink' && { mode }), ...(type !== 'directory' && { size, links, mtime: mtime.seconds }), ...(type === 'symlink' && { target: fs.readLink(inner) }),
      ...(type === 'file' && { content: Buffer.from(fs.read(inner)).toString('base64').slice(0, 400) }),
    };
    if (type === 'directory') state(fs, inner, into);
  }
  return into;
};

const attempt = (work) => {
  try {
    return { value: work() ?? null };
  } catch (error) {
    return { error: error.code ?? String(error) };
  }
};

const kernel = await openImageFile(image, { backend: loopBackend({ directory, progress: silentProgress }) });
const own = await openImageFile(image);
const [a, b] = [kernel.roles.root.filesystem, own.roles.root.filesystem];
for (const fs of [a, b]) fs.makeDirectory('/t', {});
const answers = [];
for (let step = 0; step < Number(steps); step++) {
  const [name, work] = operation();
  const [mine, theirs] = [attempt(() => work(a)), attempt(() => work(b))];
  if (JSON.stringify(mine) !== JSON.stringify(theirs)) answers.push({ step, name, kernel: mine, own: theirs });
  if (step % 100 === 99) a.flush();
}
for (const fs of [a, b]) fs.flush();
const result = { answers, kernel: state(a, '/t'), own: state(b, '/t'), findings: a.check() };
kernel.close();
own.close();
process.stdout.write(JSON.stringify(result));
