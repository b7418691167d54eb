/** What a Rocky 9 node image has outside accounts and units: configuration, the policy, locales, zones, keymaps, kernel modules' indexes. */
import { readFileSync } from 'node:fs';
import { kernelModules } from './kernel.mjs';

/** The keys of rocky-release's and almalinux-release's own os-release. */
function osRelease(version, brand) {
  const [major] = version.split('.');
  const rocky = brand === 'Rocky Linux';
  const id = rocky ? 'rocky' : 'almalinux';
  const codename = rocky ? (major === '9' ? 'Blue Onyx' : 'Red Quartz') : 'Sage Margay';
  const home = rocky ? 'https://rockylinux.org/' : 'https://almalinux.org/';
  const support = rocky ? 'Rocky-Linux' : 'AlmaLinux';
  const key = support.toUpperCase().replace('ROCKY-LINUX', 'ROCKY');
  return `NAME="${brand}"
VERSION="${version} (${codename})"
ID="${id}"
ID_LIKE="rhel centos fedora"
VERSION_ID="${version}"
PLATFORM_ID="platform:el${major}"
PRETTY_NAME="${brand} ${version} (${codename})"
ANSI_COLOR="${rocky ? '0;32' : '0;34'}"
LOGO="fedora-logo-icon"
CPE_NAME="cpe:/o:${id}:${id}:${major}::baseos"
HOME_URL="${home}"
BUG_REPORT_URL="${home.replace('//', '//bugs.')}"
SUPPORT_END="${major === '9' ? '2032-05-31' : '2035-05-31'}"
${key}_SUPPORT_PRODUCT="${support}-${major}"
${key}_SUPPORT_PRODUCT_VERSION="${version}"
REDHAT_SUPPORT_PRODUCT="${brand}"
REDHAT_SUPPORT_PRODUCT_VERSION="${version}"
`;
}

/** Directories of the filesystem package, with their modes. */
function skeleton(tree) {
  tree.directory('/', 0o555);
  for (const path of ['/boot', '/dev', '/etc', '/home', '/media', '/mnt', '/opt', '/run', '/srv', '/usr', '/var', '/usr/local', '/var/lib', '/var/log',
    '/var/cache', '/var/spool', '/var/empty', '/usr/libexec', '/usr/share', '/usr/lib', '/usr/local/bin', '/usr/local/sbin', '/usr/local/lib',
    '/usr/local/etc', '/usr/local/share', '/var/lib/systemd', '/var/lib/chrony', '/var/lib/rpm', '/var/lib/dhclient', '/var/cache/dnf', '/var/lib/dnf']) tree.directory(path);
  for (const path of ['/proc', '/sys', '/usr/bin', '/usr/sbin', '/usr/lib64']) tree.directory(path, 0o555);
  for (const path of ['/tmp', '/var/tmp']) tree.directory(path, 0o1777);
  tree.directory('/var/log/journal', 0o2755, 0, 190);
  tree.directory('/var/log/audit', 0o700);
  tree.directory('/etc/sudoers.d', 0o750);
  for (const [path, target] of [['/bin', 'usr/bin'], ['/sbin', 'usr/sbin'], ['/lib', 'usr/lib'], ['/lib64', 'usr/lib64'], ['/var/run', '../run'],
    ['/var/lock', '../run/lock'], ['/var/mail', 'spool/mail']]) tree.link(path, target);
}

function identity(tree, version, brand) {
  const text = osRelease(version, brand);
  const package_ = brand === 'Rocky Linux' ? 'rocky-release' : 'almalinux-release';
  tree.file('/usr/lib/os-release', text);
  tree.link('/etc/os-release', '../usr/lib/os-release');
  tree.file(`/etc/${package_}`, `${/^PRETTY_NAME="(.*)"$/m.exec(text)[1].replace(brand, `${brand} release`)}\n`);
  tree.link('/etc/redhat-release', package_);
  tree.link('/etc/system-release', package_);
  tree.file('/etc/machine-id', ''); // the kickstart's `rm -f; touch`: empty, so ConditionFirstBoot never holds
  tree.file('/etc/hostname', 'localhost.localdomain\n');
  tree.file('/etc/hosts', '127.0.0.1   localhost localhost.localdomain localhost4 localhost4.localdomain4\n::1         localhost localhost.localdomain localhost6 localhost6.localdomain6\n');
  tree.file('/etc/locale.conf', 'LANG="en_US.UTF-8"\n');
  tree.file('/etc/vconsole.conf', 'KEYMAP="us"\nFONT="eurlatgr"\n');
  tree.link('/etc/localtime', '../usr/share/zoneinfo/UTC');
  tree.file('/etc/shells', '/bin/sh\n/bin/bash\n/usr/bin/sh\n/usr/bin/bash\n');
  tree.file('/etc/login.defs', 'UID_MIN                  1000\nUID_MAX                 60000\nGID_MIN                  1000\nGID_MAX                 60000\nENCRYPT_METHOD SHA512\nHOME_MODE       0700\nCREATE_HOME     yes\nUMASK           022\n');
  tree.file('/etc/profile', '# /etc/profile\n');
  tree.file('/etc/bashrc', '# /etc/bashrc\n');
  tree.file('/etc/nsswitch.conf', 'passwd:     sss files systemd\nshadow:     files\ngroup:      sss files systemd\nhosts:      files dns myhostname\n');
  tree.file('/etc/resolv.conf', '');
}

