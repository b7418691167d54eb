# Copyright (c) 2026 the rockberry authors
# MIT License (see LICENSE or https://spdx.org/licenses/MIT.html)
"""The kernel command line as text in, text out: the rules of rockberry's engine (src/steps/command-line.ts), byte for byte.

The firmware reads the file's first line only (raspberrypi documentation, kernel-command-line-config.adoc). The kernel splits it as next_arg in lib/cmdline.c
does: words end at white space outside double quotes, quotes around a whole word or a value do not belong to it, and "-" and "_" are the same in a name
(parameq in kernel/params.c). What follows the word "--" goes to init (parse_args in kernel/params.c), so new words go in front of it.
Text is one character per byte (latin-1): whatever is not edited keeps its bytes.
"""
import re
from collections import namedtuple

# Bytes in one line that the firmware passes on (raspberrypi/linux#140).
LINE_LIMIT = 1024

# Comma lists whose members stand alone, and the list that takes back what the other one says (kernel/cgroup/cgroup.c).
OPPOSITE = {'cgroup_enable': 'cgroup_disable', 'cgroup_disable': 'cgroup_enable'}
BYTE_ORDER_MARK = '\xef\xbb\xbf'
END_OF_KERNEL = '--'

# White space is the kernel's isspace without the control characters that are refused; 0xa0 is white space in lib/ctype.c.
SPACES = ' \t\xa0'
WORD = re.compile(r'([ \t\xa0]*)((?:"[^"]*(?:"|\Z)|[^" \t\xa0])+)')
CONTROL = re.compile('[\x00-\x08\x0a-\x1f\x7f]')
PRINTABLE = re.compile(r'[\x20-\x7e]+\Z')

Word = namedtuple('Word', ('gap', 'raw'))  # the white space in front of it, and the word as it is written
Parameter = namedtuple('Parameter', ('key', 'value'))  # "-" written as "_"; the value is None for a bare word


