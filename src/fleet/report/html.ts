/** HTML by a tagged template: what is interpolated is text, and escaped, unless it came from the template itself. There is no other way to put text into the page. */
const MARKUP = Symbol('markup'); // a key that no JSON document can have

/** A part of a page that is HTML already. Made by html`…` only. */
export interface Markup { readonly [MARKUP]: string }

export type Piece = string | number | Markup | readonly Piece[];

/** Texts and numbers are escaped, for content and for quoted attributes; lists are written one after the other. */
export function html(literals: TemplateStringsArray, ...pieces: readonly Piece[]): Markup {
  return { [MARKUP]: literals.map((literal, at) => (at === 0 ? '' : written(pieces[at - 1]!)) + literal).join('') };
}

export const NOTHING: Markup = html``;

export function textOfMarkup(part: Markup): string {
  return part[MARKUP];
}

function written(piece: Piece): string {
  if (typeof piece === 'string' || typeof piece === 'number') return escaped(String(piece));
  return MARKUP in piece ? piece[MARKUP] : piece.map(written).join('');
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Also control characters, and what turns the direction of writing, which could make a name look like another: they are shown by their number. */
function escaped(text: string): string {
  return visible(text).replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

/** The text with its invisible characters shown as \x07 or \u202e; lone surrogates, which no encoding has, are replaced. */
export function visible(text: string): string {
  return text
    .replace(/[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, (character) => {
      const code = character.charCodeAt(0);
      return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
    })
    .replace(/[\ud800-\udfff]/gu, '\ufffd');
}