function privileged(tree) {
  tree.file('/etc/sudoers', 'Defaults   !visiblepw\nDefaults    always_set_home\nroot\tALL=(ALL) \tALL\n%wheel\tALL=(ALL)\tALL\n#includedir /etc/sudoers.d\n', 0o440);
  tree.directory('/etc/ssh/sshd_config.d', 0o700);
  tree.file('/etc/ssh/sshd_config', 'Include /etc/ssh/sshd_config.d/*.conf\nAuthorizedKeysFile\t.ssh/authorized_keys\nSubsystem\tsftp\t/usr/libexec/openssh/sftp-server\n', 0o600);
  tree.file('/etc/ssh/sshd_config.d/50-redhat.conf', 'SyslogFacility AUTHPRIV\nUsePAM yes\nX11Forwarding yes\n', 0o600);
  tree.file('/etc/ssh/ssh_config', 'Include /etc/ssh/ssh_config.d/*.conf\n');
  tree.file('/usr/bin/sudo', '\x7fELF placeholder\n', 0o4111);
  tree.file('/usr/bin/ping', '\x7fELF placeholder\n', 0o755);
  tree.file('/usr/bin/write', '\x7fELF placeholder\n', 0o2711, 0, 5);
  tree.directory('/var/lib/chrony', 0o750, 997, 994);
  tree.directory('/var/lib/sss/db', 0o700, 998, 995);
  tree.file('/var/log/lastlog', '', 0o664, 0, 22);
  tree.file('/var/log/wtmp', '', 0o664, 0, 22);
  tree.file('/var/log/btmp', '', 0o660, 0, 22);
  tree.file('/var/log/messages', 'May 16 12:00:00 localhost kernel: placeholder\n', 0o600);
}

function configuration(tree) {
  for (const path of ['conf.d', 'system-connections', 'dispatcher.d', 'dnsmasq.d']) tree.directory(`/etc/NetworkManager/${path}`);
  tree.file('/etc/NetworkManager/NetworkManager.conf', '[main]\n#plugins=keyfile,ifcfg-rh\n\n[logging]\n#level=DEBUG\n');
  tree.file('/etc/sysconfig/network-scripts/readme-ifcfg-rh.txt', 'NetworkManager stores new network profiles in keyfile format in the\n/etc/NetworkManager/system-connections/ directory.\n');
  tree.file('/etc/sysconfig/network', '# Created by anaconda\n');
  tree.file('/etc/sysconfig/sshd', 'OPTIONS=""\n', 0o640);
  tree.file('/etc/sysctl.conf', '# sysctl settings are defined through files in\n# /usr/lib/sysctl.d/, /run/sysctl.d/, and /etc/sysctl.d/.\n');
  tree.link('/etc/sysctl.d/99-sysctl.conf', '../sysctl.conf');
  tree.file('/usr/lib/sysctl.d/10-default-yama-scope.conf', 'kernel.yama.ptrace_scope = 0\n');
  tree.file('/usr/lib/sysctl.d/50-default.conf', 'kernel.sysrq = 16\nkernel.core_uses_pid = 1\nnet.ipv4.conf.default.rp_filter = 2\nnet.ipv4.conf.*.rp_filter = 2\nfs.protected_hardlinks = 1\n');
  tree.directory('/etc/modules-load.d');
  tree.directory('/usr/lib/modules-load.d');
  tree.file('/etc/modprobe.d/tuned.conf', '# This file is managed by tuned\n');
  tree.directory('/etc/udev/rules.d');
  tree.directory('/etc/tmpfiles.d');
  tree.file('/etc/chrony.conf', 'pool 2.rocky.pool.ntp.org iburst\nsourcedir /run/chrony-dhcp\ndriftfile /var/lib/chrony/drift\nmakestep 1.0 3\nrtcsync\nkeyfile /etc/chrony.keys\n');
  tree.file('/etc/chrony.keys', '', 0o640, 0, 994);
  tree.directory('/etc/firewalld/zones', 0o750);
  tree.file('/etc/firewalld/firewalld.conf', 'DefaultZone=public\nFirewallBackend=nftables\n');
  const zone = (ports) => `<?xml version="1.0" encoding="utf-8"?>\n<zone>\n  <short>Public</short>\n  <service name="ssh"/>\n  <service name="dhcpv6-client"/>\n  <service name="cockpit"/>\n${ports}  <forward/>\n</zone>\n`;
  tree.file('/usr/lib/firewalld/zones/public.xml', zone(''));
  tree.file('/usr/lib/firewalld/zones/trusted.xml', '<?xml version="1.0" encoding="utf-8"?>\n<zone target="ACCEPT">\n  <short>Trusted</short>\n  <forward/>\n</zone>\n');
  tree.file('/etc/firewalld/zones/public.xml', zone('  <port port="22" protocol="tcp"/>\n')); // the kickstart's "firewall --enabled --port=22:tcp"
  tree.file('/etc/dnf/dnf.conf', '[main]\ngpgcheck=1\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=True\nskip_if_unavailable=False\n');
  tree.file('/etc/yum.repos.d/rocky.repo', '[baseos]\nname=Rocky Linux $releasever - BaseOS\nmirrorlist=https://mirrors.rockylinux.org/mirrorlist?arch=$basearch&repo=BaseOS-$releasever$rltype\ngpgcheck=1\nenabled=1\n');
  tree.link('/etc/yum.conf', 'dnf/dnf.conf');
  tree.file('/etc/crontab', 'SHELL=/bin/bash\nPATH=/sbin:/bin:/usr/sbin:/usr/bin\nMAILTO=root\n');
}

