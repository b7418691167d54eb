/**
 * All or nothing: while an operation runs, everything that changes metadata first leaves here how to put it back. An operation that fails
 * (a full filesystem, corrupt input) is rolled back, and the filesystem is as it was before it.
 */
export class UndoLog {
  private readonly restores: (() => void)[] = [];
  private readonly seen = new Set<string>();
  private running = false;
  /** Grows with every change of metadata and every roll-back: what was found out before may not hold any more. */
  changes = 0;

  get isRunning(): boolean {
    return this.running;
  }

  /** Calls `save` the first time that `key` is about to change in this operation; what it returns puts the old state back. */
  before(key: string, save: () => () => void): void {
    this.changes++;
    if (!this.running || this.seen.has(key)) return;
    this.seen.add(key);
    this.restores.push(save());
  }

  run<T>(work: () => T): T {
    this.running = true;
    try {
      return work();
    } catch (error) {
      this.changes++;
      for (const restore of this.restores.reverse()) restore();
      throw error;
    } finally {
      this.running = false;
      this.restores.length = 0;
      this.seen.clear();
    }
  }
}
