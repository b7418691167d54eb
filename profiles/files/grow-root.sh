#!/bin/sh
# Grows the root partition and its filesystem to the end of the disk. Run once by rockberry-grow-root.service; run again, it changes nothing.
# The partition keeps its number, its start and the disk its id, so root=PARTUUID=... in the kernel command line stays right.
set -eu
LC_ALL=C
export LC_ALL

say() {
    echo "rockberry grow-root: $*"
}

fail() {
    say "$*" >&2
    exit 1
}

need() {
    command -v "$1" >/dev/null 2>&1 || fail "expected the program $1 (package $2), found none; root keeps its size"
}

need findmnt util-linux
need lsblk util-linux
need growpart cloud-utils-growpart

# The device behind the mount, whether root= named it by LABEL, UUID or PARTUUID; -v leaves out a subvolume in brackets.
device=$(findmnt -n -v -o SOURCE /)
type=$(findmnt -n -o FSTYPE /)
kind=$(lsblk -n -d -o TYPE "$device") || fail "expected a block device under /, found $device"
if [ "$kind" != part ]; then
    say "root is on $device, which is no partition ($kind); nothing to grow"
    exit 0
fi
disk=$(lsblk -n -d -p -o PKNAME "$device")
number=${device##*[!0-9]}

case $type in
ext2 | ext3 | ext4) need resize2fs e2fsprogs ;;
xfs) need xfs_growfs xfsprogs ;;
btrfs) need btrfs btrfs-progs ;;
*) fail "expected ext4, xfs or btrfs as root, found $type; root keeps its size" ;;
esac

# growpart exits with 1 and says NOCHANGE when there is nothing to gain.
status=0
said=$(growpart "$disk" "$number" 2>&1) || status=$?
case $status:$said in
0:* | 1:*NOCHANGE*) say "$said" ;;
*) fail "growpart $disk $number failed: $said" ;;
esac

case $type in
ext*) resize2fs "$device" ;;
xfs) xfs_growfs / ;;
btrfs) btrfs filesystem resize max / ;;
esac
say "root is now $(findmnt -n -o SIZE /)"
