import type { MigrationInterface, QueryRunner } from 'typeorm'
import { createFileTriggers, dropFileTriggers } from 'typeorm-s3-file'
import { Invoice } from '../invoice.js'

/**
 * Triggers see what no ORM does: bulk statements, cascades, raw SQL. They are made for the entity as it is now: call
 * `createFileTriggers` again, which replaces them, when a file field is added. `npx typeorm-s3-file triggers` prints the
 * SQL, to be pasted here instead.
 */
export class AddFileTriggers1700000000005 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await createFileTriggers(queryRunner, Invoice)
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await dropFileTriggers(queryRunner, Invoice)
  }
}
