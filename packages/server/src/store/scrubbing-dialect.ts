import {
  PostgresAdapter,
  PostgresDialect,
  type PostgresDialectConfig,
  PostgresQueryCompiler,
} from 'kysely'
import type { Scrubber } from '../scrub/scrubber.ts'
import type { Db } from './tables.ts'

/**
 * PostgreSQL, to which no secret is sent: every text of every statement is scrubbed, JSON so that it
 * stays JSON. Bytes are left as they are, for who stores them in pieces has to scrub them before.
 */
export class ScrubbingDialect extends PostgresDialect {
  readonly #scrubber: Scrubber
  readonly #node: string

  constructor(config: PostgresDialectConfig, o: { scrubber: Scrubber; node: string }) {
    super(config)
    this.#scrubber = o.scrubber
    this.#node = o.node
  }

  override createQueryCompiler(): PostgresQueryCompiler {
    return new ScrubbingCompiler(this.#scrubber)
  }

  override createAdapter(): PostgresAdapter {
    return new ScrubbingAdapter(this.#scrubber, this.#node)
  }
}

/** What takes the secrets out of what is written to this database; null: it was opened without. */
export function scrubberOf(db: Db): Scrubber | null {
  const { adapter } = db.getExecutor()
  return adapter instanceof ScrubbingAdapter ? adapter.scrubber : null
}

/** The node that writes to this database, for dates that are by its clock; null: it was opened beside one. */
export function writerOf(db: Db): string | null {
  const { adapter } = db.getExecutor()
  return adapter instanceof ScrubbingAdapter ? adapter.node : null
}

/**
 * A text that was scrubbed before, in turns, because it may have megabytes; pg sends what this says.
 * https://node-postgres.com/features/types
 */
export class ScrubbedParameter {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  toPostgres(): string {
    return this.#text
  }
}

class ScrubbingCompiler extends PostgresQueryCompiler {
  readonly #scrubber: Scrubber

  constructor(scrubber: Scrubber) {
    super()
    this.#scrubber = scrubber
  }

  protected override addParameter(parameter: unknown): void {
    super.addParameter(this.#scrubbed(parameter))
  }

  #scrubbed(parameter: unknown): unknown {
    if (typeof parameter === 'string') return this.#scrubber.json(parameter)
    return Array.isArray(parameter) ? parameter.map((each) => this.#scrubbed(each)) : parameter
  }
}

class ScrubbingAdapter extends PostgresAdapter {
  readonly scrubber: Scrubber
  readonly node: string

  constructor(scrubber: Scrubber, node: string) {
    super()
    this.scrubber = scrubber
    this.node = node
  }
}
