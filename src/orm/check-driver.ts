import { DataSource } from 'typeorm'
import { ConfigurationError } from '../core/errors.js'
import { adaptsFirst } from './adapt-once.js'
import { whenInitialized } from './data-source-hooks.js'
import { allFileColumns } from './file-columns.js'
import { FileJournal } from './file-journal.js'
import { dialectOf } from './file-sql.js'
import { hasLifecycle } from './lifecycle-options.js'

/** What a DataSource for MariaDB says, and what happens otherwise. */
export const mariadbFix = "new DataSource({ …, type: 'mariadb' })"
export const mariadbMessage =
  "the server is MariaDB, and the DataSource has type: 'mysql'. MariaDB keeps JSON as longtext: synchronize and " +
  'migration:generate drop file columns and create them again, which deletes all keys in them'

/** Refuses databases of other kinds, and warns of MariaDB under another name, once in a process. */
export function checkDrivers(): void {
  adaptMetadatas()
  whenInitialized('mariadb', async (dataSource) => {
    if (!(await isMariadbAsMysql(dataSource))) return
    process.emitWarning(`${mariadbMessage}. Set type: 'mariadb'`, { code: 'S3FILE_MARIADB' })
  })
}

/** Whether a DataSource for MySQL is connected to MariaDB, and has file columns that TypeORM would re-create there. */
export async function isMariadbAsMysql(dataSource: DataSource): Promise<boolean> {
  if (dataSource.options.type !== 'mysql') return false
  if (!allFileColumns(dataSource).some(({ column }) => column.type === 'json')) return false
  const [row]: { version: string }[] = await dataSource.query('SELECT VERSION() AS version')
  return row?.version.includes('MariaDB') === true
}

/** @throws ConfigurationError `invalid-option` for MariaDB under another name. */
export async function assertSynchronizable(dataSource: DataSource): Promise<void> {
  if (!(await isMariadbAsMysql(dataSource))) return
  throw new ConfigurationError(
    'invalid-option',
    `synchronize is refused: ${mariadbMessage}. Set type: 'mariadb'`,
  )
}

/**
 * TypeORM knows the entities before it changes anything in the database. Its own error for a type that the driver does not
 * have says less.
 */
function adaptMetadatas(): void {
  if (!adaptsFirst(DataSource.prototype, 'drivers')) return
  const prototype = DataSource.prototype as unknown as { buildMetadatas: () => Promise<void> }
  const { buildMetadatas } = prototype
  prototype.buildMetadatas = async function (this: DataSource) {
    try {
      await buildMetadatas.call(this as never)
    } finally {
      assertSupported(this)
    }
  }
}

/** @throws ConfigurationError `unknown-layout` for files in a database of another kind. */
function assertSupported(dataSource: DataSource): void {
  const hasFiles =
    hasLifecycle(dataSource) ||
    FileJournal.of(dataSource) !== undefined ||
    allFileColumns(dataSource).length > 0
  if (hasFiles) dialectOf(dataSource)
}
