/** The image families: geometry, filesystems, contents. Section numbers are those of the project's facts about the Rocky Pi images. */
import { accounts } from './accounts.mjs';
import { base } from './base.mjs';
import { legacyBoot } from './boot.mjs';
import { systemd } from './systemd.mjs';
import { TreeBuilder } from './tree.mjs';

const DISK_ID = '5f2d8c41';
const ROOT_UUID = '6c9d2b1e-3f40-4a5b-8c7d-9e0f1a2b3c4d';
const SWAP_UUID = '7d0e3c2f-4a51-4b6c-9d8e-af102b3c4d5e';
const VOLUME_ID = '5a7c1e20';
const VOLUME_UUID = '5A7C-1E20';

function rockyRoot({ version, kernelRelease, fstab, boot }) {
  const tree = new TreeBuilder();
  base(tree, { version, kernelRelease });
  accounts(tree);
  systemd(tree);
  tree.file('/etc/fstab', fstab);
  tree.directory(boot);
  return tree;
}

/** §2A, §3A: kickstart and appliance-creator. */
function legacy() {
  const kernelRelease = '6.1.31-v8.1.el9.altarch';
  const tree = rockyRoot({
    version: '9.2', kernelRelease, boot: '/boot',
    fstab: `UUID=${ROOT_UUID}  / ext4    defaults,noatime 0 0\nUUID=${VOLUME_UUID}  /boot vfat    defaults,noatime 0 0\nUUID=${SWAP_UUID}  swap swap    defaults,noatime 0 0\n`,
  });
  return {
    sectors: 7397376,
    table: `label: dos\nlabel-id: 0x${DISK_ID}\nunit: sectors\nstart=8192, size=585728, type=c, bootable\nstart=593920, size=999424, type=82\nstart=1593344, size=5469157, type=83\n`,
    fat: {
      start: 8192, sectors: 585728, width: 16, volumeId: VOLUME_ID,
      files: legacyBoot(kernelRelease, `console=ttyAMA0,115200 console=tty1 root=PARTUUID=${DISK_ID}-03 rootfstype=ext4 elevator=deadline rootwait\n`),
    },
    swap: { start: 593920, sectors: 999424, label: '_swap', uuid: SWAP_UUID },
    root: { start: 1593344, blocks: 683644, label: '_/', uuid: ROOT_UUID, nodes: tree.sorted() },
    labelled: true,
  };
}

/** Name -> how to make it; a function, so that `list` costs nothing. */
export const FAMILIES = {
  'rocky9-pi-sample': legacy,
};
