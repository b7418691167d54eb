// Stages the file argv[3] with the atomic.js at argv[2] and says on stdout how far it is; is killed at any of these points.
import { writeSync } from 'node:fs';
const { stageOutput } = await import(process.argv[2]);
async function* pieces() {
  for (let index = 0; index < 8; index++) {
    writeSync(1, `piece ${index}\n`);
    yield Buffer.alloc(1 << 20, index + 1);
    await new Promise((resolve) => setTimeout(resolve, Number(process.argv[4])));
  }
}
const staged = await stageOutput(process.argv[3], pieces(), { force: true });
writeSync(1, 'staged\n');
staged.commit();
writeSync(1, 'committed\n');
