/** Loop devices over files: real block devices, wherever the tests run as root (CI does). On a laptop such tests are skipped, with a printed reason. */
import { test } from 'vitest';
import { output, run } from './oracle.js';

/** The device of a file, until the test ends. */
export type LoopOf = (file: string) => string;

let told = false;

export function hasLoops(): boolean {
  return process.getuid?.() === 0 && run('losetup', ['--find']).status === 0;
}

/** A test that is given loop devices, which are gone afterwards whatever happens. */
export function withLoop(name: string, work: (loopOf: LoopOf) => Promise<void> | void): void {
  if (!hasLoops() && !process.env.CI) {
    if (!told) process.stderr.write('skipped: loop devices need root\n');
    told = true;
    test.skip(name);
    return;
  }
  test(name, async () => {
    const made: string[] = [];
    try {
      await work((file) => {
        const device = output('losetup', ['--find', '--show', file]).toString().trim();
        made.push(device);
        return device;
      });
    } finally {
      for (const device of made) run('losetup', ['--detach', device]);
    }
  });
}
