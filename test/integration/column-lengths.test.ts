import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { isS3File, S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { uploadFromRequest } from '../../src/upload/upload-from-request.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { databasesOfRun, TestDatabase } from '../support/database.ts'
import { Django, InColumns, InKey } from '../support/entities.ts'
import { post, startServer } from '../support/http-server.ts'
import { formBody, formType } from '../support/multipart.ts'

const longName = `${'a very long name '.repeat(14)}.pdf`

describe.each(databasesOfRun())('on %s', (name) => {
  let database: TestDatabase
  const storage = new MemoryStorage({ keyPrefix: 'media' })

  beforeAll(async () => {
    configureStorages({ default: storage })
    database = await TestDatabase.start(name === 'SQLite' ? 'sqljs://memory' : inject('servers').databaseUrl)
  })
  afterAll(() => database.stop())

  it("a client's long file name fits into a column of 100 characters: its key is shortened, and the row names it", async () => {
    const server = await startServer(async (request) => {
      const row = database.dataSource.manager.create(Django)
      row.upload = await uploadFromRequest(request, { into: [Django, 'upload'] })
      return database.dataSource.manager.save(row)
    })
    const body = formBody({ name: 'upload', filename: longName, content: Buffer.from('%PDF-1.7 hello') })
    const { status, body: saved } = await post(server.url, body, formType)
    await server.stop()
    expect(status).toBe(200)
    const { upload } = await database.dataSource.manager.findOneByOrFail(Django, { id: saved.id as number })
    expect(upload?.key).toMatch(/^media\/[\w-]{22}\/a-very-long-name-.*\.pdf$/)
    expect(upload?.key.length).toBeLessThanOrEqual(100)
    expect((await upload?.bytes())?.toString()).toBe('%PDF-1.7 hello')
  })

  it.each<[string, () => object, string]>([
    [
      'a key in a column of its own',
      () => Object.assign(new Django(), { upload: new S3File({ key: `media/${'k'.repeat(95)}` }) }),
      "the column of 'key' has room for 100 characters",
    ],
    [
      'a key of an upload that was made for another field',
      () => Object.assign(new InKey(), { file: new S3File({ key: `media/${'k'.repeat(195)}` }) }),
      "the column of 'key' has room for 200 characters",
    ],
    [
      'a name',
      () => Object.assign(new InColumns(), { file: new S3File({ key: 'media/k', name: 'ü'.repeat(256) }) }),
      "the column of 'name' has room for 255 characters",
    ],
    [
      "a storage's name",
      () =>
        Object.assign(new InColumns(), { file: new S3File({ key: 'media/k', storage: 's'.repeat(101) }) }),
      "the column of 'storage' has room for 100 characters",
    ],
    [
      'an ETag',
      () => Object.assign(new InColumns(), { file: new S3File({ key: 'media/k', etag: 'e'.repeat(256) }) }),
      "the column of 'etag' has room for 255 characters",
    ],
  ])(
    '%s that is too long for its column is refused and not cut, and nothing is written',
    async (_, row, message) => {
      const entity = row()
      const { key } = Object.values(entity).find(isS3File) as S3File
      // The object is there: only the length is wrong.
      await storage.put(key, Readable.from(['x']))
      database.takeWrites()
      await expect(database.dataSource.manager.save(entity)).rejects.toMatchObject({
        code: 'invalid-value',
        message: expect.stringContaining(message),
      })
      expect(database.takeWrites()).toEqual([])
      await storage.delete(key)
    },
  )

  it('a key function whose key does not fit is refused before anything is stored', async () => {
    const before = storage.objects.size
    const into = [Django, 'upload'] as const
    const { rules } = (await import('../../src/core/file-field.ts')).findField(Django as never, 'upload')
    rules.key = () => 'k'.repeat(95)
    try {
      await expect(uploadFromStream(Buffer.from('x'), { into })).rejects.toMatchObject({
        code: 'invalid-key',
      })
    } finally {
      delete rules.key
    }
    expect(storage.objects.size).toBe(before)
  })
})
