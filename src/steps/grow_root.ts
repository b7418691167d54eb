/** The root filesystem grown to the whole disk, once, at the first boot: only the node knows how large its card is. */
import { z } from 'zod';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { shippedFile } from '../shipped.js';
import { checkOnce, placeOnce, type Once } from './once.js';
import type { Step } from './step.js';

const KUBERNETES = ['containerd.service', 'crio.service', 'docker.service', 'kubelet.service', 'k3s.service', 'k3s-agent.service', 'rke2-server.service', 'rke2-agent.service'];

const schema = z.union([z.literal(true), z.strictObject({})]).describe('true: grow the root partition and its filesystem at the first boot.');

export const growRootStep: Step<true | Record<string, never>> = {
  key: 'grow_root',
  summary: 'Grows the root partition and its filesystem to the end of the disk, at the first boot.',
  schema,
  describe: () => 'grow root to the whole disk at first boot',
  apply(tree) {
    placeOnce(tree, once());
  },
  verify(tree) {
    return [...checkOnce(tree, 'grow_root', once()), ...checkTool(tree)];
  },
};

/** Before whatever would fill the disk or measure it. */
function once(): Once {
  return { name: 'grow-root', description: 'Grow the root partition and its filesystem', script: shippedFile('grow-root.sh'), after: [], wants: [], before: KUBERNETES, isOrdered: false };
}

function checkTool(tree: Tree): Finding[] {
  if (tree.stat(tree.resolve('/usr/bin/growpart'))) return [];
  const message = 'expected growpart in the image, found no /usr/bin/growpart: root will keep its size';
  return [{ severity: 'warning', id: 'grow-root-tool', subject: '/usr/bin/growpart', message, hint: 'install cloud-utils-growpart in the image' }];
}
