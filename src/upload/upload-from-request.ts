import { UploadError } from '../core/errors.js'
import { hasRoomForKeys } from '../core/key-strategy.js'
import { checkOptions, type OptionCheck, option } from '../core/options.js'
import type { S3File } from '../core/s3-file.js'
import { type FormLimits, formLimitChecks, resolveLimits, shortName } from './form-limits.js'
import { type IntoByField, resolveFormTarget, resolveTargetsByField } from './form-targets.js'
import { type FilePart, readMultipart } from './multipart-reader.js'
import { checkPrefixQueryParam, type PrefixQueryParam, requestedPrefix } from './prefix-query-param.js'
import { type RequestSource, requestSourceOf } from './request-source.js'
import { type UploadProgress, UploadSession } from './upload-session.js'
import { uploadSlots } from './upload-slots.js'
import { type Into, type TargetOptions, targetChecks } from './upload-target.js'

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

/** What `uploadFormFromRequest` takes. */
export interface UploadFormOptions<Entity = unknown, Entities = unknown>
  extends Omit<UploadRequestOptions<Entity>, 'into'> {
  /**
   * The entity and its file property for all files, or for each form field: `{ photo: [User, 'photo'], cv: [User, 'cv'] }`.
   * A file in another field is then refused with 400.
   */
  into?: Into<Entity> | IntoByField<Entities>
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
  const { files, textFields } = await readForm('uploadFromRequest', request, options, false)
  const [first] = files
  if (first === undefined) throw noFile(options.field, textFields)
  return first.value as S3File
}

/**
 * Streams all files of a multipart/form-data request into their storage and resolves with them and the form's
 * fields. When it rejects, none of them is left in the storage.
 *
 * @throws as `uploadFromRequest`; a form without files is fine here.
 */
export async function uploadFormFromRequest<Entity = unknown, Entities = unknown>(
  request: unknown,
  options: UploadFormOptions<Entity, Entities> = {},
): Promise<UploadedForm> {
  const { files, fields } = await readForm('uploadFormFromRequest', request, options, true)
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

/** How many fields an error names at most. */
const maxNamedFields = 5

interface ReadForm {
  files: NamedValue<S3File | undefined>[]
  fields: NamedValue<string>[]
  /** A few of the fields that came as text where a file may have been meant. */
  textFields: Set<string>
}

/** @param isWholeForm whether all of the form is wanted, and not just its one file. */
async function readForm<Entity, Entities>(
  owner: string,
  request: unknown,
  options: UploadFormOptions<Entity, Entities>,
  isWholeForm: boolean,
): Promise<ReadForm> {
  checkOptions(owner, options, checks)
  checkOptions(`${owner} limits`, options.limits ?? {}, formLimitChecks)
  checkPrefixQueryParam(owner, options.prefixQueryParam)
  const limits = resolveLimits(options.limits ?? {}, isWholeForm ? 10 : 1)
  const { field, limits: _, prefixQueryParam, signal, onProgress, into, ...rules } = options
  const targets =
    isWholeForm && into !== undefined && !isPair(into)
      ? resolveTargetsByField(owner, { ...rules, into }, field)
      : resolveFormTarget(owner, { ...rules, into: into as Into<Entity> }, field)
  const source = requestSourceOf(request)

  const { contentLength: totalBytes, watchConnection } = source
  const session = new UploadSession({ request, totalBytes, signal, onProgress, watchConnection })
  const files: NamedValue<S3File | undefined>[] = []
  const fields: NamedValue<string>[] = []
  const textFields = new Set<string>()
  const handlers = {
    onText: (name: string) => {
      const isMeant = field === undefined || name === field
      if (isMeant && textFields.size < maxNamedFields) textFields.add(shortName(name))
    },
    onFile: async ({ field: name, filename, contentType, bytes }: FilePart) => {
      const target = targets.of(name)
      const file: NamedValue<S3File | undefined> = { name, value: undefined }
      files.push(file) // Its place is that in the form, whenever it is stored.
      const atMostBytes = source.contentLength
      file.value = await session.store(
        { field: name, filename, contentType, bytes, announcedBytes: undefined, atMostBytes },
        target,
      )
    },
    onField: isWholeForm
      ? (name: string, value: string) => {
          fields.push({ name, value })
        }
      : undefined,
    onReceived: (bytes: number) => session.received(bytes),
  }
  try {
    await session.run(async (fail, stop) => {
      const prefix = requestedPrefix(prefixQueryParam, source.url, (asked) =>
        targets.all.every(({ key, keyPrefix, maxKeyLength }) =>
          hasRoomForKeys(key, keyPrefix + asked, maxKeyLength),
        ),
      )
      for (const target of targets.all) target.keyPrefix += prefix
      await inTurn(source, fail, stop, () =>
        readMultipart(source, limits, stop, {
          ...handlers,
          onFailure: (error) => {
            fields.length = 0 // What comes next takes time; their memory is given back at once.
            fail(error)
          },
        }),
      )
    })
  } catch (error) {
    source.discard()
    source.hangUp()
    throw error
  }
  return { files, fields, textFields }
}

function isPair<Entity, Entities>(into: Into<Entity> | IntoByField<Entities>): into is Into<Entity> {
  return Array.isArray(into)
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

/** Names what came as text instead: a client that forgets the file's name sends a text field. */
function noFile(field: string | undefined, textFields: Set<string>): UploadError {
  const where = field === undefined ? '' : ` in field '${field}'`
  const names = [...textFields].map((name) => `'${name}'`)
  const hint =
    names.length === 0
      ? ''
      : `; ${names.join(', ')} came as text: send a file with a filename, or with a Content-Type that is not text`
  return new UploadError('no-file', `the form has no file${where}${hint}`, {
    context: { field, textFields: [...textFields] },
  })
}
