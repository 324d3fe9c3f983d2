import { type MigrationInterface, type QueryRunner, Table } from 'typeorm'

/** The table of `FileJournalEntry`, with which the lifecycle of files survives a crash. */
export class AddFileJournal1700000000004 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    const integer = queryRunner.dataSource.driver.normalizeType({ type: Number })
    await queryRunner.createTable(
      new Table({
        name: 'file_journal',
        columns: [
          { name: 'id', type: 'varchar', length: '36', isPrimary: true },
          { name: 'reason', type: 'varchar', length: '10' },
          { name: 'storage', type: 'varchar', length: '100' },
          { name: 'key', type: 'varchar', length: '1024' },
          { name: 'uploadId', type: 'text', isNullable: true },
          { name: 'since', type: 'varchar', length: '24' },
          { name: 'dueAt', type: 'varchar', length: '24' },
          { name: 'claimedUntil', type: 'varchar', length: '24', isNullable: true },
          { name: 'claimedBy', type: 'varchar', length: '36', isNullable: true },
          { name: 'attempts', type: integer, default: 0 },
          { name: 'lastError', type: 'text', isNullable: true },
        ],
        indices: [{ columnNames: ['dueAt'] }],
      }),
    )
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.dropTable('file_journal')
  }
}
