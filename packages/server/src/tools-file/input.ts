import { z } from 'zod'

/** Fields of one object. */
const propertiesMax = 32
/** Characters of a text whose field names no bound: what fits into one argument of a process. */
const textCharsMax = 16_384
/** Items of a list whose field names no bound. */
const itemsMax = 100
/** Objects and lists within each other. */
const depthMax = 4

/** Whether a process can be given it as an argument, as it is. */
export function isPassable(value: string): boolean {
  return !value.includes('\0') && value.isWellFormed()
}

export const unpassable = 'expected text without NUL and unpaired surrogates'

const description = z.string().max(1024).optional().describe('For the agent.')
const size = (max: number) => z.int().min(0).max(max).optional()

const text = z
  .strictObject({
    type: z.literal('string'),
    description,
    enum: z
      .array(z.string().max(256).refine(isPassable, unpassable))
      .min(1)
      .max(64)
      .optional()
      .describe('The only values.'),
    minLength: size(1_000_000),
    maxLength: size(1_000_000).describe(`Characters; default ${textCharsMax}.`),
  })
  .superRefine((field, context) => {
    const lengths = {
      least: { name: 'minLength', value: field.minLength },
      most: { name: 'maxLength', value: field.maxLength, fallback: textCharsMax },
    }
    addIfEmpty(context, lengths)
    for (const [index, value] of (field.enum ?? []).entries()) {
      if (value.length >= (field.minLength ?? 0) && value.length <= mostOf(lengths.most)) continue
      const message = 'expected a text that minLength and maxLength allow'
      context.addIssue({ code: 'custom', message, path: ['enum', index] })
    }
  })

const numeric = z
  .strictObject({
    type: z.enum(['integer', 'number']),
    description,
    minimum: z.number().optional(),
    maximum: z.number().optional(),
  })
  .superRefine(({ type, minimum, maximum }, context) => {
    const isEmpty = addIfEmpty(context, {
      least: { name: 'minimum', value: minimum, fallback: Number.MIN_SAFE_INTEGER },
      most: { name: 'maximum', value: maximum, fallback: Number.MAX_SAFE_INTEGER },
    })
    if (isEmpty || type === 'number') return
    const least = Math.max(Math.ceil(minimum ?? -Infinity), Number.MIN_SAFE_INTEGER)
    const most = Math.min(Math.floor(maximum ?? Infinity), Number.MAX_SAFE_INTEGER)
    if (least <= most) return
    const path = [minimum === undefined ? 'maximum' : 'minimum']
    const message = 'expected an integer that a double holds exactly between minimum and maximum'
    context.addIssue({ code: 'custom', message, path })
  })

const flag = z.strictObject({ type: z.literal('boolean'), description })

const list = z
  .strictObject({
    type: z.literal('array'),
    description,
    get items(): z.ZodType<Field> {
      return field
    },
    minItems: size(10_000),
    maxItems: size(10_000).describe(`Default ${itemsMax}.`),
  })
  .superRefine(({ minItems, maxItems }, context) => {
    addIfEmpty(context, {
      least: { name: 'minItems', value: minItems },
      most: { name: 'maxItems', value: maxItems, fallback: itemsMax },
    })
  })

const fieldName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, 'expected letters, digits and _, not a digit first')

const group = z
  .strictObject({
    type: z.literal('object'),
    description,
    get properties(): z.ZodType<Record<string, Field>> {
      return z
        .record(fieldName, field)
        .refine((fields) => Object.keys(fields).length <= propertiesMax, {
          error: `expected at most ${propertiesMax} fields`,
        })
    },
    required: z.array(fieldName).max(propertiesMax).default([]),
    additionalProperties: z
      .literal(false)
      .optional()
      .describe('Never: unknown fields are refused.'),
  })
  .superRefine(({ properties, required }, context) => {
    for (const [index, name] of required.entries()) {
      if (!Object.hasOwn(properties, name))
        context.addIssue({
          code: 'custom',
          message: 'expected one of the properties',
          path: ['required', index],
        })
    }
  })

