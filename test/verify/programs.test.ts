/** The programs rules: one seeded defect each, the healthy node, and which programs are looked at at all. */
import { describe, expect, test } from 'vitest';
import type { Node } from '../../src/verify/node.js';
import { programsOf } from '../../src/verify/programs.js';
import { programsRules } from '../../src/verify/rules/programs.js';
import { testRules, type Defect } from './cases.js';
import { makeElf, type ElfParts } from './make-elf.js';
import { memoryNode, problemsOf, type Files, type NodeParts } from './node.js';

const LOADER = '/lib/ld-linux-aarch64.so.1';
const elf = (parts: ElfParts, mode = 0o755): { content: Uint8Array; mode: number } => ({ content: makeElf(parts), mode });
const script = (content: string, mode = 0o755): { content: string; mode: number } => ({ content, mode });
const unit = (lines: string, conditions = ''): string => `[Unit]\nDescription=x\n${conditions}\n[Service]\n${lines}\n\n[Install]\nWantedBy=multi-user.target\n`;
const enabled = (name: string): Files => ({ [`/etc/systemd/system/multi-user.target.wants/${name}`]: { target: `/etc/systemd/system/${name}` } });

/** The header of an arm64 Image (Documentation/arch/arm64/booting.rst): bits 1 and 2 of its flags are the page size, 1 for 4 KiB, 2 for 16. */
function kernel(pages: 0 | 1 | 2): { content: Uint8Array } {
  const content = Buffer.alloc(4096);
  content.writeUInt32LE(pages << 1, 24);
  content.write('ARM\x64', 56, 'latin1');
  return { content };
}

const SYSTEM: Files = {
  '/lib': { target: 'usr/lib' }, '/bin': { target: 'usr/bin' }, '/lib64': { target: 'usr/lib64' },
  '/usr/lib/ld-linux-aarch64.so.1': script('loader'), '/usr/lib64/libc.so.6': script('c library'),
  '/usr/bin/bash': script('shell'), '/usr/bin/sh': { target: 'bash' }, '/usr/bin/env': script('env'), '/usr/bin/python3.9': script('python'), '/usr/bin/python3': { target: 'python3.9' },
  '/boot/kernel8.img': kernel(1), '/boot/kernel_2712.img': kernel(2), '/boot/bcm2712-rpi-5-b.dtb': 'tree', '/boot/bcm2711-rpi-4-b.dtb': 'tree',
};
const HEALTHY: Files = {
  ...SYSTEM,
  '/usr/local/bin/k3s': elf({}), '/opt/cni/bin/bridge': elf({ interpreter: LOADER, needed: ['libc.so.6'] }), '/opt/tool/lib/libx.so': elf({ type: 3, needed: ['libc.so.6'] }),
  '/opt/cni/bin/calico': elf({ interpreter: LOADER, needed: ['libown.so'], runPath: '$ORIGIN/../own' }), '/opt/cni/own/libown.so': elf({ type: 3 }, 0o644),
  '/usr/local/sbin/setup': script('#!/bin/bash -eu\n'), '/usr/local/sbin/check': script('#! /usr/bin/env python3\n'), '/usr/local/bin/split': script('#!/usr/bin/env -S A=1 bash -eu\n'),
  '/usr/local/bin/README': 'text without the executable bit\n', '/opt/tool/data.csv': script('1,2,3\n'),
  '/etc/systemd/system/setup.service': unit('Type=oneshot\nExecStartPre=-/nowhere/x\nExecStart=/usr/local/sbin/setup --all\nExecStart=+setup\nExecStart="/usr/local/bin/k3s" server'), ...enabled('setup.service'),
  '/etc/systemd/system/k3s.service': unit('ExecStart=/usr/local/bin/not-yet', 'ConditionFileIsExecutable=/usr/local/bin/not-yet'), ...enabled('k3s.service'),
  '/etc/systemd/system/getty@.service': unit('ExecStart=/usr/local/bin/%i $OPTIONS'),
  '/etc/systemd/system/swap.target': { target: '/dev/null' }, '/etc/systemd/system/sshd.service': { target: '/usr/lib/systemd/system/sshd.service' },
};
const healthy = (): Node => memoryNode(HEALTHY);
const withFiles = (files: Files, parts: NodeParts = {}) => (): Node => memoryNode({ ...HEALTHY, ...files }, parts);
const K3S = '/usr/local/bin/k3s';

