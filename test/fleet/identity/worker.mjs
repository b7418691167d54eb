// A run of its own for test/fleet/identity/identities.test.ts, which bundles it first: node worker.mjs STATE NAME… mints quickly what the names need, and prints "NAME MACHINE-ID" for
// each once it is kept. A name "*PREFIX" stands for PREFIX1, PREFIX2, … without end.
import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { openIdentities } from '../../../src/fleet/identity/identities.js';
import { hostKeyOf, KEY_TYPES } from '../../../src/fleet/identity/mint.js';

const [state, ...names] = process.argv.slice(2);

const mint = (name) => {
  const privateKey = `-----BEGIN OPENSSH PRIVATE KEY-----\n${`${randomBytes(51).toString('base64')}\n`.repeat(30)}-----END OPENSSH PRIVATE KEY-----\n`;
  return Promise.resolve({ name, machineId: randomBytes(16).toString('hex'), hostKeys: KEY_TYPES.map((type) => hostKeyOf(type, privateKey, `ssh-${type} AAAA root@${name}`)) });
};

const identities = await openIdentities(state, { mint });
function* all() {
  for (const name of names) {
    if (!name.startsWith('*')) yield name;
    else for (let number = 1; ; number++) yield `${name.slice(1)}${number}`;
  }
}
for (const name of all()) {
  const kept = (await identities.ensure([name])).identities.get(name);
  writeSync(1, `${name} ${kept.machineId}\n`);
}