/** One field of an input, in a subset of JSON Schema that has a bound for everything. */
type Field =
  | z.infer<typeof text>
  | z.infer<typeof numeric>
  | z.infer<typeof flag>
  | {
      type: 'array'
      description?: string | undefined
      items: Field
      minItems?: number | undefined
      maxItems?: number | undefined
    }
  | ObjectField

export interface ObjectField {
  type: 'object'
  description?: string | undefined
  properties: Record<string, Field>
  required: string[]
  additionalProperties?: false | undefined
}

const field: z.ZodType<Field> = z
  .discriminatedUnion('type', [text, numeric, flag, list, group], {
    error: 'expected a `type`: string, integer, number, boolean, array or object',
  })
  .meta({ id: 'field' })

/** The input of a tool: an object of fields. */
export const inputSchema: z.ZodType<ObjectField> = group
  .refine((input) => depthOf(input) <= depthMax, {
    error: `expected objects and lists at most ${depthMax} deep`,
  })
  .meta({ id: 'input' })

/** The check that every call goes through: bounds on everything, and no field that is not named. */
export function inputCheck(input: ObjectField | undefined): z.ZodObject {
  return objectCheck(input ?? { type: 'object', properties: {}, required: [] })
}

function objectCheck({ properties, required }: ObjectField): z.ZodObject {
  const shape = Object.entries(properties).map(([name, each]) => {
    const check = fieldCheck(each)
    return [name, required.includes(name) ? check : check.optional()] as const
  })
  return z.strictObject(Object.fromEntries(shape))
}

function fieldCheck(each: Field): z.ZodType {
  const check = bareCheck(each)
  return each.description === undefined ? check : check.describe(each.description)
}

function bareCheck(each: Field): z.ZodType {
  switch (each.type) {
    case 'string': {
      if (each.enum !== undefined) return z.enum(each.enum)
      return z
        .string()
        .min(each.minLength ?? 0)
        .max(each.maxLength ?? textCharsMax)
    }
    case 'integer':
    case 'number': {
      const number = each.type === 'integer' ? z.int() : z.number()
      return number
        .min(each.minimum ?? Number.MIN_SAFE_INTEGER)
        .max(each.maximum ?? Number.MAX_SAFE_INTEGER)
    }
    case 'boolean':
      return z.boolean()
    case 'array':
      return z
        .array(fieldCheck(each.items))
        .min(each.minItems ?? 0)
        .max(each.maxItems ?? itemsMax)
    case 'object':
      return objectCheck(each)
  }
}

interface Bound {
  readonly name: string
  readonly value: number | undefined
  /** What holds where nothing is said. */
  readonly fallback?: number
}

/** Whether no value is within these bounds, defaults included: then no call could ever be right. */
function addIfEmpty(
  context: z.RefinementCtx,
  { least, most }: { readonly least: Bound; readonly most: Bound },
): boolean {
  if (leastOf(least) <= mostOf(most)) return false
  const isLeast = least.value !== undefined
  const [given, other] = isLeast ? [least, most] : [most, least]
  const bound = isLeast ? mostOf(most) : leastOf(least)
  const which = other.value === undefined ? `the default of ${other.name}` : other.name
  const message = `expected ${isLeast ? 'at most' : 'at least'} ${bound}, ${which}`
  context.addIssue({ code: 'custom', message, path: [given.name] })
  return true
}

function leastOf({ value, fallback = -Infinity }: Bound): number {
  return value ?? fallback
}

function mostOf({ value, fallback = Infinity }: Bound): number {
  return value ?? fallback
}

function depthOf(each: Field): number {
  if (each.type === 'array') return 1 + depthOf(each.items)
  if (each.type !== 'object') return 0
  return 1 + Math.max(0, ...Object.values(each.properties).map(depthOf))
}