const wrong = (name: string, content: Uint8Array | string, message: RegExp, severity: 'error' | 'warning' = 'error'): Defect => ({
  rule: 'programs-architecture', name, node: withFiles({ [K3S]: { content, mode: 0o755 } }), severity, subject: K3S, message,
});
const starts = (name: string, files: Files, message: RegExp): Defect => ({ rule: 'programs-units', name, node: withFiles(files), severity: 'error', subject: '/etc/systemd/system/setup.service', message });

const DEFECTS: readonly Defect[] = [
  wrong('a program for a PC', makeElf({ machine: 62 }), /expected a program for aarch64 .*, found one for x86-64$/),
  wrong('a 32-bit program for Arm', makeElf({ machine: 40, bits: 32 }), /found one for Arm$/),
  wrong('a big-endian program', makeElf({ order: 'big' }), /found one for aarch64, 64-bit, big-endian$/),
  wrong('a program for something new', makeElf({ machine: 999 }), /found one for machine 999$/),
  wrong('a download that was cut off', makeElf({ interpreter: LOADER }).subarray(0, 200), /it is cut off$/),
  wrong('a placeholder', '\x7fELF placeholder\n', /expected an ELF class of 1 or 2, found 32$/),
  wrong('the archive instead of the program in it', Buffer.from([0x1f, 0x8b, 8, 0]), /found gzip data$/),
  wrong('the page that says "not found"', '<!DOCTYPE html><html>', /found a web page$/),
  wrong('a program for macOS', Buffer.from([0xcf, 0xfa, 0xed, 0xfe, 12]), /found a macOS program$/),
  wrong('an empty file', '', /found an empty file$/, 'warning'),
  wrong('a script without "#!"', 'echo hello\n', /begins with "#!", found neither$/, 'warning'),
  { rule: 'programs-interpreter', name: 'a program for musl', node: withFiles({ [K3S]: elf({ interpreter: '/lib/ld-musl-aarch64.so.1' }) }), severity: 'error', subject: K3S, message: /expected its interpreter \/lib\/ld-musl-aarch64\.so\.1 in the image, found nothing$/ },
  { rule: 'programs-interpreter', name: 'a loader that is no program', node: withFiles({ '/usr/lib/ld-linux-aarch64.so.1': 'loader' }), severity: 'error', subject: '/opt/cni/bin/bridge', message: /found a file without the executable bit$/ },
  { rule: 'programs-interpreter', name: 'a loader that is a directory', node: withFiles({ [K3S]: elf({ interpreter: '/usr' }) }), severity: 'error', subject: K3S, message: /found a directory$/ },
  { rule: 'programs-interpreter', name: 'a loader by a relative name', node: withFiles({ [K3S]: elf({ interpreter: 'ld.so' }) }), severity: 'error', subject: K3S, message: /no absolute path$/ },
  { rule: 'programs-interpreter', name: 'a script with Windows line ends', node: withFiles({ '/usr/local/sbin/setup': script('#!/bin/bash\r\necho\r\n') }), severity: 'error', subject: '/usr/local/sbin/setup', message: /expected its interpreter \/bin\/bash\r in the image, found nothing$/ },
  { rule: 'programs-interpreter', name: 'a script for a language that is not there', node: withFiles({ '/usr/local/sbin/check': script('#!/usr/bin/env ruby\n') }), severity: 'error', subject: '/usr/local/sbin/check', message: /expected ruby, which its first line has env run/ },
  { rule: 'programs-interpreter', name: 'env with two words and no -S', node: withFiles({ '/usr/local/sbin/check': script('#!/usr/bin/env bash -e\n') }), severity: 'error', subject: '/usr/local/sbin/check', message: /expected bash -e, which/ },
  { rule: 'programs-libraries', name: 'a library that is not there', node: withFiles({ [K3S]: elf({ interpreter: LOADER, needed: ['libc.so.6', 'libseccomp.so.2', 'libz.so.1'] }) }), severity: 'warning', subject: K3S, message: /expected libseccomp\.so\.2, libz\.so\.1 in / },
  { rule: 'programs-libraries', name: 'a run path that leads elsewhere', node: withFiles({ '/opt/cni/bin/calico': elf({ interpreter: LOADER, needed: ['libown.so'], runPath: '$ORIGIN/lib' }) }), severity: 'warning', subject: '/opt/cni/bin/calico', message: /expected libown\.so/ },
  { rule: 'programs-page-size', name: 'segments for pages of 4 KiB', node: withFiles({ [K3S]: elf({ align: 4096 }) }), severity: 'warning', subject: K3S, message: /aligned to 16 KiB because of \/boot\/kernel_2712\.img, found 4096 bytes$/ },
  { rule: 'programs-page-size', name: 'a kernel whose header does not tell', node: withFiles({ [K3S]: elf({ align: 4096 }), '/boot/kernel_2712.img': kernel(0) }), severity: 'warning', subject: K3S, message: /because of \/boot\/kernel_2712\.img, found 4096/ },
  { rule: 'programs-page-size', name: 'a kernel under another name, no device tree', node: () => memoryNode({ [K3S]: elf({ align: 4096 }), '/boot/vmlinuz-6.12': kernel(2) }), severity: 'warning', subject: K3S, message: /because of \/boot\/vmlinuz-6\.12, found 4096/ },
  { rule: 'programs-mode', name: 'a program without the executable bit', node: withFiles({ [K3S]: elf({}, 0o644) }), severity: 'warning', subject: K3S, message: /expected mode 0755/ },
  { rule: 'programs-mode', name: 'a script without the executable bit', node: withFiles({ '/usr/local/sbin/setup': script('#!/bin/sh\n', 0o644) }), severity: 'warning', subject: '/usr/local/sbin/setup', message: /expected mode 0755/ },
  starts('a unit whose program is not there', { '/usr/local/sbin/setup': { directory: true } }, /expected the program of ExecStart=, \/usr\/local\/sbin\/setup, to be executable in the image, found a directory$/),
  starts('a unit whose program is not executable', { '/usr/local/sbin/setup': script('#!/bin/sh\n', 0o644) }, /found a file without the executable bit$/),
  starts('a unit that names a program that no directory has', { '/etc/systemd/system/setup.service': unit('ExecStart=nonesuch --x') }, /nonesuch, to be executable in the image, found none$/),
  starts('what must run before is not there', { '/etc/systemd/system/setup.service': unit('ExecStartPre=/nowhere/x\nExecStart=/usr/local/sbin/setup') }, /program of ExecStartPre=, \/nowhere\/x/),
  starts('an instance of a template is enabled', { '/etc/systemd/system/setup.service': unit('ExecStart=\'/nowhere/y\' z') }, /\/nowhere\/y/),
  { rule: 'programs-units', name: 'a unit that nothing enables', node: withFiles({ '/etc/systemd/system/extra.service': unit('ExecStart=/nowhere/x') }), severity: 'warning', subject: '/etc/systemd/system/extra.service', message: /\/nowhere\/x/ },
  { rule: 'programs-units', name: 'a template with an enabled instance', node: withFiles({ '/etc/systemd/system/job@.service': unit('ExecStart=/nowhere/x'), ...enabled('job@one.service') }), severity: 'error', subject: '/etc/systemd/system/job@.service', message: /\/nowhere\/x/ },
  { rule: 'programs-units', name: 'a drop-in', node: withFiles({ '/etc/systemd/system/kubelet.service.d/10-kubeadm.conf': '[Service]\nExecStart=\nExecStart=/usr/bin/kubelet\n', ...enabled('kubelet.service') }), severity: 'error', subject: '/etc/systemd/system/kubelet.service.d/10-kubeadm.conf', message: /\/usr\/bin\/kubelet/ },
];

