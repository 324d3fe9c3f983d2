import { DataSource } from 'typeorm'
import { expect, it } from 'vitest'
import { CleanupQueue } from '../../src/orm/cleanup-queue.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'

it('work that fails as a whole is reported once and not tried again by the queue, which then works on', async () => {
  const failures: unknown[] = []
  const subscriber = new S3FileSubscriber({ onCleanupError: (error) => failures.push(error) })
  const dataSource = new DataSource({ type: 'sqljs' })
  Object.assign(dataSource, { subscribers: [subscriber] })
  Object.defineProperty(dataSource, 'entityMetadatas', {
    get: () => {
      throw new Error('no metadata')
    },
  })
  const queue = CleanupQueue.of(dataSource)
  queue.addEntries(['a'])
  await queue.settled()
  expect(failures).toEqual([new Error('no metadata')])
  queue.addReleased([{ storage: 'default', key: 'b' }])
  await queue.settled()
  expect(failures).toHaveLength(2)
})
