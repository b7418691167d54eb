/** The small languages inside an inventory, against the Python that Ansible reads them with: literals, words of a line, YAML's plain scalars, host patterns. */
import fc from 'fast-check';
import { beforeAll, expect } from 'vitest';
import { expandHostPattern } from '../../../src/fleet/inventory/host-pattern.js';
import { pythonLiteral } from '../../../src/fleet/inventory/python-literal.js';
import { pythonScalar } from '../../../src/fleet/inventory/python-scalar.js';
import { shellWords } from '../../../src/fleet/inventory/shell-words.js';
import { RockberryError } from '../../../src/errors.js';
import { SEED } from '../../ansible/support.js';
import { hasProgram, needs } from '../../support/oracle.js';
import { askAnsiblesPython } from './oracle.js';

/** "skip" marks what has no JSON, or what Ansible itself falls over. */
const PROGRAM = `
import ast, json, shlex, sys
import yaml
from ansible.parsing.utils.addresses import parse_address
from ansible.plugins.inventory import detect_range, expand_hostname_range

def plain(value):
    if isinstance(value, (complex, type(...))): raise KeyError
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))): raise KeyError
    if isinstance(value, bytes): return value.decode("latin-1")
    if isinstance(value, (set, frozenset)): return sorted((plain(one) for one in value), key=json.dumps)
    if isinstance(value, (list, tuple)): return [plain(one) for one in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value): raise KeyError
        return {key: plain(one) for key, one in value.items()}
    return value

def literal(text):
    try: return plain(ast.literal_eval(text))
    except (ValueError, SyntaxError): return text
    except Exception: return "skip"

def words(text):
    try: return shlex.split(text, comments=True)
    except ValueError: return None

def scalar(text):
    tag = yaml.resolver.Resolver().resolve(yaml.ScalarNode, text, (True, False))
    value = yaml.SafeLoader("").construct_object(yaml.ScalarNode(tag, text))
    return plain(value) if isinstance(value, (str, int, float, bool, type(None))) else text

def scalar_or_skip(text):
    try: return scalar(text)
    except Exception: return "skip"

def hosts(text):
    try: pattern, port = parse_address(text, allow_ranges=True)
    except Exception: pattern, port = text, None
    try: names = expand_hostname_range(pattern) if detect_range(pattern) else [pattern]
    except Exception: return None
    # A range without a member is an error with us.
    return [names, port] if names else None

answers = {"literal": literal, "words": words, "scalar": scalar_or_skip, "hosts": hosts}
print(json.dumps({kind: [answers[kind](text) for text in texts] for kind, texts in json.load(sys.stdin).items()}))
`;

const RUNS = 4_000;
const pieces = (list: readonly string[], longest: number): string[] => fc.sample(fc.array(fc.constantFrom(...list), { minLength: 1, maxLength: longest }).map((parts) => parts.join('')), { seed: SEED, numRuns: RUNS });

const cases = {
  literal: [
    ...pieces(['1', '20', '-', '+', '(', ')', '[', ']', '{', '}', ',', ', ', ':', '\'a\'', '"b"', 'True', 'None', 'true', '#c', ' ', '0x1F', '0o17', '0b11', '1.5', '.5', '2.', '1e3', '1_0', '1__0', '00', '07', 'r"\\n"', 'b"x"', 'u"y"', 'f"z"',
      'x', '"\\n"', '\'\\x41\'', '"\\u00e9"', '"\\101"', '"\\q"', '"""t"""', 'set()', '...', '1j', '=', '"', '\'', '\\', '1.2.3', '\u00e9'], 7),
    ...pieces(['[', ']', '1', ',', '(', ')', '\'k\'', ':', '{', '}'], 9),
  ],
  words: pieces(['a', 'b=1', ' ', '  ', '\t', '"', '\'', '\\', '#', '=', '""', '\'\'', '\\"', '\u00a0', '\u00e9', '"x y"', '\'x"y\''], 9),
  scalar: [
    ...pieces(['0', '1', '12', '7', '9', '_', '.', ':', '-', '+', 'e', 'E', 'x', '0x', '0b', '0o', 'a', 'f', '.inf', '.nan', 'yes', 'no', 'on', 'off', 'y', 'n', 'null', '~', 'True', '30', '59', '60'], 6),
    '', 'YES', 'Yes', 'yEs', 'NULL', 'nUll', '.NaN', '-.Inf', '1:2:3', '190:20:30', '52:54:00:12:34:56', '1:30.5', '0644', '0_7', '0x_', '1_', '10000000e1234567', '1.e+5', '1.5e+3', '1.5e3', '=', '<', '!', '2024-01-02',
  ],
  hosts: [
    ...pieces(['node', 'a', '[1:3]', '[01:10]', '[a:c]', '[1:9:3]', '[Y:b]', '[:2]', '[1:]', '[3:1]', '[c:a]', '[1]', '[01:2]', '[', ']', ':', ':22', '.', '-', '_', '|', '192.0.2.', '7', '[a:c:2]', '::1', 'fe80', '[ab:cd]', '[1:2:0]', '[1:2:-1]', '\u00e9', '[1:5:]', '[x:1]'], 5),
    '[2001:db8::1]:22', '2001:db8::1', '[2001:db8::1]', '2001:db8::[1:3]', '192.0.2.1:2222', '[192.0.2.[1:3]]:22', 'a:b', 'x:', '---', 'a b', '[a:5]:22', '::ffff:192.0.2.1', 'db[1:2]-[a:b]:2200',
  ],
};

let answers: { readonly [Kind in keyof typeof cases]: readonly unknown[] };
const ansible = needs('ansible-inventory');
beforeAll(() => { if (hasProgram('ansible-inventory')) answers = askAnsiblesPython(PROGRAM, cases); });

/** Everything that differs, as [text, ours, theirs]; as JSON has it, in which -0 is 0. */
function differences(kind: keyof typeof cases, read: (text: string) => unknown): unknown[] {
  const all = cases[kind].map((text, index) => ({ text, ours: read(text), theirs: answers[kind][index] })).filter(({ theirs }) => theirs !== 'skip');
  expect(all.length).toBeGreaterThan(RUNS / 2);
  return all.filter(({ ours, theirs }) => JSON.stringify(ours) !== JSON.stringify(theirs)).map(({ text, ours, theirs }) => [text, ours, theirs]);
}

ansible(`values of an INI inventory are Python's literals (seed ${SEED})`, () => {
  expect(differences('literal', pythonLiteral)).toEqual([]);
});

ansible(`a line's words are shlex's (seed ${SEED})`, () => {
  expect(differences('words', (text) => shellWords(text) ?? null)).toEqual([]);
});

ansible(`plain scalars are PyYAML's (seed ${SEED})`, () => {
  expect(differences('scalar', pythonScalar)).toEqual([]);
});

ansible(`host patterns are Ansible's (seed ${SEED})`, () => {
  expect(differences('hosts', (text) => {
    try {
      const { names, port } = expandHostPattern(text);
      return [names, port ?? null];
    } catch (error) {
      if (!(error instanceof RockberryError)) throw error;
      return null;
    }
  })).toEqual([]);
});
