import type { DataSource, EntitySubscriberInterface, ObjectLiteral } from 'typeorm'

/*
 * What is different in TypeORM 0.3 and 1.x. Nothing else knows that there are two.
 */

/** A query runner, an entity manager, the metadata of an entity, or a query builder: each belongs to a DataSource. */
type OfDataSource = { readonly dataSource: DataSource } | { readonly connection: DataSource }

/** Returns the DataSource that it belongs to: 1.x calls it `dataSource`, 0.3 `connection`. */
export function dataSourceOf(holder: OfDataSource): DataSource {
  return 'dataSource' in holder ? holder.dataSource : holder.connection
}

/** Returns the SQL with the driver's own placeholders, and the values in their order. 0.3 wants a third argument. */
export function escapeParameters(
  { driver }: DataSource,
  sql: string,
  parameters: ObjectLiteral,
): [string, unknown[]] {
  const toNative: (sql: string, parameters: ObjectLiteral, native: ObjectLiteral) => [string, unknown[]] =
    driver.escapeQueryWithParameters.bind(driver)
  return toNative(sql, parameters, {})
}

/** What a subscriber's `afterQuery()` is given: generic in 0.3. */
export type QueryEvent = Parameters<NonNullable<EntitySubscriberInterface['afterQuery']>>[0]
