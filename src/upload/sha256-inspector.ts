import { createHash } from 'node:crypto'
import type { FileInspector } from '../core/file-inspector.js'

/** Puts the SHA-256 of each file on its `S3File`: `checksum` becomes `sha256:…` in base64. It refuses nothing. */
export function sha256Inspector(): FileInspector {
  return () => {
    const hash = createHash('sha256')
    return {
      write: (chunk) => {
        hash.update(chunk)
      },
      end: () => ({ checksum: `sha256:${hash.digest('base64')}` }),
    }
  }
}
