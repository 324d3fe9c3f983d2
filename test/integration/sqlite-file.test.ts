import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { nodeWithSqlite } from '../support/sqlite-node.mjs'

const execPath = nodeWithSqlite()

describe('an upload beside transactions on a SQLite file', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 's3file-sqlite-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  /** Another process, as it may be killed; the built package runs in it. */
  function start(task: string): ChildProcess {
    const script = new URL('../support/sqlite-process.mjs', import.meta.url)
    return fork(script, [join(folder, 'app.sqlite'), task], { execPath })
  }
  const said = async (child: ChildProcess) => (await once(child, 'message'))[0]

  it('is named by the journal from its first byte on, also when the process is killed', async () => {
    const child = start('uploadBesideTransactions')
    const { sends } = await said(child)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await said(start('tellEntries'))).toMatchObject([{ reason: 'upload', key: sends }])
  })

  it('is refused when it waits for a transaction that waits for it', async () => {
    expect(await said(start('uploadWithinTransaction'))).toEqual({
      code: 'journal-failed',
      message: expect.stringContaining('upload files before the transaction begins'),
    })
  })
})
