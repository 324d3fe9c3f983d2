import * as typeorm from 'typeorm'

/**
 * Whether these tests run on TypeORM 0.3. What it does otherwise than 1.x by itself: `remove()` deletes a parent before its
 * children, `save()` looks for the rows of several entities at once, and it knows no `jsonb` on SQLite.
 */
export const isTypeorm03 = 'getConnection' in typeorm
