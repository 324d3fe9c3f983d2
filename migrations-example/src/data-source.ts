import { DataSource, type DataSourceOptions } from 'typeorm'
import { configureStorages, FileJournalEntry, S3FileSubscriber, S3Storage } from 'typeorm-s3-file'
import { Invoice } from './invoice.js'
import { migrations } from './migrations/index.js'

const { DATABASE_URL, S3_BUCKET, S3_ENDPOINT, AWS_REGION = 'us-east-1' } = process.env
if (!DATABASE_URL || !S3_BUCKET) throw new Error('Set DATABASE_URL and S3_BUCKET.')

// The migration that moves a path asks the storage for each file's size and type.
configureStorages({
  default: new S3Storage({
    bucket: S3_BUCKET,
    clientConfig: {
      region: AWS_REGION,
      ...(S3_ENDPOINT ? { endpoint: S3_ENDPOINT, forcePathStyle: true } : {}),
    },
  }),
})

// MariaDB keeps JSON in another type than MySQL: TypeORM has to know which of the two it is.
const type = ['mysql', 'mariadb'].find((name) => DATABASE_URL.startsWith(`${name}:`)) ?? 'postgres'

/** `npx typeorm migration:run -d dist/data-source.js`, and the same for `npx typeorm-s3-file`. */
export const dataSource = new DataSource({
  type,
  url: DATABASE_URL,
  entities: [Invoice, FileJournalEntry],
  subscribers: [S3FileSubscriber],
  migrations,
} as DataSourceOptions)
