import { createRequire } from 'node:module'
import { join } from 'node:path'
import { expect, inject, it } from 'vitest'
import { Consumer } from './consumer.ts'

const require = createRequire(import.meta.url)

it('Jest tests an entity and a real upload as CommonJS, without flags', async () => {
  const consumer = new Consumer(inject('packed').current, 'jest')
  const decorators = { legacyDecorator: true, decoratorMetadata: true }
  const swc = { jsc: { parser: { syntax: 'typescript', decorators: true }, transform: decorators } }
  consumer.write(
    'jest.config.json',
    JSON.stringify({ transform: { '\\.ts$': [require.resolve('@swc/jest'), swc] } }),
  )
  consumer.write('document.ts', entity)
  consumer.write('upload.test.ts', test)
  const jest = join(require.resolve('jest/package.json'), '..', 'bin', 'jest.js')
  const printed = JSON.parse(
    await consumer.node([jest, '--json', '--cacheDirectory', 'cache', '--watchman=false']),
  )
  expect(printed).toMatchObject({ success: true, numPassedTests: 3, numTotalTests: 3 })
})

const entity = `
import { Entity, PrimaryGeneratedColumn } from 'typeorm'
import { S3File, S3FileField } from 'typeorm-s3-file'

@Entity()
export class Document {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true, maxSizeBytes: 1000, column: { type: 'simple-json' } }) file!: S3File | null
}
`

const test = `
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DataSource } from 'typeorm'
import {
  configureStorages, filesSettled, isS3FileError, S3File, S3FileSubscriber, uploadFromRequest, uploadFromStream, withUrls,
} from 'typeorm-s3-file'
import { MemoryStorage } from 'typeorm-s3-file/testing'
import { Document } from './document'

const storage = new MemoryStorage()
const dataSource = new DataSource({
  type: 'sqljs', entities: [Document], subscribers: [S3FileSubscriber], synchronize: true,
})
const server = createServer(async (request, response) => {
  try {
    const file = await uploadFromRequest(request, { into: [Document, 'file'] })
    response.end(JSON.stringify(await withUrls(await dataSource.manager.save(Object.assign(new Document(), { file })))))
  } catch (error) {
    response.statusCode = isS3FileError(error) ? error.statusCode : 500
    response.end(String(error))
  }
})
beforeAll(async () => {
  configureStorages({ default: storage })
  await dataSource.initialize()
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
})
afterAll(async () => {
  await new Promise((closed) => server.close(closed))
  await dataSource.destroy()
})

function post(text: string): Promise<Response> {
  const body = new FormData()
  body.set('file', new Blob([text]), 'a.txt')
  return fetch(\`http://127.0.0.1:\${(server.address() as AddressInfo).port}/\`, { method: 'POST', body })
}

test('an upload becomes a row and an object, and goes with the row', async () => {
  const answer = await post('hello')
  expect(await answer.text()).toContain('"contentType":"text/plain"')
  const [found] = await dataSource.manager.find(Document)
  expect(found.file).toBeInstanceOf(S3File)
  expect((await found.file!.bytes()).toString()).toBe('hello')
  await dataSource.manager.remove(found)
  await filesSettled()
  expect(storage.objects.size).toBe(0)
})

test('a file that is too large is refused', async () => {
  expect((await post('x'.repeat(1001))).status).toBe(413)
  expect(storage.objects.size).toBe(0)
})

test('every source is taken, though Jest has globals of its own', async () => {
  async function* generated() {
    yield Buffer.from('hel')
    yield new Uint8Array([0x6c, 0x6f])
  }
  const sources = [Buffer.from('hello'), new TextEncoder().encode('hello'), generated(), new Blob(['hello']), new Blob(['hello']).stream()]
  for (const source of sources) {
    const file = await uploadFromStream(source as Buffer, { name: 'a.txt' })
    expect((await file.bytes()).toString()).toBe('hello')
  }
})
`
