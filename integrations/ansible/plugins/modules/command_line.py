#!/usr/bin/python
# Copyright (c) 2026 the rockberry authors
# MIT License (see LICENSE or https://spdx.org/licenses/MIT.html)
"""Ansible's side of the edit: arguments, files, backup, atomic write, diff. The rules are in module_utils."""

DOCUMENTATION = r'''
---
module: command_line
short_description: Edits the kernel command line that the Raspberry Pi's firmware passes on
version_added: 1.0.0
author: the rockberry authors
description:
  - Adds, removes and sets kernel parameters in C(cmdline.txt) on the boot partition, or in the file that C(os_prefix) and C(cmdline) in C(config.txt) name.
    Where C(config.txt) decides by board, every file that a board could select is edited.
  - Only the first line counts, because the firmware reads no other. Words are whole words, quotes are respected, and a comma list of C(cgroup_enable) or
    C(cgroup_disable) counts as its members. What is missing is appended at the end, in front of C(--).
  - Adding C(cgroup_enable=memory) takes C(cgroup_disable=memory) away, also out of a list. Carriage returns and a byte order mark go. Everything else keeps
    its order and its bytes.
  - The same rules as C(rockberry build) applies to images, byte for byte.
  - A file of that name on the root filesystem, such as Raspberry Pi OS's stub C(/boot/cmdline.txt), is never touched.
options:
  add:
    description: Parameters that must be there, in this order.
    type: list
    elements: str
    default: []
  remove:
    description: Parameters to remove. A word, or a name with every value it has.
    type: list
    elements: str
    default: []
  set:
    description: Names with the one value that they shall have. The first occurrence is replaced, later ones go.
    type: dict
    default: {}
  boot_directory:
    description:
      - Where the boot partition is mounted.
      - Left out, it is the one mounted FAT filesystem, named in C(/etc/fstab) or mounted at or below C(/boot), that holds a kernel command line.
    type: path
  root:
    description: Directory that stands for C(/), for a system that is mounted somewhere and for tests.
    type: path
    default: /
  backup:
    description:
      - Keeps the file as it was before the last change beside it, under its name with C(.before-rockberry) behind it.
      - The name has no time in it, because FAT allows no colon, and the partition is small.
    type: bool
    default: true
attributes:
  check_mode:
    description: Says what would change, and changes nothing.
    support: full
  diff_mode:
    description: Shows each file before and after.
    support: full
notes:
  - A line of more than 1024 bytes is an error, because the firmware cuts it off.
  - A file is replaced in one step; whoever pulls the plug finds the old one or the new one.
'''

EXAMPLES = r'''
- name: Turn the memory cgroup on
  rockberry.node.command_line:
    add:
      - cgroup_enable=cpuset
      - cgroup_memory=1
      - cgroup_enable=memory

- name: Turn pressure stall information on, and swap off
  rockberry.node.command_line:
    set:
      psi: 1
      systemd.swap: 0

- name: Show what would change on a card in a reader
  rockberry.node.command_line:
    add: [cgroup_enable=memory]
    boot_directory: /run/media/me/bootfs
  check_mode: true
  diff: true
'''

RETURN = r'''
files:
  description: The files from which the firmware may take the kernel command line.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
      sample: /boot/cmdline.txt
    changed:
      description: Whether it was changed, or would be in check mode.
      type: bool
    line:
      description: What the kernel is given after the next boot.
      type: str
      sample: console=tty1 root=PARTUUID=6c586e13-03 rootwait cgroup_enable=cpuset cgroup_memory=1 cgroup_enable=memory
    backup:
      description: The file as it was.
      returned: when it was changed and C(backup) is true
      type: str
      sample: /boot/cmdline.txt.before-rockberry
'''

import os
import re

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.rockberry.node.plugins.module_utils.firmware_files import find_boot_directory, find_command_lines, read_text
from ansible_collections.rockberry.node.plugins.module_utils.kernel_command_line import (
    CommandLineError, edit_command_line, ignored_text, is_one_word, split)

