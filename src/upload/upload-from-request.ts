import { UploadError } from '../core/errors.js'
import { hasRoomForKeys } from '../core/key-strategy.js'
import { checkOptions, type OptionCheck, option } from '../core/options.js'
import type { S3File } from '../core/s3-file.js'
import { type FormLimits, formLimitChecks, resolveLimits } from './form-limits.js'
import { type FilePart, readMultipart } from './multipart-reader.js'
import { checkPrefixQueryParam, type PrefixQueryParam, requestedPrefix } from './prefix-query-param.js'
import { type RequestSource, requestSourceOf } from './request-source.js'
import { type UploadProgress, UploadSession } from './upload-session.js'
import { uploadSlots } from './upload-slots.js'
import { resolveTarget, type TargetOptions, targetChecks } from './upload-target.js'

/** What `uploadFromRequest` and `uploadFormFromRequest` take. */
export interface UploadRequestOptions<Entity = unknown> extends TargetOptions<Entity> {
  /** The form field that files come in; a file in another one is refused with 400. @default any */
  field?: string
  /** What the form may hold, and how slowly it may come. @default on, see `FormLimits` */
  limits?: FormLimits
  /** Lets the client choose a prefix. @default off: the client has no say in keys */
  prefixQueryParam?: PrefixQueryParam
  /** Ends the upload when aborted. */
  signal?: AbortSignal
  /** Called as bytes come and are stored. */
  onProgress?: (progress: UploadProgress) => void
}

/** A whole form: files and fields by name, each in the order they came. */
export interface UploadedForm {
  files: Record<string, S3File[]>
  fields: Record<string, string[]>
}

const checks: Record<keyof UploadRequestOptions, OptionCheck> = {
  ...targetChecks,
  field: option.string,
  limits: option.object,
  prefixQueryParam: option.object,
  signal: option.abortSignal,
  onProgress: option.function,
}

/**
 * Streams the one file of a multipart/form-data request into its storage and resolves with the value to assign to the
 * entity. When it rejects, nothing of the upload is left in the storage.
 *
 * @param request of Node, Express, Fastify, Koa, Hono, or a web `Request`; its body still unread.
 * @throws UploadError with a `statusCode` for what the client sent; StorageError for what the store answered;
 *   ConfigurationError for options that cannot be right.
 */
export async function uploadFromRequest<Entity = unknown>(
  request: unknown,
  options: UploadRequestOptions<Entity> = {},
): Promise<S3File> {
  const { files } = await readForm('uploadFromRequest', request, options, 1)
  const [first] = files
  if (first === undefined) {
    const where = options.field === undefined ? '' : ` in field '${options.field}'`
    throw new UploadError('no-file', `the form has no file${where}`, { context: { field: options.field } })
  }
  return first.value as S3File
}

/**
 * Streams all files of a multipart/form-data request into their storage and resolves with them and the form's
 * fields. When it rejects, none of them is left in the storage.
 *
 * @throws as `uploadFromRequest`; a form without files is fine here.
 */
export async function uploadFormFromRequest<Entity = unknown>(
  request: unknown,
  options: UploadRequestOptions<Entity> = {},
): Promise<UploadedForm> {
  const { files, fields } = await readForm('uploadFormFromRequest', request, options, 10)
  return { files: byName(files as NamedValue<S3File>[]), fields: byName(fields) }
}

interface NamedValue<Value> {
  name: string
  value: Value
}

function byName<Value>(values: NamedValue<Value>[]): Record<string, Value[]> {
  // Without a prototype: a field may be named `__proto__`.
  const named: Record<string, Value[]> = Object.create(null)
  for (const { name, value } of values) {
    named[name] ??= []
    named[name].push(value)
  }
  return named
}

async function readForm<Entity>(
  owner: string,
  request: unknown,
  options: UploadRequestOptions<Entity>,
  defaultFiles: number,
): Promise<{ files: NamedValue<S3File | undefined>[]; fields: NamedValue<string>[] }> {
  checkOptions(owner, options, checks)
  checkOptions(`${owner} limits`, options.limits ?? {}, formLimitChecks)
  checkPrefixQueryParam(owner, options.prefixQueryParam)
  const limits = resolveLimits(options.limits ?? {}, defaultFiles)
  const { field, limits: _, prefixQueryParam, signal, onProgress, ...targetOptions } = options
  const target = resolveTarget(owner, targetOptions)
  const source = requestSourceOf(request)

  const session = new UploadSession(target, { request, totalBytes: source.contentLength, signal, onProgress })
  const files: NamedValue<S3File | undefined>[] = []
  const fields: NamedValue<string>[] = []
  const handlers = {
    onFile: async ({ field: name, filename, contentType, bytes }: FilePart) => {
      if (field !== undefined && name !== field) {
        throw new UploadError(
          'unexpected-field',
          `a file came in field '${name}'; it is expected in '${field}'`,
          { context: { field: name, expected: field } },
        )
      }
      const file: NamedValue<S3File | undefined> = { name, value: undefined }
      files.push(file) // Its place is that in the form, whenever it is stored.
      const atMostBytes = source.contentLength
      file.value = await session.store({
        field: name,
        filename,
        contentType,
        bytes,
        announcedBytes: undefined,
        atMostBytes,
      })
    },
    onField: (name: string, value: string) => {
      fields.push({ name, value })
    },
    onReceived: (bytes: number) => session.received(bytes),
  }
  try {
    await session.run(async (fail, stop) => {
      target.keyPrefix += requestedPrefix(prefixQueryParam, source.url, (prefix) =>
        hasRoomForKeys(target.key, target.keyPrefix + prefix, target.maxKeyLength),
      )
      await inTurn(source, fail, stop, () =>
        readMultipart(source, limits, stop, { ...handlers, onFailure: fail }),
      )
    })
  } catch (error) {
    source.discard()
    source.hangUp()
    throw error
  }
  return { files, fields }
}

/** Runs `read` when it is this request's turn; until then the body stays unread. */
async function inTurn(
  source: RequestSource,
  fail: (error: unknown) => void,
  stop: AbortSignal,
  read: () => Promise<void>,
): Promise<void> {
  const unwatch = source.watch(fail)
  try {
    await uploadSlots.take(stop)
  } finally {
    unwatch()
  }
  try {
    await read()
  } finally {
    uploadSlots.release()
  }
}
