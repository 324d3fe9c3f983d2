import createHandler from './typeorm-s3-file.mjs'

export default (storageOptions) => createHandler({ ...storageOptions, unsignedPayload: 'always' })
