import { Inject, Injectable, Logger } from '@nestjs/common'
import type { DataSource } from 'typeorm'
import { isS3FileError, StorageError } from '../../core/errors.js'
import { checkOptions, maxTimerSeconds, type OptionCheck, option } from '../../core/options.js'
import { getStorage, storageNames } from '../../core/storage-registry.js'
import { type JournalBacklog, readBacklog } from '../../orm/journal-backlog.js'
import { JournaledDataSources } from './journaled-data-sources.js'

/** A storage or a journal that does not answer, with the code of its error and nothing else that might be secret. */
export interface PartDown {
  status: 'down'
  code: string
}

/** How the storages and the journals are. */
export interface S3FileHealth {
  /** `up` when every part is. */
  status: 'up' | 'down'
  storages: Record<string, { status: 'up' } | PartDown>
  /** What waits in the journal of each DataSource that has one; a long queue is no reason to be `down`. */
  journals: (({ status: 'up' } & JournalBacklog) | PartDown)[]
}

/** How long a check may take. */
export interface S3FileHealthOptions {
  /** Seconds that a storage or a journal may take to answer, 1 to 2,147,483. @default 5 */
  timeoutSeconds?: number
}

const checks: Record<keyof S3FileHealthOptions, OptionCheck> = {
  timeoutSeconds: option.integer(1, maxTimerSeconds),
}
export const healthDefaults = { timeoutSeconds: 5 }
const logger = new Logger('S3FileModule')

/** Whether the storages and the journals answer. Fits @nestjs/terminus and does not need it. */
@Injectable()
export class S3FileHealthIndicator {
  readonly #dataSources: JournaledDataSources

  constructor(@Inject(JournaledDataSources) dataSources: JournaledDataSources) {
    this.#dataSources = dataSources
  }

  /**
   * For terminus: `health.check([() => files.isHealthy('files')])`.
   *
   * @throws as `check`.
   */
  async isHealthy<Key extends string = 'files'>(
    key = 'files' as Key,
    options: S3FileHealthOptions = {},
  ): Promise<Record<Key, S3FileHealth>> {
    return { [key]: await this.check(options) } as Record<Key, S3FileHealth>
  }

  /**
   * Asks each storage for an object that is not there, which takes the right to list its bucket, and counts the
   * entries of each journal. What failed is in the log.
   *
   * @throws ConfigurationError `unknown-option`, `invalid-option`; Nest's own error for an unknown token of a DataSource.
   */
  async check(options: S3FileHealthOptions = {}): Promise<S3FileHealth> {
    checkOptions('S3FileHealthIndicator', options, checks)
    const { timeoutSeconds = healthDefaults.timeoutSeconds } = options
    const [storages, journals] = await Promise.all([
      Promise.all(
        storageNames().map(async (name) => {
          return [name, await partOf(`storage '${name}'`, () => askStorage(name), timeoutSeconds)] as const
        }),
      ),
      Promise.all(
        this.#dataSources
          .all()
          .map((dataSource) => partOf('the journal', () => askJournal(dataSource), timeoutSeconds)),
      ),
    ])
    const parts = [...storages.map(([, part]) => part), ...journals]
    return {
      status: parts.every(({ status }) => status === 'up') ? 'up' : 'down',
      storages: Object.fromEntries(storages),
      journals: journals as S3FileHealth['journals'],
    }
  }
}

async function askStorage(name: string): Promise<object> {
  const storage = getStorage(name)
  await storage.stat(`${storage.keyPrefix}health`)
  return {}
}

async function askJournal(dataSource: DataSource): Promise<object> {
  return (await readBacklog(dataSource.manager)) ?? {}
}

async function partOf(
  what: string,
  ask: () => Promise<object>,
  timeoutSeconds: number,
): Promise<{ status: 'up' } | PartDown> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new StorageError('storage-unreachable', `no answer within ${timeoutSeconds} s`))
    }, timeoutSeconds * 1000)
  })
  try {
    return { status: 'up', ...(await Promise.race([ask(), late])) }
  } catch (error) {
    logger.error(`${what} does not answer: ${error}`)
    return { status: 'down', code: isS3FileError(error) ? error.code : 'unknown' }
  } finally {
    clearTimeout(timer)
  }
}
