/** What a guest wrote on its console: the sections of guest/report. */

export interface Section { readonly text: string; readonly status: number }

/** Throws with the console's end when the guest did not come to the end of its report. */
export function readReport(console: string): Map<string, Section> {
  const text = console.replaceAll('\r', '');
  const failed = /^@@ failed (.*)$/m.exec(text);
  if (failed || !/^@@ done$/m.test(text)) throw new Error(`the guest did not report: ${failed?.[1] ?? text.slice(-2000)}`);
  const sections = [...text.matchAll(/^@@ begin (\S+)\n([\s\S]*?)\n@@ end \1 (\d+)$/gm)];
  return new Map(sections.map(([, name, body, status]) => [name!, { text: body!, status: Number(status) }]));
}

export interface Preflight {
  readonly result: string;
  readonly host: string;
  readonly kernel: string;
  readonly cmdline_file: string;
  readonly checks: readonly { readonly id: string; readonly status: string; readonly message: string; readonly hint: string; readonly reason: string }[];
}

/** The document that rockberry-preflight left. */
export function readPreflight(report: ReadonlyMap<string, Section>): Preflight {
  return JSON.parse(report.get('preflight')!.text) as Preflight;
}
