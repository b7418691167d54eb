/** Does a Raspberry Pi boot this image, with the command line that it shows? */
import type { Rule } from '../rule.js';
import { cmdlineRules } from './boot-cmdline.js';
import { fileRules } from './boot-files.js';
import { rootRules } from './boot-root.js';

export const bootRules: readonly Rule[] = [...fileRules, ...cmdlineRules, ...rootRules];
