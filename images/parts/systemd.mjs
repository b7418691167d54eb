/** Unit files with the [Install] sections of EL9's own, and the links that `systemctl preset` made for them at build time. */

const unit = (description, section, install) => `[Unit]\nDescription=${description}\n\n${section}${install ? `\n[Install]\n${install}` : ''}`;
const service = (exec, more = '') => `[Service]\nExecStart=${exec}\n${more}`;

const UNITS = {
  'sshd.service': `[Unit]
Description=OpenSSH server daemon
Documentation=man:sshd(8) man:sshd_config(5)
After=network.target sshd-keygen.target
Wants=sshd-keygen.target

[Service]
Type=notify
EnvironmentFile=-/etc/sysconfig/sshd
ExecStart=/usr/sbin/sshd -D $OPTIONS
ExecReload=/bin/kill -HUP $MAINPID
KillMode=process
Restart=on-failure
RestartSec=42s

[Install]
WantedBy=multi-user.target
`,
  'sshd.socket': unit('OpenSSH Server Socket', '[Socket]\nListenStream=22\nAccept=yes\n', 'WantedBy=sockets.target\n'),
  'sshd@.service': unit('OpenSSH per-connection server daemon', service('-/usr/sbin/sshd -i $OPTIONS', 'StandardInput=socket\n')),
  'sshd-keygen@.service': unit('OpenSSH %i Server Key Generation',
    service('/usr/libexec/openssh/sshd-keygen %i', 'Type=oneshot\n'), 'WantedBy=sshd-keygen.target\n'),
  'sshd-keygen.target': '[Unit]\nWants=sshd-keygen@rsa.service\nWants=sshd-keygen@ecdsa.service\nWants=sshd-keygen@ed25519.service\nPartOf=sshd.service\n',
  'NetworkManager.service': `[Unit]
Description=Network Manager
Documentation=man:NetworkManager(8)
Wants=network.target
After=network-pre.target dbus.service
Before=network.target

[Service]
Type=dbus
BusName=org.freedesktop.NetworkManager
ExecStart=/usr/sbin/NetworkManager --no-daemon
Restart=on-failure

[Install]
WantedBy=multi-user.target
Also=NetworkManager-dispatcher.service

# We want to enable NetworkManager-wait-online.service whenever this service
# is enabled. NetworkManager-wait-online.service has
# WantedBy=network-online.target, so enabling it only has an effect if
# network-online.target itself is enabled or pulled in by some other unit.
Also=NetworkManager-wait-online.service
`,
  'NetworkManager-dispatcher.service': unit('Network Manager Script Dispatcher Service',
    '[Service]\nType=dbus\nBusName=org.freedesktop.nm_dispatcher\nExecStart=/usr/libexec/nm-dispatcher\n',
    'Alias=dbus-org.freedesktop.nm-dispatcher.service\n'),
  'NetworkManager-wait-online.service': unit('Network Manager Wait Online',
    service('/usr/bin/nm-online -s -q', 'Type=oneshot\nRemainAfterExit=yes\n'), 'WantedBy=network-online.target\n'),
  'chronyd.service': unit('NTP client/server', service('/usr/sbin/chronyd $OPTIONS', 'Type=forking\nPIDFile=/run/chrony/chronyd.pid\n'),
    'WantedBy=multi-user.target\n'),
  'chrony-wait.service': `[Unit]
Description=Wait for chrony to synchronize system clock
After=chronyd.service
Requires=chronyd.service
Before=time-sync.target
Wants=time-sync.target

[Service]
Type=oneshot
ExecStart=/usr/bin/chronyc -h 127.0.0.1,::1 waitsync 0 0.1 0.0 1
TimeoutStartSec=180
RemainAfterExit=yes

[Install]
WantedBy=multi-user.target
`,
  'firewalld.service': `[Unit]
Description=firewalld - dynamic firewall daemon
Before=network-pre.target
Wants=network-pre.target
After=dbus.service
After=polkit.service
Conflicts=iptables.service ip6tables.service ebtables.service ipset.service

[Service]
EnvironmentFile=-/etc/sysconfig/firewalld
ExecStart=/usr/sbin/firewalld --nofork --nopid $FIREWALLD_ARGS
ExecReload=/bin/kill -HUP $MAINPID
Type=dbus
BusName=org.fedoraproject.FirewallD1

[Install]
WantedBy=multi-user.target
Alias=dbus-org.fedoraproject.FirewallD1.service
`,
  'cpupower.service': unit('Configure CPU power related settings', service('/usr/bin/cpupower $CPUPOWER_START_OPTS', 'Type=oneshot\nRemainAfterExit=yes\n'),
    'WantedBy=multi-user.target\n'),
  'crond.service': unit('Command Scheduler', service('/usr/sbin/crond -n $CRONDARGS'), 'WantedBy=multi-user.target\n'),
  'auditd.service': unit('Security Auditing Service', service('/sbin/auditd', 'Type=forking\n'), 'WantedBy=multi-user.target\n'),
  'rsyslog.service': unit('System Logging Service', service('/usr/sbin/rsyslogd -n', 'Type=notify\n'), 'WantedBy=multi-user.target\n;Alias=syslog.service\n'),
  'sssd.service': unit('System Security Services Daemon', service('/usr/sbin/sssd -i ${DEBUG_LOGGER}', 'Type=notify\n'), 'WantedBy=multi-user.target\n'),
  'sssd-kcm.service': unit('SSSD Kerberos Cache Manager', service('/usr/libexec/sssd/sssd_kcm'), 'Also=sssd-kcm.socket\n'),
  'sssd-kcm.socket': unit('SSSD Kerberos Cache Manager responder socket', '[Socket]\nListenStream=/run/.heim_org.h5l.kcm-socket\n', 'WantedBy=sockets.target\n'),
  'dbus-broker.service': unit('D-Bus System Message Bus', service('/usr/bin/dbus-broker-launch --scope system --audit', 'Sockets=dbus.socket\n'),
    'Alias=dbus.service\n'),
  'dbus.socket': unit('D-Bus System Message Bus Socket', '[Socket]\nListenStream=/run/dbus/system_bus_socket\n'),
  'getty@.service': `[Unit]
Description=Getty on %I
After=systemd-user-sessions.service
Before=getty.target
ConditionPathExists=/dev/tty0

[Service]
ExecStart=-/sbin/agetty -o '-p -- \\\\u' --noclear - $TERM
Type=idle
Restart=always
TTYPath=/dev/%I

[Install]
WantedBy=getty.target
DefaultInstance=tty1
`,
  'serial-getty@.service': unit('Serial Getty on %I', service("-/sbin/agetty -o '-p -- \\\\u' --keep-baud 115200,57600,38400,9600 - $TERM"),
    'WantedBy=getty.target\n'),
  'systemd-journald.service': unit('Journal Service', service('/usr/lib/systemd/systemd-journald')),
  'systemd-logind.service': unit('User Login Management', service('/usr/lib/systemd/systemd-logind', 'BusName=org.freedesktop.login1\n')),
  'systemd-sysctl.service': unit('Apply Kernel Variables', service('/usr/lib/systemd/systemd-sysctl', 'Type=oneshot\n')),
  'systemd-modules-load.service': unit('Load Kernel Modules', service('/usr/lib/systemd/systemd-modules-load', 'Type=oneshot\n')),
  'dnf-makecache.timer': unit('dnf makecache --timer', '[Timer]\nOnBootSec=10min\nOnUnitInactiveSec=1h\nUnit=dnf-makecache.service\n', 'WantedBy=timers.target\n'),
  'dnf-makecache.service': unit('dnf makecache', service('/usr/bin/dnf makecache --timer', 'Type=oneshot\n')),
  'logrotate.timer': unit('Daily rotation of log files', '[Timer]\nOnCalendar=daily\nPersistent=true\n', 'WantedBy=timers.target\n'),
  'logrotate.service': unit('Rotate log files', service('/usr/sbin/logrotate /etc/logrotate.conf', 'Type=oneshot\n')),
  'remote-fs.target': unit('Remote File Systems', '', 'WantedBy=multi-user.target\n'),
  'multi-user.target': '[Unit]\nDescription=Multi-User System\nRequires=basic.target\nConflicts=rescue.service rescue.target\nAfter=basic.target rescue.service rescue.target\nAllowIsolate=yes\n',
  'graphical.target': '[Unit]\nDescription=Graphical Interface\nRequires=multi-user.target\nAllowIsolate=yes\n',
  'reboot.target': unit('System Reboot', '', 'Alias=ctrl-alt-del.target\n'),
};

