import { expect, it } from 'vitest'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'

it.each([
  { keepUnsavedSeconds: 1e13 },
  { keepUnsavedSeconds: 59 },
  { deleteAfterSeconds: 1e13 },
  { deleteAfterSeconds: -1 },
])('refuses %j, which no date can hold or nobody can mean', (options) => {
  expect(() => S3FileSubscriber.with(options)).toThrow(
    expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining('315360000') }),
  )
})
