import {
  Body,
  type CanActivate,
  Controller,
  Get,
  Inject,
  ParseIntPipe,
  Post,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common'
import { FileInterceptor } from '@nestjs/platform-fastify/multipart'
import { DataSource, Entity, type EntityManager, PrimaryGeneratedColumn } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import {
  S3FileExceptionFilter,
  S3FileInterceptor,
  S3FileModule,
  S3FormInterceptor,
  UploadedS3File,
  UploadedS3Form,
} from '../../src/nest.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import type { UploadedForm } from '../../src/upload/upload-from-request.ts'
import { setUploadLimits, uploadSlots } from '../../src/upload/upload-slots.ts'
import { post } from '../support/http-server.ts'
import { formBody, formType } from '../support/multipart.ts'
import { type NestServer, startNest } from './nest-site.ts'

@Entity()
class Document {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ keyPrefix: 'documents', maxSizeBytes: 100, nullable: true, column: { type: 'simple-json' } })
  file!: S3File | null
}

const into = [Document, 'file'] as const

/** The transaction of a handler that has failed, and what it waits for. */
let saving: Promise<void> | undefined
const answered = { promise: Promise.resolve(), resolve: () => {} }

class Closed implements CanActivate {
  canActivate(): boolean {
    return false
  }
}

@Controller()
class Documents {
  readonly #manager: EntityManager

  constructor(@Inject(DataSource) { manager }: DataSource) {
    this.#manager = manager
  }

  @Post('interceptor')
  @UseInterceptors(S3FileInterceptor({ into }))
  async interceptor(@UploadedS3File() file: S3File, @Body() body: object) {
    return { id: (await this.#save(file)).id, ...body }
  }

  @Post('decorator')
  async decorator(@Body('title') title: string, @UploadedS3File('file', { into }) file: S3File) {
    return { id: (await this.#save(file)).id, title }
  }

  @Post('form')
  @UseInterceptors(S3FormInterceptor({ into, limits: { files: 3 } }))
  form(@UploadedS3Form() { files, fields }: UploadedForm, @UploadedS3File('front') front: S3File) {
    return { files, fields, front }
  }

  @Post('form-decorator')
  formDecorator(@UploadedS3Form({ into }) { files, fields }: UploadedForm) {
    return { files, fields }
  }

  @Post('guarded')
  @UseGuards(Closed)
  guarded(@UploadedS3File('file', { into }) _file: S3File) {}

  @Post('throws-before')
  throwsBefore(@UploadedS3File('file', { into }) _file: S3File) {
    throw new Error('the handler failed')
  }

  @Post('pipe')
  pipe(@UploadedS3File('file', { into }) _file: S3File, @Body('page', ParseIntPipe) _page: number) {}

  @Post('throws-after')
  async throwsAfter(@UploadedS3File('file', { into }) file: S3File) {
    await this.#save(file)
    throw new Error('the mail could not be sent')
  }

  @Post('rolls-back')
  async rollsBack(@UploadedS3File('file', { into }) file: S3File) {
    await this.#manager.transaction(async (manager) => {
      await manager.save(Object.assign(new Document(), { file }))
      throw new Error('the transaction failed')
    })
  }

  @Post('fails-meanwhile')
  async failsMeanwhile(@UploadedS3File('file', { into }) file: S3File) {
    await new Promise<void>((saved) => {
      saving = this.#manager.transaction(async (manager) => {
        await manager.save(Object.assign(new Document(), { file }))
        saved()
        await answered.promise
      })
    })
    throw new Error('something else failed')
  }

  @Post('discarded')
  async discarded(@UploadedS3File('file', { into }) file: S3File) {
    await file.discard()
    await this.#save(file)
  }

  @Post('nothing-uploads')
  nothingUploads(@UploadedS3File('file') _file: S3File) {}

  @Post('twice')
  @UseInterceptors(S3FileInterceptor({ into }))
  twice(@UploadedS3File('a', { into }) _file: S3File) {}

