# Copyright (c) 2026 the rockberry authors
# MIT License (see LICENSE or https://spdx.org/licenses/MIT.html)
"""Where the Raspberry Pi's firmware takes the kernel command line from: the rules of rockberry's engine (src/steps/cmdline.ts) on a running node.

It is cmdline.txt on the boot FAT, or what os_prefix and cmdline in config.txt name (raspberrypi documentation, config_txt/boot.adoc and conditional.adoc).
A file of that name on the root filesystem, such as Raspberry Pi OS's stub in /boot, is not the firmware's; so only mounted FAT filesystems are looked at.
"""
import os
import re
import stat
from collections import namedtuple

from ansible_collections.rockberry.node.plugins.module_utils.kernel_command_line import CommandLineError

DEFAULT_NAME = 'cmdline.txt'
TEXT_LIMIT = 16 << 20  # bytes; a configuration file beyond it is a mistake
SPACES = ' \t\n\v\f\r\xa0'
SECTION = re.compile(r'[ \t\n\v\f\r\xa0]*\[([^\]]*)\]')
SPACED = re.compile(r'(initramfs|include)[ \t\n\v\f\r\xa0]+([^\n\r]*)\Z')  # these two have no "="
KERNEL = re.compile(r'kernel|vmlinuz|image', re.IGNORECASE)
OCTAL = re.compile(r'\\([0-7]{3})')

Setting = namedtuple('Setting', ('key', 'value', 'filters'))  # the filters in force, such as ['pi4']


def find_boot_directory(root=''):
    """The mount point of the boot FAT, below the given root. Errors: unsupported when there is none, or more than one."""
    mounted = [target for target, kind in mount_table(root + '/proc/mounts') if kind in ('vfat', 'msdos')]
    known = [target for target, kind in mount_table(root + '/etc/fstab')]
    # A card in a reader is mounted somewhere else and is not what this node boots from.
    own = [target for target in mounted if target in known or target == '/boot' or target.startswith('/boot/')]
    found = sorted(set(target for target in own if find_command_lines(root + target)))
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandLineError('unsupported', 'expected one boot partition with a kernel command line, found %s' % ' and '.join(found),
                               hint='say which one with boot_directory')
    looked = ', '.join(mounted) or 'no mounted FAT filesystem'
    raise CommandLineError('unsupported', 'expected the firmware\'s %s on the boot partition, found none (looked at: %s)' % (DEFAULT_NAME, looked),
                           hint='mount the boot partition; a node that boots through GRUB keeps its parameters in GRUB\'s configuration')


def find_command_lines(boot):
    """The paths of every file that the firmware may take the command line from, sorted; more than one where config.txt decides by board."""
    paths = (existing(boot, name) for name in candidates(boot))
    return sorted(set(path for path in paths if path is not None))


def mount_table(path):
    """(mount point, type) of each line of /proc/mounts or /etc/fstab; octal escapes are decoded."""
    lines = (read_text(path) or '').split('\n')
    fields = [line.split() for line in lines if not line.lstrip().startswith('#')]
    return [(host_name(OCTAL.sub(lambda match: chr(int(match.group(1), 8) & 0xff), field[1])), field[2]) for field in fields if len(field) >= 3]


def candidates(boot):
    settings = read_settings(boot, 'config.txt', set())
    upstream = any(setting.key == 'upstream_kernel' and setting.value == '1' for setting in settings)
    names = possible(settings, 'cmdline', DEFAULT_NAME)
    prefixes = possible(settings, 'os_prefix', 'upstream/' if upstream else '')
    found = []
    for name in names:
        if name.startswith('/'):
            found.append(name[1:])
        else:
            found.extend(path for prefix in prefixes for path in prefixed(boot, prefix, name))
    return found


def prefixed(boot, prefix, name):
    """With a prefix the firmware uses the prefixed file if kernel and device tree are there too, and the plain one otherwise; so if in doubt, both."""
    folder, _slash, start = (boot + '/' + host_name(prefix)).rpartition('/')
    present = [entry[len(start):] for entry in names_in(folder) if entry.startswith(start)]
    viable = any(entry.endswith('.dtb') for entry in present) and any(KERNEL.match(entry) for entry in present)
    return [prefix + name] if viable else [prefix + name, name]


def possible(settings, name, initial):
    """The values that a name may have: the last unconditional one, and every conditional one after it."""
    values = [initial]
    for setting in settings:
        if setting.key != name or 'none' in setting.filters:
            continue
        if not setting.filters:
            values = []
        if setting.value not in values:
            values.append(setting.value)
    return values


def read_settings(boot, name, seen):
    """The settings of config.txt with what it includes, in the order in which the firmware sees them; a file that includes itself is read once."""
    path = existing(boot, name)
    if path is None or path in seen:
        return []
    seen.add(path)
    found = []
    for setting in config_settings(read_text(path) or ''):
        if setting.key != 'include':
            found.append(setting)
            continue
        inner = read_settings(boot, setting.value, seen)
        found.extend(one._replace(filters=setting.filters + one.filters) for one in inner)
    return found


def config_settings(text):
    """Every setting of the file with the filters it stands under. That one replaces another of its type does not matter here: only [all] drops the last."""
    settings = []
    filters = []
    for line in text.split('\n'):
        header = SECTION.match(line)
        if header:
            filters = [] if header.group(1) == 'all' else filters + [header.group(1)]
            continue
        body = line.strip(SPACES)
        if body and not body.startswith('#'):
            key, value = key_and_value(body)
            settings.append(Setting(key, value, filters))
    return settings


def key_and_value(body):
    spaced = SPACED.match(body)
    if spaced:
        return spaced.groups()
    key, _equals, value = body.partition('=')
    return key, value


def existing(boot, name):
    """The path of a file that config.txt names, if it is there; a name that leaves the boot partition is not."""
    parts = [part for part in host_name(name).split('/') if part not in ('', '.')]
    if '..' in parts or not parts:
        return None
    path = '/'.join([boot.rstrip('/')] + parts)
    found = unless_missing(os.lstat, path)
    return path if found and stat.S_ISREG(found.st_mode) else None


def names_in(folder):
    return [] if os.path.islink(folder) else unless_missing(os.listdir, folder) or []


def read_text(path):
    """The file's text, one character per byte; None when there is no such file."""
    data = unless_missing(read_bytes, path)
    if data is not None and len(data) > TEXT_LIMIT:
        raise CommandLineError('unsupported', 'expected at most %d bytes of text in %s, found more' % (TEXT_LIMIT, path))
    return data if data is None else data.decode('latin-1')


def read_bytes(path):
    with open(path, 'rb') as handle:
        return handle.read(TEXT_LIMIT + 1)


def unless_missing(function, path):
    """What the function says about a path, None when there is nothing of that name. What may not be read is an error, never taken for absent."""
    try:
        return function(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in a name
        return None
    except OSError as error:
        raise CommandLineError('io', 'expected to read %s, found: %s' % (path, error.strerror))


def host_name(text):
    """A name out of a text with one character per byte, as the host's functions want it."""
    return os.fsdecode(text.encode('latin-1'))