BACKUP = '.before-rockberry'
PENDING = '.rockberry-new'
NAME = re.compile(r'[^\s="]+\Z')
VALUE = re.compile(r'[\x20\x21\x23-\x7e]*\Z')


def main():
    module = AnsibleModule(
        argument_spec=dict(
            add=dict(type='list', elements='str', default=[]),
            remove=dict(type='list', elements='str', default=[]),
            set=dict(type='dict', default={}),
            boot_directory=dict(type='path'),
            root=dict(type='path', default='/'),
            backup=dict(type='bool', default=True),
        ),
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except CommandLineError as error:
        module.fail_json(msg='%s (%s)' % (error.message, error.hint) if error.hint else error.message, code=error.code)


def run(module):
    edit = checked_edit(module.params)
    # Every edit is worked out before the first file is written: an error in one leaves all as they are.
    files = [(path, before, edited(path, before, edit)) for path, before in read_files(module.params)]
    results = []
    for path, before, after in files:
        result = dict(path=path, changed=before != after, line=printable(split(after)[0]))
        if ignored_text(after):
            module.warn('%s: the firmware ignores everything after the first line, here "%s"' % (path, printable(ignored_text(after))[:80]))
        if before != after and not module.check_mode:
            result.update(replace(module, path, before, after))
        results.append(result)
    diff = [dict(before=printable(before), after=printable(after), before_header=path, after_header=path) for path, before, after in files]
    return dict(changed=any(result['changed'] for result in results), files=results, diff=diff)


def checked_edit(params):
    """The edit, if it is one that the engine's schema would take."""
    for word in params['add'] + params['remove']:
        if not is_one_word(word):
            raise CommandLineError('usage', 'expected one word of printable ASCII, with white space only inside double quotes, found "%s"' % word)
    for name, value in params['set'].items():
        if not NAME.match(name):
            raise CommandLineError('usage', 'expected the name of a kernel parameter, found "%s"' % name)
        if isinstance(value, bool) or not isinstance(value, (str, int)) or not VALUE.match(str(value)):
            raise CommandLineError('usage', 'expected a number or a text without quotes for "%s", found %r' % (name, value))
    if not params['add'] and not params['remove'] and not params['set']:
        raise CommandLineError('usage', 'expected at least one of add, remove, set, found none')
    return dict(add=params['add'], remove=params['remove'], values=dict((name, str(value)) for name, value in params['set'].items()))


def read_files(params):
    root = params['root'].rstrip('/')
    boot = params['boot_directory'] or find_boot_directory(root)
    paths = find_command_lines(root + boot)
    if not paths:
        raise CommandLineError('unsupported', 'expected the kernel command line in %s/cmdline.txt, found no such file on the boot partition' % boot.rstrip('/'))
    return [(path, read_text(path)) for path in paths]


def edited(path, text, edit):
    try:
        return edit_command_line(text, **edit)
    except CommandLineError as error:
        raise CommandLineError(error.code, '%s: %s' % (path, error.message), error.hint)


def replace(module, path, before, after):
    """Writes the file beside itself, on the disk, and gives it its name; the one that was there is kept if asked for."""
    kept = {}
    try:
        if module.params['backup']:
            put(module, path + BACKUP, before)
            kept = dict(backup=path + BACKUP)
        put(module, path, after)
        return kept
    except (IOError, OSError) as error:
        raise CommandLineError('io', 'expected to write %s, found: %s' % (path, error.strerror or error),
                               hint='the boot partition may be mounted read-only or full')


def put(module, path, text):
    pending = path + PENDING
    handle = os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    try:
        with os.fdopen(handle, 'wb') as stream:
            stream.write(text.encode('latin-1'))
            stream.flush()
            os.fsync(stream.fileno())
        module.atomic_move(pending, path)  # takes over mode, owner and SELinux context of the file that is there
    except BaseException:
        if os.path.exists(pending):
            os.unlink(pending)
        raise
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def printable(text):
    """Text with one character per byte, as a person reads it."""
    return text.encode('latin-1').decode('utf-8', 'backslashreplace')


if __name__ == '__main__':
    main()
