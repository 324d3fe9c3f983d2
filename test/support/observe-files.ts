import { subscribe } from 'node:diagnostics_channel'
import { metrics, type Span, SpanStatusCode, trace } from '@opentelemetry/api'
import type { S3FileEvents } from 'typeorm-s3-file'

function on<Name extends keyof S3FileEvents>(
  name: Name,
  listener: (event: S3FileEvents[Name]) => void,
): void {
  subscribe(name, (message) => listener(message as S3FileEvents[Name]))
}

/** Makes spans and metrics of files; to be called once, after the OpenTelemetry SDK has started. */
export function observeFiles(): void {
  const tracer = trace.getTracer('typeorm-s3-file')
  const meter = metrics.getMeter('typeorm-s3-file')
  const uploads = meter.createHistogram('s3_file.upload.duration', { unit: 'ms' })
  const bytes = meter.createCounter('s3_file.upload.size', { unit: 'By' })
  const retries = meter.createCounter('s3_file.retries')
  const deletions = meter.createCounter('s3_file.deletions')
  const leftBehind = meter.createCounter('s3_file.cleanup.failures')
  const spans = new Map<string, Span>()

  const end = (id: string, change: (span: Span) => void = () => undefined) => {
    const span = spans.get(id)
    if (span === undefined) return // It began before anybody had subscribed.
    spans.delete(id)
    change(span)
    span.end()
  }

  on('typeorm-s3-file:upload:start', ({ id, storage, field, name }) => {
    const attributes = { 's3_file.storage': storage, 's3_file.field': field ?? '', 's3_file.name': name }
    spans.set(id, tracer.startSpan('s3_file.upload', { attributes }))
  })
  on('typeorm-s3-file:upload:part', ({ id, partNumber, bytes: size, durationMs, attempts }) => {
    spans.get(id)?.addEvent('part stored', { partNumber, bytes: size, durationMs, attempts })
  })
  on('typeorm-s3-file:upload:complete', ({ id, storage, key, contentType, size, durationMs }) => {
    uploads.record(durationMs, { storage, outcome: 'complete' })
    bytes.add(size, { storage })
    end(id, (span) =>
      span.setAttributes({ 's3_file.key': key ?? '', 's3_file.type': contentType, 's3_file.size': size }),
    )
  })
  on('typeorm-s3-file:upload:fail', ({ id, storage, errorCode, durationMs }) => {
    const code = errorCode ?? 'other'
    uploads.record(durationMs, { storage, outcome: 'fail', code })
    end(id, (span) => span.setStatus({ code: SpanStatusCode.ERROR, message: code }))
  })
  on('typeorm-s3-file:upload:abort', ({ id, storage, errorCode, durationMs }) => {
    const code = errorCode ?? 'other'
    uploads.record(durationMs, { storage, outcome: 'abort', code })
    end(id, (span) => span.setAttribute('s3_file.aborted_by', code))
  })
  on('typeorm-s3-file:retry', ({ bucket, operation, attempts }) => {
    retries.add(attempts - 1, { bucket, operation })
  })
  on('typeorm-s3-file:delete', ({ storage, reason }) => deletions.add(1, { storage, reason }))
  on('typeorm-s3-file:cleanup:fail', ({ storage, errorCode }) => {
    leftBehind.add(1, { storage, code: errorCode ?? 'unknown' })
  })
}