class CommandLineError(Exception):
    """One sentence: what was expected, what was found. The code is the engine's: corrupt, profile, unsupported, usage."""

    def __init__(self, code, message, hint=None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class Line:
    """A line taken apart so that putting it together again gives the same bytes."""

    def __init__(self, text):
        self.words = []
        end = 0
        match = WORD.match(text)
        while match:
            self.words.append(Word(match.group(1), match.group(2)))
            end = match.end()
            match = WORD.match(text, end)
        self.tail = text[end:]

    def __str__(self):
        return ''.join(word.gap + word.raw for word in self.words) + self.tail

    def kernel_count(self):
        """How many words stand in front of "--"; the others are init's and are let alone."""
        raws = [word.raw for word in self.words]
        return raws.index(END_OF_KERNEL) if END_OF_KERNEL in raws else len(raws)

    def kernel_words(self):
        return self.words[:self.kernel_count()]

    def parameters(self):
        return [parameter(word.raw) for word in self.kernel_words()]


def edit_command_line(text, add=(), remove=(), values=None):
    """The file's text after the edit: removing first, then setting, then adding. Later lines and the last line feed stay. Twice is once."""
    line, ending, rest = split(text)
    if not is_balanced(line):
        start = line.rindex('"')
        raise CommandLineError('corrupt', 'expected a closing quote in the kernel command line, found none in %s' % line[start:start + 40])
    parsed = Line(line)
    for word in remove:
        remove_word(parsed, word)
    for name, value in (values or {}).items():
        set_value(parsed, name, value)
    for word in add:
        add_word(parsed, word)
    edited = str(parsed)
    check_length(line, edited)
    unmet = unmet_demands(edited, add, remove, values)
    if unmet:
        raise CommandLineError('profile', 'expected an edit of the kernel command line that agrees with itself, but it cannot do both: %s' % '; '.join(unmet))
    return edited + ending + rest


def unmet_demands(text, add=(), remove=(), values=None):
    """What an edit asks for and the line does not have, one sentence each."""
    line = Line(text)
    parameters = line.parameters()
    absent = ['"%s" is missing' % word for word in add if missing_members(line, parameter(word))]
    opposed = ['"%s" is taken back by its opposite' % word for word in add if is_opposed(parameters, parameter(word))]
    present = ['"%s" is still there' % word for word in remove if any(without(other.raw, word) != other.raw for other in line.kernel_words())]
    different = []
    for name, value in (values or {}).items():
        if [found.value for found in parameters if found.key == same_name(name)] != [unquoted(value)]:
            different.append('"%s" does not have the one value that was set' % name)
    return absent + opposed + present + different


def ignored_text(text):
    """Text after the first line that someone may believe to be in force; empty when there is none."""
    return split(text)[2].strip(' \t\n\v\f\r\xa0')


def is_one_word(text):
    """Whether a text is exactly one word, as an edit must give it."""
    words = [word.raw for word in Line(text).words]
    return words == [text] and is_balanced(text) and PRINTABLE.match(text) is not None and text != END_OF_KERNEL


def split(text):
    """The first line without byte order mark and carriage return, its line feed, and what follows."""
    body = text[len(BYTE_ORDER_MARK):] if text.startswith(BYTE_ORDER_MARK) else text
    line, ending, rest = body.partition('\n')
    line = line.rstrip('\r')
    bad = CONTROL.search(line)
    if bad:
        raise CommandLineError('corrupt', 'expected text in the kernel command line, found the control character 0x%02x at byte %d'
                               % (ord(bad.group()), bad.start()))
    return line, ending, rest


def parameter(raw):
    """As next_arg: the first "=" (not at the beginning) ends the name, quotes around the whole word or the value go."""
    body = unquoted(raw)
    equals = body.find('=')
    if equals <= 0:
        return Parameter(same_name(body), None)
    return Parameter(same_name(body[:equals]), unquoted(body[equals + 1:]))


def unquoted(value):
    if not value.startswith('"'):
        return value
    return value[1:-1] if len(value) > 1 and value.endswith('"') else value[1:]


def same_name(name):
    return name.replace('-', '_')


def missing_members(line, wanted):
    """The part of a parameter that the line does not say yet: [''] for a whole word, the members for a list."""
    present = [found.value for found in line.parameters() if found.key == wanted.key]
    if wanted.key in OPPOSITE and wanted.value is not None:
        members = set(member for value in present if value is not None for member in value.split(','))
        missing = []
        for member in wanted.value.split(','):
            if member != '' and member not in members and member not in missing:
                missing.append(member)
        return missing
    return [] if wanted.value in present else ['']


def is_opposed(parameters, wanted):
    members = wanted.value.split(',') if wanted.value is not None else []
    opposite = OPPOSITE.get(wanted.key)
    return any(found.key == opposite and found.value is not None and set(found.value.split(',')) & set(members) for found in parameters)


def add_word(line, word):
    wanted = parameter(word)
    opposite = OPPOSITE.get(wanted.key)
    if opposite and wanted.value:
        for member in wanted.value.split(','):
            remove_word(line, '%s=%s' % (opposite, member))
    missing = missing_members(line, wanted)
    if missing:
        append(line, word if missing[0] == '' else '%s=%s' % (wanted.key, ','.join(missing)))


def append(line, raw):
    end = line.kernel_count()
    if end == len(line.words):
        line.words.append(Word(line.tail or (' ' if line.words else ''), raw))
        line.tail = ''
    else:
        line.words[end:end + 1] = [Word(line.words[end].gap, raw), Word(' ', END_OF_KERNEL)]


def set_value(line, name, value):
    plain = unquoted(value)
    word = assigned(name, plain)
    found = [at for at, one in enumerate(line.parameters()) if one.key == same_name(name)]
    if not found:
        append(line, word)
        return
    first = found[0]
    if parameter(line.words[first].raw).value != plain:
        line.words[first] = Word(line.words[first].gap, word)
    for at in reversed(found[1:]):
        drop(line, at)


def remove_word(line, word):
    for at in reversed(range(line.kernel_count())):
        gap, raw = line.words[at]
        left = without(raw, word)
        if left is None:
            drop(line, at)
        elif left != raw:
            line.words[at] = Word(gap, left)


def without(raw, unwanted):
    """What is left of a word when another is removed: itself, a shorter list, or None for nothing."""
    present = parameter(raw)
    gone = parameter(unwanted)
    if present.key != gone.key:
        return raw
    if gone.value is None or present.value == gone.value:
        return None
    if gone.key not in OPPOSITE or present.value is None:
        return raw
    members = present.value.split(',')
    left = [member for member in members if member not in gone.value.split(',')]
    if len(left) == len(members):
        return raw
    return assigned(raw[raw.startswith('"'):raw.index('=')], ','.join(left)) if left else None


def assigned(name, value):
    """A value in quotes where it has white space in it."""
    return '%s="%s"' % (name, value) if any(space in value for space in SPACES) else '%s=%s' % (name, value)


def drop(line, at):
    """Takes a word out with the white space in front of it; the first word's own leading white space stays."""
    gone = line.words.pop(at)
    if at == 0 and line.words:
        line.words[0] = Word(gone.gap, line.words[0].raw)


def is_balanced(text):
    """An open quote takes everything that follows into itself, also what we would append."""
    return text.count('"') % 2 == 0


def check_length(before, after):
    if len(after) <= LINE_LIMIT:
        return
    raise CommandLineError('unsupported' if len(before) > LINE_LIMIT else 'profile',
                           'expected at most %d bytes in the kernel command line, found %d' % (LINE_LIMIT, len(after)),
                           hint='the firmware passes no more on; remove parameters that are not needed')
