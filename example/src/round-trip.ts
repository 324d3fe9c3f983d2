import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { DataSource } from 'typeorm'
import { deleteAfterSeconds } from './server.js'

interface DocumentJson {
  id: string
  file: { name: string; size: number; contentType: string; url: string; urlExpiresAt: string }
}

/**
 * Sends a file to the running application as a browser would, shows what has become of it, and takes it out again.
 *
 * @throws Error that says what is not as it should be.
 */
export async function makeRoundTrip(
  address: string,
  dataSource: DataSource,
  sentParts: number[],
): Promise<void> {
  const content = randomBytes(20 * 1024 ** 2)
  const name = 'Übersicht – 概要 №1.bin'
  print('Sending a file over HTTP …', `${name}, ${inMiB(content.length)}`)
  const form = new FormData()
  form.append('file', new File([content], name))
  const answer = await request('POST', `${address}/documents`, form)
  const document = (await answer.json()) as DocumentJson
  expect(document.file.name === name, `the name came back as '${document.file.name}'`)
  print(`Went to S3 in ${sentParts.length} parts`, `${sentParts.map(inMiB).join(', ')}`)

  const [row] = await dataSource.sql`SELECT * FROM typeorm_s3_file_demo WHERE id = ${document.id}`
  print('Row in the database', JSON.stringify(row, null, 2))
  print(`Presigned URL, good until ${document.file.urlExpiresAt}`, document.file.url)

  const download = await fetch(document.file.url)
  expect(download.ok, `the URL answered ${download.status}`)
  const received = sha256(new Uint8Array(await download.arrayBuffer()))
  print('SHA-256', `${sha256(content)} of what was sent\n${received} of what the URL gives`)
  expect(received === sha256(content), 'the download is not what was sent')

  await request('DELETE', `${address}/documents/${document.id}`)
  console.log(`The row is deleted, and the janitor deletes the object ${deleteAfterSeconds} seconds later …`)
  const status = await statusOnceDeleted(document.file.url)
  expect(status === 404, `the URL of the deleted document answered ${status}`)
  console.log('Sent, stored, downloaded and deleted: all as it should be.')
}

/** Returns the last status of the URL: the first that is not 200, or 200 when the janitor is more than 20 seconds late. */
async function statusOnceDeleted(url: string): Promise<number> {
  const lastLookAt = Date.now() + (deleteAfterSeconds + 20) * 1000
  for (;;) {
    const { status, body } = await fetch(url)
    await body?.cancel()
    if (status !== 200 || Date.now() > lastLookAt) return status
    await sleep(500)
  }
}

async function request(method: string, url: string, body?: FormData): Promise<Response> {
  const response = await fetch(url, { method, ...(body && { body }) })
  if (!response.ok) throw failure(`${method} ${url} answered ${response.status}: ${await response.text()}`)
  return response
}

function expect(isTrue: boolean, otherwise: string): void {
  if (!isTrue) throw failure(otherwise)
}

function failure(what: string): Error {
  return new Error(`The round trip failed: ${what}`)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function inMiB(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`
}

function print(title: string, text = ''): void {
  console.log(`${title}\n${text.replace(/^(?=.)/gm, '    ')}\n`)
}