  @Get('lost')
  @UseFilters(S3FileExceptionFilter)
  lost() {
    return new S3File({ key: 'secret/place' }).bytes()
  }

  @Get('other')
  @UseFilters(S3FileExceptionFilter)
  other() {
    throw new Error('something else')
  }

  @Get('rows')
  rows() {
    return this.#manager.count(Document)
  }

  #save(file: S3File): Promise<Document> {
    return this.#manager.save(Object.assign(new Document(), { file }))
  }
}

/** Nest's own interceptor, on Fastify by @fastify/multipart. */
@Controller('others')
class Others {
  @Post()
  @UseInterceptors(FileInterceptor('file'))
  upload(@Body() body: object) {
    return body
  }
}

let dataSource: DataSource
let storage: MemoryStorage
beforeAll(async () => {
  dataSource = new DataSource({
    type: 'sqljs',
    entities: [Document],
    subscribers: [S3FileSubscriber],
    synchronize: true,
  })
  await dataSource.initialize()
})
afterAll(() => dataSource.destroy())

describe.each(['express', 'fastify'] as const)('Nest on %s', (platform) => {
  let server: NestServer
  beforeAll(async () => {
    storage = new MemoryStorage()
    server = await startNest(platform, {
      imports: [S3FileModule.forRoot({ storages: { default: storage } })],
      controllers: platform === 'fastify' ? [Documents, Others] : [Documents],
      providers: [{ provide: DataSource, useValue: dataSource }],
    })
  })
  afterAll(() => server.app.close())
  afterEach(async () => {
    await dataSource.getRepository(Document).clear()
    storage.objects.clear()
    server.logs.length = 0
  })

  const file = { name: 'file', filename: 'a.txt', type: 'text/plain', content: 'hello' }
  const send = (route: string, ...parts: Parameters<typeof formBody>) =>
    post(server.url + route, formBody(...parts), formType)
  const stored = () => [...storage.objects.values()].map(({ bytes }) => bytes.toString())
  const rows = () => dataSource.manager.count(Document)

  it('uploads into a field by an interceptor, and gives the other fields as the body', async () => {
    const answer = await send(
      'interceptor',
      { name: 'title', content: 'T' },
      file,
      { name: 'tag', content: 'a' },
      { name: 'tag', content: 'b' },
      { name: '__proto__', content: 'x' },
    )
    expect(answer).toMatchObject({ status: 201, body: { title: 'T', tag: ['a', 'b'] } })
    const { file: saved } = await dataSource.manager.findOneByOrFail(Document, {
      id: answer.body.id as number,
    })
    expect(saved?.key).toMatch(/^documents\//)
    expect((await saved?.bytes())?.toString()).toBe('hello')
  })

  it('uploads by the decorator alone', async () => {
    const answer = await send('decorator', file, { name: 'title', content: 'T' })
    expect(answer).toMatchObject({ status: 201, body: { title: 'T', id: expect.any(Number) } })
    expect(stored()).toEqual(['hello'])
  })

  it('uploads all files of a form', async () => {
    const back = { ...file, name: 'back', filename: 'b.txt' }
    const parts = [{ ...file, name: 'front' }, back, back, { name: 'title', content: 'T' }]
    const json = { name: 'a.txt', size: 5, contentType: 'text/plain' }
    const files = {
      front: [json],
      back: [
        { ...json, name: 'b.txt' },
        { ...json, name: 'b.txt' },
      ],
    }
    expect(await send('form', ...parts)).toEqual({
      status: 201,
      body: { files, fields: { title: ['T'] }, front: json },
    })
    expect(await send('form-decorator', ...parts)).toEqual({
      status: 201,
      body: { files, fields: { title: ['T'] } },
    })
    expect(await send('form', back, back, back, back)).toMatchObject({
      status: 413,
      body: { code: 'too-many-files' },
    })
  })

  it('takes the files of a form back that has not the one that a parameter asks for', async () => {
    const answer = await send('form', { ...file, name: 'back' })
    expect(answer).toEqual({
      status: 400,
      body: {
        statusCode: 400,
        code: 'no-file',
        error: 'Bad Request',
        message: "the form has no file in field 'front'",
      },
    })
    expect(stored()).toEqual([])
  })

  it('asks the guards before it uploads', async () => {
    expect((await send('guarded', file)).status).toBe(403)
    expect(stored()).toEqual([])
  })

  it('discards the file of a handler that fails', async () => {
    expect((await send('throws-before', file)).status).toBe(500)
    expect(stored()).toEqual([])
  })

  it('discards the file of a request that a pipe refuses', async () => {
    expect((await send('pipe', file, { name: 'page', content: 'one' })).status).toBe(400)
    expect(stored()).toEqual([])
  })

  it('keeps the file of a handler that fails after a row has taken it', async () => {
    expect((await send('throws-after', file)).status).toBe(500)
    await filesSettled()
    expect(await rows()).toBe(1)
    expect(stored()).toEqual(['hello'])
  })

  it('leaves the file of a transaction that is rolled back to the transaction', async () => {
    expect((await send('rolls-back', file)).status).toBe(500)
    await filesSettled()
    expect(await rows()).toBe(0)
    expect(stored()).toEqual([])
  })

  it('leaves the file of a transaction that goes on to the transaction', async () => {
    answered.promise = new Promise((resolve) => {
      answered.resolve = resolve
    })
    expect((await send('fails-meanwhile', file)).status).toBe(500)
    answered.resolve()
    await saving
    await filesSettled()
    expect(await rows()).toBe(1)
    expect(stored()).toEqual(['hello'])
  })

  it("answers with Nest's exception for errors of the handler, too", async () => {
    expect(await send('discarded', file)).toMatchObject({
      status: 409,
      body: { code: 'file-gone', error: 'Conflict', message: expect.stringContaining('a.txt') },
    })
  })

  it.each([
    ['nothing-uploads', 'nothing uploads on this route'],
    ['twice', 'this route uploads twice'],
  ])('says in the log, not to the client, what is wrong with the route %s', async (route, message) => {
    expect(await send(route, { ...file, name: 'a' })).toEqual({
      status: 500,
      body: {
        statusCode: 500,
        code: 'invalid-value',
        error: 'Internal Server Error',
        message: 'Internal Server Error',
      },
    })
    expect(server.logs).toEqual([expect.stringContaining(message)])
    expect(stored()).toEqual([])
  })

  it('tells a client that finds too many others when to come back', async () => {
    setUploadLimits({ concurrent: 1, queued: 0, queueSeconds: 7 })
    await uploadSlots.take(new AbortController().signal)
    try {
      const body = formBody({ ...file, name: 'front' })
      const answer = await fetch(`${server.url}form`, {
        method: 'POST',
        body: body as never,
        headers: { 'content-type': formType },
      })
      expect(answer.status).toBe(503)
      expect(answer.headers.get('retry-after')).toBe('7')
      expect(await answer.json()).toMatchObject({ code: 'too-many-uploads' })
    } finally {
      uploadSlots.release()
      setUploadLimits({})
    }
  })

  it('has a filter for errors from elsewhere, which keeps the key to itself', async () => {
    const lost = await fetch(`${server.url}lost`)
    expect(lost.status).toBe(404)
    expect(await lost.json()).toEqual({
      statusCode: 404,
      code: 'object-not-found',
      error: 'Not Found',
      message: 'Not Found',
    })
    expect((await fetch(`${server.url}other`)).status).toBe(500)
  })

  if (platform === 'fastify') {
    it("works beside Nest's own FileInterceptor on other routes", async () => {
      expect(await send('others', file, { name: 'title', content: 'T' })).toMatchObject({
        status: 201,
        body: { title: 'T' },
      })
    })
  }
})
