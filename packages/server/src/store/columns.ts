import type { ColumnType } from 'kysely'

/** A JSON column: read as what it holds, written as text made by `toJson`. */
export type Json<T> = ColumnType<T, string, string>
/** The same, with a default of the database. */
export type JsonDefault<T> = ColumnType<T, string | undefined, string>
/** A column that may be left out when a row is inserted. */
export type Optional<T> = ColumnType<T | null, T | null | undefined, T | null>
export type OptionalJson<T> = ColumnType<T | null, string | null | undefined, string | null>
