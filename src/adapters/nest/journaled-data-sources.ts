import { Inject, Injectable } from '@nestjs/common'
import { ModuleRef } from '@nestjs/core'
import { DataSource } from 'typeorm'
import { FileJournal } from '../../orm/file-journal.js'
import { MODULE_OPTIONS_TOKEN, type S3FileModuleOptions } from './module-options.js'

/** The DataSources whose files have a journal, looked up in the application's container once it is complete. */
@Injectable()
export class JournaledDataSources {
  readonly #options: S3FileModuleOptions
  readonly #container: ModuleRef

  constructor(
    @Inject(MODULE_OPTIONS_TOKEN) options: S3FileModuleOptions,
    @Inject(ModuleRef) container: ModuleRef,
  ) {
    this.#options = options
    this.#container = container
  }

  /** @throws Nest's own error for a token that nobody provides. */
  all(): DataSource[] {
    const { dataSources } = this.#options
    if (dataSources === undefined) {
      const only = this.#find()
      return only !== undefined && FileJournal.of(only) !== undefined ? [only] : []
    }
    return dataSources.map((token) => this.#container.get<DataSource>(token as never, { strict: false }))
  }

  #find(): DataSource | undefined {
    try {
      return this.#container.get(DataSource, { strict: false })
    } catch {
      return undefined // Nest has no other way to ask whether there is one.
    }
  }
}
