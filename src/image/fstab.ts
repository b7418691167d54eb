/** fstab(5), and how fstab and the kernel's root= name a partition. */

export interface FstabEntry {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** Entries in the file's order; comments and short lines are left out. Octal escapes (\040) are decoded. */
export function parseFstab(text: string): FstabEntry[] {
  return text.split('\n').map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#')).flatMap((line) => {
    const [source, target, type, options = ''] = line.split(/\s+/).map(unescape);
    return source && target && type ? [{ source, target, type, options: options.split(',') }] : [];
  });
}

function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}

/** What a partition can be called by. */
export interface Named {
  readonly number: number;
  readonly label: string;
  readonly uuid: string;
  readonly partuuid: string;
  readonly name: string; // GPT's partition name: PARTLABEL
}

/**
 * The partition that a source of fstab or of root= names: LABEL=, UUID=, PARTUUID= (also with /PARTNROFF=), PARTLABEL=, /dev/disk/by-…/, and device names by
 * their partition number (/dev/mmcblk0p3, /dev/sda3, /dev/nvme0n1p3). Sources: fstab(5); Linux init/do_mounts.c name_to_dev_t.
 */
export function partitionNamed<P extends Named>(source: string, partitions: readonly P[]): P | undefined {
  const plain = source.replace(/^"(.*)"$/, '$1').replace(/="(.*)"$/, '=$1');
  const tag = /^(LABEL|UUID|PARTUUID|PARTLABEL)=(.*)$/.exec(plain) ?? byDiskLink(plain);
  if (tag) return partitions.find((partition) => tagMatches(partition, tag[1]!, tag[2]!));
  const number = /^\/dev\/(?:mmcblk\d+p|nvme\d+n\d+p|[svh]d[a-z]+)(\d+)$/.exec(plain)?.[1];
  return number === undefined ? undefined : partitions.find((partition) => partition.number === Number(number));
}

function byDiskLink(source: string): [string, string, string] | undefined {
  const found = /^\/dev\/disk\/by-(label|uuid|partuuid|partlabel)\/(.*)$/.exec(source);
  return found ? [found[0], found[1]!.toUpperCase(), found[2]!] : undefined;
}

function tagMatches(partition: Named, tag: string, value: string): boolean {
  if (tag === 'LABEL') return partition.label === value && value !== '';
  if (tag === 'PARTLABEL') return partition.name === value && value !== '';
  const id = tag === 'UUID' ? partition.uuid : partition.partuuid;
  return id !== '' && id.toLowerCase() === value.toLowerCase();
}
