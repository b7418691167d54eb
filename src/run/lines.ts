/** Output as lines: each whole, so that a secret that came in two reads is still one, and none longer than the limit, so that memory is bounded. */
import { StringDecoder } from 'node:string_decoder';

export const LINE_LIMIT = 65_536; // characters
const CUT = ' […]';

export interface Lines {
  add(piece: Uint8Array): void;
  /** What stands after the last line end. */
  end(): void;
}

/** A carriage return ends a line as well: progress bars have no other. Of a longer line comes its beginning, with a mark. */
export function lines(take: (line: string) => void): Lines {
  const decoder = new StringDecoder('utf8');
  let held = '';
  let returned = false; // a line feed that follows belongs to the carriage return
  const hold = (text: string): void => {
    if (held.length <= LINE_LIMIT) held += text.slice(0, LINE_LIMIT + 1 - held.length);
  };
  const emit = (): void => {
    const line = held.length > LINE_LIMIT ? held.slice(0, LINE_LIMIT) + CUT : held;
    held = '';
    take(line);
  };
  const addText = (text: string): void => {
    for (const [, part, end] of text.matchAll(/([^\r\n]*)([\r\n]|$)/g)) {
      hold(part!);
      if (end === '\r' || (end === '\n' && !(returned && held === ''))) emit();
      if (part !== '' || end !== '') returned = end === '\r';
    }
  };
  return {
    add: (piece) => addText(decoder.write(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength))),
    end: () => {
      addText(decoder.end());
      if (held !== '') emit();
    },
  };
}
