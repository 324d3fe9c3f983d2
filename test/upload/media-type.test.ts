import { expect, it } from 'vitest'
import { claimedMediaType } from '../../src/upload/media-type.ts'

it.each([
  ['image/png', 'image/png'],
  ['IMAGE/PNG', 'image/png'],
  [' text/plain ; charset=utf-8', 'text/plain'],
  ['application/vnd.ms-excel', 'application/vnd.ms-excel'],
  ['image/svg+xml', 'image/svg+xml'],
])('reads the claim %j as %s', (claim, type) => {
  expect(claimedMediaType(claim)).toBe(type)
})

it.each([
  undefined,
  '',
  'image',
  'image/',
  '/png',
  'image/png/x',
  'image /png',
  'text/html\r\nX-Evil: 1',
  'text/"html"',
  `text/${'x'.repeat(128)}`,
  'тест/html',
  ';',
])('counts the claim %j as unknown', (claim) => {
  expect(claimedMediaType(claim)).toBe('application/octet-stream')
})
