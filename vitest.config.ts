import { defineConfig } from 'vitest/config'

// The same suites on TypeORM 0.3: TYPEORM=typeorm-0.3 names the package that stands in for the usual one.
const { TYPEORM } = process.env
const resolve = TYPEORM === undefined ? {} : { alias: [{ find: /^typeorm(?=$|\/)/, replacement: TYPEORM }] }

export default defineConfig({
  resolve,
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/{cli,core,storage,upload,orm}/**/*.test.ts'],
          // It ends a test that hangs, none measures time: a busy machine is slow.
          testTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          // Random programs against a model: on SQLite in memory, unless the environment names servers.
          name: 'model',
          include: ['test/model/**/*.test.ts'],
          testTimeout: 600_000,
          // Statements that leave objects behind are among the programs.
          execArgv: ['--disable-warning=S3FILE_BULK_WRITE', '--disable-warning=S3FILE_CASCADE'],
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/{adapters,integration}/**/*.test.ts'],
          globalSetup: 'test/support/global-setup.ts',
          // One database, and a part memory that belongs to the process.
          fileParallelism: false,
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          // Needs a Chromium, which npm does not bring.
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          globalSetup: 'test/support/global-setup.ts',
          fileParallelism: false,
          // Generous: they end a test that hangs, none measures time.
          testTimeout: 180_000,
          hookTimeout: 180_000,
          expect: { poll: { timeout: 60_000 } },
        },
      },
      {
        extends: true,
        test: {
          // What README and docs say, against the built package.
          name: 'docs',
          include: ['test/docs/**/*.test.ts'],
          exclude: ['test/docs/fixtures/**'],
          globalSetup: 'test/support/global-setup.ts',
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'package',
          include: ['test/package/**/*.test.ts'],
          globalSetup: 'test/package/global-setup.ts',
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
})
