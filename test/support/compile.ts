/** Before the tests: the program as users run it. `npm ci` has built it already; this keeps a working copy's dist in step with its src. */
import { execaSync } from 'execa';

export default function compile(): void {
  execaSync('npm', ['run', '--silent', 'build'], { cwd: `${import.meta.dirname}/../..`, stdio: ['ignore', 'inherit', 'inherit'] });
}
