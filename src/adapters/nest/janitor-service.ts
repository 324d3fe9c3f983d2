import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common'
import { ConfigurationError } from '../../core/errors.js'
import { FileJanitor } from '../../orm/file-janitor.js'
import { fileJournal } from '../../orm/register-journals.js'
import { JournaledDataSources } from './journaled-data-sources.js'
import { MODULE_OPTIONS_TOKEN, type S3FileModuleOptions } from './module-options.js'

const logger = new Logger('S3FileModule')

/** The module's option `janitor` at work. */
@Injectable()
export class JanitorService implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #options: S3FileModuleOptions['janitor']
  readonly #dataSources: JournaledDataSources
  #janitors: FileJanitor[] = []

  constructor(
    @Inject(MODULE_OPTIONS_TOKEN) { janitor }: S3FileModuleOptions,
    @Inject(JournaledDataSources) dataSources: JournaledDataSources,
  ) {
    this.#options = janitor
    this.#dataSources = dataSources
  }

  onApplicationBootstrap(): void {
    if (this.#options === undefined || this.#options === false) return
    const dataSources = this.#dataSources.all()
    if (dataSources.length === 0) {
      throw new ConfigurationError(
        'invalid-option',
        "S3FileModule: option 'janitor' takes a DataSource with FileJournalEntry among its entities; there is none",
      )
    }
    const options = this.#options === true ? {} : this.#options
    this.#janitors = dataSources.map((dataSource) => {
      fileJournal(dataSource) // Throws now, rather than in each run, when there is none.
      return new FileJanitor(dataSource, { onError: (error) => logger.error(error), ...options })
    })
    for (const janitor of this.#janitors) janitor.start()
  }

  /** The first of the shutdown hooks: @nestjs/typeorm closes its connections in a later one. */
  async onModuleDestroy(): Promise<void> {
    await Promise.all(this.#janitors.map((janitor) => janitor.stop()))
  }
}
