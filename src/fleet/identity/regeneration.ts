/**
 * What of an image would throw the placed host keys away at its first boot: Raspberry Pi OS makes new ones (raspberrypi-sys-mods: a unit, and its first-boot
 * script, which calls the same program), and so does cloud-init where nothing tells it otherwise (cc_ssh, ssh_deletekeys). EL's and Debian's own units only make
 * keys that are missing.
 */
import type { Finding } from '../../report.js';
import type { Tree } from '../../fs/filesystem.js';
import { notAsAsked } from '../../steps/content.js';
import { linksToDisable } from '../../steps/systemd.js';

const UNIT = 'regenerate_ssh_host_keys.service';
const WHY = '# Placed by rockberry: the SSH host keys of this node were made with its image, and stay.';

interface Keeper {
  /** What the image has when it needs it. */
  readonly needs: string;
  readonly path: string;
  readonly content: string;
  readonly mode: string;
}

const KEEPERS: readonly Keeper[] = [{
  needs: '/usr/lib/raspberrypi-sys-mods/regenerate_ssh_host_keys', path: '/usr/lib/raspberrypi-sys-mods/regenerate_ssh_host_keys',
  content: `#!/bin/sh\n${WHY}\nexit 0\n`, mode: '0755',
}, {
  needs: '/etc/cloud/cloud.cfg', path: '/etc/cloud/cloud.cfg.d/99-rockberry-host-keys.cfg', content: `${WHY}\nssh_deletekeys: false\n`, mode: '0644',
}];

/** Files that keep the host keys, as entries of the files step; none for an image that leaves them alone. */
export function keepingFiles(tree: Tree): { path: string; content: string; mode: string; owner: number; group: number }[] {
  return KEEPERS.filter(({ needs }) => tree.stat(tree.resolve(needs))).map(({ path, content, mode }) => ({ path, content, mode, owner: 0, group: 0 }));
}

export function disableRegeneration(tree: Tree): void {
  for (const path of linksToDisable(tree, UNIT)) tree.remove(path);
}

export function checkRegeneration(tree: Tree, step: string): Finding[] {
  return linksToDisable(tree, UNIT).map((path) => notAsAsked(step, path, `expected nothing that starts ${UNIT}, found a link to it: the node would make other host keys`));
}
