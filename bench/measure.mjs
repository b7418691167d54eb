/** Whole commands, timed from outside: wall time by the monotonic clock, peak resident memory by the kernel's own high-water mark (VmHWM), over all processes of the command. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

function tree(pid) {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean));
    return [pid, ...children.filter((child) => commandOf(child) !== commandOf(pid)).flatMap((child) => tree(Number(child)))]; // between fork and exec a child is its parent once more
  } catch {
    return [];
  }
}

function commandOf(pid) {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
}

function resident(pid) {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Runs one command; { seconds, memory } with memory in bytes. A command that fails ends the benchmark. */
export function once(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const start = process.hrtime.bigint();
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'], ...options });
    const peaks = new Map();
    const sample = () => tree(child.pid).forEach((pid) => peaks.set(pid, Math.max(peaks.get(pid) ?? 0, resident(pid))));
    const timer = options.memory === false ? undefined : setInterval(sample, 25);
    child.on('error', reject);
    child.on('exit', (code) => {
      clearInterval(timer);
      const seconds = Number(process.hrtime.bigint() - start) / 1e9;
      if (code !== 0) reject(new Error(`${command} ${args.join(' ')} ended with ${code}`));
      else resolve({ seconds, memory: [...peaks.values()].reduce((sum, value) => sum + value, 0) });
    });
  });
}

/** Runs each of the commands in turn, `runs` times over, so that a noisy moment hits all of them; the medians, in the order given. */
export async function compare(runs, commands) {
  const seen = commands.map(() => []);
  for (let run = 0; run < runs; run++) {
    for (const [at, { before, command, args, options }] of commands.entries()) {
      await before?.();
      seen[at].push(await once(command, args, options));
    }
  }
  return seen.map((results) => ({ seconds: median(results.map(({ seconds }) => seconds)), memory: Math.max(...results.map(({ memory }) => memory)) }));
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
