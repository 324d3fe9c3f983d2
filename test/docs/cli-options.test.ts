import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { doctorCommand } from '../../src/cli/doctor.ts'
import { janitorCommand } from '../../src/cli/janitor.ts'
import { reconcileCommand } from '../../src/cli/reconcile.ts'
import { triggersCommand } from '../../src/cli/triggers.ts'
import { repository } from './markdown.ts'

const page = readFileSync(join(repository, 'docs/operations.md'), 'utf8')

/** The rows of the page's table of options, by the option and the command. */
const rows = new Set(
  [...page.matchAll(/^\| (?:`-\w`, )?`(--[a-z-]+)[^`]*` \| (?:`(\w+)`|each) \|/gm)].map(
    ([, option, command = 'each']) => `${option} of ${command}`,
  ),
)

it.each([
  ['doctor', doctorCommand],
  ['reconcile', reconcileCommand],
  ['janitor', janitorCommand],
  ['triggers', triggersCommand],
])('the page on operations has a row for each option of %s', (name, { help }) => {
  const options = [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, option]) => option)
  expect(options.length).toBeGreaterThan(2)
  expect(
    options.filter((option) => !rows.has(`${option} of ${name}`) && !rows.has(`${option} of each`)),
  ).toEqual([])
})
