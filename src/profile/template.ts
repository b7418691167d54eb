/**
 * Liquid templates (liquidjs) in the scalars of a profile and in template files. No template reads a file, the clock, chance or the locale: the tags and
 * filters that could are taken out, so that the same profile and values always give the same image.
 */
import { Liquid } from 'liquidjs';
import { RockberryError } from '../errors.js';
import { suggestion } from './nearest.js';

const TEXT_LIMIT = 1 << 20; // characters of a template, and of what it makes
const MEMORY_LIMIT = 1 << 24; // liquidjs's own count of characters and elements that filters make
const RENDER_LIMIT = 1_000; // milliseconds
const FILE_TAGS = ['include', 'render', 'layout', 'block'];
const VARYING_FILTERS = ['date', 'date_to_xmlschema', 'date_to_rfc822', 'date_to_string', 'date_to_long_string', 'sample'];
const WHOLE = /^\s*\{\{-?\s*([A-Za-z_]\w*)\s*-?\}\}\s*$/;

export type Variables = ReadonlyMap<string, unknown>;

const engine = createEngine();

function createEngine(): Liquid {
  const nowhere = {
    exists: () => Promise.resolve(false), existsSync: () => false,
    readFile: () => Promise.reject(new Error('templates read no files')),
    readFileSync: (): string => { throw new Error('templates read no files'); },
    resolve: (_directory: string, file: string) => file,
  };
  const liquid = new Liquid({
    strictVariables: true, strictFilters: true, ownPropertyOnly: true, cache: false, relativeReference: false, fs: nowhere,
    timezoneOffset: 0, locale: 'en-US', parseLimit: TEXT_LIMIT, renderLimit: RENDER_LIMIT, memoryLimit: MEMORY_LIMIT,
  });
  for (const tag of FILE_TAGS) delete liquid.tags[tag];
  for (const filter of VARYING_FILTERS) delete liquid.filters[filter];
  return liquid;
}

/** Whether the text is a template at all. */
export function isTemplate(text: string): boolean {
  return text.includes('{{') || text.includes('{%');
}

/** The variable's name when the text is exactly one `{{ name }}`: then the value keeps its type. */
export function wholeVariable(text: string): string | undefined {
  return WHOLE.exec(text)?.[1];
}

/** Whether the template's text has the name as a word, which is enough to say that it may depend on the variable. */
export function mentions(text: string, name: string): boolean {
  return new RegExp(`\\b${name}\\b`).test(text);
}

/** The rendered text; a text without template marks as it is. Errors: `profile` for unknown variables and filters, for bad syntax and for output beyond 1 MiB. */
export function renderText(text: string, variables: Variables): string {
  if (!isTemplate(text)) return text;
  try {
    const rendered: unknown = engine.parseAndRenderSync(text, Object.fromEntries(variables));
    if (typeof rendered === 'string' && rendered.length <= TEXT_LIMIT) return rendered;
    throw new RockberryError('profile', `expected a template to make at most ${TEXT_LIMIT} characters, found more`);
  } catch (error) {
    throw error instanceof RockberryError ? error : explain(error, variables);
  }
}

function explain(error: unknown, variables: Variables): RockberryError {
  const message = error instanceof Error ? error.message : String(error);
  const unknown = /undefined variable: ([\w.]+)/.exec(message)?.[1];
  if (unknown === undefined) return new RockberryError('profile', `expected a template that Liquid can render, found: ${message.split('\n')[0]!.replace(/, line:\d+, col:\d+.*$/, '')}`);
  return new RockberryError('profile', `expected a known variable in a template, found "${unknown}"${suggestion(unknown, variables.keys())}`, {
    hint: 'declare it under "variables:" of the profile',
  });
}
