/** Says which emulator would be used. */
import { openEmulator } from '../../src/run/emulation.ts';

const emulator = await openEmulator('aarch64').catch((error) => error);
process.stdout.write(emulator instanceof Error ? `${emulator.code}: ${emulator.message}\n` : emulator.pid === undefined ? 'the host\'s\n' : 'its own\n');
await emulator.close?.();
