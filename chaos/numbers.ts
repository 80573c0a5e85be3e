import { parseArgs } from 'node:util'

interface Range {
  readonly byDefault: number
  readonly min: number
  readonly max: number
}

/** Reads `--seed`, `--json`, `--only`, and the numbers of a suite; throws a sentence for a bad one. */
export function readNumbers<Name extends string>(
  args: readonly string[],
  ranges: Readonly<Record<Name, Range>>,
) {
  const all: Readonly<Record<string, Range>> = {
    seed: { byDefault: Date.now() % 1_000_000, min: 0, max: 2 ** 32 - 1 },
    ...ranges,
  }
  const numbers = Object.keys(all).map((name) => [name, { type: 'string' }] as const)
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...Object.fromEntries(numbers),
      only: { type: 'string', multiple: true },
      json: { type: 'boolean', default: false },
    },
  })
  const read = (name: string): number => {
    const { byDefault, min, max } = all[name] ?? { byDefault: 0, min: 0, max: 0 }
    const given: unknown = Reflect.get(values, name)
    const value = given === undefined ? byDefault : Number(given)
    if (!Number.isInteger(value) || value < min || value > max)
      throw new Error(`--${name}: expected a whole number from ${min} to ${max}, came ${given}`)
    return value
  }
  const named = Object.fromEntries(Object.keys(all).map((name) => [name, read(name)]))
  return {
    ...(named as Record<Name | 'seed', number>),
    json: values.json === true,
    only: values.only as readonly string[] | undefined,
  }
}
