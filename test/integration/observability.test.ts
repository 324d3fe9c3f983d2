import { readFileSync } from 'node:fs'
import { metrics, trace } from '@opentelemetry/api'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { observeFiles } from '../support/observe-files.ts'
import { S3World } from '../support/s3-world.ts'

const told: unknown[][] = []
const note =
  (what: string) =>
  (...args: unknown[]) =>
    void told.push([what, ...args])

let world: S3World
beforeAll(async () => {
  world = await S3World.start()
  const instrument = (name: string) => ({ add: note(name), record: note(name) })
  const meter = { createCounter: instrument, createHistogram: instrument }
  metrics.setGlobalMeterProvider({ getMeter: () => meter } as never)
  const span = Object.fromEntries(
    ['addEvent', 'setAttributes', 'setAttribute', 'setStatus', 'end'].map((name) => [
      name,
      note(`span.${name}`),
    ]),
  )
  const startSpan = (name: string, options: object) => {
    told.push(['startSpan', name, options])
    return span
  }
  trace.setGlobalTracerProvider({ getTracer: () => ({ startSpan }) } as never)
  observeFiles()
})
afterAll(async () => {
  metrics.disable()
  trace.disable()
  await world.stop()
})

it('the example of the documentation makes spans and metrics of uploads', async () => {
  world.proxy.inject({ on: 'PutObject', kind: 'slowDown' })
  const file = await uploadFromStream(Buffer.from('abc'), { name: 'a.txt' })
  await file.discard()
  await uploadFromStream(Buffer.from('abc'), { accept: ['image/*'] }).catch(() => undefined)
  await uploadFromStream(Buffer.from('abc'), { signal: AbortSignal.abort() }).catch(() => undefined)
  const any = expect.any(Number)
  const part = { partNumber: 1, bytes: 3, durationMs: any, attempts: 2 }
  const attributes = { 's3_file.storage': 'default', 's3_file.field': '', 's3_file.name': 'a.txt' }
  expect(told.slice(0, 8)).toEqual([
    ['startSpan', 's3_file.upload', { attributes }],
    ['s3_file.retries', 1, expect.objectContaining({ operation: 'PutObject' })],
    ['span.addEvent', 'part stored', part],
    ['s3_file.upload.duration', any, { storage: 'default', outcome: 'complete' }],
    ['s3_file.upload.size', 3, { storage: 'default' }],
    ['span.setAttributes', { 's3_file.key': file.key, 's3_file.type': 'text/plain', 's3_file.size': 3 }],
    ['span.end'],
    ['s3_file.deletions', 1, { storage: 'default', reason: 'discarded' }],
  ])
  expect(told.filter(([what]) => what === 's3_file.upload.duration').slice(1)).toEqual([
    [expect.anything(), any, { storage: 'default', outcome: 'fail', code: 'type-not-accepted' }],
    [expect.anything(), any, { storage: 'default', outcome: 'abort', code: 'upload-aborted' }],
  ])
  expect(told.filter(([what]) => what === 'span.end')).toHaveLength(3)
})

it('the documentation shows just that example', () => {
  const [docs, code] = ['../../docs/observability.md', '../support/observe-files.ts'].map((path) =>
    readFileSync(new URL(path, import.meta.url), 'utf8'),
  ) as [string, string]
  expect(docs).toContain(`\`\`\`ts\n${code}\`\`\``)
})
