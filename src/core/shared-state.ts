/**
 * State that every copy of this package in a process shares: an application may load it as ESM while Jest, or a
 * CommonJS dependency, loads it a second time.
 */
export function sharedState<T>(name: string, create: () => T): T {
  const key = Symbol.for(`typeorm-s3-file.${name}`)
  const home = globalThis as Record<symbol, unknown>
  home[key] ??= create()
  return home[key] as T
}
