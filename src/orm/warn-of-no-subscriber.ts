import type { DataSource } from 'typeorm'
import { hasLifecycle } from './lifecycle-options.js'

const warned = new WeakSet<DataSource>()

/** Says once for each DataSource that a file is saved in it and no subscriber follows its object. */
export function warnOfNoSubscriber(dataSource: DataSource): void {
  if (hasLifecycle(dataSource) || warned.has(dataSource)) return
  warned.add(dataSource)
  process.emitWarning(
    'a file is saved in a DataSource without S3FileSubscriber: the objects of replaced and removed files, and of uploads ' +
      'whose transaction is rolled back, are not deleted. new DataSource({ …, subscribers: [S3FileSubscriber] })',
    { code: 'S3FILE_NO_SUBSCRIBER' },
  )
}
