import { type CallHandler, type ExecutionContext, Logger, type NestInterceptor } from '@nestjs/common'
import { catchError, type Observable } from 'rxjs'
import { ConfigurationError } from '../../core/errors.js'
import { isUnclaimed } from '../../core/upload-ledger.js'
import {
  type UploadedForm,
  type UploadFormOptions,
  type UploadRequestOptions,
  uploadFormFromRequest,
} from '../../upload/upload-from-request.js'
import { toHttpException } from './http-exception.js'

const forms = new WeakMap<object, UploadedForm>()
const logger = new Logger('S3FileModule')

/** The form that was uploaded from the request a handler is called for. */
export function formOf(context: ExecutionContext): UploadedForm | undefined {
  return forms.get(context.switchToHttp().getRequest<object>())
}

/** Uploads after the guards and before the handler, whose failure takes the files back that no row was offered. */
class UploadInterceptor<Entity, Entities> implements NestInterceptor {
  readonly #options: UploadFormOptions<Entity, Entities>

  constructor(options: UploadFormOptions<Entity, Entities>) {
    this.#options = options
  }

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<{ body?: unknown }>()
    let form: UploadedForm
    try {
      if (forms.has(request)) throw uploadedTwice()
      form = await uploadFormFromRequest(request, this.#options)
    } catch (error) {
      throw toHttpException(error, context)
    }
    forms.set(request, form)
    request.body = bodyOf(form.fields)
    return next.handle().pipe(
      catchError(async (error: unknown) => {
        await discardUnclaimed(form)
        throw toHttpException(error, context)
      }),
    )
  }
}

/**
 * Uploads the one file of a form before the handler, which takes it by `@UploadedS3File()` and the form's fields by `@Body()`:
 * `@UseInterceptors(S3FileInterceptor({ into: [Document, 'file'] }))`. When the handler, a pipe or an inner interceptor
 * throws and no row was offered the file, it is discarded; that takes an `S3FileSubscriber`, which knows of rows.
 *
 * @param options those of `uploadFromRequest`.
 */
export function S3FileInterceptor<Entity = unknown>(
  options: UploadRequestOptions<Entity> = {},
): NestInterceptor {
  return new UploadInterceptor({ ...options, limits: { files: 1, ...options.limits } })
}

/**
 * As `S3FileInterceptor`, for a form with several files, or none: the handler takes all of it by `@UploadedS3Form()`, or one
 * file by `@UploadedS3File('field')`.
 *
 * @param options those of `uploadFormFromRequest`.
 */
export function S3FormInterceptor<Entity = unknown, Entities = unknown>(
  options: UploadFormOptions<Entity, Entities> = {},
): NestInterceptor {
  return new UploadInterceptor(options)
}

function uploadedTwice(): ConfigurationError {
  return new ConfigurationError(
    'invalid-value',
    'this route uploads twice; for several files give it one S3FormInterceptor, and its parameters @UploadedS3File(field)',
  )
}

/** What `@Body()` gives: a text for each field, or a list where a name came more than once. */
function bodyOf(fields: UploadedForm['fields']): Record<string, string | string[]> {
  const body: Record<string, string | string[]> = Object.create(null)
  for (const [name, values] of Object.entries(fields)) {
    body[name] = values.length === 1 ? (values[0] as string) : values
  }
  return body
}

async function discardUnclaimed(form: UploadedForm): Promise<void> {
  for (const file of Object.values(form.files).flat()) {
    try {
      if (isUnclaimed(file)) await file.discard()
    } catch (error) {
      // The handler's error matters more; the journal, or `reconcile`, still knows of the object.
      logger.warn(`the upload '${file.name}' of a handler that failed could not be discarded: ${error}`)
    }
  }
}
