import { expect, it } from 'vitest'
import { redact } from '../../src/core/redact.ts'

it.each([
  ['https://s3/b/k?X-Amz-Signature=12ab&x-id=GetObject', 'https://s3/b/k?X-Amz-Signature=***&x-id=GetObject'],
  ['x-amz-security-token: FwoG/+= and more', 'x-amz-security-token: *** and more'],
  ['{"X-Amz-Credential":"AKIAX/2026"}', '{"X-Amz-Credential":"***"}'],
  [
    'Authorization: AWS4-HMAC-SHA256 Credential=AKIAX/1/s3, SignedHeaders=host, Signature=0aF',
    'Authorization: ***, SignedHeaders=host, Signature=***',
  ],
  ['authorization=Bearer abc.def', 'authorization=***'],
  ['no key AKIAIOSFODNN7EXAMPLE here', 'no key *** here'],
  ['connect to postgres://someone:hunter2@db:5432/x', 'connect to postgres://***@db:5432/x'],
])('takes the secrets out of %s', (text, redacted) => {
  expect(redact(text)).toBe(redacted)
})

it.each([
  "the region 'us-east-1' is wrong; expecting 'eu-central-1'",
  'https://s3.example.com/bucket/a@b.pdf?x-id=GetObject',
  'The request signature we calculated does not match the signature you provided',
  'connect ECONNREFUSED 127.0.0.1:9000',
])('leaves %s', (text) => {
  expect(redact(text)).toBe(text)
})
