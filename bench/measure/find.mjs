import { randomUUID } from 'node:crypto'
import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm'
import { S3File, S3FileField } from 'typeorm-s3-file'
import { openDatabase } from '../support/database.mjs'

const plain = {
  ...{
    key: 'varchar',
    name: 'varchar',
    size: 'int',
    contentType: 'varchar',
    etag: 'varchar',
    checksum: 'varchar',
  },
  ...{ uploadedAt: 'varchar', storage: 'varchar' },
}
const plainFields = Object.entries(plain).map(([name, type]) => [name, Column({ type })])

const tables = {
  'plain columns': { fields: plainFields, rowOf: (file) => file },
  'file in one JSON column': {
    fields: [['file', S3FileField()]],
    rowOf: (file) => ({ file: new S3File(file) }),
  },
  'file in columns': {
    fields: [['file', S3FileField({ layout: 'columns' })]],
    rowOf: (file) => ({ file: new S3File(file) }),
  },
}

/** `find()` of entities with a file against a table that has the same data in plain columns. */
export async function measureFind(bench) {
  const count = bench.sized({ full: 10_000, quick: 10_000, smoke: 100 })
  const opened = Object.entries(tables).map(([label, { fields, rowOf }]) => ({
    label,
    rowOf,
    entity: entityOf(`bench_${label.replaceAll(' ', '_')}`, fields),
  }))
  const dataSource = await openDatabase({ entities: opened.map(({ entity }) => entity) })
  const time = async ({ entity }) => {
    const start = performance.now()
    const found = await dataSource.manager.find(entity)
    if (found.length !== count) throw new Error(`found ${found.length} of ${count}`)
    return performance.now() - start
  }
  const milliseconds = bench.figure('find')
  for (const table of opened) {
    const rows = Array.from({ length: count }, () => table.rowOf(newFile()))
    await dataSource.manager.save(
      rows.map((row) => Object.assign(new table.entity(), { title: 'a' }, row)),
      { chunk: 500, reload: false },
    )
    await time(table) // Warms up.
  }
  for (let run = 0; run < 3; run++) {
    await bench.alternate(opened, async (table) => milliseconds.add(table.label, await time(table)))
  }
  for (const { entity } of opened)
    await dataSource.query(`DROP TABLE ${dataSource.getMetadata(entity).tableName}`)
  await dataSource.destroy()
  return [milliseconds]
}

/** A class with decorators, as they are written in TypeScript. */
function entityOf(name, fields) {
  const entity = class {}
  PrimaryGeneratedColumn()(entity.prototype, 'id')
  Column({ type: 'varchar' })(entity.prototype, 'title')
  for (const [property, decorate] of fields) decorate(entity.prototype, property)
  Entity(name)(entity)
  return entity
}

function newFile() {
  return {
    key: `documents/${randomUUID()}/report.pdf`,
    name: 'report.pdf',
    size: 123_456,
    contentType: 'application/pdf',
    etag: randomUUID(),
    checksum: 'crc32:AAAAAA==',
    uploadedAt: new Date().toISOString(),
    storage: 'default',
  }
}
