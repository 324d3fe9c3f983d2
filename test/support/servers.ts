import { readFileSync } from 'node:fs'
import { Agent as HttpsAgent } from 'node:https'
import type { S3ClientConfig } from '@aws-sdk/client-s3'
import type { DataSourceOptions } from 'typeorm'

export interface S3Server {
  /** What the server is, and so what it can do: see `s3Abilities`. */
  kind: 'embedded' | 'versitygw' | 'ceph'
  endpoint: string
  accessKeyId: string
  secretAccessKey: string
  bucket: string
  /** The certificate that signs the server's, for TLS. */
  caFile?: string
}

export interface Servers {
  s3: S3Server
  databaseUrl: string
}

/** What a server does as S3 does; a test that needs one of these says so through this table. */
export const s3Abilities = {
  embedded: {
    listsUploads: false,
    overridesHeaders: false,

    checksCrc: false,
    sortsByBytes: false,
  },
  versitygw: {
    listsUploads: true,
    overridesHeaders: true,

    checksCrc: true,
    sortsByBytes: true,
  },
  ceph: {
    listsUploads: true,
    overridesHeaders: true,

    checksCrc: false,
    sortsByBytes: true,
  },
} as const

/** The servers that the environment names; undefined when it names none. */
export function readServers(env: NodeJS.ProcessEnv): Servers | undefined {
  const { S3_ENDPOINT, DATABASE_URL } = env
  if (S3_ENDPOINT === undefined && DATABASE_URL === undefined) return undefined
  const required = (name: string) => {
    const value = env[name]
    if (value === undefined) throw new Error(`S3_ENDPOINT and DATABASE_URL go with ${name}`)
    return value
  }
  return {
    s3: {
      kind: required('S3_KIND') as S3Server['kind'],
      endpoint: required('S3_ENDPOINT'),
      accessKeyId: required('AWS_ACCESS_KEY_ID'),
      secretAccessKey: required('AWS_SECRET_ACCESS_KEY'),
      bucket: required('S3_BUCKET'),
      ...(env.S3_CA_FILE === undefined ? {} : { caFile: env.S3_CA_FILE }),
    },
    databaseUrl: required('DATABASE_URL'),
  }
}

/** A client's configuration for that server, at its own address or at that of a proxy in front of it. */
export function s3ClientConfig(server: S3Server, endpoint: string): S3ClientConfig {
  const { accessKeyId, secretAccessKey, caFile } = server
  return {
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 3,
    requestHandler: {
      connectionTimeout: 2000,
      socketTimeout: 2000,
      ...(caFile === undefined ? {} : { httpsAgent: new HttpsAgent({ ca: readFileSync(caFile) }) }),
    },
  }
}

/** Options of a DataSource for a URL: `postgres:`, `mysql:` or `sqljs:`. */
export function dataSourceOptions(url: string): DataSourceOptions {
  const { protocol } = new URL(url)
  if (protocol === 'sqljs:') return { type: 'sqljs' }
  if (protocol === 'mysql:') return { type: 'mariadb', url, charset: 'utf8mb4' }
  // PGlite is one session behind many sockets: a second connection would wait for the first one's transaction.
  return { type: 'postgres', url, uuidExtension: 'pgcrypto', installExtensions: false, extra: { max: 1 } }
}
