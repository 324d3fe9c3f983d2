import { formatBytes, MiB } from '../core/bytes.js'
import { UploadError } from '../core/errors.js'
import { sharedState } from '../core/shared-state.js'

/** What the fields of one form hold of the field memory. */
export interface FieldShare {
  add(bytes: number): void
  /** Gives all of it back. */
  release(): void
}

interface Share extends FieldShare {
  heldBytes: number
  evict: (error: UploadError) => void
}

/**
 * The memory that the fields of forms take while their forms are read, bounded for the whole process. Where it is used
 * up, the form that holds most is refused: so a form whose fields are smaller than the average share never is, however
 * many clients fill theirs and stall.
 */
export class FieldMemory {
  limitBytes: number
  #usedBytes = 0
  readonly #shares = new Set<Share>()

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /**
   * A share for a form, nothing in it yet.
   *
   * @param evict called when the form has to make room; it then ends with this error.
   */
  share(evict: (error: UploadError) => void): FieldShare {
    const share: Share = {
      heldBytes: 0,
      evict,
      add: (bytes) => {
        if (!this.#shares.has(share)) return // Its form has ended.
        this.#usedBytes += bytes
        share.heldBytes += bytes
        this.#makeRoom()
      },
      release: () => {
        if (!this.#shares.delete(share)) return
        this.#usedBytes -= share.heldBytes
      },
    }
    this.#shares.add(share)
    return share
  }

  #makeRoom(): void {
    while (this.#usedBytes > this.limitBytes) {
      let largest: Share | undefined
      for (const share of this.#shares) {
        if (largest === undefined || share.heldBytes > largest.heldBytes) largest = share
      }
      if (largest === undefined) return
      largest.release()
      largest.evict(this.#usedUp(largest.heldBytes))
    }
  }

  #usedUp(heldBytes: number): UploadError {
    const limit = { limit: 'fieldMemoryBytes', value: this.limitBytes }
    const size = formatBytes(this.limitBytes)
    if (heldBytes > this.limitBytes) {
      const message = `the fields of the form take more memory than the limit of ${size} for all forms`
      return new UploadError('field-too-large', message, { context: limit })
    }
    return new UploadError(
      'too-many-uploads',
      `the fields of all forms take more memory than the limit of ${size}, and this form takes the most; try again later`,
      { context: limit },
    )
  }
}

export const defaultFieldMemoryBytes = 64 * MiB

export const fieldMemory = sharedState('fieldMemory', () => new FieldMemory(defaultFieldMemoryBytes))
