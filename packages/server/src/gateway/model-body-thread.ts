/** The thread that parses large bodies: one after the other, bytes in, bytes or a refusal out. */
import { parentPort } from 'node:worker_threads'
import { PriceTable } from '../prices/price-table.ts'
import { type BodyAnswer, type BodyQuestion, handedOver } from './body-messages.ts'
import { parseModelBody } from './model-body.ts'

parentPort?.on('message', ({ bytes: { buffer, byteOffset, byteLength }, rules }: BodyQuestion) => {
  const prices = new PriceTable(rules.prices)
  const parsed = parseModelBody(Buffer.from(buffer, byteOffset, byteLength), { ...rules, prices })
  if ('why' in parsed) return say(parsed)
  const { bytes: written, ...body } = parsed.body
  const { bytes, transfer } = handedOver(written)
  say({ body, bytes }, transfer)
})

function say(answer: BodyAnswer, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(answer, transfer)
}
