import { randomUUID } from 'node:crypto'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { configureStorages, S3File, S3Storage, withUrls } from 'typeorm-s3-file'

/** Presigned URLs of 1,000 files that nobody has asked for before. */
export async function measureUrls(bench) {
  const count = bench.sized({ full: 1000, quick: 1000, smoke: 50 })
  const client = new S3Client({
    region: 'eu-central-1',
    credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
  })
  configureStorages({ default: new S3Storage({ bucket: 'bench', client }) })
  const sign = ({ file }) =>
    getSignedUrl(
      client,
      new GetObjectCommand({
        Bucket: 'bench',
        Key: file.key,
        ResponseContentDisposition: `attachment; filename="${file.name}"`,
      }),
      { expiresIn: 900 },
    )
  const ways = {
    'withUrls()': (entities) => withUrls(entities),
    'getSignedUrl in Promise.all': (entities) => Promise.all(entities.map(sign)),
    'getSignedUrl in a loop': async (entities) => {
      for (const entity of entities) await sign(entity)
    },
  }
  const rate = bench.figure('urls')
  const time = async (label) => {
    const entities = Array.from({ length: count }, (_, id) => ({
      id,
      file: new S3File({ key: `documents/${randomUUID()}/report.pdf`, name: 'report.pdf', size: 1000 }),
    }))
    const start = performance.now()
    await ways[label](entities)
    return count / ((performance.now() - start) / 1000)
  }
  for (const label of Object.keys(ways)) await time(label) // Warms up.
  await bench.alternate(Object.keys(ways), async (label) => rate.add(label, await time(label)))
  client.destroy()
  return [rate]
}
