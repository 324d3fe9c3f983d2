/**
 * An application in the style of Nest's own starter: constructor injection by type, CommonJS or ESM. Uploads on both
 * platforms and prints, for each, what the requests were answered.
 */
export const nestApp = `
import 'reflect-metadata'
import { Body, Controller, Get, Module, Post, UseInterceptors } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { ApiProperty, DocumentBuilder, SwaggerModule } from '@nestjs/swagger'
import { DataSource, Entity, PrimaryGeneratedColumn } from 'typeorm'
import { FileJournalEntry, type S3File, S3FileField, S3FileSubscriber } from 'typeorm-s3-file'
import { ApiS3File, S3FileHealthIndicator, S3FileInterceptor, S3FileModule, UploadedS3File } from 'typeorm-s3-file/nest'
import { MemoryStorage } from 'typeorm-s3-file/testing'

@Entity()
class Document {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true, maxSizeBytes: 10, column: { type: 'simple-json' } }) file!: S3File | null
}

class NewDocument {
  @ApiProperty() title!: string
}

@Controller()
class Documents {
  constructor(private readonly dataSource: DataSource, private readonly health: S3FileHealthIndicator) {}

  @Post()
  @ApiS3File('file', { fields: NewDocument })
  @UseInterceptors(S3FileInterceptor({ into: [Document, 'file'] }))
  async interceptor(@UploadedS3File() file: S3File, @Body() body: NewDocument) {
    const document = await this.dataSource.manager.save(Object.assign(new Document(), { file }))
    return { file: document.file, title: body.title }
  }

  @Post('fails')
  async fails(@UploadedS3File('file', { into: [Document, 'file'] }) file: S3File) {
    throw new Error(file.key)
  }

  @Get('health')
  check() {
    return this.health.isHealthy('files')
  }
}

async function run(adapter?: FastifyAdapter) {
  const dataSource = new DataSource({
    type: 'sqljs', entities: [Document, FileJournalEntry], subscribers: [S3FileSubscriber], synchronize: true,
  })
  await dataSource.initialize()
  const storage = new MemoryStorage()

  @Module({ providers: [{ provide: DataSource, useValue: dataSource }], exports: [DataSource] })
  class DatabaseModule {}

  @Module({
    imports: [
      DatabaseModule,
      S3FileModule.forRootAsync({
        imports: [DatabaseModule],
        inject: [DataSource],
        useFactory: (_: DataSource) => ({ storages: { default: storage }, janitor: { intervalSeconds: 3600 } }),
      }),
    ],
    controllers: [Documents],
  })
  class AppModule {}

  const app = adapter
    ? await NestFactory.create(AppModule, adapter, { logger: false })
    : await NestFactory.create(AppModule, { logger: false })
  const swagger = SwaggerModule.createDocument(app, new DocumentBuilder().build())
  await app.listen(0, '127.0.0.1')
  const url = (await app.getUrl())
  const send = async (path: string, text: string) => {
    const form = new FormData()
    form.set('title', 'T')
    form.set('file', new Blob([text], { type: 'text/plain' }), 'a.txt')
    const answer = await fetch(url + path, { method: 'POST', body: form })
    return [answer.status, await answer.json()]
  }
  const answers = {
    uploaded: await send('/', 'hello'),
    tooLarge: await send('/', 'more than ten'),
    failed: await send('/fails', 'hello'),
    health: await (await fetch(url + '/health')).json(),
    objects: storage.objects.size,
    swagger: Object.keys((swagger.paths['/']?.post?.requestBody as any).content),
  }
  await app.close()
  await dataSource.destroy()
  return answers
}

async function main() {
  console.log(JSON.stringify({ express: await run(), fastify: await run(new FastifyAdapter()) }))
}
void main()
`
