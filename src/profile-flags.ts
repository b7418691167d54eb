/** The flags that name profiles and what their variables get. */
import type { Command } from 'commander';
import type { BuildOptions } from './build.js';
import { collect, type ProfileFlags } from './command.js';
import type { Terminal } from './terminal.js';

/** The profiles with what their variables get; secrets that nobody has given are asked for, where there is a terminal. */
export async function profilesOf(terminal: Terminal, { profile, set, vars, secret }: ProfileFlags): Promise<Pick<BuildOptions, 'profiles' | 'set' | 'varsFiles' | 'secrets' | 'answers'>> {
  if (profile.length === 0) return { profiles: [] };
  const { secretsOf } = await import('./profile.js');
  const { missing, warnings } = secretsOf(profile, { set, varsFiles: vars, secrets: secret });
  terminal.warn(warnings);
  const answers = new Map<string, string>();
  for (const { name, description } of missing) if (terminal.canAsk || secret.includes(name)) answers.set(name, await terminal.ask(`${name} (${description})`));
  return { profiles: profile, set, varsFiles: vars, secrets: secret, answers };
}

/** `about` says what becomes of the profiles. */
export function withProfiles(command: Command, about: string): Command {
  return command.option('-p, --profile <name>', about, collect, []).option('--set <k=v>', 'a variable of the profiles', collect, [])
    .option('--vars <file>', 'variables from a YAML or JSON file', collect, []).option('--secret <name=file>', 'a secret variable from a file; NAME alone is asked for', collect, []);
}