describe('rules', () => testRules(programsRules, healthy, DEFECTS));

describe('which programs', () => {
  const pathsOf = (node: Node): string[] => programsOf(node).found.map(({ path }) => path);

  test('without profiles: where people and installers put them, and Kubernetes\' own in /usr/bin', () => {
    const node = withFiles({ '/usr/bin/kubelet': elf({}), '/usr/bin/vendor': elf({ machine: 62 }), '/var/lib/rancher/k3s/data/current/bin/containerd': elf({}), '/etc/script': script('#!/nowhere\n') })();
    const paths = pathsOf(node);
    for (const path of ['/usr/bin/kubelet', '/var/lib/rancher/k3s/data/current/bin/containerd', K3S, '/opt/tool/data.csv']) expect(paths).toContain(path);
    for (const path of ['/usr/bin/vendor', '/etc/script']) expect(paths).not.toContain(path);
    expect(problemsOf(programsRules, 'programs-architecture', node)).toBeUndefined();
  });

  test('with profiles: what they place, wherever it is, and nothing else', () => {
    const files: Files = { '/etc/hook': script('#!/nowhere\n'), '/usr/local/bin/old': elf({ machine: 62 }), '/boot/tool': elf({ machine: 62 }) };
    const placed = ['/etc/hook', '/boot/tool', '/gone', '/etc/hosts'].map((path) => ({ path, removed: path === '/gone' }));
    const node = withFiles(files, { placed })();
    expect(pathsOf(node)).toEqual(['/etc/hook']); // /boot is FAT: everything is executable there
    expect(problemsOf(programsRules, 'programs-interpreter', node)).toHaveLength(1);
    expect(problemsOf(programsRules, 'programs-architecture', node)).toBeUndefined();
  });

  test('with profiles that place none, and on an image without any: not judged', () => {
    expect(problemsOf(programsRules, 'programs-architecture', withFiles({}, { placed: [{ path: '/etc/hosts', removed: false }] })())).toMatch(/no profile of the call places a program/);
    for (const { id } of programsRules) expect(problemsOf(programsRules, id, memoryNode({}))).toMatch(/no |only/);
  });

  test('pages of 16 KiB: not judged where config.txt has the Pi 5 boot another kernel, where nobody boots it, or where there is none', () => {
    const small: Files = { [K3S]: elf({ align: 4096 }) };
    const judged = (files: Files): unknown => problemsOf(programsRules, 'programs-page-size', withFiles({ ...small, ...files })());
    for (const text of ['kernel=kernel8.img\n', '[pi5]\nkernel=kernel8.img\n']) expect(judged({ '/boot/config.txt': text })).toMatch(/no kernel/);
    expect(judged({ '/boot/config.txt': '[pi4]\nkernel=kernel8.img\n' })).toHaveLength(1);
    expect(judged({ '/boot/kernel_2712.img': kernel(1) })).toMatch(/no kernel/);
    expect(problemsOf(programsRules, 'programs-page-size', memoryNode({ ...small, '/boot/kernel8.img': kernel(1) }))).toMatch(/no kernel/);
  });

  test('units: without profiles the image\'s own, with profiles those they place', () => {
    const files: Files = { '/etc/systemd/system/extra.service': unit('ExecStart=/nowhere/x'), '/etc/systemd/system/placed.service': unit('ExecStart=/nowhere/y') };
    const subjects = (placed: readonly string[]): unknown => problemsOf(programsRules, 'programs-units', withFiles(files, { placed: placed.map((path) => ({ path, removed: false })) })());
    expect(subjects(['/etc/systemd/system/placed.service'])).toMatchObject([{ subject: '/etc/systemd/system/placed.service' }]);
    expect(subjects([])).toMatchObject([{ subject: '/etc/systemd/system/extra.service' }, { subject: '/etc/systemd/system/placed.service' }]);
  });

  test('many of a kind are told in a few lines', () => {
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`/opt/many/bin/p${10 + at}`, elf({ machine: 62 })]));
    const problems = problemsOf(programsRules, 'programs-architecture', memoryNode(many));
    expect(problems).toHaveLength(11);
    expect(problems).toContainEqual(expect.objectContaining({ severity: 'error', message: 'and 30 more like these, here and elsewhere' }));
  });

  test('a first line of nothing but blanks, a name that is not UTF-8, and a file of 5,000 blanks', () => {
    const node = memoryNode({ '/opt/a/bin/a': script('#!   \n'), '/opt/a/bin/b': { content: Buffer.from('#!/bin/\xff\xfe\n', 'latin1'), mode: 0o755 }, '/opt/a/bin/c': script(`#!${' '.repeat(5000)}/bin/sh`) });
    expect(problemsOf(programsRules, 'programs-architecture', node)).toMatchObject([{ subject: '/opt/a/bin/a', severity: 'warning' }, { subject: '/opt/a/bin/c', severity: 'warning' }]);
    expect(problemsOf(programsRules, 'programs-interpreter', node)).toMatchObject([{ subject: '/opt/a/bin/b' }]);
  });
});