function programs(tree) {
  const script = (text) => `#!/bin/bash\n# placeholder\n${text}`;
  tree.file('/usr/bin/growpart', script('exit 1\n'), 0o755);
  tree.file('/usr/bin/rootfs-expand', script('growpart "$disk" 3 && resize2fs "$root"\n'), 0o755);
  for (const name of ['bash', 'env', 'systemctl', 'nmcli', 'dnf-3', 'chronyc', 'firewall-cmd', 'findmnt', 'lsblk', 'mount', 'umount', 'cp', 'ls', 'cat', 'touch', 'curl']) tree.file(`/usr/bin/${name}`, '\x7fELF placeholder\n', 0o755);
  tree.link('/usr/bin/sh', 'bash');
  tree.link('/usr/bin/dnf', 'dnf-3');
  for (const name of ['sshd', 'NetworkManager', 'chronyd', 'nologin', 'resize2fs', 'ldconfig', 'firewalld', 'losetup', 'swapoff', 'sysctl', 'ip', 'kmod']) tree.file(`/usr/sbin/${name}`, '\x7fELF placeholder\n', 0o755);
  tree.link('/usr/sbin/modprobe', 'kmod');
  tree.link('/usr/sbin/init', '../lib/systemd/systemd');
  tree.file('/usr/lib/systemd/systemd', '\x7fELF placeholder\n', 0o755);
  tree.file('/usr/lib/ld-linux-aarch64.so.1', '\x7fELF placeholder\n', 0o755);
  tree.file('/usr/lib64/libc.so.6', `\x7fELF placeholder${'\0'.repeat(200_000)}end\n`, 0o755); // several blocks, with a hole's worth of zeros
}

/** python3 and python3-libselinux, whose package directory is what Ansible's `setype` and `selinux` modules import. */
function python(tree, version) {
  const packages = `/usr/lib64/python${version}/site-packages`;
  const suffix = `cpython-${version.replace('.', '')}-aarch64-linux-gnu.so`;
  tree.file(`/usr/bin/python${version}`, '\x7fELF placeholder\n', 0o755);
  tree.link('/usr/bin/python3', `python${version}`);
  tree.link('/usr/libexec/platform-python', `../bin/python${version}`);
  tree.file(`${packages}/selinux/__init__.py`, '# placeholder for python3-libselinux\n');
  for (const name of [`selinux/_selinux.${suffix}`, `selinux/audit2why.${suffix}`, `_selinux.${suffix}`]) tree.file(`${packages}/${name}`, '\x7fELF placeholder\n', 0o755);
}

