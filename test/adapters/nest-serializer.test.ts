import { ClassSerializerInterceptor, Controller, Get, UseInterceptors } from '@nestjs/common'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { withUrls } from '../../src/core/with-urls.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { type NestServer, startNest } from './nest-site.ts'

class Document {
  id = 1
  file = new S3File({ key: 'secret/a.txt', name: 'a.txt', size: 5, etag: 'secret', storage: 'secret' })
  pages = [this.file]
}

@Controller()
@UseInterceptors(ClassSerializerInterceptor)
class Documents {
  @Get('document')
  one() {
    return new Document()
  }

  @Get('documents')
  all() {
    return [new Document(), new Document()]
  }

  @Get('file')
  file() {
    return new Document().file
  }

  @Get('urls')
  urls() {
    return withUrls(new Document())
  }
}

let server: NestServer
beforeAll(async () => {
  configureStorages({ secret: new MemoryStorage() })
  server = await startNest('express', { controllers: [Documents] })
})
afterAll(async () => {
  await server.app.close()
  configureStorages({})
})

const file = { name: 'a.txt', size: 5, contentType: null }
const document = { id: 1, file, pages: [file] }

it.each([
  ['document', document],
  ['documents', [document, document]],
  ['file', file],
])("Nest's ClassSerializerInterceptor shows of the files of %s what toJSON() shows", async (route, json) => {
  const answer = await fetch(`${server.url}${route}`)
  expect(await answer.json()).toEqual(json)
})

it("Nest's ClassSerializerInterceptor leaves what withUrls() gives as it is", async () => {
  const { file } = await (await fetch(`${server.url}urls`)).json()
  expect(file).toMatchObject({ name: 'a.txt', url: expect.stringMatching(/^memory:/) })
})
