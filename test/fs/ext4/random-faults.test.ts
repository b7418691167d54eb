/** A device that fails: the error comes out as it is, nothing hangs, and once the device works again the filesystem can be flushed and is sound. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect } from 'vitest';
import { memoryDevice, type BlockDevice } from '../../../src/device/device.js';
import { RockberryError } from '../../../src/errors.js';
import { openExt4 } from '../../../src/fs/ext4/ext4.js';
import { SAME_EVERY_TIME, needs, output, run } from '../../support/oracle.js';
import { inTemporaryDirectory } from './directory-images.js';
import { Model } from './model.js';
import { calls, operation } from './operations.js';

const SEED = Number(process.env.ROCKBERRY_SEED ?? 20_261_123);
const TIME = { seconds: 1_700_000_000, nanoseconds: 0 };

interface Failing {
  readonly device: BlockDevice;
  failures: number;
  broken: boolean;
}

/** Every k-th write fails, as long as it is broken. */
function failing(image: Uint8Array, every: number): Failing {
  const inner = memoryDevice(image);
  let writes = 0;
  const state: Failing = {
    failures: 0, broken: true,
    device: {
      ...inner,
      write(offset, data) {
        writes++;
        if (state.broken && writes % every === 0) {
          state.failures++;
          throw new RockberryError('io', `write ${writes} failed`);
        }
        inner.write(offset, data);
      },
    },
  };
  return state;
}

/** 'io' is the device's own failure; true when the work was done. */
function survives(work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (!(error instanceof RockberryError) || !['io', 'path', 'no-space'].includes(error.code)) throw error;
    return false;
  }
}

needs('mke2fs', 'e2fsck')(`every k-th write fails, ROCKBERRY_SEED=${SEED}`, () => inTemporaryDirectory((path) => {
  const imagePath = join(path, 'image');
  output('mke2fs', ['-q', '-F', ...SAME_EVERY_TIME, '-t', 'ext4', '-b', '1024', imagePath, '8M']);
  const fresh = readFileSync(imagePath);
  const operations = fc.sample(operation, { seed: SEED, numRuns: 60 });
  for (let every = 1; every <= 40; every += every < 12 ? 1 : 4) {
    const image = new Uint8Array(fresh);
    const fault = failing(image, every);
    const fs = openExt4(fault.device, { time: TIME })!;
    const model = new Model(TIME); // only chooses paths: what the filesystem refuses is left out of it
    operations.forEach((each, index) => {
      for (const call of calls(model, each)) if (survives(() => call.on(fs))) call.model(model);
      if (index % 10 === 9) survives(() => fs.flush());
    });
    expect(fault.failures, `every ${every}`).toBeGreaterThan(0);
    fault.broken = false;
    fs.flush();
    writeFileSync(imagePath, image);
    const checked = run('e2fsck', ['-fn', imagePath]);
    expect(checked, `every ${every}: ${checked.output}`).toMatchObject({ status: 0 });
    expect(openExt4(memoryDevice(image))!.check()).toEqual([]);
    const names = openExt4(memoryDevice(image))!.list('/').map((entry) => entry.name).filter((name) => name !== 'lost+found');
    expect(names).toEqual([...model.root.children.keys()].sort());
  }
}));
