export function nodeWithSqlite(): string
