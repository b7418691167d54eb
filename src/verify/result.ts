/** Everything that is checked on a finished image before it gets its name. The image was opened from scratch: nothing that the writer remembers is used. */
import type { ReadableDevice } from '../device/device.js';
import type { Image } from '../image/image.js';
import type { BoundStep } from '../profile.js';
import type { Finding } from '../report.js';
import { verifyBoot } from './boot.js';
import { verifyFilesystems } from './filesystems.js';
import { verifyTable } from './table.js';

export interface Check {
  /** What was looked at, for the report: "filesystems". */
  readonly name: string;
  readonly findings: readonly Finding[];
}

export async function verifyResult(image: Image, base: ReadableDevice, steps: readonly BoundStep[]): Promise<Check[]> {
  const checks: Check[] = [
    { name: `partition table is the base's, ${image.overlay.size > base.size ? 'but for the partition that grew' : 'bit for bit'}`, findings: verifyTable(image, base) },
    { name: 'filesystems are consistent', findings: verifyFilesystems(image) },
    { name: 'root= names the root filesystem', findings: verifyBoot(image) },
  ];
  for (const step of steps) checks.push({ name: step.title, findings: await step.verify(image.tree()) });
  return checks;
}
