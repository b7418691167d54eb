/** The system's language, in /etc/locale.conf (locale.conf(5)); variables that are not named keep their lines. */
import { z } from 'zod';
import type { Finding } from '../report.js';
import type { Tree } from '../fs/filesystem.js';
import { assign, assigned, shellSyntax } from './assignments.js';
import { notAsAsked, readText, writeText } from './content.js';
import { namesIn } from './placed.js';
import type { Step } from './step.js';

const FILE = '/etc/locale.conf';
const LOCALES = '/usr/lib/locale';

const value = (what: string) => z.string().max(64).regex(/^[A-Za-z0-9_.@-]+$/, 'expected a locale such as "en_US.UTF-8"').describe(what);
const category = (what: string) => value(`Locale for ${what}, where it differs from lang.`).optional();

const variables = z.strictObject({
  lang: value('The language and character set for everything: LANG.'),
  language: z.string().max(128).regex(/^[A-Za-z0-9_.@:-]+$/).describe('Languages of messages in order of preference, joined by ":": LANGUAGE.').optional(),
  LC_CTYPE: category('characters and their classes'),
  LC_NUMERIC: category('numbers'),
  LC_TIME: category('dates and times'),
  LC_COLLATE: category('sorting'),
  LC_MONETARY: category('amounts of money'),
  LC_MESSAGES: category('messages'),
  LC_PAPER: category('paper sizes'),
  LC_NAME: category('names of persons'),
  LC_ADDRESS: category('addresses'),
  LC_TELEPHONE: category('telephone numbers'),
  LC_MEASUREMENT: category('units of measurement'),
  LC_IDENTIFICATION: category('the description of the locale itself'),
});
const schema = z.union([value('The language and character set for everything: LANG.'), variables])
  .describe('A locale ("en_US.UTF-8"), or the variables of locale.conf(5).');
export type LocaleOptions = z.infer<typeof schema>;

export const localeStep: Step<LocaleOptions> = {
  key: 'locale',
  summary: 'Sets the system locale in /etc/locale.conf; variables that are not named are kept.',
  schema,
  describe: (options) => `locale ${[...wanted(options)].map(([key, locale]) => (key === 'LANG' ? locale : `${key}=${locale}`)).join(', ')}`,
  apply(tree, options) {
    writeText(tree, FILE, assign(readText(tree, FILE) ?? '', wanted(options), shellSyntax));
  },
  verify(tree, options) {
    const found = assigned(readText(tree, FILE) ?? '', shellSyntax);
    return [...wanted(options)].flatMap(([key, locale]) => {
      if (found.get(key) === locale) return key === 'LANGUAGE' ? [] : checkInstalled(tree, locale);
      return [notAsAsked('locale', FILE, `expected ${key}=${locale} in ${FILE}, found ${found.get(key) ?? 'no such line'}`)];
    });
  },
};

function wanted(options: LocaleOptions): Map<string, string> {
  const given = typeof options === 'string' ? { lang: options } : options;
  const named = Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return new Map(named.map(([key, locale]) => [key.toUpperCase(), locale]));
}

/** glibc finds a locale in its archive (which may hold any) or as a directory, by its name with the character set in lower case without dashes. */
function checkInstalled(tree: Tree, locale: string): Finding[] {
  const installed = namesIn(tree, LOCALES);
  const normal = locale.replace(/\.([^@]+)/, (_, charset: string) => `.${charset.toLowerCase().replaceAll('-', '')}`);
  const builtIn = /^(C|POSIX)(\.|$)/.test(locale);
  if (builtIn || installed.length === 0 || installed.includes('locale-archive') || installed.includes(normal) || installed.includes(locale)) return [];
  const hint = `install the language pack (glibc-langpack-${locale.split('_')[0]}) or use one of: ${installed.slice(0, 8).join(', ')}`;
  return [{ severity: 'warning', id: 'locale-missing', subject: FILE, message: `expected the locale ${locale} in ${LOCALES}, found neither it nor an archive`, hint }];
}
