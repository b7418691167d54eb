/** Which nodes `--only` names. */
import { RockberryError } from '../errors.js';

const LONGEST = 1000; // characters

/** Names separated by commas; "*" stands for any characters, "?" for one. Everything is wanted without a pattern. */
export function nodeGlob(pattern: string | undefined): (name: string) => boolean {
  if (pattern === undefined) return () => true;
  if (pattern.length > LONGEST || !/^[A-Za-z0-9.*?,_-]+$/.test(pattern)) {
    throw new RockberryError('usage', `expected names of nodes, with * and ? for what may vary, after --only, found "${pattern.slice(0, 80)}"`);
  }
  const words = pattern.split(',').filter((word) => word !== '');
  return (name) => words.some((word) => fits(word, name));
}

/** Greedy, with one place to come back to: linear in the product of both lengths at worst. */
function fits(word: string, name: string): boolean {
  let [at, star, mark] = [0, -1, 0];
  let place = 0;
  while (place < name.length) {
    if (word[at] === '*') [star, mark, at] = [at, place, at + 1];
    else if (word[at] === '?' || word[at] === name[place]) [at, place] = [at + 1, place + 1];
    else if (star >= 0) [at, mark, place] = [star + 1, mark + 1, mark + 1];
    else return false;
  }
  while (word[at] === '*') at++;
  return at === word.length;
}
