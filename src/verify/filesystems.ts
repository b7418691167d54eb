/** Are the filesystems of an image sound? Each driver's own fsck-grade check, and every filesystem that could not be opened. */
import type { Finding } from '../report.js';
import type { Image } from '../image/image.js';

export function verifyFilesystems(image: Image): Finding[] {
  const found = image.partitions.flatMap(({ number, filesystem }) => (filesystem?.check() ?? []).map((finding) => ({ ...finding, subject: `partition ${number}: ${finding.subject}` })));
  return [...verifyOpened(image), ...found];
}

/** The quick part: every filesystem of a kind that we know could be opened, which takes a clean superblock. */
export function verifyOpened(image: Image): Finding[] {
  return image.partitions.flatMap(({ number, problem }) => {
    if (!problem) return [];
    return [{ severity: 'error' as const, id: 'filesystem-damaged', subject: `partition ${number}`, message: problem.message, hint: problem.hint }];
  });
}
