import { nearest } from '../steps/nearest.js';

/** What an error adds about a name that is not known: the one that was probably meant, or nothing. */
export function suggestion(name: string, candidates: Iterable<string>): string {
  const near = nearest(name, candidates);
  return near === undefined ? '' : `; the nearest known name is "${near}"`;
}
