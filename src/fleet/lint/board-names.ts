/** Boards as people write them: "pi4-2gb", "Raspberry Pi 5 8 GB", "cm4", "Zero 2 W"; and what is known of each (raspberrypi.com, processors and memory). */

export interface NamedBoard {
  readonly name: string;
  /** Whether a 64-bit system runs on it. */
  readonly is64: boolean;
  /** MiB; undefined where the board is sold with several sizes and the text names none. */
  readonly memory: number | undefined;
}

interface Model { readonly name: string; readonly text: RegExp; readonly is64?: false; readonly memory?: number }

/** The first that fits counts. Pi 1, Zero and CM1 are ARMv6, a Pi 2 before revision 1.2 is ARMv7. */
const MODELS: readonly Model[] = [
  { name: 'Zero 2 W', text: /zero\s?2|pi\s?02/, memory: 512 },
  { name: 'Zero', text: /zero|pi\s?0(?!\d)/, is64: false, memory: 512 },
  { name: 'Compute Module 0', text: /cm\s?0(?!\d)/, memory: 512 },
  { name: 'Compute Module 1', text: /cm\s?1(?!\d)/, is64: false, memory: 512 },
  { name: 'Compute Module 3', text: /cm\s?3(?!\d)/, memory: 1024 },
  { name: 'Compute Module 4', text: /cm\s?4(?!\d)/ },
  { name: 'Compute Module 5', text: /cm\s?5(?!\d)/ },
  { name: 'Pi 500+', text: /pi\s?500\s?(\+|plus)/, memory: 16384 },
  { name: 'Pi 500', text: /pi\s?500(?!\d)/, memory: 8192 },
  { name: 'Pi 400', text: /pi\s?400(?!\d)/, memory: 4096 },
  { name: 'Pi 3A+', text: /pi\s?3\s?a/, memory: 512 },
  { name: 'Pi 2 (v1.2)', text: /pi\s?2(?!\d).*1\.2/, memory: 1024 },
  { name: 'Pi 1', text: /pi\s?1(?!\d)|pi\s?[ab]\b/, is64: false, memory: 512 },
  { name: 'Pi 2', text: /pi\s?2(?!\d)/, is64: false, memory: 1024 },
  { name: 'Pi 3', text: /pi\s?3(?!\d)/, memory: 1024 },
  { name: 'Pi 4', text: /pi\s?4(?!\d)/ },
  { name: 'Pi 5', text: /pi\s?5(?!\d)/ },
];
const LONGEST = 120; // characters that are looked at

/** undefined for what names no Raspberry Pi. */
export function boardOf(text: string): NamedBoard | undefined {
  const plain = text.slice(0, LONGEST).toLowerCase().replace(/[\s_,()/-]+/g, ' ').replace('compute module', 'cm').replace(/\bmodel /, '');
  const size = /(?<![\d.])(\d{1,5}(?:\.\d)?)\s?([gm])i?b?\b/.exec(plain);
  const words = size ? plain.replace(size[0], ' ') : plain;
  const model = MODELS.find((one) => one.text.test(words));
  if (!model) return undefined;
  return { name: model.name, is64: model.is64 ?? true, memory: size ? Number(size[1]) * (size[2] === 'g' ? 1024 : 1) : model.memory };
}
