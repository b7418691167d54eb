/**
 * The only file that prints. Results go to stdout; progress, warnings and errors to stderr. On a terminal long work shows an ora spinner, elsewhere a line now
 * and then; with --json there is exactly one JSON document on stdout, or, for work that other programs watch, one in each line.
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import ora, { type Ora } from 'ora';
import { RockberryError } from './errors.js';
import { paceMeter, type Pace } from './pace.js';
import type { Finding, Progress } from './report.js';

export interface TerminalOptions {
  readonly json: boolean;
  readonly debug: boolean;
}

const LINE_EVERY = 5000; // milliseconds between two progress lines where there is no terminal
const MARK: Record<Finding['severity'], string> = { error: 'error', warning: 'warning', info: 'note' };

export class Terminal {
  progress: Progress;
  #isStream = false;

  constructor(private readonly options: TerminalOptions) {
    const isWide = process.stderr.isTTY && process.stderr.columns > 0; // a terminal without a size (script, some CI) has 0: ora would clear lines without end
    this.progress = isWide ? spinnerProgress() : lineProgress();
  }

  /** A result: text for people, the document for programs. */
  result(text: string, document: unknown): void {
    this.progress.finish();
    writeAll(this.options.json ? `${this.#json(document)}\n` : `${terminalText(text)}\n`);
  }

  /** With --json: progress is on stdout too, a line each second; the result is the last line. */
  stream(): void {
    if (!this.options.json) return;
    this.#isStream = true;
    this.progress = streamProgress();
  }

  /** Whether results may be coloured: a terminal that was not asked to go without (no-color.org). */
  get color(): boolean {
    return process.stdout.isTTY && !process.env.NO_COLOR && !this.options.json;
  }

  /** A result that is coloured: whatever came from an image went through printable() before. */
  styled(text: string, document: unknown): void {
    if (!this.color) return this.result(text, document);
    this.progress.finish();
    writeAll(`${text}\n`);
  }

  /** Bytes of a file, as they are. */
  raw(data: Uint8Array): void {
    this.progress.finish();
    writeAll(data);
  }

  /** Something unwise about the call, on stderr. */
  warn(findings: readonly Finding[]): void {
    if (findings.length > 0) process.stderr.write(terminalText(`rockberry:\n${findingLines(findings).join('\n')}\n`));
  }

  /** Many things that are made at once: a live table on a terminal, a line for each as it is settled elsewhere. */
  board(names: readonly string[]): Board {
    const isWide = process.stderr.isTTY && process.stderr.columns > 0;
    return isWide ? liveBoard(names) : lineBoard();
  }

  get canAsk(): boolean {
    return process.stdin.isTTY && process.stderr.isTTY;
  }

  /** Asks for a secret: what is typed is not shown. Errors: `usage` where there is no terminal, and when it is interrupted. */
  async ask(question: string): Promise<string> {
    if (!this.canAsk) throw new RockberryError('usage', `expected a terminal to ask for ${terminalText(question)}, found none`, { hint: 'give it from a file (--secret NAME=FILE) or by the environment' });
    const unseen = new Writable({ write: (_chunk, _encoding, done) => { done(); } });
    const lines = createInterface({ input: process.stdin, output: unseen, terminal: true, historySize: 0 }); // raw mode: the terminal itself shows nothing either
    process.stderr.write(`${terminalText(question)}: `); // after it: a quick answer must not be shown
    try {
      return await new Promise((resolve, reject) => {
        lines.once('line', resolve);
        lines.once('SIGINT', () => { reject(new RockberryError('usage', 'expected an answer, found an interrupt')); });
        lines.once('close', () => { reject(new RockberryError('usage', 'expected an answer, found the end of the input')); });
      });
    } finally {
      lines.removeAllListeners('close');
      lines.close();
      process.stderr.write('\n');
    }
  }

  #json(document: unknown): string {
    return this.#isStream ? JSON.stringify(document) : JSON.stringify(document, null, 2);
  }

  /** An error: one sentence and what to do; no stack trace unless --debug. */
  error(error: unknown): void {
    this.progress.finish();
    const { code, message, hint } = describeError(error);
    if (this.options.json) writeAll(`${this.#json({ error: { code, message, hint } })}\n`);
    process.stderr.write(terminalText(`rockberry: ${message}\n${hint === undefined ? '' : `  hint: ${hint}\n`}`));
    if (this.options.debug && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n${causes(error.cause)}`);
  }
}

/** `progress` is of the whole; `settle` is called once for each, with what became of it. */
export interface Board {
  readonly progress: Progress;
  settle(name: string, line: string): void;
  finish(): void;
}

/** Rows of a live table; the last ones that were settled stay. */
const BOARD_ROWS = 12;

function liveBoard(names: readonly string[]): Board {
  const spinner = ora({ stream: process.stderr, discardStdin: false });
  const settled: string[] = [];
  let phase = '';
  const draw = (): void => {
    const rows = Math.max(1, Math.min(BOARD_ROWS, (process.stderr.rows || 24) - 4));
    const width = process.stderr.columns - 3;
    spinner.text = [`${settled.length} of ${names.length} nodes; ${phase}`, ...settled.slice(-rows).map((line) => `  ${line}`)].map((line) => terminalText(line).slice(0, width)).join('\n');
  };
  return {
    progress: {
      phase(text) {
        phase = text;
        draw();
        if (!spinner.isSpinning) spinner.start();
      },
      advance: () => undefined, finish: () => undefined,
    },
    settle(_name, line) {
      settled.push(line);
      draw();
    },
    finish: () => void spinner.stop(),
  };
}

function lineBoard(): Board {
  return { progress: lineProgress(), settle: (_name, line) => void process.stderr.write(`${terminalText(line)}\n`), finish: () => undefined };
}

/** Names and texts come from images: control characters but for tabs and line ends must not reach the terminal, nor what turns the direction of writing. */
export function terminalText(text: string): string {
  return text.replace(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]|\r(?!\n)/g, escapeCharacter);
}

/** The same for one line: tabs and line ends are shown too. */
export function printable(text: string): string {
  return text.replace(/[\0-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, escapeCharacter);
}

function escapeCharacter(character: string): string {
  const code = character.charCodeAt(0).toString(16);
  return code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`;
}

/** Findings, one under the other, for people. */
export function findingLines(findings: readonly Finding[]): string[] {
  return findings.flatMap(({ severity, id, subject, message, hint }) => [
    `  ${MARK[severity]}: ${subject}: ${message} [${id}]`, ...(hint === undefined ? [] : [`    hint: ${hint}`]),
  ]);
}

/** 3787456512 → "3.5 GiB". */
export function humanBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Columns aligned to their widest cell; the last column is left as it is. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>((all, row) => row.map((cell, at) => Math.max(all[at] ?? 0, cell.length)), []);
  return rows.map((row) => row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at]!))).join('  ').trimEnd());
}

