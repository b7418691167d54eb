/** Access: the first contact needs somebody who can log in and become root, and nobody else should be able to. */
import type { Rule } from '../rule.js';
import { ansibleRules } from './access-ansible.js';
import { passwordRules } from './access-passwords.js';
import { sshRules } from './access-ssh.js';

export const accessRules: readonly Rule[] = [...sshRules, ...ansibleRules, ...passwordRules];
