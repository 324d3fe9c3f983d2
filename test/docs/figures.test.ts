import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { repository } from './markdown.ts'

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
