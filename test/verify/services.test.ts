/** The services rules: one seeded defect each and more where there are several kinds, the ready node, and what is no defect. */
import { describe, expect, test } from 'vitest';
import type { Target } from '../../src/verify/rule.js';
import { servicesRules } from '../../src/verify/rules/services.js';
import { testRules, type Defect } from './cases.js';
import { problemsOf } from './node.js';
import { defect, installed, readyNode, unit, wants, type Changes } from './ready-node.js';

const TARGET = '/etc/systemd/system/default.target';
const DNF = '/etc/dnf/dnf.conf';
const target = (to: string): Changes => ({ [TARGET]: { target: to } });
const k3s = { ...unit('k3s.service') };
const ready = (changes: Changes = {}): ReturnType<typeof readyNode> => readyNode({ ...k3s, ...changes }, { target: 'k3s' });
const program = (text: string): Changes => ({ '/usr/libexec/rockberry/setup': text });
const noExclude: Changes = { [DNF]: '[main]\ngpgcheck=1\n' };

const DEFECTS: readonly Defect[] = [
  defect('services-target', 'rescue', { ...target('/usr/lib/systemd/system/rescue.target'), '/usr/lib/systemd/system/rescue.target': '[Unit]\n' }, 'error', TARGET, /found rescue\.target/),
  defect('services-target', 'a link to nowhere', target('/usr/lib/systemd/system/none.target'), 'error', TARGET, /which is no unit/),
  defect('services-target', 'masked', target('/dev/null'), 'error', TARGET, /which is no unit/),
  defect('services-target', 'none', { [TARGET]: undefined, '/usr/lib/systemd/system/default.target': undefined }, 'error', TARGET, /found none/),
  defect('services-target', 'another', { ...target('/usr/lib/systemd/system/kiosk.target'), '/usr/lib/systemd/system/kiosk.target': '[Unit]\n' }, 'warning', TARGET, /found kiosk\.target/),
  defect('services-network', 'not enabled', { [`${wants}/NetworkManager.service`]: undefined }, 'error', 'NetworkManager.service', /found none: the node has no network/),
  defect('services-network', 'masked', { '/etc/systemd/system/NetworkManager.service': { target: '/dev/null' } }, 'error', 'NetworkManager.service', /found none/),
  defect('services-units', 'sshd has gone', { '/usr/lib/systemd/system/sshd.service': undefined }, 'error', `${wants}/sshd.service`, /unit file for sshd\.service, found a link that leads nowhere/),
  defect('services-units', 'cpupower has gone', { [`${wants}/cpupower.service`]: { target: '/usr/lib/systemd/system/cpupower.service' } }, 'info', `${wants}/cpupower.service`, /unit file for cpupower\.service/),
  defect('services-units', 'an alias', { '/etc/systemd/system/dbus-org.fedoraproject.FirewallD1.service': { target: '/usr/lib/systemd/system/none.service' } }, 'info', '/etc/systemd/system/dbus-org.fedoraproject.FirewallD1.service', /leads nowhere/),
  defect('services-kubernetes', 'k3s is not there', {}, 'info', 'k3s.service', /found no unit of it and no first-boot script/, { target: 'k3s' }),
  defect('services-kubernetes', 'kubelet is not enabled', installed('kubelet.service'), 'info', 'kubelet.service', /found kubelet\.service, which is not enabled/, { target: 'kubeadm' }),
  defect('services-kubernetes', 'a script that does not start', program('curl https://get.rke2.io | sh # rke2\n'), 'info', 'rke2-server.service', /found no unit of it/, { target: 'rke2' }),
  defect('services-runtime', 'two for kubeadm', { ...unit('containerd.service'), ...unit('crio.service') }, 'error', 'containerd.service', /found containerd\.service and crio\.service: kubeadm stops/, { target: 'kubeadm' }),
  defect('services-runtime', 'Docker beside k3s', unit('docker.service'), 'warning', 'docker.service', /beside the one that k3s brings, found docker\.service/, { target: 'k3s' }),
  defect('services-runtime', 'another containerd for Kubespray', unit('containerd.service'), 'warning', 'containerd.service', /beside the one that kubespray brings/),
  defect('services-fapolicyd', 'for k3s', unit('fapolicyd.service'), 'error', 'fapolicyd.service', /found it enabled/, { target: 'k3s' }),
  defect('services-fapolicyd', 'for Kubespray, which stops it', unit('fapolicyd.service'), 'info', 'fapolicyd.service', /found it enabled/),
  defect('services-preflight', 'not there', { [`${wants}/rockberry-preflight.service`]: undefined, '/usr/lib/systemd/system/rockberry-preflight.service': undefined }, 'info', 'rockberry-preflight.service', /found none/),
  defect('services-preflight', 'not enabled', { [`${wants}/rockberry-preflight.service`]: undefined }, 'info', 'rockberry-preflight.service', /found it is not enabled/),
  defect('services-preflight', 'not before containerd', { ...unit('containerd.service'), '/usr/lib/systemd/system/rockberry-preflight.service': '[Unit]\nBefore=kubelet.service\n[Service]\nBefore=containerd.service\n' }, 'info', '/usr/lib/systemd/system/rockberry-preflight.service', /before containerd\.service/),
  defect('services-updates', 'dnf-automatic', { ...unit('dnf-automatic-install.timer') }, 'warning', `${wants}/dnf-automatic-install.timer`, /found dnf-automatic-install\.timer enabled/),
  defect('services-updates', 'dnf-automatic that applies what it finds', { ...unit('dnf-automatic.timer'), '/etc/dnf/automatic.conf': '[commands]\napply_updates = yes\n' }, 'warning', `${wants}/dnf-automatic.timer`, /found dnf-automatic\.timer/),
  defect('services-updates', 'on the older image', { ...unit('dnf-automatic-install.timer'), ...noExclude }, 'error', `${wants}/dnf-automatic-install.timer`, /found dnf-automatic-install\.timer/),
  defect('services-older-image', 'nothing is excluded', noExclude, 'warning', DNF, /after "dnf update" the Pi does not start$/),
  defect('services-older-image', 'something else is excluded', { [DNF]: '[main]\nexclude=kernel-core*\n' }, 'warning', DNF, /found no "exclude"/),
  defect('services-older-image', 'and a script updates', { ...noExclude, ...program('#!/bin/sh\n/usr/bin/dnf -y --refresh update || exit 1\n') }, 'error', '/usr/libexec/rockberry/setup', /and rockberry-setup runs it/),
];

