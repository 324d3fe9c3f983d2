import { UploadError } from '../core/errors.js'
import { checkOptions, option } from '../core/options.js'
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
  limits?: FormLimits
  /** @default off: the client has no say in keys */
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

const checks = {
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
  const form = await readForm('uploadFromRequest', request, options, 1)
  const [file] = Object.values(form.files).flat()
  if (file === undefined) {
    const where = options.field === undefined ? '' : ` in field '${options.field}'`
    throw new UploadError('no-file', `the form has no file${where}`, { context: { field: options.field } })
  }
  return file
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
  return readForm('uploadFormFromRequest', request, options, 10)
}

async function readForm<Entity>(
  owner: string,
  request: unknown,
  options: UploadRequestOptions<Entity>,
  defaultFiles: number,
): Promise<UploadedForm> {
  checkOptions(owner, options, checks)
  checkOptions(`${owner} limits`, options.limits ?? {}, formLimitChecks)
  checkPrefixQueryParam(owner, options.prefixQueryParam)
  const limits = resolveLimits(options.limits ?? {}, defaultFiles)
  const { field, limits: _, prefixQueryParam, signal, onProgress, ...targetOptions } = options
  const target = resolveTarget(owner, targetOptions)
  const source = requestSourceOf(request)

  const session = new UploadSession(target, { request, totalBytes: source.contentLength, signal, onProgress })
  // Without a prototype: a field may be named `__proto__`.
  const files: Record<string, S3File[]> = Object.create(null)
  const fields: Record<string, string[]> = Object.create(null)
  const places: [string, S3File | undefined][] = []
  const handlers = {
    onFile: async ({ field: name, filename, contentType, bytes }: FilePart) => {
      if (field !== undefined && name !== field) {
        throw new UploadError(
          'unexpected-field',
          `a file came in field '${name}'; it is expected in '${field}'`,
          { context: { field: name, expected: field } },
        )
      }
      const place: [string, S3File | undefined] = [name, undefined]
      places.push(place)
      const atMostBytes = source.contentLength
      place[1] = await session.store({
        field: name,
        filename,
        contentType,
        bytes,
        announcedBytes: undefined,
        atMostBytes,
      })
    },
    onField: (name: string, value: string) => {
      fields[name] ??= []
      fields[name].push(value)
    },
    onReceived: (bytes: number) => session.received(bytes),
  }
  try {
    await session.run(async (fail, stop) => {
      target.keyPrefix += requestedPrefix(prefixQueryParam, source.url)
      await inTurn(source, fail, stop, () =>
        readMultipart(source, limits, stop, { ...handlers, onFailure: fail }),
      )
    })
  } catch (error) {
    source.discard()
    source.hangUp()
    throw error
  }
  for (const [name, file] of places) {
    files[name] ??= []
    files[name].push(file as S3File)
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
