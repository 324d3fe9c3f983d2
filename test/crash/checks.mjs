import { crc32 } from 'node:zlib'
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3'

/** What a row refers to, read without the help of what is under test. */
const referencesIn = {
  paper: ({ id, file, path, pages }) => [
    recordAt(`paper.file of row ${id}`, jsonOf(file)),
    { place: `paper.path of row ${id}`, key: path, size: null },
    ...(jsonOf(pages) ?? []).map((page) => recordAt(`paper.pages of row ${id}`, page)),
  ],
  picture: ({ id, fileKey, fileSize, fileChecksum, thumbnail }) => [
    { place: `picture.file of row ${id}`, key: fileKey, size: sizeOf(fileSize), checksum: fileChecksum },
    recordAt(`picture.thumbnail of row ${id}`, jsonOf(thumbnail)),
  ],
}

function recordAt(place, record) {
  return { place, key: record?.key ?? null, size: sizeOf(record?.size ?? null), checksum: record?.checksum }
}

/** Some drivers give JSON as text, and a bigint. */
function jsonOf(value) {
  return typeof value === 'string' ? JSON.parse(value) : value
}

function sizeOf(value) {
  return value === null ? null : Number(value)
}

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
    const [rows, entries] = await Promise.all([this.#references(), this.#entries()])
    return {
      rows: rows.filter((row) => row.key === key),
      entries: entries.filter((entry) => entry.key === key),
    }
  }

  async #look() {
    const [rows, entries, objects, uploads] = await Promise.all([
      this.#references(),
      this.#entries(),
      this.#listObjects(),
      this.#listUploads(),
    ])
    return { rows, named: new Set(entries.map(({ key }) => key)), objects, uploads }
  }

  async #references() {
    const found = []
    for (const [table, referencesOf] of Object.entries(referencesIn)) {
      found.push(...(await this.#database.query(`SELECT * FROM ${table}`)).flatMap(referencesOf))
    }
    return found.filter(({ key }) => key !== null)
  }

  #entries() {
    return this.#database.query('SELECT * FROM file_journal')
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
        const what = await this.#flawOf(key, objects.get(key), size, checksum)
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
