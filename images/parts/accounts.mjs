/** EL9's base accounts, and `rocky` as the kickstart's %post makes it. */

// openssl passwd -6 -salt rockberrysample rockylinux
export const ROCKY_HASH = '$6$rockberrysample$5611P/1lb31pV5u.9iFmCIJl2CjFwxvoB1g.sC36gPbRP.al5nnEIJ9/4BUcOCDIdMFrnEzIRZYstssYD2wGG/';

const SYSTEM = `root:x:0:0:root:/root:/bin/bash
bin:x:1:1:bin:/bin:/sbin/nologin
daemon:x:2:2:daemon:/sbin:/sbin/nologin
adm:x:3:4:adm:/var/adm:/sbin/nologin
lp:x:4:7:lp:/var/spool/lpd:/sbin/nologin
sync:x:5:0:sync:/sbin:/bin/sync
shutdown:x:6:0:shutdown:/sbin:/sbin/shutdown
halt:x:7:0:halt:/sbin:/sbin/halt
mail:x:8:12:mail:/var/spool/mail:/sbin/nologin
operator:x:11:0:operator:/root:/sbin/nologin
games:x:12:100:games:/usr/games:/sbin/nologin
ftp:x:14:50:FTP User:/var/ftp:/sbin/nologin
nobody:x:65534:65534:Kernel Overflow User:/:/sbin/nologin
systemd-coredump:x:999:997:systemd Core Dumper:/:/sbin/nologin
dbus:x:81:81:System message bus:/:/sbin/nologin
tss:x:59:59:Account used for TPM access:/dev/null:/sbin/nologin
sssd:x:998:995:User for sssd:/:/sbin/nologin
sshd:x:74:74:Privilege-separated SSH:/usr/share/empty.sshd:/sbin/nologin
chrony:x:997:994:chrony system user:/var/lib/chrony:/sbin/nologin
polkitd:x:996:993:User for polkitd:/:/sbin/nologin
`;

const GROUPS = `root:x:0:
bin:x:1:
daemon:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
lp:x:7:
mem:x:8:
kmem:x:9:
wheel:x:10:@WHEEL@
cdrom:x:11:
mail:x:12:
man:x:15:
dialout:x:18:
floppy:x:19:
games:x:20:
tape:x:33:
video:x:39:
ftp:x:50:
lock:x:54:
audio:x:63:
users:x:100:
nobody:x:65534:
utmp:x:22:
utempter:x:35:
input:x:999:
kvm:x:36:
render:x:998:
systemd-journal:x:190:
systemd-coredump:x:997:
dbus:x:81:
ssh_keys:x:101:
tss:x:59:
sssd:x:995:
sshd:x:74:
chrony:x:994:
polkitd:x:993:
`;

export function accounts(tree, user = 'rocky', gecos = 'Rocky Linux default user') {
  const passwd = `${SYSTEM}${user}:x:1000:1000:${gecos}:/home/${user}:/bin/bash\n`;
  const group = `${GROUPS.replace('@WHEEL@', user)}${user}:x:1000:\n`;
  const fields = (text) => text.trimEnd().split('\n').map((line) => line.split(':'));
  const shadow = fields(passwd).map(([name]) => {
    if (name === 'root') return 'root:!locked::0:99999:7:::';
    if (name === user) return `${user}:${ROCKY_HASH}:19493:0:99999:7:::`;
    const added = ['systemd-coredump', 'dbus', 'tss', 'sssd', 'sshd', 'chrony', 'polkitd'].includes(name);
    return added ? `${name}:!!:19493::::::` : `${name}:*:19347:0:99999:7:::`;
  });
  const gshadow = fields(group).map(([name, , , members]) => `${name}:${name === user ? '!' : ''}::${members}`);
  tree.file('/etc/passwd', passwd);
  tree.file('/etc/passwd-', passwd);
  tree.file('/etc/group', group);
  tree.file('/etc/group-', group);
  tree.file('/etc/shadow', `${shadow.join('\n')}\n`, 0);
  tree.file('/etc/shadow-', `${shadow.join('\n')}\n`, 0);
  tree.file('/etc/gshadow', `${gshadow.join('\n')}\n`, 0);
  tree.file('/etc/gshadow-', `${gshadow.join('\n')}\n`, 0);
  tree.file('/etc/subuid', `${user}:100000:65536\n`);
  tree.file('/etc/subgid', `${user}:100000:65536\n`);
  home(tree, user);
}

function home(tree, user) {
  const skeleton = {
    '.bash_logout': '# ~/.bash_logout\n',
    '.bash_profile': '# .bash_profile\n\n# Get the aliases and functions\nif [ -f ~/.bashrc ]; then\n\t. ~/.bashrc\nfi\n',
    '.bashrc': '# .bashrc\n\n# Source global definitions\nif [ -f /etc/bashrc ]; then\n\t. /etc/bashrc\nfi\n',
  };
  tree.directory('/root', 0o550);
  tree.directory(`/home/${user}`, 0o700, 1000, 1000);
  for (const [name, text] of Object.entries(skeleton)) {
    tree.file(`/etc/skel/${name}`, text);
    tree.file(`/root/${name}`, text);
    tree.file(`/home/${user}/${name}`, text, 0o644, 1000, 1000);
  }
  tree.file(`/home/${user}/README`, `== ${user} ==\n
Partitions are 300 MB /boot, 512 MB swap, 2800 MB rootfs. Requires a 4 GB or larger storage device.
To grow the root filesystem: sudo rootfs-expand\n`, 0o644, 1000, 1000);
  tree.directory('/var/spool/mail', 0o775, 0, 12);
  tree.file(`/var/spool/mail/${user}`, '', 0o660, 1000, 12);
}
