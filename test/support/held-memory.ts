import { type PartMemory, partMemory } from '../../src/storage/part-memory.ts'

/** Takes all of the part memory, as parts on their way to a store do, and gives it back when told to. */
export function holdPartMemory(memory: PartMemory = partMemory): () => void {
  const share = memory.share(memory.limitBytes, { evict: () => undefined, isSourceHeld: () => true })
  while (memory.usedBytes < memory.limitBytes) if (memory.tryGrow(share) === undefined) break
  memory.seal(share)
  return () => memory.release(share)
}
