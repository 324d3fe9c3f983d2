import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { DataSource } from 'typeorm'
import { CommandUtils } from 'typeorm/commands/CommandUtils.js'
import { storageNames } from '../core/storage-registry.js'
import { UsageError } from './usage-error.js'

export interface DataSourceArguments {
  'data-source'?: string | undefined
  require?: string[] | undefined
}

/**
 * Loads the modules and the DataSource that a command was given, and destroys it in the end.
 *
 * @throws UsageError when there is none, or, where storages are needed, none of those.
 */
export async function withDataSource<Result>(
  given: DataSourceArguments,
  needs: { storages: boolean },
  work: (dataSource: DataSource) => Promise<Result>,
): Promise<Result> {
  const dataSource = await loadDataSource(given)
  try {
    if (needs.storages && storageNames().length === 0) {
      throw new UsageError(
        'no storage is configured: the DataSource file, or a module named by --require, has to call configureStorages()',
      )
    }
    await connect(dataSource)
    return await work(dataSource)
  } finally {
    if (dataSource.isInitialized) await dataSource.destroy()
  }
}

/**
 * Loads the modules and the DataSource that a command was given.
 *
 * @throws UsageError when there is none.
 */
export async function loadDataSource({
  'data-source': file,
  require: modules = [],
}: DataSourceArguments): Promise<DataSource> {
  if (file === undefined) throw new UsageError('--data-source <file> is missing')
  for (const name of modules) await import(locate(name))
  return CommandUtils.loadDataSource(resolve(file))
}

/** Initializes a DataSource so that it changes nothing by itself; stdout is for what was asked. */
export async function connect(dataSource: DataSource): Promise<void> {
  dataSource.setOptions({ logger: 'advanced-console', logging: [] })
  if (dataSource.isInitialized) return
  dataSource.setOptions({ synchronize: false, migrationsRun: false, dropSchema: false })
  await dataSource.initialize()
}

/** A file of the working directory, or a package that is installed there. */
function locate(name: string): string {
  const path = resolve(name)
  return pathToFileURL(existsSync(path) ? path : createRequire(join(resolve(), 'package.json')).resolve(name))
    .href
}
