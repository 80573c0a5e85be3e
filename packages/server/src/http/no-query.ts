import { z } from 'zod'

/** The query of a route that takes none: a parameter that means nothing is refused by its name. */
export const noQuery = z.strictObject({})
