/**
 * FAT's times: a date (7 bits of years since 1980, 4 of months, 5 of days) and a time (5 bits of hours, 6 of minutes, 5 of two-second steps). FAT does
 * not say in which zone; we write and read UTC, which is what Linux does on a machine whose kernel was told no other zone.
 */
import type { Time } from '../filesystem.js';

export interface FatTime {
  readonly date: number;
  readonly time: number;
}

const FIRST = Date.UTC(1980, 0, 1) / 1000;
const LAST = Date.UTC(2107, 11, 31, 23, 59, 58) / 1000;

/** Rounded down to two seconds; years outside of 1980 to 2107 become the nearest that FAT has. */
export function encodeTime(value: Time): FatTime {
  const date = new Date(Math.min(LAST, Math.max(FIRST, value.seconds)) * 1000);
  return {
    date: ((date.getUTCFullYear() - 1980) << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate(),
    time: (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1),
  };
}

/** A date of zero (never set) is 1980-01-01; months and days out of range carry over as in a calendar. */
export function decodeTime(value: FatTime): Time {
  const { date, time } = value;
  if (date === 0) return { seconds: FIRST, nanoseconds: 0 };
  const milliseconds = Date.UTC(1980 + (date >> 9), ((date >> 5) & 15) - 1, date & 31, time >> 11, (time >> 5) & 63, (time & 31) * 2);
  return { seconds: milliseconds / 1000, nanoseconds: 0 };
}
