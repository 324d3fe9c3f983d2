import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kinds } from './entities.ts'
import { Play, Violation } from './play.ts'
import { type Program, programs } from './program.ts'
import { ModelWorld, type Setting } from './world.ts'

const { env } = process
const total = Number(env.MODEL_PROGRAMS ?? 3000)
const seed = Number(env.MODEL_SEED ?? 1)
/** How many times to begin anew, each time with another seed, after a program that failed; each failure is told. */
const searches = Number(env.MODEL_SEARCHES ?? 0)
/** What programs do without: see `programs()`. */
const without = new Set((env.MODEL_WITHOUT ?? '').split(',').filter((axis) => axis !== ''))
/** Kinds of rows, to look at these alone. */
const only = env.MODEL_KINDS?.split(',')
if (only !== undefined) {
  for (const { name } of kinds) if (!only.includes(name)) without.add(`kind:${name}`)
}
const settings = (env.MODEL_SETTINGS ?? 'bare,journal,triggers').split(',') as Setting[]

describe.each(settings)('random programs, %s', (setting) => {
  let world: ModelWorld
  let operations = 0
  let runs = 0
  beforeAll(async () => {
    world = await ModelWorld.start(setting)
  })
  afterAll(() => world?.stop())

  async function run(program: Program): Promise<void> {
    const play = new Play(world, program)
    runs++
    try {
      await play.run()
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      throw new Violation([...play.lines, error.message].join('\n'))
    } finally {
      operations += play.operations
    }
  }

  /** Runs programs until one breaks a promise, and makes that one as short as can be. */
  async function search(seed: number): Promise<string | undefined> {
    const result = await fc.check(fc.asyncProperty(programs(without, world.isServer), run), {
      numRuns: Math.ceil(total / settings.length),
      seed,
      ...(env.MODEL_PATH === undefined ? {} : { path: env.MODEL_PATH }),
    })
    if (!result.failed) return undefined
    const error = result.errorInstance as Error | null
    const text = error instanceof Violation ? error.message : String(error?.stack)
    return `MODEL_SETTINGS=${setting} MODEL_SEED=${seed} MODEL_PATH=${result.counterexamplePath}\n${text}`
  }

  it('keep the promises of the lifecycle', { timeout: 3_600_000 }, async () => {
    const startedAt = performance.now()
    const failures = new Map<string, string>()
    for (let number = 0; number <= searches; number++) {
      const failure = await search(seed + number)
      // The same program but for its seed and path is the same failure.
      if (failure !== undefined) failures.set(failure.slice(failure.indexOf('\n')), failure)
    }
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    console.log(`model, ${setting}: ${runs} programs, ${operations} operations, seed ${seed}, ${seconds} s`)
    if (failures.size > 0) expect.fail([...failures.values()].join('\n\n'))
  })
})
