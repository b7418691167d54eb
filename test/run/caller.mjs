/** A process that runs a command in a root, and can be killed: JSON in, the command's lines and its status out. */
import { runInRoot } from '../../src/run/run.ts';

const { root, script, network = 'none', binds = [] } = JSON.parse(process.argv[2]);
const { status } = await runInRoot({
  root, command: { script }, network, environment: new Map(), secrets: new Map([['key', 'value']]), binds, timeoutSeconds: 60,
  output: (line) => process.stdout.write(`${line}\n`), mask: (text) => text,
});
process.stdout.write(`status ${status}\n`);
