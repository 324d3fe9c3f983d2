import { ConfigurableModuleBuilder, type InjectionToken } from '@nestjs/common'
import type { FileStorage } from '../../core/file-storage.js'
import { checkOptions, type OptionCheck, option } from '../../core/options.js'
import type { FileJanitorOptions } from '../../orm/file-janitor.js'

/** What `S3FileModule` sets up. */
export interface S3FileModuleOptions {
  /** The application's storages by name, as `configureStorages` takes them. */
  storages: Record<string, FileStorage>
  /**
   * Tokens of the DataSources with `FileJournalEntry`: `[DataSource, getDataSourceToken('archive')]`.
   * @default the application's `DataSource`, if it has one with a journal
   */
  dataSources?: InjectionToken[]
  /**
   * Runs a `FileJanitor` for each of `dataSources`, from the application's bootstrap until its shutdown.
   * @default off: `npx typeorm-s3-file janitor`, or another process, does
   */
  janitor?: boolean | FileJanitorOptions
}

const checks: Record<keyof S3FileModuleOptions, OptionCheck> = {
  storages: option.object,
  dataSources: (value: unknown) => (Array.isArray(value) ? undefined : 'a list of injection tokens'),
  janitor: (value: unknown) =>
    typeof value === 'boolean' || option.object(value) === undefined
      ? undefined
      : "true, false or a FileJanitor's options",
}

/** @throws ConfigurationError `unknown-option`, `invalid-option`. */
export function checkModuleOptions(options: S3FileModuleOptions): void {
  checkOptions('S3FileModule', options, checks)
}

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } =
  new ConfigurableModuleBuilder<S3FileModuleOptions>({ moduleName: 'S3File' })
    .setClassMethodName('forRoot')
    .setExtras({}, (definition) => ({ ...definition, global: true }))
    .build()
