import { createParamDecorator, type ExecutionContext, UseInterceptors } from '@nestjs/common'
import { ConfigurationError, UploadError } from '../../core/errors.js'
import type { S3File } from '../../core/s3-file.js'
import type {
  UploadedForm,
  UploadFormOptions,
  UploadRequestOptions,
} from '../../upload/upload-from-request.js'
import { toHttpException } from './http-exception.js'
import { formOf, S3FileInterceptor, S3FormInterceptor } from './s3-file-interceptor.js'

const takeFile = createParamDecorator((field: string | undefined, context: ExecutionContext): S3File => {
  const { files } = takenForm('@UploadedS3File', context)
  const [file] = field === undefined ? Object.values(files).flat() : (files[field] ?? [])
  if (file !== undefined) return file
  const where = field === undefined ? '' : ` in field '${field}'`
  throw toHttpException(new UploadError('no-file', `the form has no file${where}`, { context: { field } }))
})

const takeForm = createParamDecorator(
  (_: unknown, context: ExecutionContext): UploadedForm => takenForm('@UploadedS3Form', context),
)

/**
 * The uploaded file. With options it also uploads it: `@UploadedS3File('file', { into: [Document, 'file'] }) file: S3File`;
 * without them the route has an `S3FileInterceptor` or an `S3FormInterceptor`.
 *
 * @param field the form field. @default any
 * @param options those of `uploadFromRequest`.
 */
export function UploadedS3File<Entity = unknown>(
  field?: string,
  options?: Omit<UploadRequestOptions<Entity>, 'field'>,
): ParameterDecorator {
  return (target, method, index) => {
    if (options !== undefined) {
      const upload = S3FileInterceptor(field === undefined ? options : { ...options, field })
      intercept(target, method, upload)
    }
    takeFile(field)(target, method, index)
  }
}

/**
 * All of the uploaded form, its files and its fields by name. With options it also uploads it; without them the route
 * has an `S3FormInterceptor`.
 *
 * @param options those of `uploadFormFromRequest`.
 */
export function UploadedS3Form<Entity = unknown, Entities = unknown>(
  options?: UploadFormOptions<Entity, Entities>,
): ParameterDecorator {
  return (target, method, index) => {
    if (options !== undefined) intercept(target, method, S3FormInterceptor(options))
    takeForm()(target, method, index)
  }
}

function intercept(
  target: object,
  method: string | symbol | undefined,
  interceptor: ReturnType<typeof S3FormInterceptor>,
): void {
  const name = method as string | symbol
  UseInterceptors(interceptor)(
    target,
    name,
    Object.getOwnPropertyDescriptor(target, name) as PropertyDescriptor,
  )
}

function takenForm(decorator: string, context: ExecutionContext): UploadedForm {
  const form = formOf(context)
  if (form !== undefined) return form
  throw toHttpException(
    new ConfigurationError(
      'invalid-value',
      `${decorator}: nothing uploads on this route; give the decorator options, such as { into: [Document, 'file'] }, or ` +
        'the route @UseInterceptors(S3FileInterceptor(…))',
    ),
  )
}
