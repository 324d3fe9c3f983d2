/**
 * Marks a prototype of TypeORM as adapted. The mark is on the prototype itself: another copy of this package may have adapted
 * it, and there may be two of TypeORM.
 *
 * @param part names the methods, where two files adapt the same prototype.
 * @returns whether the caller is the first, and has to adapt it.
 */
export function adaptsFirst(prototype: object, part?: string): boolean {
  const mark = Symbol.for(`typeorm-s3-file.adapted${part === undefined ? '' : `-${part}`}`)
  // Its own: a prototype may inherit from one that is adapted.
  if (Object.hasOwn(prototype, mark)) return false
  Object.defineProperty(prototype, mark, { value: true })
  return true
}
