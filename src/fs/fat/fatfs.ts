/**
 * js-fatfs (ChaN's FatFs as WebAssembly), which does what is hard to get right: allocating clusters, making short names, entering and removing names,
 * both copies of the FAT and FAT32's FSInfo. One instance serves every volume: it mounts one for the length of one change and knows nothing afterwards,
 * so that what we read and patch around it never meets a stale cache. File contents do not pass through it.
 */
import * as FatFs from 'js-fatfs';
import { RockberryError } from '../../errors.js';
import type { BlockDevice } from '../../device/device.js';

/** A path for FatFs; its parser uses the module's stack of 8 KiB. */
const MAX_PATH_BYTES = 3000;

const MEANINGS: ReadonlyMap<number, string> = new Map([
  [FatFs.FR_DISK_ERR, 'disk error'], [FatFs.FR_INT_ERR, 'broken structure'], [FatFs.FR_NO_FILE, 'no such file'], [FatFs.FR_NO_PATH, 'no such directory'],
  [FatFs.FR_INVALID_NAME, 'invalid name'], [FatFs.FR_DENIED, 'denied'], [FatFs.FR_EXIST, 'name exists'], [FatFs.FR_NO_FILESYSTEM, 'no filesystem'],
]);

export interface FatFsVolume {
  readonly device: BlockDevice;
  readonly sectorSize: number;
  /** Told of every write, before it is done. */
  readonly onWrite: (offset: number, length: number) => void;
}

/** Changes to one volume. Paths are FatFs's: '/'-separated, existing parts by any of their names. */
export interface FatFsChange {
  /** Gives a file this many bytes; what is added is not written, what is cut off is freed. */
  resize(path: string, size: number, create: boolean): void;
  makeDirectory(path: string): void;
  remove(path: string): void;
  rename(from: string, to: string): void;
}

export interface FatFsModule {
  change(volume: FatFsVolume, work: (change: FatFsChange) => void): void;
}

interface Memory {
  readonly ff: FatFs.FatFs;
  readonly filesystem: number;
  readonly file: number;
}

/** The volume that FatFs works on now, and the first error that its device threw: exceptions must not cross the module. */
interface Current {
  volume: FatFsVolume | undefined;
  failure: unknown;
  /** Sectors that were read or written during this change: FatFs holds a single one and goes back and forth between FAT and directory. */
  readonly sectors: Map<number, Uint8Array>;
}

const MAX_SECTORS = 4096;

export async function loadFatFs(): Promise<FatFsModule> {
  const current: Current = { volume: undefined, failure: undefined, sectors: new Map() };
  const ff = await FatFs.create({ diskio: diskOf(current), codepage: 437 });
  const memory = { ff, filesystem: ff.malloc(FatFs.sizeof_FATFS), file: ff.malloc(FatFs.sizeof_FIL) };
  return {
    change(volume, work) {
      current.volume = volume;
      current.failure = undefined;
      const call = caller(current);
      try {
        call('mount', ff.f_mount(memory.filesystem, '', 1));
        work(changeOf(memory, call));
      } finally {
        ff.f_unmount('');
        current.volume = undefined;
        current.sectors.clear();
      }
    },
  };
}

type Call = (what: string, result: number) => void;

function caller(current: Current): Call {
  return (what, result) => {
    if (current.failure !== undefined) throw current.failure;
    if (result === FatFs.FR_OK) return;
    const code = result === FatFs.FR_INVALID_NAME ? 'path' : 'corrupt';
    throw new RockberryError(code, `FAT: expected to ${what}, but FatFs says: ${MEANINGS.get(result) ?? `error ${result}`}`,
      { hint: 'Check a copy of the image with fsck.vfat.' });
  };
}

function changeOf({ ff, file }: Memory, call: Call): FatFsChange {
  const checked = (path: string): string => {
    if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return path;
    throw new RockberryError('path', `expected a path of at most ${MAX_PATH_BYTES} bytes, found ${Buffer.byteLength(path)}`);
  };
  return {
    resize(path, size, create) {
      call(`open ${path}`, ff.f_open(file, checked(path), FatFs.FA_READ | FatFs.FA_WRITE | (create ? FatFs.FA_CREATE_NEW : FatFs.FA_OPEN_EXISTING)));
      call(`resize ${path}`, ff.f_lseek(file, size));
      const reached = ff.f_tell(file);
      call(`resize ${path}`, ff.f_truncate(file));
      call(`close ${path}`, ff.f_close(file));
      if (reached !== size) throw new RockberryError('no-space', `expected room for ${size} bytes of ${path}, found room for ${reached}`);
    },
    makeDirectory: (path) => call(`make the directory ${path}`, ff.f_mkdir(checked(path))),
    remove: (path) => call(`remove ${path}`, ff.f_unlink(checked(path))),
    rename: (from, to) => call(`rename ${from} to ${to}`, ff.f_rename(checked(from), checked(to))),
  };
}

function diskOf(current: Current): FatFs.DiskIO {
  const guarded = (work: (volume: FatFsVolume) => void): number => {
    try {
      if (current.volume === undefined || current.failure !== undefined) return FatFs.RES_NOTRDY;
      work(current.volume);
      return FatFs.RES_OK;
    } catch (error) {
      current.failure = error;
      return FatFs.RES_ERROR;
    }
  };
  return {
    initialize: () => 0,
    status: () => 0,
    read: (ff, _drive, buffer, first, count) => guarded(({ device, sectorSize }) => {
      for (let index = 0; index < count; index++) {
        const sector = (first >>> 0) + index;
        const data = current.sectors.get(sector) ?? device.read(sector * sectorSize, sectorSize);
        keep(current.sectors, sector, data);
        ff.HEAPU8.set(data, buffer + index * sectorSize);
      }
    }),
    write: (ff, _drive, buffer, first, count) => guarded(({ device, sectorSize, onWrite }) => {
      const data = ff.HEAPU8.slice(buffer, buffer + count * sectorSize);
      const offset = (first >>> 0) * sectorSize;
      for (let index = 0; index < count; index++) keep(current.sectors, (first >>> 0) + index, data.slice(index * sectorSize, (index + 1) * sectorSize));
      onWrite(offset, data.length);
      device.write(offset, data);
    }),
    ioctl: (ff, _drive, command, buffer) => guarded(({ device, sectorSize }) => {
      if (command === FatFs.GET_SECTOR_COUNT) ff.setValue(buffer, Math.min(device.size / sectorSize, 0xffffffff), 'i32');
      else if (command === FatFs.GET_SECTOR_SIZE) ff.setValue(buffer, sectorSize, 'i16');
      else if (command === FatFs.GET_BLOCK_SIZE) ff.setValue(buffer, 1, 'i32');
    }),
  };
}

function keep(sectors: Map<number, Uint8Array>, sector: number, data: Uint8Array): void {
  if (sectors.size >= MAX_SECTORS) sectors.clear();
  sectors.set(sector, data);
}
