import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { hasRoomForKeys } from '../../src/core/key-strategy.ts'
import { repository } from './markdown.ts'
import { literalIn } from './quantities.ts'

it.each([
  ['of the CPU of its best peer for each GB over TLS', 'CPU, 100 MB files, S3 over TLS', 'typeorm-s3-file'],
  ['over plain HTTP', 'CPU, 100 MB files, S3 over HTTP', 'typeorm-s3-file'],
  ["with `unsignedPayload: 'always'`", 'CPU, 100 MB files, S3 over HTTP', 'typeorm-s3-file-unsigned'],
  [
    'of the memory with 50 uploads to a slow S3',
    'Peak memory above idle, 50 uploads at once, slow S3',
    'typeorm-s3-file',
  ],
  ['times the URLs', 'Presigned URLs', 'withUrls()'],
  ['times as many in a second', '10 KB files, 8 at once', 'typeorm-s3-file'],
])('what the README says of speed is what was measured: … %s', (sentence, bar, contestant) => {
  const readme = readFileSync(join(repository, 'README.md'), 'utf8').replace(/\n/g, ' ')
  const table = readFileSync(join(repository, 'bench', 'results', 'table.md'), 'utf8').split('\n')
  const [, stated = ''] = readme.split(` ${sentence}`)[0]?.match(/([\d.]+)$/) ?? []
  const cells = table.map((line) => line.split('|').map((cell) => cell.trim()))
  const measured = cells.find((row) => row[1] === bar && row[2] === contestant && row[4]?.endsWith('×'))?.[4]
  const decimals = stated.split('.')[1]?.length ?? 0
  expect(Number.parseFloat(measured ?? '').toFixed(decimals)).toBe(stated)
})

/** Numbers in sentences, and where the code has them. */
it.each([
  ['security.md', /first ([\d,]+) bytes say/, 'upload/media-type.ts', /sniffedBytes = (.+)/],
  ['uploading.md', /up to (\S+ MiB) of the remaining body/, 'upload/unread-body.ts', / bytes: (.+?), idle/],
  ['uploading.md', /for at most (\d+) seconds, or/, 'upload/unread-body.ts', / seconds: (\d+) \}/],
  ['uploading.md', /or (\d+) seconds without data/, 'upload/unread-body.ts', /idleSeconds: (\d+),/],
  ['uploading.md', /boundary has at most (\d+) bytes/, 'upload/form-boundary.ts', /maxBoundaryBytes = (\d+)/],
  ['uploading.md', /`file\.name` has at most (\d+) bytes/, 'core/file-name.ts', /maxNameBytes = (\d+)/],
  ['storages.md', /whole process \((.+?)\)/, 'storage/part-memory.ts', /new PartMemory\((.+?)\)/],
  ['storages.md', /by default, at least (\S+ MiB)\)/, 'storage/part-plan.ts', /minPartBytes = (.+)/],
  ['storages.md', /in blocks of (\S+ KiB)/, 'storage/part-memory.ts', /blockBytes = (.+)/],
  ['storages.md', /The first (\S+ KiB) of a file/, 'storage/part-buffer.ts', /startBytes = (.+)/],
  ['storages.md', /larger where ([\d,]+) parts/, 'storage/part-plan.ts', /maxParts = (.+)/],
  ['storages.md', /1 s more for each (\S+ KiB)/, 'storage/s3-bucket.ts', /slowestBytesPerSecond = (.+)/],
  ['storages.md', /up to (\d+) bytes \| `''`/, 'core/object-key.ts', /maxPrefixBytes = (.+)/],
  ['operations.md', /part memory \| (\S+ MiB) for/, 'storage/part-memory.ts', /new PartMemory\((.+?)\)/],
  ['operations.md', /four parts of (\S+ MiB)/, 'storage/s3-storage-defaults.ts', /partSizeBytes: (.+),/],
  ['operations.md', /at once \| (\d+), and/, 'upload/upload-slots.ts', / concurrent: (\d+)/],
  ['operations.md', /and (\d+) that wait/, 'upload/upload-slots.ts', / queued: (\d+)/],
  ['operations.md', /that wait for (\d+) s /, 'upload/upload-slots.ts', / queueSeconds: (\d+)/],
  ['lifecycle.md', /waits up to (\d+) seconds for open/, 'orm/file-journal.ts', /maxWaitMs = (\d+)000/],
])('a number of docs/%s is that of the code: %s', (page, inPage, file, inCode) => {
  const found = [
    [readFileSync(join(repository, 'docs', page), 'utf8').replace(/\n */g, ' '), inPage] as const,
    [readFileSync(join(repository, 'src', file), 'utf8').replace(/ \* ([KMGT]iB)/g, ' $1'), inCode] as const,
  ].map(([text, pattern]) => literalIn(pattern.exec(text)?.[1] ?? ''))
  expect(found[0]).toBe(found[1])
  expect(found[0]).toBeGreaterThan(0)
})

it('a column needs as much room for keys as the page on fields says', () => {
  const page = readFileSync(join(repository, 'docs', 'field.md'), 'utf8').replace(/\n */g, ' ')
  const [, unique, timestamped] = /and (\d+) characters more, for `'timestamped'` (\d+)/.exec(page) ?? []
  for (const [strategy, length] of [
    ['unique', Number(unique)] as const,
    ['timestamped', Number(timestamped)] as const,
  ]) {
    expect(hasRoomForKeys(strategy, 'invoices/', 'invoices/'.length + length)).toBe(true)
    expect(hasRoomForKeys(strategy, 'invoices/', 'invoices/'.length + length - 1)).toBe(false)
  }
})
