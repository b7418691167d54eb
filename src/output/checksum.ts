/**
 * Check sum files. We write the tagged form, `SHA256 (name) = hex`, which the BSDs' sha256, GNU coreutils and Perl's shasum all read; we read that one and
 * the plain form of sha256sum. Vendors publish both (Rocky: tagged, under a comment with the size).
 */
export interface NamedChecksum {
  readonly name: string;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r' };
const UNESCAPES: Readonly<Record<string, string>> = { '\\\\': '\\', '\\n': '\n', '\\r': '\r' };

/** One line. A name with a backslash or a line break is escaped, and the line begins with a backslash to say so (coreutils, "cksum output modes"). */
export function checksumText(name: string, sha256: string): string {
  const escaped = name.replace(/[\\\n\r]/g, (character) => ESCAPES[character]!);
  return `${escaped === name ? '' : '\\'}SHA256 (${escaped}) = ${sha256}\n`;
}

const TAGGED = /^(\\?)SHA256 \((.+)\) = ([0-9a-fA-F]{64})$/s;
const PLAIN = /^(\\?)([0-9a-fA-F]{64}) [ *](.+)$/s;

/**
 * Every SHA-256 in the text, in its order. Lines of other kinds (comments, other algorithms, the wrapping of a signature) are passed over, as the readers
 * above do: whoever needs an entry looks whether it is there.
 */
export function parseChecksums(text: string): NamedChecksum[] {
  return text.split('\n').flatMap((line): NamedChecksum[] => {
    const trimmed = line.replace(/^[ \t]+/, '').replace(/\r$/, '');
    const tagged = TAGGED.exec(trimmed);
    if (tagged) return [entry(tagged[1]!, tagged[2]!, tagged[3]!)];
    const plain = PLAIN.exec(trimmed);
    return plain ? [entry(plain[1]!, plain[3]!, plain[2]!)] : [];
  });
}

function entry(mark: string, name: string, sha256: string): NamedChecksum {
  const plain = mark === '' ? name : name.replace(/\\[\\nr]/g, (escape) => UNESCAPES[escape]!);
  return { name: plain, sha256: sha256.toLowerCase() };
}
