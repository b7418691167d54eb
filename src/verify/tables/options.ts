/** A row of a table of kernel options, as the tables beside this file have them. */

export interface OptionRow {
  /** Without "CONFIG_". */
  readonly name: string;
  /** Older names of the same thing: one of them is as good. */
  readonly aliases: readonly string[];
  /** As the source sorts it: "required" … */
  readonly class: string;
  /** Where the row is written down: a URL. */
  readonly source: string;
  /** What it is good for, in the words of this project. */
  readonly purpose?: string;
  /** Looked at for kernels below this version only. */
  readonly below?: readonly [major: number, minor: number];
  /** Looked at for kernels from this version on only. */
  readonly from?: readonly [major: number, minor: number];
}

/** Rows from names that stand side by side, "NEW|OLD" for a name with its alias. */
export function rows(source: string, kind: string, names: string, more: Pick<OptionRow, 'purpose' | 'below' | 'from'> = {}): OptionRow[] {
  return names.trim().split(/\s+/).map((text) => {
    const [name, ...aliases] = text.split('|');
    return { name: name!, aliases, class: kind, source, ...more };
  });
}

/** The rows that are meant for a kernel of this version. */
export function rowsFor<T extends Pick<OptionRow, 'below' | 'from'>>(table: readonly T[], kernel: { readonly major: number; readonly minor: number }): T[] {
  const isBelow = ([major, minor]: readonly [number, number]): boolean => kernel.major < major || (kernel.major === major && kernel.minor < minor);
  return table.filter(({ below, from }) => (below === undefined || isBelow(below)) && (from === undefined || !isBelow(from)));
}
