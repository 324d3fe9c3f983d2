import type { ObjectLiteral, QueryRunner } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { findReferred, findReferredKeys } from '../../src/orm/file-references.ts'
import { afterStatement } from '../support/after-statement.ts'
import { Paper, Picture, Stack, Witness } from '../support/lifecycle-entities.ts'
import { LifecycleWorld, settings } from '../support/lifecycle-world.ts'

const file = (key: string) => new S3File({ key, name: 'x', storage: 'default' })

describe.each(settings.filter(({ hasJournal }) => !hasJournal))(
  'a search on $name',
  ({ database, hasJournal }) => {
    let world: LifecycleWorld
    beforeAll(async () => {
      // Without a subscriber nobody asks whether the objects are there.
      world = await LifecycleWorld.start({ database, hasJournal, subscribers: [] })
    })
    afterAll(() => world.stop())
    afterEach(() => world.clear())

    async function withRunner<Result>(work: (runner: QueryRunner) => Promise<Result>): Promise<Result> {
      const runner = world.dataSource.createQueryRunner('master')
      try {
        return await work(runner)
      } finally {
        await runner.release()
      }
    }

    const places = [
      { name: 'JSON', entity: Paper, row: { file: file('a') } },
      { name: 'a key', entity: Witness, row: { file: file('a') } },
      { name: 'columns', entity: Picture, row: { file: file('a') } },
      { name: 'a list', entity: Stack, row: { files: [file('b'), file('a')] } },
    ]
    const moves = places.flatMap((from) => places.filter((to) => to !== from).map((to) => ({ from, to })))

    it.each(moves)(
      'finds a file that moves from $from.name to $to.name between two statements',
      async ({ from, to }) => {
        await world.manager.insert<ObjectLiteral>(from.entity, from.row)
        let runner: QueryRunner | undefined
        const end = afterStatement(world.dataSource, /ref_key/, async () => {
          // PGlite has one session: what another one commits between two statements, it commits itself.
          const manager = (runner as QueryRunner).manager
          await manager.transaction(async (own) => {
            await own.deleteAll(from.entity)
            await own.insert<ObjectLiteral>(to.entity, to.row)
          })
        })
        const found = await withRunner((own) => {
          runner = own
          return findReferred(own, [file('a')])
        })
        expect(end()).toBe(true)
        expect(found.size).toBe(1)
      },
    )

    it('finds keys that differ in case only, each in its own row', async () => {
      for (const key of ['Key', 'key', 'KEY']) await world.manager.insert(Witness, { file: file(key) })
      const found = await withRunner((runner) => findReferredKeys(runner, ['key', 'Key', 'other']))
      expect(found.map(({ key }) => key)).toEqual(expect.arrayContaining(['Key', 'key']))
      expect(found.map(({ key }) => key)).not.toContain('other')
    })

    it('finds each of more keys than one statement takes, in all columns', async () => {
      const keys = Array.from({ length: 4500 }, (_, index) => `key-${index}`)
      await world.manager.insert(
        Witness,
        keys.filter((_, index) => index % 2 === 0).map((key) => ({ file: file(key) })),
      )
      await world.manager.insert(Stack, { files: keys.filter((_, index) => index % 2 === 1).map(file) })
      const found = await withRunner((runner) => findReferredKeys(runner, keys))
      expect(found.map(({ key }) => key).sort()).toEqual(keys.toSorted())
    })
  },
)
