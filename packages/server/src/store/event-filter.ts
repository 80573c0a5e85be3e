import { type RawBuilder, sql } from 'kysely'
import { all } from './conditions.ts'
import { toText } from './values.ts'

/** Which events are wanted; what is absent does not matter. */
export interface EventFilter {
  readonly types?: readonly string[]
  /** Text that a value of the event has in it, whatever the case of its (ASCII) letters. */
  readonly text?: string
  /** Only what failed. */
  readonly errors?: boolean
}

/** The condition on a row of `events`. */
export function fits({ types, text, errors }: EventFilter): RawBuilder<boolean> {
  const conditions = [
    ...(types === undefined ? [] : [sql`type = any(${[...types]}::text[])`]),
    ...(errors === true ? [isError] : []),
    ...(text === undefined ? [] : [hasText(toText(text))]),
  ]
  return all(conditions)
}

/** An error of the session, a failed end, or a call, a command or checks that failed; has an index. */
const isError = sql`event_is_error(type, payload)`

/**
 * The values decide, not the names of fields, nor the types of blocks, which nearly every event
 * has; in a tool's input `type` is a field like any other. Text that the whole JSON does not have is
 * in no value of it: that is looked at first, being far cheaper. PostgreSQL escapes a string as
 * JSON.stringify does.
 */
function hasText(text: string): RawBuilder<unknown> {
  const quoted = JSON.stringify(text)
  const like = `%${quoted.slice(1, -1).replace(/[\\%_]/g, '\\$&')}%`
  const found = `@.type() == "string" && @ like_regex ${quoted} flag "iq"`
  const ofObjects = `strict $.** ? (@.type() == "object").keyvalue() ? (@.key != "type").value ? (${found})`
  const ofInput = `strict $.input.** ? (@.type() == "object").keyvalue() ? (@.key == "type").value ? (${found})`
  const ofArrays = `strict $.** ? (@.type() == "array")[*] ? (${found})`
  return sql`(
    payload::text ilike ${like}
    and (payload @? ${ofObjects}::jsonpath or payload @? ${ofArrays}::jsonpath
      or payload @? ${ofInput}::jsonpath))`
}