const TARGETS = ['basic', 'sysinit', 'sockets', 'timers', 'getty', 'network', 'network-online', 'network-pre', 'time-sync', 'local-fs', 'swap', 'rescue'];

const ENABLED = {
  'multi-user.target.wants': ['NetworkManager.service', 'auditd.service', 'chronyd.service', 'cpupower.service', 'crond.service', 'firewalld.service',
    'remote-fs.target', 'rsyslog.service', 'sshd.service', 'sssd.service'],
  'network-online.target.wants': ['NetworkManager-wait-online.service'],
  'sockets.target.wants': ['sssd-kcm.socket'],
  'timers.target.wants': ['dnf-makecache.timer', 'logrotate.timer'],
};

const ALIASES = {
  'dbus-org.fedoraproject.FirewallD1.service': 'firewalld.service',
  'dbus-org.freedesktop.nm-dispatcher.service': 'NetworkManager-dispatcher.service',
  'dbus.service': 'dbus-broker.service',
  'default.target': 'multi-user.target',
};

export function systemd(tree) {
  const library = '/usr/lib/systemd/system';
  for (const [name, text] of Object.entries(UNITS)) tree.file(`${library}/${name}`, text);
  for (const name of TARGETS) tree.file(`${library}/${name}.target`, `[Unit]\nDescription=${name}\nDocumentation=man:systemd.special(7)\n`);
  tree.link(`${library}/autovt@.service`, 'getty@.service');
  tree.link(`${library}/default.target`, 'graphical.target');
  tree.link(`${library}/dbus-org.freedesktop.login1.service`, 'systemd-logind.service');
  tree.link(`${library}/sockets.target.wants/dbus.socket`, '../dbus.socket');
  tree.link(`${library}/sysinit.target.wants/systemd-sysctl.service`, '../systemd-sysctl.service');
  tree.link(`${library}/sysinit.target.wants/systemd-modules-load.service`, '../systemd-modules-load.service');
  tree.file('/usr/lib/systemd/system-preset/90-default.preset', 'enable sshd.service\nenable NetworkManager.service\nenable chronyd.service\nenable firewalld.service\n');
  tree.file('/usr/lib/systemd/system-preset/99-default-disable.preset', 'disable *\n');
  tree.file('/etc/systemd/system.conf', '[Manager]\n#LogLevel=info\n');
  tree.file('/etc/systemd/journald.conf', '[Journal]\n#Storage=auto\n');
  tree.file('/etc/systemd/logind.conf', '[Login]\n#NAutoVTs=6\n');
  for (const [directory, names] of Object.entries(ENABLED)) {
    for (const name of names) tree.link(`/etc/systemd/system/${directory}/${name}`, `${library}/${name}`);
  }
  tree.link('/etc/systemd/system/getty.target.wants/getty@tty1.service', `${library}/getty@.service`);
  for (const [name, target] of Object.entries(ALIASES)) tree.link(`/etc/systemd/system/${name}`, `${library}/${target}`);
}
