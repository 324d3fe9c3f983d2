import type { Readable } from 'node:stream'

/**
 * Counts those who read from a stream from now on, by any of the ways there are: `data` and `pipe`, `readable` and iteration.
 * Who has gone counts too: it may have kept what it was given.
 *
 * @returns what says how many there have been.
 */
export function readerCounter(stream: Readable): () => number {
  let readers = stream.listenerCount('data') + stream.listenerCount('readable')
  stream.on('newListener', (event) => {
    if (event === 'data' || event === 'readable') readers++
  })
  return () => readers
}
