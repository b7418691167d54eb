/** What a user step accepts. */
import { z } from 'zod';
import { publicKeyProblem } from './ssh-key.js';

const SALT = '[./A-Za-z0-9]';
/** crypt(5): SHA-512, SHA-256, bcrypt, yescrypt and its relatives. What EL9's libxcrypt still makes; DES and MD5 are refused. */
const HASH = new RegExp(`^\\$(?:6\\$(?:rounds=\\d+\\$)?${SALT}{1,16}\\$${SALT}{86}|5\\$(?:rounds=\\d+\\$)?${SALT}{1,16}\\$${SALT}{43}`
  + `|2[aby]\\$\\d\\d\\$${SALT}{53}|(?:y|gy)\\$${SALT}+\\$${SALT}{1,86}\\$${SALT}{43})$`);
// Lower case as useradd advises; no "$" (Samba's machines) and nothing that sudoers would take for an alias.
const name = z.string().regex(/^[a-z_][a-z0-9_.-]{0,31}$/, 'expected a user name: a lower-case letter or "_", then up to 31 of a-z, 0-9, ".", "_", "-"');
const id = (what: string) => z.int().min(0).max(4_294_967_294).describe(what).optional();
const path = (what: string) => z.string().max(255).regex(/^(\/[A-Za-z0-9_.@+-]+)+$/, 'expected an absolute path of letters, digits and "_.@+-"')
  .refine((value) => !/\/\.\.?(\/|$)/.test(value), 'expected a path without "." and ".."').describe(what).optional();

export const userSchema = z.strictObject({
  name: name.describe('Login name; a user of that name is updated, else created.'),
  create: z.boolean().describe('false: only a user that the image has is updated; without it nothing is done.').optional(),
  comment: z.string().max(255).regex(/^[^:\n\r\0]*$/, 'expected one line without ":"').describe('Full name or purpose (GECOS).').optional(),
  uid: id('User number; left out: the next free one, as useradd.'),
  gid: id('Number of the primary group; left out: a group of the user\'s own, with the user\'s number where free.'),
  groups: z.array(name.describe('Group name.')).describe('Further groups, added to those the user is in: wheel.').optional(),
  shell: path('Login shell; left out: as it is, or that of /etc/default/useradd.'),
  home: path('Home directory of a new user; left out: /home/NAME.'),
  password_hash: z.string().max(255).regex(HASH, 'expected a password hash of crypt(5) ($6$…, $5$…, $y$… or $2b$…), never a password in plain text: make one with "openssl passwd -6"')
    .describe('Hash of the password, as "openssl passwd -6" makes it.').optional(),
  lock: z.boolean().describe('true: no login by password; false: takes such a lock away. Keys are not affected.').optional(),
  authorized_keys: z.array(z.string().superRefine((value, context) => {
    const problem = publicKeyProblem(value);
    if (problem) context.addIssue({ code: 'custom', message: problem });
  }).describe('A line of a .pub file, options in front allowed.')).describe('SSH keys that may log in; added to those that are there.').optional(),
  sudo: z.union([z.literal('nopasswd'), z.literal('password'), z.literal(false)])
    .describe('All commands through sudo, without or with the password; false takes the rule of an earlier step away.').optional(),
});
export type UserOptions = z.infer<typeof userSchema>;
