import { join } from 'node:path'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { Consumer } from './consumer.ts'

const { current, older } = inject('packed')

const ways = [
  ['node16', 'node16'],
  ['nodenext', 'nodenext'],
  ['esnext', 'bundler'],
] as const
const options = ['--strict', '--noEmit', '--experimentalDecorators', '--skipLibCheck', 'false']

const program = (nest: boolean) => `
  import { Entity, PrimaryGeneratedColumn } from 'typeorm'
  import { type S3File, S3FileField, uploadFromRequest } from 'typeorm-s3-file'
  import { s3FilePlugin } from 'typeorm-s3-file/fastify'
  import { MemoryStorage } from 'typeorm-s3-file/testing'
  ${nest ? `import { S3FileInterceptor, S3FileModule } from 'typeorm-s3-file/nest'` : ''}
  import { fastify } from 'fastify'

  @Entity()
  class Document {
    @PrimaryGeneratedColumn() id!: number
    @S3FileField({ nullable: true }) file!: S3File | null
  }
  const app = fastify().register(s3FilePlugin)
  app.post('/', async (request): Promise<S3File> => request.s3File({ into: [Document, 'file'] }))
  export const file: Promise<S3File> = uploadFromRequest(new Request(''), { into: [Document, 'file'] })
  ${nest ? `export const nest = [S3FileModule.forRoot({ storages: { default: new MemoryStorage() } }), S3FileInterceptor()]` : ''}
  // @ts-expect-error It is no field, which says that the types are there.
  export const wrong = [new MemoryStorage(), uploadFromRequest(new Request(''), { into: [Document, 'none'] })]
`

describe('TypeScript 7, with the declarations of every library checked', () => {
  let consumer: Consumer
  beforeAll(() => {
    consumer = new Consumer(current, 'types-7')
    consumer.write('esm.mts', program(true))
    // Nest 12 is for import alone, which TypeScript's node16 does not let CommonJS do.
    consumer.write('cjs.cts', program(false))
  })

  it.each(ways)('compiles every entry for module %s, resolved by %s', async (module, resolution) => {
    const files = ['esm.mts', 'cjs.cts']
    await consumer.compile([...options, '--module', module, '--moduleResolution', resolution], files)
  })
})

describe('TypeScript 5.9 and TypeORM 0.3, with the declarations of this package checked', () => {
  it('compiles every entry for modules node16, nodenext and esnext', async () => {
    const consumer = new Consumer(older, 'types-5.9')
    consumer.write('esm.mts', program(true))
    consumer.write('cjs.cts', program(true))
    const checker = checkWithCompilerApi(join(older, 'node_modules', 'typescript'))
    expect(await consumer.run('check.cjs', checker)).toEqual(
      ways.map(([, resolution]) => ({ resolution, checked: expect.any(Number), errors: [] })),
    )
  })
})

/**
 * All that `tsc` would say of the program and of this package's declarations. It would take a minute to check those of
 * the AWS SDK three times as well, which TypeScript 7 does anyway.
 */
const checkWithCompilerApi = (typescript: string) => `
  const ts = require(${JSON.stringify(typescript)})
  const ways = ${JSON.stringify(ways)}
  const sources = new Map()
  console.log(JSON.stringify(ways.map(([module, moduleResolution]) => {
    const { options, errors } = ts.convertCompilerOptionsFromJson({
      module, moduleResolution, target: 'es2022', types: ['node'], strict: true, noEmit: true,
      experimentalDecorators: true, skipLibCheck: false,
    }, __dirname)
    const program = ts.createProgram(['esm.mts', 'cjs.cts'], options)
    const ours = program.getSourceFiles().filter(({ fileName }) =>
      fileName.includes('/typeorm-s3-file/dist/') || /\\/(esm\\.mts|cjs\\.cts)$/.test(fileName))
    const found = [
      ...errors, ...program.getOptionsDiagnostics(), ...program.getGlobalDiagnostics(),
      ...ours.flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]),
    ]
    const text = ({ file, messageText }) => (file?.fileName ?? '') + ': ' + ts.flattenDiagnosticMessageText(messageText, ' ')
    return { resolution: moduleResolution, checked: ours.length, errors: found.map(text) }
  })))
`