function localisation(tree) {
  const zone = (text) => Buffer.from(`TZif2${'\0'.repeat(39)}\n${text}\n`, 'latin1');
  for (const [name, rule] of [['UTC', 'UTC0'], ['Etc/UTC', 'UTC0'], ['Europe/Berlin', 'CET-1CEST,M3.5.0,M10.5.0/3'], ['Europe/London', 'GMT0BST,M3.5.0/1,M10.5.0'],
    ['America/New_York', 'EST5EDT,M3.2.0,M11.1.0'], ['Asia/Tokyo', 'JST-9']]) tree.file(`/usr/share/zoneinfo/${name}`, zone(rule));
  tree.file('/usr/share/zoneinfo/zone.tab', 'DE\t+5230+01322\tEurope/Berlin\nGB\t+513030-0000731\tEurope/London\nUS\t+404251-0740023\tAmerica/New_York\n');
  tree.file('/usr/lib/locale/locale-archive', 'placeholder: en_US.utf8 de_DE.utf8 fr_FR.utf8 C.utf8\n');
  for (const name of ['en_US', 'de_DE', 'fr_FR', 'POSIX']) tree.file(`/usr/share/i18n/locales/${name}`, 'comment_char %\nescape_char /\n');
  tree.file('/usr/lib/kbd/keymaps/xkb/us.map.gz', 'placeholder\n');
  for (const name of ['de', 'de-nodeadkeys', 'fr', 'gb']) tree.file(`/usr/lib/kbd/keymaps/xkb/${name}.map.gz`, 'placeholder\n');
  tree.file('/usr/lib/kbd/keymaps/legacy/i386/qwerty/us.map.gz', 'placeholder\n');
  // Enough names for a hashed directory of two levels of blocks; e2fsck -D makes the hash tree.
  for (let number = 0; number < 700; number++) tree.file(`/usr/share/licenses/sample/LICENSE.${String(number).padStart(3, '0')}.of-a-package-with-a-long-name`, '');
}

/** The head of a kernel policy (libsepol's policydb.c): magic number, the length of a string, the string, the version. Nothing behind it. */
function binaryPolicy() {
  const head = Buffer.alloc(20);
  head.writeUInt32LE(0xf97cff8c, 0);
  head.writeUInt32LE(8, 4);
  head.write('SE Linux', 8, 'latin1');
  head.writeUInt32LE(33, 16);
  return head;
}

function policy(tree) {
  tree.file('/etc/selinux/config', `# This file controls the state of SELinux on the system.
# SELINUX= can take one of these three values:
#     enforcing - SELinux security policy is enforced.
#     permissive - SELinux prints warnings instead of enforcing.
#     disabled - No SELinux policy is loaded.
SELINUX=enforcing
# SELINUXTYPE= can take one of these three values:
#     targeted - Targeted processes are protected,
#     minimum - Modification of targeted policy. Only selected processes are protected.
#     mls - Multi Level Security protection.
SELINUXTYPE=targeted


`);
  tree.link('/etc/sysconfig/selinux', '../selinux/config');
  tree.file('/etc/selinux/targeted/policy/policy.33', binaryPolicy());
  tree.file('/etc/selinux/targeted/contexts/customizable_types', 'container_file_t\nsandbox_file_t\nhttpd_user_content_t\n');
  const contexts = '/etc/selinux/targeted/contexts/files';
  for (const name of ['file_contexts', 'file_contexts.homedirs', 'file_contexts.subs_dist', 'file_contexts.subs', 'file_contexts.local']) {
    tree.file(`${contexts}/${name}`, readFileSync(new URL(`../policy/${name}`, import.meta.url)));
  }
}

/** Everything of an EL root but accounts, units and fstab. */
export function base(tree, { version, kernels, brand = 'Rocky Linux' }) {
  skeleton(tree);
  identity(tree, version, brand);
  privileged(tree);
  configuration(tree);
  programs(tree);
  python(tree, version.startsWith('10') ? '3.12' : '3.9');
  localisation(tree);
  for (const kernel of kernels) kernelModules(tree, kernel);
  policy(tree);
}

/** The root of a distribution that is not EL: no policy, no os-release but its own. */
export function otherRelease(tree, { id, name, version, codename, kernels }) {
  base(tree, { version, kernels });
  for (const path of [...tree.nodes.keys()]) {
    if (path.startsWith('/etc/selinux') || path === '/etc/sysconfig/selinux' || /\/etc\/(rocky|redhat|system)-release/.test(path)) tree.remove(path);
  }
  tree.file('/usr/lib/os-release', `PRETTY_NAME="${name} ${version} (${codename})"\nNAME="${name}"\nVERSION_ID="${version}"\nVERSION="${version} (${codename})"\nVERSION_CODENAME=${codename}\nID=${id}\n`);
  tree.file('/etc/machine-id', 'uninitialized\n', 0o444);
  tree.file('/etc/hostname', id === 'debian' ? 'raspberrypi\n' : `${id}\n`);
}
