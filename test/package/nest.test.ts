import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { Consumer } from './consumer.ts'
import { nestApp } from './nest-app.ts'

const { current, older } = inject('packed')
const require = createRequire(import.meta.url)
const swc = require.resolve('@swc/core')

describe('an application of Nest', () => {
  const json = { name: 'a.txt', size: 5, contentType: 'text/plain' }
  const backlog = { entries: 0, due: 0, failing: 0, oldest: null }
  const answers = {
    uploaded: [201, { file: json, title: 'T' }],
    tooLarge: [413, expect.objectContaining({ code: 'file-too-large', error: 'Payload Too Large' })],
    failed: [500, { statusCode: 500, message: 'Internal server error' }],
    health: {
      files: {
        status: 'up',
        storages: { default: { status: 'up' } },
        journals: [{ status: 'up', ...backlog }],
      },
    },
    objects: 1,
    swagger: ['multipart/form-data'],
  }
  const onBoth = { express: answers, fastify: answers }

  it('12 runs as ESM, on Express and on Fastify', async () => {
    const consumer = new Consumer(current, 'nest-tsc')
    consumer.write('app.mts', nestApp)
    const decorators = ['--experimentalDecorators', '--emitDecoratorMetadata']
    await consumer.compile(['--module', 'nodenext', '--skipLibCheck', ...decorators], ['app.mts'])
    expect(JSON.parse(await consumer.node(['app.mjs']))).toEqual(onBoth)
  })

  it('12 runs as SWC compiles it, with the metadata of decorators', async () => {
    const consumer = new Consumer(current, 'nest-swc')
    // As people write it who do not think of types; SWC then keeps the import for the metadata.
    const program = nestApp.replaceAll('type S3File', 'S3File')
    const options = {
      filename: 'app.ts',
      swcrc: false,
      module: { type: 'es6' },
      jsc: {
        target: 'es2022',
        parser: { syntax: 'typescript', decorators: true },
        transform: { legacyDecorator: true, decoratorMetadata: true },
      },
    }
    const compiler = `
      const { code } = require(${JSON.stringify(swc)}).transformSync(${JSON.stringify(program)}, ${JSON.stringify(options)})
      console.log(JSON.stringify(code))
    `
    const code = (await consumer.run('compile.cjs', compiler)) as string
    expect(code).toContain('typeof S3File === "undefined"')
    expect(await consumer.run('app.mjs', code)).toEqual(onBoth)
  })

  it('11 runs as CommonJS by ts-node, on TypeORM 0.3, with TypeScript 5.9 and types that are found the old way', async () => {
    const consumer = new Consumer(older, 'nest-ts-node')
    const compilerOptions = {
      target: 'es2022',
      module: 'commonjs',
      moduleResolution: 'node10',
      types: ['node'],
      skipLibCheck: true,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
    }
    consumer.write('tsconfig.json', JSON.stringify({ compilerOptions }))
    consumer.write('app.ts', nestApp)
    const tsNode = join(older, 'node_modules', 'ts-node', 'register')
    expect(JSON.parse(await consumer.node(['-r', tsNode, 'app.ts']))).toEqual(onBoth)
  })
})
