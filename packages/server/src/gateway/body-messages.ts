import type { PriceSettings } from '../prices/price-table.ts'
import type { ModelBody, ModelRules } from './model-body.ts'

/** What the thread is sent: a body, and by what it is judged. Never the policy, which has the key. */
export interface BodyQuestion {
  readonly bytes: Uint8Array
  readonly rules: Omit<ModelRules, 'prices'> & { readonly prices: PriceSettings }
}

/** What it answers: as parseModelBody does, with bytes that are no Buffer any more. */
export type BodyAnswer =
  | { readonly body: Omit<ModelBody, 'bytes'>; readonly bytes: Uint8Array }
  | { readonly why: string }

/** Bytes that a message takes with it instead of a copy: alone in their memory. */
export function handedOver(of: Buffer): { bytes: Uint8Array; transfer: [ArrayBuffer] } {
  const { buffer } = of
  if (buffer instanceof ArrayBuffer && buffer.byteLength === of.byteLength)
    return { bytes: of, transfer: [buffer] }
  const bytes = new Uint8Array(of)
  return { bytes, transfer: [bytes.buffer] }
}
