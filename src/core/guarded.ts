/**
 * A callback of the application that nobody waits for: what it throws, or rejects with, would end the process, and becomes
 * a warning instead.
 *
 * @param name that the warning gives the callback.
 */
export function guarded<Given extends unknown[]>(
  name: string,
  code: string,
  callback: (...given: Given) => unknown,
): (...given: Given) => Promise<void> {
  return async (...given) => {
    try {
      await callback(...given)
    } catch (failure) {
      process.emitWarning(`${name} failed: ${failure}`, { code })
    }
  }
}
