import { type MigrationInterface, type QueryRunner, TableColumn } from 'typeorm'
import { getStorage, S3File } from 'typeorm-s3-file'

const rowsAtOnce = 500

interface Row {
  id: number
  value: string
}

/**
 * Turns Django's path into a file with its size and type, which are asked for in the bucket; no object is moved. A path
 * whose object is not there stops the migration before anything is lost. (To keep the column as it is instead, no
 * migration is needed: `@S3FileField({ layout: 'key', column: { name: 'upload', length: 100 } })`.)
 */
export class MoveUploadToFile1700000000003 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // MySQL has no transactions for its schema: a second try finds the column of the first.
    if (!(await queryRunner.hasColumn('invoice', 'file'))) {
      await queryRunner.addColumn(
        'invoice',
        new TableColumn({ name: 'file', type: 'json', isNullable: true }),
      )
    }
    await eachRow(queryRunner, 'upload', async ({ id, value }) => {
      const object = await getStorage().stat(value)
      if (object === null) throw new Error(`invoice ${id}: there is no object '${value}'`)
      const { size, etag, checksum, contentType, lastModified } = object
      const file = new S3File({ key: value, size, etag, checksum, contentType, uploadedAt: lastModified })
      await setValue(queryRunner, 'file', id, JSON.stringify(file.toRecord()))
    })
    await queryRunner.dropColumn('invoice', 'upload')
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.addColumn(
      'invoice',
      new TableColumn({ name: 'upload', type: 'varchar', length: '100', default: "''" }),
    )
    await eachRow(queryRunner, 'file', async ({ id, value }) => {
      const { key } = typeof value === 'string' ? JSON.parse(value) : (value as { key: string })
      if (key.length > 100)
        throw new Error(`invoice ${id}: '${key}' is longer than the 100 characters of 'upload'`)
      await setValue(queryRunner, 'upload', id, key)
    })
    await queryRunner.changeColumn(
      'invoice',
      'upload',
      new TableColumn({ name: 'upload', type: 'varchar', length: '100' }),
    )
    await queryRunner.dropColumn('invoice', 'file')
  }
}

/** The rows that have a value in that column, some at a time and in the order of their ids. */
async function eachRow(
  queryRunner: QueryRunner,
  column: string,
  work: (row: Row) => Promise<void>,
): Promise<void> {
  const name = queryRunner.dataSource.driver.escape(column)
  let after = 0
  for (;;) {
    const rows: Row[] = await queryRunner.query(
      `SELECT id, ${name} AS value FROM invoice WHERE id > ${after} AND ${name} IS NOT NULL ` +
        `ORDER BY id LIMIT ${rowsAtOnce}`,
    )
    for (const row of rows) if (row.value !== '') await work(row)
    const last = rows.at(-1)
    if (last === undefined) return
    after = last.id
  }
}

async function setValue(queryRunner: QueryRunner, column: string, id: number, value: string): Promise<void> {
  const { driver } = queryRunner.dataSource
  const [first, second] = [driver.createParameter('value', 0), driver.createParameter('id', 1)]
  await queryRunner.query(`UPDATE invoice SET ${driver.escape(column)} = ${first} WHERE id = ${second}`, [
    value,
    id,
  ])
}
