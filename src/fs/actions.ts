/** What happened to each path, seen from the beginning: a file made and removed again leaves no trace, one removed and made again is changed. */
import type { FileAction } from '../report.js';

export interface ActionLog {
  note(path: string, existedBefore: boolean, changed: boolean): void;
  noteRemoved(path: string): void;
  actions(): FileAction[];
}

export function actionLog(): ActionLog {
  const paths = new Map<string, { atStart: boolean; now: boolean; changed: boolean }>();

  function touch(path: string, existedBefore: boolean): { atStart: boolean; now: boolean; changed: boolean } {
    const known = paths.get(path) ?? { atStart: existedBefore, now: true, changed: false };
    paths.set(path, known);
    return known;
  }

  return {
    note(path, existedBefore, changed) {
      const entry = touch(path, existedBefore);
      entry.now = true;
      entry.changed ||= changed;
    },
    noteRemoved(path) {
      const entry = touch(path, true);
      entry.now = false;
      entry.changed = true;
    },
    actions() {
      const kept = [...paths].filter(([, { atStart, now }]) => atStart || now);
      return kept.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([path, { atStart, now, changed }]) => ({
        path, action: !now ? 'removed' : !atStart ? 'created' : changed ? 'changed' : 'unchanged',
      }));
    },
  };
}
