/** A systemd unit or a drop-in for one: checked, placed in /etc/systemd/system and, if asked, enabled. */
import { z } from 'zod';
import { RockberryError } from '../errors.js';
import type { Finding } from '../report.js';
import { readSourceText } from './host-text.js';
import { checkPlaced, place, type Placed } from './placed.js';
import { checkEnabled, enableUnit } from './services.js';
import type { Step, StepContext } from './step.js';
import { findUnit, UNITS } from './systemd.js';
import { isUnitName, nameParts, parseUnitFile, withSuffix } from './unit-file.js';

const SIZE_LIMIT = 1 << 20; // bytes

const schema = z.strictObject({
  name: z.string().max(255).refine((name) => isUnitName(withSuffix(name)), 'expected the name of a unit, as "bootstrap.service"').describe('Unit name; ".service" is implied.'),
  content: z.string().max(SIZE_LIMIT).describe('Text of the unit or of the drop-in.').optional(),
  source: z.string().min(1).describe('File with the text, relative to the profile.').optional(),
  drop_in: z.string().regex(/^[A-Za-z0-9_][\w.@-]*\.conf$/, 'expected a file name ending in ".conf"').describe('Writes NAME.d/DROP_IN instead of the unit itself.').optional(),
  enable: z.boolean().describe('Enable the unit, by the links that its [Install] asks for.').optional(),
}).refine(({ content, source }) => (content === undefined) !== (source === undefined), 'expected either content or source');
export type UnitOptions = z.infer<typeof schema>;

export const unitStep: Step<UnitOptions> = {
  key: 'unit',
  summary: 'Writes a systemd unit or a drop-in to /etc/systemd/system, and enables it.',
  schema,
  describe: ({ name, drop_in: dropIn, enable }) => `${dropIn === undefined ? `unit ${withSuffix(name)}` : `drop-in ${dropIn} for ${withSuffix(name)}`}${enable ? ', enabled' : ''}`,
  apply(tree, options, context) {
    const file = fileOf(options, context);
    requireSound(options, file.text);
    place(tree, file);
    if (options.enable) enableUnit(tree, withSuffix(options.name));
  },
  verify(tree, options, context) {
    const name = withSuffix(options.name);
    const orphan: Finding = { severity: 'warning', id: 'unit-missing', subject: name, message: `expected the unit ${name} for its drop-in, found none in the image` };
    return [
      ...checkPlaced(tree, 'unit', fileOf(options, context)),
      ...(options.enable ? checkEnabled(tree, 'unit', name) : []),
      ...(options.drop_in !== undefined && !findUnit(tree, name) ? [orphan] : []),
    ];
  },
};

function fileOf({ name, content, source, drop_in: dropIn }: UnitOptions, context: StepContext): Placed {
  const unit = withSuffix(name);
  const text = content ?? readSourceText(source!, context);
  return { path: dropIn === undefined ? `${UNITS}/${unit}` : `${UNITS}/${unit}.d/${dropIn}`, text: text.endsWith('\n') ? text : `${text}\n`, mode: 0o644 };
}

/** systemd would skip a line it does not understand and carry on; here it is an error, since nobody looks at a node's journal before it fails. */
function requireSound({ name, drop_in: dropIn, enable }: UnitOptions, text: string): void {
  const { sections, assignments, problems } = parseUnitFile(text);
  const own = ownSection(nameParts(withSuffix(name)).type);
  const allowed = ['Unit', 'Install', ...(own ? [own] : [])];
  const strange = sections.find((section) => !allowed.includes(section) && !section.startsWith('X-'));
  const needed = dropIn === undefined && own && !sections.includes(own) && !['Path', 'Slice', 'Scope'].includes(own) ? [`expected a section [${own}], found none`] : [];
  const unwanted = strange === undefined ? [] : [`expected sections ${allowed.map((section) => `[${section}]`).join(', ')}, found [${strange}]`];
  const idle = own === 'Service' && dropIn === undefined && !assignments.some(({ section, key }) => section === 'Service' && /^(ExecStart|ExecStop|SuccessAction)$/.test(key))
    ? ['expected ExecStart= in [Service], found none'] : [];
  const [problem] = [...problems, ...unwanted, ...needed, ...idle];
  if (problem) throw new RockberryError('profile', `unit ${name}: ${problem}`, { hint: 'see systemd.syntax(7) and systemd.unit(5)' });
  if (enable && dropIn === undefined && !sections.includes('Install')) {
    throw new RockberryError('profile', `unit ${name}: expected a section [Install] because it is to be enabled, found none`, { hint: 'add [Install] with WantedBy=multi-user.target' });
  }
}

/** "service" → "Service"; targets and devices have no section of their own. */
function ownSection(type: string): string | undefined {
  return type === 'target' || type === 'device' ? undefined : type.charAt(0).toUpperCase() + type.slice(1);
}
