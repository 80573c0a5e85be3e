import { setTimeout as sleep } from 'node:timers/promises'
import type { Node } from './node.ts'
import type { Random } from './random.ts'
import type { Stage } from './stage.ts'
import type { Weather } from './weather.ts'

/** Longer than a lease: 15 seconds, and some for the claim of another node. */
const frozenMs = 22_000

/** One way to break the stage; it is whole again when `run` resolves. */
export interface Break {
  readonly name: string
  readonly run: (o: {
    readonly stage: Stage
    readonly weather: Weather
    readonly random: Random
  }) => Promise<void>
}

export const breaks: readonly Break[] = [
  {
    name: 'kill -9 of a node',
    async run({ stage, random }) {
      const node = random.pick(stage.nodes)
      await node.kill()
      await sleep(random.between(0, 3000))
      await node.start()
    },
  },
  {
    name: 'kill -9 of two nodes',
    async run({ stage, random }) {
      const two = random.shuffled(stage.nodes).slice(0, 2)
      await Promise.all(two.map((node) => node.kill()))
      await sleep(random.between(0, 3000))
      await Promise.all(two.map((node) => node.start()))
    },
  },
  {
    name: 'SIGSTOP for longer than the lease, then SIGCONT',
    async run({ stage, random }) {
      const node = random.pick(stage.nodes)
      node.freeze()
      await sleep(frozenMs)
      node.thaw()
    },
  },
  {
    name: 'SIGTERM of a node, and a new one',
    async run({ stage, random }) {
      const node = random.pick(stage.nodes)
      await node.stop()
      await node.start()
    },
  },
  {
    name: 'PostgreSQL crashes and comes back',
    run: ({ stage, random }) => stage.postgres.restart(random.between(0, 4000)),
  },
  {
    name: 'the connections to PostgreSQL are cut',
    async run({ stage, random }) {
      stage.way.cut()
      await sleep(random.between(200, 8000))
      stage.way.mend()
    },
  },
  {
    name: 'the connections to PostgreSQL are slow',
    async run({ stage, random }) {
      stage.way.delay(random.between(50, 400))
      await sleep(random.between(4000, 10_000))
      stage.way.mend()
    },
  },
  {
    name: 'the disk of a node is full',
    async run({ stage, random }) {
      const withDisk = stage.nodes.filter(({ hasDisk }) => hasDisk)
      if (withDisk.length === 0) return
      const node: Node = random.pick(withDisk)
      node.fill()
      await sleep(random.between(3000, 8000))
      node.clear()
      await node.revive()
    },
  },
  {
    name: 'the model is overloaded',
    async run({ weather, random }) {
      weather.model = 'overloaded'
      await sleep(random.between(2000, 8000))
      weather.model = 'fair'
    },
  },
  {
    name: 'the model breaks its streams off',
    async run({ weather, random }) {
      weather.model = 'cutting'
      await sleep(random.between(2000, 8000))
      weather.model = 'fair'
    },
  },
  {
    name: 'the receiver of callbacks is down',
    async run({ stage, random }) {
      stage.receiver.answer = () => ({ status: 503 })
      await sleep(random.between(3000, 10_000))
      stage.receiver.answer = () => ({ status: 200 })
    },
  },
]
