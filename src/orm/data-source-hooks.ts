import { DataSource } from 'typeorm'
import { sharedState } from '../core/shared-state.js'
import { adaptsFirst } from './adapt-once.js'

/*
 * TypeORM (0.3 to 1.1) tells nobody when a DataSource is initialized or destroyed
 * (https://github.com/typeorm/typeorm/issues/2641), so its two methods are wrapped, once in a process.
 */

interface Hooks {
  whenInitialized: Map<string, (dataSource: DataSource) => Promise<void> | void>
  beforeDestroy: Map<string, (dataSource: DataSource) => Promise<void> | void>
}

const hooks = sharedState('hooks', (): Hooks => ({ whenInitialized: new Map(), beforeDestroy: new Map() }))

/**
 * Calls `work` for each DataSource that is initialized; what it throws fails `initialize()`, which closes it again.
 *
 * @param name of the work: another copy of this package may ask for the same.
 */
export function whenInitialized(name: string, work: (dataSource: DataSource) => Promise<void> | void): void {
  adapt()
  if (!hooks.whenInitialized.has(name)) hooks.whenInitialized.set(name, work)
}

/** Calls `work`, and waits for it, before a DataSource is destroyed. */
export function beforeDestroy(name: string, work: (dataSource: DataSource) => Promise<void> | void): void {
  adapt()
  if (!hooks.beforeDestroy.has(name)) hooks.beforeDestroy.set(name, work)
}

/**
 * Calls `begin` for each DataSource that is initialized, and what it returns before that one is destroyed, also when it could
 * not be initialized after all.
 */
export function whileInitialized(
  name: string,
  begin: (dataSource: DataSource) => Promise<(() => void) | undefined>,
): void {
  const ends = new WeakMap<DataSource, () => void>()
  whenInitialized(name, async (dataSource) => {
    const end = await begin(dataSource)
    if (end !== undefined) ends.set(dataSource, end)
  })
  beforeDestroy(name, (dataSource) => ends.get(dataSource)?.())
}

function adapt(): void {
  if (!adaptsFirst(DataSource.prototype)) return
  const { initialize, destroy } = DataSource.prototype
  DataSource.prototype.initialize = async function () {
    const dataSource = await initialize.call(this)
    try {
      for (const work of hooks.whenInitialized.values()) await work(this)
    } catch (error) {
      await this.destroy()
      throw error
    }
    return dataSource
  }
  DataSource.prototype.destroy = async function () {
    for (const work of hooks.beforeDestroy.values()) await work(this)
    await destroy.call(this)
  }
}
