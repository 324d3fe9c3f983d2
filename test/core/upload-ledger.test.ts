import { expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import {
  isUnclaimed,
  markGone,
  markOffered,
  settleUpload,
  trackUpload,
  watchOffers,
} from '../../src/core/upload-ledger.ts'

const upload = () => {
  const file = new S3File({ key: 'a' })
  trackUpload(file, undefined)
  return file
}

it('an upload is unclaimed until a row is offered it, as far as rows tell', () => {
  const early = upload()
  expect(isUnclaimed(early)).toBe(false) // Nobody would know of a row.
  watchOffers()
  expect(isUnclaimed(early)).toBe(true)

  const [offered, settled, gone] = [upload(), upload(), upload()]
  markOffered(offered)
  settleUpload(settled)
  markGone(gone)
  expect([offered, settled, gone, new S3File({ key: 'a' })].map(isUnclaimed)).toEqual([
    false,
    false,
    false,
    false,
  ])
})
