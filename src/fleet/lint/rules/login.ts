/** The first login: by the user that Ansible names, with a key or a password that the image knows. */
import { isBlank } from '../../../profile/variables.js';
import type { Fleet, Member } from '../fleet.js';
import type { FleetProblem, FleetRule } from '../rule.js';
import { own, quoted, textOf } from '../words.js';

const CONNECTION = 'https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html#connecting-to-hosts-behavioral-inventory-parameters';
const IMAGE_USER = 'rocky'; // of Rocky's own images, and the profiles' default

export const loginRules: readonly FleetRule[] = [
  { id: 'fleet-user-differs', severity: 'error', title: 'Ansible logs in as the user that the image has', source: CONNECTION, check: checkUser },
  { id: 'fleet-login-missing', severity: 'error', title: 'somebody can log in to every node', source: 'https://man.openbsd.org/sshd.8#AUTHENTICATION', check: checkLogin },
];

/** Only where the profiles make a user; others may make one in steps of their own. */
function userOf({ profiles, values }: Member): string | undefined {
  return profiles?.declarations.has('user') ? (textOf(values.get('user') ?? profiles.defaults.get('user')) ?? IMAGE_USER) : undefined;
}

function checkUser({ members }: Fleet): FleetProblem[] {
  return members.flatMap((member) => {
    const image = userOf(member);
    const ansible = ['ansible_user', 'ansible_ssh_user'].map((name) => textOf(own(member.node.hostVars, name))).find((text) => text !== undefined);
    if (image === undefined || ansible === undefined || image === ansible) return [];
    return [{ subject: member.subject, message: `expected ansible_user to be the user of the image, ${quoted(image)}, found ${quoted(ansible)}`, hint: 'set user, or ansible_user, so that both are the same' }];
  });
}

/** kubernetes-node locks the image's own login, whose password everybody knows; a user that is new has none. */
function checkLogin({ members }: Fleet): FleetProblem[] {
  return members.flatMap((member) => {
    const user = userOf(member);
    const { profiles, values } = member;
    if (!profiles || user === undefined || !profiles.declarations.has('ssh_keys')) return [];
    const isLocked = profiles.names.has('kubernetes-node') || user !== IMAGE_USER;
    const hasWay = ['ssh_keys', 'password_hash'].some((name) => !isBlank(values.get(name) ?? profiles.defaults.get(name)));
    return !isLocked || hasWay ? [] : [{
      subject: member.subject, message: `expected a key or a password for the user ${quoted(user)}, found none: nobody could log in`, hint: 'set ssh_keys to the lines of .pub files, or give password_hash with --secret',
    }];
  });
}
