/** Boards: whether a 64-bit node runs on them at all, and whether they have the memory that the installers ask for. */
import { boardOf, type NamedBoard } from '../board-names.js';
import type { Fleet, Member } from '../fleet.js';
import type { Installer, Role } from '../roles.js';
import type { FleetProblem, FleetRule } from '../rule.js';

export const boardRules: readonly FleetRule[] = [
  {
    id: 'fleet-board-32bit', severity: 'error', title: 'every board runs a 64-bit system', check: checkWidth,
    source: 'https://www.raspberrypi.com/documentation/computers/processors.html',
  },
  {
    id: 'fleet-board-memory', severity: 'error', title: 'every board has the memory that its part in the cluster takes', check: checkMemory,
    source: 'https://github.com/kubernetes-sigs/kubespray/blob/master/roles/kubernetes/preinstall/tasks/0040-verify-settings.yml',
  },
];

interface Limit {
  /** MiB. */
  readonly least: number;
  /** Asked of what the kernel reports (MemTotal), not of what the board is sold with. */
  readonly isMeasured?: true;
  /** The installer itself stops, or its documentation asks for it in these words; left out: good advice. */
  readonly isStrict?: true;
}

/** What the firmware and the kernel leave of a board's memory: a Pi of 1 GB reports some 900 MB. */
const LEFT = 0.9;

/** Kubespray's minimal_master_memory_mb and minimal_node_memory_mb, kubeadm's preflight, docs.k3s.io and docs.rke2.io (installation/requirements). */
const LIMITS: Readonly<Record<Installer, Readonly<Record<Role, Limit>>>> = {
  kubespray: { 'control-plane': { least: 1500, isMeasured: true, isStrict: true }, worker: { least: 1024, isMeasured: true, isStrict: true } },
  kubeadm: { 'control-plane': { least: 1700, isMeasured: true, isStrict: true }, worker: { least: 1024, isMeasured: true } },
  kubernetes: { 'control-plane': { least: 1500, isMeasured: true, isStrict: true }, worker: { least: 1024, isMeasured: true } },
  k3s: { 'control-plane': { least: 2048, isStrict: true }, worker: { least: 512, isStrict: true } },
  rke2: { 'control-plane': { least: 4096, isStrict: true }, worker: { least: 4096 } },
};

function boards({ members }: Fleet): { member: Member; board: NamedBoard }[] {
  return members.flatMap((member) => {
    const board = member.node.board === undefined ? undefined : boardOf(member.node.board);
    return board ? [{ member, board }] : [];
  });
}

function checkWidth(fleet: Fleet): FleetProblem[] {
  return boards(fleet).filter(({ board }) => !board.is64).map(({ member, board }) => ({
    subject: member.subject, message: `expected a board that runs a 64-bit system, found a ${board.name}`, hint: 'take a Pi 3 or later, or a Zero 2 W; a Pi 2 of revision 1.2 is written "pi2 v1.2"',
  }));
}

function checkMemory(fleet: Fleet): FleetProblem[] {
  return boards(fleet).flatMap(({ member: { subject, installer, role }, board: { name, memory, is64 } }): FleetProblem[] => {
    const limit = installer && role && LIMITS[installer][role];
    if (!limit || memory === undefined || !is64) return [];
    const usable = limit.isMeasured ? Math.floor(memory * LEFT) : memory;
    if (usable >= limit.least) return [];
    const found = limit.isMeasured ? `a ${name} with ${memory} MB, of which the system sees about ${usable}` : `a ${name} with ${memory} MB`;
    return [{
      subject, message: `expected ${limit.least} MB of memory for ${role === 'worker' ? 'a worker' : 'a control plane'}${installer === 'kubernetes' ? '' : ` of ${installer}`}, found ${found}`,
      hint: role === 'worker' ? 'take a larger board' : 'take a larger board, or make it a worker', ...(!limit.isStrict && { severity: 'warning' as const }),
    }];
  });
}
