import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { defineConfig } from 'vitest/config';

/** By measured time: one of these that begins last would keep one core waiting. Vitest goes by the size of a file, which says nothing of the programs it runs. */
const LONGEST = [
  'preflight/output', 'fleet/build', 'kernel/backends', 'kernel/leaks', 'kernel/packages', 'ansible/role', 'preflight/defects', 'e2e/bad-input', 'boot/proof', 'preflight/tables', 'e2e/diff', 'e2e/profiles', 'e2e/verify', 'e2e/build', 'fs/ext4/ext4',
  'images/samples', 'fs/ext4/grow', 'fs/ext4/shrink', 'kernel/hostile', 'fs/ext4/check', 'e2e/repack', 'fleet/integrations-kubernetes', 'codec/splice', 'partition/table', 'fs/labels', 'image/mapped',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
      return at < 0 ? LONGEST.length : at;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 300_000, maxWorkers: 2, globalSetup: ['test/support/compile.ts'], sequence: { sequencer: LongestFirst },
  },
});
