import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { channels, type S3FileEvents } from '../../src/core/events.ts'

type Prefix = 'typeorm-s3-file'
type ShortName = keyof S3FileEvents extends `${Prefix}:${infer Name}` ? Name : never

/** All that is published from its start to its end, in order. */
export class EventLog {
  readonly #events: [name: ShortName, message: object][] = []
  readonly #listeners = Object.keys(channels).map(
    (name) =>
      [
        `typeorm-s3-file:${name}`,
        (message: unknown) => void this.#events.push([name as ShortName, structuredClone(message) as object]),
      ] as const,
  )

  constructor() {
    for (const [name, listener] of this.#listeners) subscribe(name, listener)
  }

  end(): void {
    for (const [name, listener] of this.#listeners) unsubscribe(name, listener)
  }

  get names(): ShortName[] {
    return this.#events.map(([name]) => name)
  }

  of<Name extends ShortName>(name: Name): S3FileEvents[`${Prefix}:${Name}`][] {
    return this.#events.filter(([given]) => given === name).map(([, message]) => message) as never
  }

  get all(): [ShortName, object][] {
    return [...this.#events]
  }

  clear(): void {
    this.#events.length = 0
  }
}
