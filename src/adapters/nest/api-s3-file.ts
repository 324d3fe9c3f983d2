import type { Type } from '@nestjs/common'
import { checkOptions, type OptionCheck, option } from '../../core/options.js'

/** What else the form of `@ApiS3File()` has. */
export interface ApiS3FileOptions {
  /** Whether the field takes several files. @default false */
  isArray?: boolean
  /** Whether the form must have it. @default true */
  required?: boolean
  /** The class of the form's other fields, as `@Body()` has it. @default none */
  fields?: Type<unknown>
}

const checks: Record<keyof ApiS3FileOptions, OptionCheck> = {
  isArray: option.boolean,
  required: option.boolean,
  fields: option.function,
}

export const apiS3FileDefaults = { isArray: false, required: true }

/** Where @nestjs/swagger looks: written as it is, so that nothing here has to be installed or found for it. */
const keys = {
  consumes: 'swagger/apiConsumes',
  extraModels: 'swagger/apiExtraModels',
  parameters: 'swagger/apiParameters',
}

/**
 * Shows the route in Swagger as one that takes a multipart form with a file in `field`; several of them add up. Does
 * nothing in an application without @nestjs/swagger.
 *
 * @throws ConfigurationError `unknown-option`, `invalid-option`.
 */
export function ApiS3File(field = 'file', options: ApiS3FileOptions = {}): MethodDecorator {
  checkOptions('ApiS3File', options, checks)
  const { isArray = apiS3FileDefaults.isArray, required = apiS3FileDefaults.required, fields } = options
  const binary = { type: 'string', format: 'binary' }
  const form = {
    type: 'object',
    properties: { [field]: isArray ? { type: 'array', items: binary } : binary },
    ...(required ? { required: [field] } : {}),
  }
  return (_target, _method, descriptor) => {
    const handler = descriptor.value as object
    const known = <Item>(key: string): Item[] => Reflect.getMetadata(key, handler) ?? []
    const parameters = known<{ in: string; schema?: { allOf?: object[] } }>(keys.parameters)
    const before = parameters.find((parameter) => parameter.in === 'body')?.schema?.allOf ?? []
    const model = fields === undefined ? [] : [{ $ref: `#/components/schemas/${fields.name}` }]
    const body = {
      in: 'body',
      type: String, // What @nestjs/swagger has for a body with a schema of its own.
      required: true,
      schema: { allOf: [...before, ...model, form] },
    }
    const others = parameters.filter((parameter) => parameter.in !== 'body')
    Reflect.defineMetadata(keys.parameters, [...others, body], handler)
    Reflect.defineMetadata(keys.consumes, ['multipart/form-data'], handler)
    if (fields !== undefined) {
      Reflect.defineMetadata(keys.extraModels, [...known(keys.extraModels), fields], handler)
    }
  }
}
