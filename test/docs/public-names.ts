import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './markdown.ts'

export interface PublicName {
  name: string
  /** As it is imported: `typeorm-s3-file/testing`. */
  entry: string
  /** The file that owns it, in the repository. */
  file: string
}

/** What the package exports, as the shop windows at the top of src say. */
export const publicNames: PublicName[] = ['index', 'fastify', 'nest', 'testing'].flatMap((window) => {
  const text = readFileSync(join(repository, 'src', `${window}.ts`), 'utf8')
  return [...text.matchAll(/export (?:type )?\{([^}]+)\} from '\.\/([^']+)\.js'/g)].flatMap(
    ([, names = '', path]) =>
      names
        .split(',')
        .map((name) => name.replace(/^\s*(?:type )?/, '').trim())
        .filter((name) => name !== '')
        .map((name) => ({
          name,
          entry: window === 'index' ? 'typeorm-s3-file' : `typeorm-s3-file/${window}`,
          file: `src/${path}.ts`,
        })),
  )
})
