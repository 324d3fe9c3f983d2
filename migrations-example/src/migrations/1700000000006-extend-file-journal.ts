import { type MigrationInterface, type QueryRunner, TableColumn } from 'typeorm'
import { addJournalIndex, createFileTriggers, dropFileTriggers } from 'typeorm-s3-file'
import { Invoice } from '../invoice.js'

/**
 * What `FileJournalEntry` has had since version 0.2: an index on the key, and the columns of direct uploads. The triggers
 * of each entity that has them are dropped meanwhile: SQLite makes a table anew to change it.
 */
export class ExtendFileJournal1700000000006 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await dropFileTriggers(queryRunner, Invoice)
    await queryRunner.addColumns('file_journal', [
      new TableColumn({ name: 'ticket', type: 'varchar', length: '64', isNullable: true }),
      new TableColumn({ name: 'owner', type: 'varchar', length: '255', isNullable: true }),
      new TableColumn({ name: 'declaredBytes', type: 'bigint', isNullable: true }),
      new TableColumn({ name: 'state', type: 'varchar', length: '20', isNullable: true }),
    ])
    await addJournalIndex(queryRunner)
    await createFileTriggers(queryRunner, Invoice)
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await dropFileTriggers(queryRunner, Invoice)
    await queryRunner.dropIndex('file_journal', 'file_journal_key')
    await queryRunner.dropColumns('file_journal', ['ticket', 'owner', 'declaredBytes', 'state'])
    await createFileTriggers(queryRunner, Invoice)
  }
}
