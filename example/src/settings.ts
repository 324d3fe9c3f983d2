import type { S3ClientConfig } from '@aws-sdk/client-s3'
import type { DataSourceOptions } from 'typeorm'
import { startEmbeddedServers } from './embedded-servers.js'

export interface Settings {
  port: number
  bucket: string
  s3: S3ClientConfig
  database: DataSourceOptions
}

/** Takes the S3 and the database that the environment names, and starts the embedded one for each it does not. */
export async function loadSettings(): Promise<Settings & { stopServers: () => void }> {
  const { PORT = '3000', S3_BUCKET } = process.env
  const common = { port: Number(PORT), bucket: S3_BUCKET || 'typeorm-s3-file-demo' }
  const s3 = namedS3()
  const database = namedDatabase()
  if (s3 !== undefined && database !== undefined) {
    return { ...common, s3, database, stopServers: () => undefined }
  }
  const embedded = await startEmbeddedServers()
  return {
    ...common,
    s3: s3 ?? {
      endpoint: embedded.s3,
      forcePathStyle: true,
      region: 'us-east-1',
      credentials: { accessKeyId: 'demo', secretAccessKey: 'demo' },
    },
    // PGlite is one session behind many sockets: a second connection would wait for the first one's transaction.
    database: database ?? { ...postgres(embedded.postgres), extra: { max: 1 } },
    stopServers: embedded.stop,
  }
}

/** The SDK itself reads AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the other variables of AWS. */
function namedS3(): S3ClientConfig | undefined {
  const { S3_ENDPOINT, S3_BUCKET, AWS_REGION } = process.env
  if (S3_ENDPOINT) return { endpoint: S3_ENDPOINT, forcePathStyle: true, region: AWS_REGION || 'us-east-1' }
  return S3_BUCKET ? {} : undefined
}

function namedDatabase(): DataSourceOptions | undefined {
  const url = process.env.DATABASE_URL
  if (!url) return undefined
  const { protocol } = new URL(url)
  switch (protocol) {
    case 'postgres:':
    case 'postgresql:':
      return postgres(url)
    // MariaDB keeps JSON in another type than MySQL: TypeORM has to know which of the two it is.
    case 'mysql:':
      return { type: 'mysql', url, charset: 'utf8mb4' }
    case 'mariadb:':
      return { type: 'mariadb', url, charset: 'utf8mb4' }
    default:
      throw new Error(`DATABASE_URL begins with postgres://, mysql:// or mariadb://, not ${protocol}//`)
  }
}

function postgres(url: string) {
  // PostgreSQL makes UUIDs by itself; TypeORM would install an extension for it, which PGlite does not have.
  return { type: 'postgres', url, uuidExtension: 'pgcrypto', installExtensions: false } as const
}
