import { type MigrationInterface, type QueryRunner, TableColumn } from 'typeorm'

/** A new file column: JSON that may be null. A list of files is kept in one column too. */
export class AddAttachments1700000000002 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.addColumn(
      'invoice',
      new TableColumn({ name: 'attachments', type: 'json', isNullable: true }),
    )
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.dropColumn('invoice', 'attachments')
  }
}
