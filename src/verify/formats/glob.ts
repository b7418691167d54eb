/** Shell patterns on one name: "*" for any characters and "?" for one. In linear steps, because patterns come from images. */
export function globFits(text: string, pattern: string): boolean {
  let [at, from] = [0, 0];
  let star: { pattern: number; text: number } | undefined;
  while (at < text.length) {
    if (pattern[from] === '*') {
      star = { pattern: from++, text: at };
    } else if (pattern[from] === '?' || pattern[from] === text[at]) {
      at++;
      from++;
    } else if (star) { // let the last "*" take one character more
      star.text++;
      [at, from] = [star.text, star.pattern + 1];
    } else return false;
  }
  return /^\**$/.test(pattern.slice(from));
}
