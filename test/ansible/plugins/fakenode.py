"""A connection to a tree that stands for a node: modules run here, and a reboot happens in the tree instead of to this machine.

At a reboot the kernel is given what the firmware would give it: a device tree's cgroup_disable=memory first, as on Raspberry Pi kernels from 6.12 on, then the
first line of cmdline.txt. The memory controller comes on if that line enables it, unless the file "deaf" says that this kernel does not know the parameter.
"""
import os

from ansible.plugins.connection.local import Connection as LocalConnection

DOCUMENTATION = '''
name: fakenode
short_description: a tree that stands for a node
extends_documentation_fragment: connection_pipelining
'''


class Connection(LocalConnection):
    transport = 'fakenode'  # ansible.builtin.reboot refuses "local"

    def exec_command(self, cmd, in_data=None, sudoable=True):
        tree = os.path.join(os.environ['FAKE_NODES'], self._play_context.remote_addr)
        if 'shutdown -r' in cmd:
            boot(tree)
            return 0, b'', b''
        if 'cat /proc/sys/kernel/random/boot_id' in cmd:
            return 0, b'boot %d\n' % boots(tree), b''
        status, out, err = super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return (status, as_on_a_terminal(err + out), b'') if 'rockberry-preflight --json' in cmd else (status, out, err)


def as_on_a_terminal(text):
    """ssh gives a script a terminal: what it says on stderr stands on stdout, and lines end with a carriage return (ansible-doc script)."""
    return b'bash: warning: setlocale: LC_ALL: cannot change locale (en_US.UTF-8)\r\n' + text.replace(b'\n', b'\r\n')


def boot(tree):
    write(tree, 'boots', '%d\n' % (boots(tree) + 1))
    line = next(read(tree, name) for name in ('boot/efi/cmdline.txt', 'boot/cmdline.txt') if os.path.exists(os.path.join(tree, name))).split('\n')[0]
    write(tree, 'proc/cmdline', 'coherent_pool=1M cgroup_disable=memory %s\n' % line)
    if 'cgroup_enable=memory' in line.split() and not os.path.exists(os.path.join(tree, 'deaf')):
        write(tree, 'sys/fs/cgroup/cgroup.controllers', 'cpuset cpu io memory pids\n')


def boots(tree):
    return int(read(tree, 'boots'))


def read(tree, name):
    with open(os.path.join(tree, name), encoding='latin-1') as handle:
        return handle.read()


def write(tree, name, text):
    with open(os.path.join(tree, name), 'w', encoding='latin-1') as handle:
        handle.write(text)
