import { refId } from '../core/object-ref.js'
import { isUnreadable, type S3File } from '../core/s3-file.js'

/**
 * Applies to the list that a row has now what an entity has changed in the list that it had loaded, so that two requests
 * that each add a file keep both. An order of one's own holds as long as nobody else has changed the list.
 *
 * @returns `mine` itself where nothing has to be merged.
 */
export function changeList(loaded: unknown, mine: unknown, theirs: unknown): unknown {
  const [before, now] = [itemsOf(loaded), itemsOf(theirs)]
  if (before.map(idOf).join('\n') === now.map(idOf).join('\n')) return mine
  const own = itemsOf(mine)
  const [had, have] = [new Set(before.map(idOf)), new Set(own.map(idOf))]
  const kept = now.filter((file) => have.has(idOf(file)) || !had.has(idOf(file)))
  const there = new Set(now.map(idOf))
  const added = own.filter((file) => !had.has(idOf(file)) && !there.has(idOf(file)))
  return [...kept, ...added]
}

function itemsOf(value: unknown): S3File[] {
  return Array.isArray(value) ? value : []
}

function idOf(file: S3File): string {
  return isUnreadable(file) ? `unreadable ${JSON.stringify(file.raw)}` : refId(file)
}