function describeError(error: unknown): { code: string; message: string; hint: string | undefined } {
  if (error instanceof RockberryError) return { code: error.code, message: error.message, hint: error.hint };
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'internal', message: `unexpected: ${message}`, hint: 'run again with --debug, and report it with that output' };
}

function causes(cause: unknown): string {
  return cause instanceof Error ? `caused by: ${cause.stack ?? cause.message}\n${causes(cause.cause)}` : '';
}

/** Writes all of it before returning, also to a pipe that takes it in small pieces; a reader that went away ends the program quietly. */
function writeAll(content: string | Uint8Array): void {
  let rest: Uint8Array = typeof content === 'string' ? Buffer.from(content) : content;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') return;
      if (code !== 'EAGAIN') throw new RockberryError('io', `cannot write to standard output (${code})`, { cause: error });
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}

function percent(done: number, total: number): string {
  return total > 0 ? `${Math.floor((100 * done) / total)} %` : humanBytes(done);
}

/** "34 %, 26 MiB/s, 1:07 left". */
function advanced(done: number, total: number, pace: Pace | undefined): string {
  if (!pace || total === 0) return percent(done, total);
  const seconds = Math.ceil(pace.left);
  return `${percent(done, total)}, ${humanBytes(pace.rate)}/s, ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} left`;
}

const clock = (): number => performance.now();

function spinnerProgress(): Progress {
  let spinner: Ora | undefined;
  let text = '';
  let pace = paceMeter(clock);
  return {
    phase(next) {
      text = next;
      pace = paceMeter(clock);
      spinner ??= ora({ stream: process.stderr, discardStdin: false });
      spinner.start(text);
    },
    advance: (done, total) => {
      if (spinner) spinner.text = `${text} ${advanced(done, total, pace(done, total))}`;
    },
    finish: () => {
      spinner?.stop();
      spinner = undefined;
    },
    line(said) {
      spinner?.clear();
      process.stderr.write(`  ${terminalText(said)}\n`);
    },
  };
}

function lineProgress(): Progress {
  let text = '';
  let last = Date.now();
  let pace = paceMeter(clock);
  return {
    phase(next) {
      text = next;
      pace = paceMeter(clock);
      if (Date.now() - last < LINE_EVERY) return;
      last = Date.now();
      process.stderr.write(`${text}\n`);
    },
    advance(done, total) {
      const now = pace(done, total);
      if (Date.now() - last < LINE_EVERY) return;
      last = Date.now();
      process.stderr.write(`${text} ${advanced(done, total, now)}\n`);
    },
    finish: () => undefined,
    line: (said) => void process.stderr.write(`  ${terminalText(said)}\n`),
  };
}

const STREAM_EVERY = 1000; // milliseconds

/** A line when a phase begins, and one each second; rate in bytes a second and eta in seconds, null until they are known. */
function streamProgress(): Progress {
  let phase = '';
  let last = 0;
  let pace = paceMeter(clock);
  const line = (done: number, total: number, now: Pace | undefined): void => {
    last = Date.now();
    writeAll(`${JSON.stringify({ phase, done, total, rate: now ? Math.round(now.rate) : null, eta: now ? Math.ceil(now.left) : null })}\n`);
  };
  return {
    phase(next) {
      phase = next;
      pace = paceMeter(clock);
      line(0, 0, undefined);
    },
    advance(done, total) {
      const now = pace(done, total);
      if (Date.now() - last >= STREAM_EVERY) line(done, total, now);
    },
    finish: () => undefined,
    line: (said) => writeAll(`${JSON.stringify({ output: said })}\n`),
  };
}
