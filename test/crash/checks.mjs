import { crc32 } from 'node:zlib'
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3'
import { schema } from './world.mjs'

const columns = (table, name) =>
  `SELECT '${table}.${name} of row ' || id, "${name}Key", "${name}Size", "${name}Checksum" FROM ${schema}.${table} ` +
  `WHERE "${name}Key" IS NOT NULL`
const record = (table, name) =>
  `SELECT '${table}.${name} of row ' || id, record ->> 'key', (record ->> 'size')::bigint, record ->> 'checksum' ` +
  `FROM (SELECT id, ${name}::jsonb AS record FROM ${schema}.${table}) AS rows WHERE record ->> 'key' IS NOT NULL`
const list = (table, name) =>
  `SELECT '${table}.${name} of row ' || id, record ->> 'key', (record ->> 'size')::bigint, record ->> 'checksum' ` +
  `FROM ${schema}.${table}, jsonb_array_elements(COALESCE(${name}, '[]')) AS record`
const keyAlone = (table, name) =>
  `SELECT '${table}.${name} of row ' || id, ${name}, NULL, NULL FROM ${schema}.${table} WHERE ${name} IS NOT NULL`

const references = `SELECT * FROM (${[
  columns('picture', 'file'),
  record('picture', 'thumbnail'),
  record('paper', 'file'),
  keyAlone('paper', 'path'),
  list('paper', 'pages'),
].join(' UNION ALL ')}) AS reference(place, key, size, checksum)`

/** Looks at the database and the bucket with clients of its own, and with nothing of what is under test. */
export class Checks {
  #database
  #s3
  #bucket
  #prefix
  /** Objects that were found to be what a row says; they never change. */
  #proved = new Map()
  proved = 0

  constructor({ database, s3, bucket, prefix }) {
    this.#database = database
    this.#s3 = s3
    this.#bucket = bucket
    this.#prefix = prefix
  }

  /** What holds at every instant: an object has a row or an entry, and what a row says, S3 has. */
  async invariant() {
    const { rows, named, objects, uploads } = await this.#look()
    const referred = new Set(rows.map(({ key }) => key))
    const violations = []
    for (const key of objects.keys()) {
      if (!referred.has(key) && !named.has(key))
        violations.push({ key, what: 'an object without row or entry' })
    }
    for (const key of uploads) {
      if (!named.has(key)) violations.push({ key, what: 'an open multipart upload without entry' })
    }
    return [...violations, ...(await this.#brokenRows(rows, objects))]
  }

  /** What holds when the janitor is done: the bucket equals the rows. */
  async equality() {
    const { rows, named, objects, uploads } = await this.#look()
    const referred = new Set(rows.map(({ key }) => key))
    const violations = [...named].map((key) => ({ key, what: 'an entry that the janitor has left' }))
    for (const key of objects.keys()) {
      if (!referred.has(key)) violations.push({ key, what: 'an object that the janitor has left' })
    }
    for (const key of uploads)
      violations.push({ key, what: 'an open multipart upload that the janitor has left' })
    this.#proved = new Map([...this.#proved].filter(([key]) => objects.has(key)))
    return [...violations, ...(await this.#brokenRows(rows, objects))]
  }

  /** What rows and journal say of a key. */
  async evidence(key) {
    const { rows } = await this.#database.query(`${references} WHERE key = $1`, [key])
    const entries = await this.#database.query(`SELECT * FROM ${schema}.file_journal WHERE key = $1`, [key])
    return { rows, entries: entries.rows }
  }

  async #look() {
    const [rows, entries, objects, uploads] = await Promise.all([
      this.#database.query(references),
      this.#database.query(`SELECT key FROM ${schema}.file_journal`),
      this.#listObjects(),
      this.#listUploads(),
    ])
    return { rows: rows.rows, named: new Set(entries.rows.map(({ key }) => key)), objects, uploads }
  }

  async #listObjects() {
    const sizes = new Map()
    let token
    do {
      const page = await this.#s3.send(
        new ListObjectsV2Command({ Bucket: this.#bucket, Prefix: this.#prefix, ContinuationToken: token }),
      )
      for (const { Key, Size } of page.Contents ?? []) sizes.set(Key, Size)
      token = page.NextContinuationToken
    } while (token !== undefined)
    return sizes
  }

  async #listUploads() {
    const keys = []
    let markers = {}
    while (markers !== undefined) {
      const page = await this.#s3.send(
        new ListMultipartUploadsCommand({ Bucket: this.#bucket, Prefix: this.#prefix, ...markers }),
      )
      keys.push(...(page.Uploads ?? []).map(({ Key }) => Key))
      const { IsTruncated, NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page
      markers = IsTruncated ? { KeyMarker, UploadIdMarker } : undefined
    }
    return keys
  }

  async #brokenRows(rows, objects) {
    const broken = await Promise.all(
      rows.map(async ({ place, key, size, checksum }) => {
        const what = await this.#flawOf(key, objects.get(key), size === null ? null : Number(size), checksum)
        return what && { key, what: `${place}: ${what}` }
      }),
    )
    return broken.filter((violation) => violation !== undefined)
  }

  async #flawOf(key, sizeOfObject, size, checksum) {
    if (sizeOfObject === undefined) return 'its object is not there'
    if (size === null) return undefined // The row has nothing but the key.
    if (size !== sizeOfObject) return `its object has ${sizeOfObject} bytes instead of ${size}`
    const proof = `${size} ${checksum}`
    if (this.#proved.get(key) === proof) return undefined
    const target = { Bucket: this.#bucket, Key: key }
    const head = await this.#s3.send(new HeadObjectCommand({ ...target, ChecksumMode: 'ENABLED' }))
    const said = `crc32:${head.ChecksumCRC32}`
    if (said !== checksum) return `its object has the checksum ${said} instead of ${checksum}`
    // From time to time the store is not taken at its word.
    if (this.proved++ % 10 === 0) {
      const { Body } = await this.#s3.send(new GetObjectCommand(target))
      const sum = Buffer.alloc(4)
      sum.writeUInt32BE(crc32(await Body.transformToByteArray()))
      if (`crc32:${sum.toString('base64')}` !== checksum) return 'its object has other bytes'
    }
    this.#proved.set(key, proof)
    return undefined
  }
}
