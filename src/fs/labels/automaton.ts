/** Runs a parsed expression as a set of states side by side (Thompson's construction): every byte of the text is looked at once per state. */
import { parsePattern, PatternError, type PatternNode } from './pattern.js';

const BYTE = 0, SET = 1, FORK = 2, JUMP = 3, START = 4, END = 5, MATCH = 6, AHEAD = 7;
const NEWLINE = 10;

/** An expression may become at most this many states; the largest of EL9's policy has about 400. */
const MAX_STATES = 20_000;

/** Is told about every step of a run, and may throw to stop it. */
export type Spend = (steps: number) => void;

export interface Automaton {
  readonly states: number;
  /** Whether the expression is found in the text. */
  matches(text: string, spend: Spend): boolean;
}

class Program implements Automaton {
  private readonly op: number[] = [];
  private readonly first: number[] = [];
  private readonly second: number[] = [];
  private readonly sets: Uint8Array[] = [];
  /** What look-aheads look for. */
  private readonly aheads: Program[] = [];

  /** `left`: nodes that may still be emitted, shared with the look-aheads. */
  constructor(tree: PatternNode, private readonly anchored: boolean, private readonly left: { nodes: number }) {
    this.emit(tree);
    this.push(MATCH);
  }

  get states(): number {
    return this.aheads.reduce((sum, ahead) => sum + ahead.states, this.op.length);
  }

  matches(text: string, spend: Spend): boolean {
    return this.run(text, 0, !this.anchored, spend);
  }

  /** Looks for a match that begins at `from`, or when `floating` anywhere behind it. */
  private run(text: string, from: number, floating: boolean, spend: Spend): boolean {
    spend(this.op.length >> 4); // for the marks
    const mark = new Int32Array(this.op.length).fill(-1);
    let waiting: number[] = [];
    let next: number[] = [];
    for (let at = from; at <= text.length; at++) {
      if ((at === from || floating) && this.follow(0, at, text, mark, waiting, spend)) return true;
      if (waiting.length === 0 && !floating) return false;
      const byte = text.charCodeAt(at);
      next.length = 0;
      for (const state of waiting) {
        if (at < text.length && this.consumes(state, byte) && this.follow(state + 1, at + 1, text, mark, next, spend)) return true;
      }
      [waiting, next] = [next, waiting];
    }
    return false;
  }

  private consumes(state: number, byte: number): boolean {
    return this.op[state] === BYTE ? this.first[state] === byte : this.sets[this.first[state]!]![byte] === 1;
  }

  /** Adds the states that wait for a byte and are reached from `state` without one; true when the end of the expression is. */
  private follow(state: number, at: number, text: string, mark: Int32Array, waiting: number[], spend: Spend): boolean {
    const stack = [state];
    while (stack.length > 0) {
      const here = stack.pop()!;
      if (mark[here] === at) continue;
      mark[here] = at;
      spend(1);
      switch (this.op[here]) {
        case FORK: stack.push(this.second[here]!, this.first[here]!); break;
        case JUMP: stack.push(this.first[here]!); break;
        case START: if (at === 0) stack.push(here + 1); break;
        // pcre2pattern(3): without DOLLAR_ENDONLY, "$" also matches before a newline that ends the text.
        case END: if (at === text.length || (at === text.length - 1 && text.charCodeAt(at) === NEWLINE)) stack.push(here + 1); break;
        case AHEAD: if (this.aheads[this.first[here]!]!.run(text, at, false, spend) === (this.second[here] === 0)) stack.push(here + 1); break;
        case MATCH: return true;
        default: waiting.push(here);
      }
    }
    return false;
  }

  private push(op: number, first = 0, second = 0): number {
    if (this.op.length >= MAX_STATES) throw new PatternError(`more than ${MAX_STATES} states`);
    this.op.push(op);
    this.first.push(first);
    this.second.push(second);
    return this.op.length - 1;
  }

  private emit(node: PatternNode): void {
    if (--this.left.nodes < 0) throw new PatternError('repetitions of repetitions beyond measure');
    switch (node.kind) {
      case 'byte': this.push(BYTE, node.value); break;
      case 'set': this.push(SET, this.sets.push(node.set) - 1); break;
      case 'start': this.push(START); break;
      case 'end': this.push(END); break;
      case 'ahead': this.push(AHEAD, this.aheads.push(new Program(node.part, true, this.left)) - 1, node.negative ? 1 : 0); break;
      case 'sequence': for (const part of node.parts) this.emit(part); break;
      case 'choice': this.emitChoice(node.parts); break;
      case 'repeat': this.emitRepeat(node.part, node.min, node.max); break;
    }
  }

  private emitChoice(parts: readonly PatternNode[]): void {
    const jumps: number[] = [];
    parts.forEach((part, index) => {
      if (index === parts.length - 1) return this.emit(part);
      const fork = this.push(FORK, this.op.length + 1);
      this.emit(part);
      jumps.push(this.push(JUMP));
      this.second[fork] = this.op.length;
    });
    for (const jump of jumps) this.first[jump] = this.op.length;
  }

  private emitRepeat(part: PatternNode, min: number, max: number): void {
    for (let count = 0; count < min; count++) this.emit(part);
    if (max === Infinity) {
      const fork = this.push(FORK, this.op.length + 1);
      this.emit(part);
      this.push(JUMP, fork);
      this.second[fork] = this.op.length;
      return;
    }
    const forks: number[] = [];
    for (let count = min; count < max; count++) {
      forks.push(this.push(FORK, this.op.length + 1));
      this.emit(part);
    }
    for (const fork of forks) this.second[fork] = this.op.length;
  }
}

/** Compiles an expression. Throws PatternError for what PCRE2 refuses, for what we do not know, and for one of more than 20,000 states. */
export function compilePattern(text: string): Automaton {
  const tree = parsePattern(text);
  const anchored = tree.kind === 'sequence' && tree.parts[0]?.kind === 'start';
  return new Program(tree, anchored, { nodes: MAX_STATES * 2 });
}
