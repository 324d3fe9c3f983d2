import { type MigrationInterface, type QueryRunner, Table } from 'typeorm'

/** The table as Django has left it: `upload` is a FileField, a path in the bucket, and never null. */
export class CreateInvoices1700000000001 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    const integer = queryRunner.dataSource.driver.normalizeType({ type: Number })
    await queryRunner.createTable(
      new Table({
        name: 'invoice',
        columns: [
          {
            name: 'id',
            type: integer,
            isPrimary: true,
            isGenerated: true,
            generationStrategy: 'increment',
          },
          { name: 'number', type: 'varchar', length: '20' },
          { name: 'upload', type: 'varchar', length: '100' },
        ],
      }),
    )
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.dropTable('invoice')
  }
}