testRules(servicesRules, () => ready(), DEFECTS);

describe('no defect', () => {
  test.each<[string, string, Changes, Target?]>([
    ['services-target', 'graphical', { ...target('/usr/lib/systemd/system/graphical.target'), '/usr/lib/systemd/system/graphical.target': '[Unit]\n' }],
    ['services-target', 'the vendor\'s link', { [TARGET]: undefined, '/usr/lib/systemd/system/default.target': { target: 'multi-user.target' } }],
    ['services-network', 'systemd-networkd', { [`${wants}/NetworkManager.service`]: undefined, ...unit('systemd-networkd.service') }],
    ['services-units', 'a link to another path: systemd goes by the name', { [`${wants}/sshd.service`]: { target: '/nowhere/sshd.service' } }],
    ['services-units', 'instances and generated units', { '/usr/lib/systemd/system/getty@.service': '[Service]\n', '/etc/systemd/system/getty.target.wants/getty@tty1.service': { target: '/usr/lib/systemd/system/getty@.service' }, [`${wants}/mnt-data.mount`]: { target: '/run/x' } }],
    ['services-kubernetes', 'installed on first boot', { ...program('#!/bin/sh\nINSTALL_K3S_EXEC=agent sh /var/lib/rancher/k3s-install.sh\nsystemctl start k3s\n'), ...unit('rockberry-setup.service') }, 'k3s'],
    ['services-runtime', 'one for kubeadm', unit('containerd.service'), 'kubeadm'],
    ['services-runtime', 'Docker for kubeadm', { ...unit('docker.service'), ...unit('containerd.service') }, 'kubeadm'],
    ['services-updates', 'dnf-automatic that only tells', { ...unit('dnf-automatic.timer'), '/etc/dnf/automatic.conf': '[commands]\napply_updates = no\n' }],
    ['services-older-image', 'one package by name', { [DNF]: '[main]\nexcludepkgs=raspberrypi2-firmware\n' }],
    ['services-older-image', 'a script that installs', { ...program('dnf -y install update-tool\n') }],
  ])('%s: %s', (id, _, changes, of = 'kubespray') => {
    expect(problemsOf(servicesRules, id, readyNode(changes, { target: of }))).toBeUndefined();
  });

  test.each<[string, Changes, object]>([
    ['with a config.txt', { '/boot/config.txt': 'arm_64bit=1\n' }, {}],
    ['with the firmware in /boot/efi', { '/boot/cmdline.txt': undefined, '/boot/efi/cmdline.txt': 'root=x\n', '/etc/fstab': 'LABEL=EFI /boot/efi vfat defaults 0 0\n' }, { bootDirectory: '/boot/efi' }],
    ['of a stock kernel', { '/usr/lib/modules/6.1.31-v8.1.el9.altarch/modules.builtin': undefined, '/usr/lib/modules/5.14.0-570.el9.aarch64/modules.dep': '' }, {}],
  ])('the older image is not one %s', (_, changes, parts) => {
    expect(problemsOf(servicesRules, 'services-older-image', readyNode({ ...changes, ...noExclude }, parts))).toBe('it is not the older Rocky image');
  });
});
