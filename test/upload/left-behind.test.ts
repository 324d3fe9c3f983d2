import { expect, it } from 'vitest'
import { StorageError, UploadError } from '../../src/core/errors.ts'
import { isSurelyGone } from '../../src/upload/left-behind.ts'

const gone = (context = {}) => new UploadError('client-gone', 'gone', { context })

it.each([
  ['a client that has gone', gone(), true],
  ['what could not be taken back', gone({ leftBehind: ["object 'k'"] }), false],
  ['what the store may bring back', gone({ mayBeLeft: ["multipart upload id of 'k'"] }), false],
  ['a store that has failed', new StorageError('storage-unreachable', 'silent'), false],
  ['an error of somebody else', new Error('other'), false],
])('knows whether %s has left nothing', (_what, error, isGone) => {
  expect(isSurelyGone(error)).toBe(isGone)
})
