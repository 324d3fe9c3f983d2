import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { DoctorReport } from '../../src/cli/doctor-report.ts'

let printed = ''
beforeEach(() => {
  printed = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += text
    return true
  })
})
afterEach(() => vi.restoreAllMocks())

const leaky =
  'cannot fetch https://b.s3.example/k%20x?X-Amz-Signature=abc&X-Amz-Credential=AKIA of postgres://u:hunter2@db/x\u001b[2J'

it.each([true, false])('tells no signature, no password and no control character (JSON: %s)', (isJson) => {
  const report = new DoctorReport(isJson)
  report.tell({ storage: 'default' }, { check: 'url', status: 'problem', message: leaky, fix: leaky })
  report.summarize()
  for (const secret of ['abc', 'AKIA', 'hunter2', '\u001b', '\\u001b']) expect(printed).not.toContain(secret)
  expect(printed).toContain('https://b.s3.example/k%20x?…')
  expect(printed).toContain('postgres://…@db/x')
})

it('heads the findings of each subject, and counts them', () => {
  const report = new DoctorReport(false)
  report.tell({}, { check: 'connection', status: 'ok', message: 'postgres answers' })
  report.tell({ storage: 'a' }, { check: 'put', status: 'warning', message: 'hm', fix: 'do this' })
  report.tell({ storage: 'a' }, { check: 'get', status: 'skipped', message: 'why' })
  expect(report.hasProblems).toBe(false)
  report.summarize()
  expect(printed.split('\n').map((line) => line.trim().split(/\s+/).join(' '))).toEqual([
    'DataSource',
    'ok connection postgres answers',
    '',
    "storage 'a'",
    'warning put hm',
    'fix: do this',
    'skipped get why',
    '',
    'ok: 1, warnings: 1, problems: 0, skipped: 1',
    '',
  ])
})
