/** Are the filesystems of an image sound? Each driver's own fsck-grade check, and every filesystem that could not be opened. */
import type { Finding } from '../report.js';
import type { Image } from '../image/image.js';

export function verifyFilesystems(image: Image): Finding[] {
  return image.partitions.flatMap(({ number, problem, filesystem }) => {
    if (problem) return [{ severity: 'error' as const, id: 'filesystem-damaged', subject: `partition ${number}`, message: problem.message, hint: problem.hint }];
    return (filesystem?.check() ?? []).map((finding) => ({ ...finding, subject: `partition ${number}: ${finding.subject}` }));
  });
}
