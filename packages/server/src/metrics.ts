import { readdir } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

/**
 * Everything that this process counts, in a registry of its own. Rooms are handed the instance and
 * move its metrics where the thing happens. Labels are closed lists: no id, no repository, no
 * person, and no word that an agent or a caller can choose.
 */
export class Metrics {
  readonly #registry = new Registry()
  readonly #described: MetricText[] = []

  readonly queueDepth = this.#gauge('queue_depth', {
    help: 'Pieces of work in the queue of all nodes together, at the time of the scrape. Status: waiting, delayed, active.',
    labels: ['priority', 'status'],
  })
  readonly queueOldestAge = this.#gauge('queue_oldest_age_seconds', {
    help: 'Age of the oldest piece of work that waits and could start, at the time of the scrape; 0 if none does.',
    labels: ['priority'],
  })
  readonly tasksEnded = this.#counter('tasks_ended_total', {
    help: 'Tasks that ended in this process.',
    labels: ['type', 'status', 'reason'],
  })
  readonly taskSeconds = this.#histogram('task_duration_seconds', {
    help: 'From the start of a task to its end; tasks that never started are left out.',
    labels: ['type', 'status'],
    buckets: [1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 28_800, 86_400],
  })
  readonly phaseSeconds = this.#histogram('task_phase_duration_seconds', {
    help: 'How long an attempt was in a phase. Phase: preparing, agent, checking, publishing.',
    labels: ['phase'],
    buckets: [0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 1800, 3600, 14_400],
  })
  readonly toolCalls = this.#counter('tool_calls_total', {
    help: 'Calls of the agents’ tools that ended. Outcome: succeeded, failed, refused, denied, timed_out, cancelled; a built-in tool has succeeded, failed and denied. Tools of MCP servers are mcp together; a name that is no tool is other.',
    labels: ['tool', 'outcome'],
  })
  readonly toolSeconds = this.#histogram('tool_duration_seconds', {
    help: 'How long a call of a tool took.',
    labels: ['tool'],
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200],
  })
  readonly sandboxCpuSeconds = this.#counter('sandbox_cpu_seconds_total', {
    help: 'Processor time of everything in the sandboxes of attempts that ended, by the type of task; where the host can count it.',
    labels: ['type'],
  })
  readonly sandboxMemoryPeak = this.#histogram('sandbox_memory_peak_bytes', {
    help: 'The most memory that everything in a sandbox took together, page cache included, once an attempt; where the host can count it.',
    labels: ['type'],
    buckets: [128, 256, 512, 1024, 1536, 2048, 4096, 8192, 16_384, 65_536].map(
      (mebibytes) => mebibytes * 1024 ** 2,
    ),
  })
  readonly sandboxDisk = this.#histogram('sandbox_disk_bytes', {
    help: 'What the files of a session took on disk at the end of an attempt, once an attempt.',
    labels: ['type'],
    buckets: [16, 64, 256, 1024, 2048, 4096, 8192, 16_384, 65_536].map(
      (mebibytes) => mebibytes * 1024 ** 2,
    ),
  })
  readonly limitsReached = this.#counter('sandbox_limits_reached_total', {
    help: 'Times that something in a task’s sandbox hit a limit, whether or not the task failed of it. Limit: out_of_memory, too_many_processes, disk_full.',
    labels: ['limit'],
  })
  readonly diskFree = this.#gauge('disk_free_bytes', {
    help: 'What the disk of the data directory has left for others than root; not a number while it does not say.',
    labels: [],
  })
  readonly diskFloor = this.#gauge('disk_floor_bytes', {
    help: 'DISK_FLOOR_MIB: while less than this is left, no task is begun.',
    labels: [],
  })
  readonly memoryFree = this.#gauge('memory_free_bytes', {
    help: 'What this process could still take of memory, by its machine and its control group; 0 where it runs no tasks.',
    labels: [],
  })
  readonly memoryFloor = this.#gauge('memory_floor_bytes', {
    help: 'MEMORY_FLOOR_MIB: while less than this is free, no task is begun on this node.',
    labels: [],
  })
  readonly bodyBytes = this.#gauge('gateway_body_bytes', {
    help: 'Request bodies of sandboxes that the gateways of this process hold, in bytes: at most 512 MiB, and 64 MiB of one session.',
    labels: [],
  })
  readonly alert = this.#gauge('alert', {
    help: '1 while the alert of that name is raised; see alerts.md.',
    labels: ['name'],
  })
  readonly taskAlerts = this.#counter('task_alerts_total', {
    help: 'What watchdogs of tasks noticed, as `task.alert` in their logs; see alerts.md. Name: agent_silent, model_silent, command_hung, clock_jumped.',
    labels: ['name'],
  })
  readonly modelBreaker = this.#gauge('model_breaker_open', {
    help: '1 while no session of this process asks the model, because its provider said often enough: not now.',
    labels: [],
  })
  readonly modelRequests = this.#counter('model_requests_total', {
    help: 'Requests that were forwarded to the model. Status: the HTTP status, unreachable, or cut if the agent went away before an answer began. A model without a listed price is other.',
    labels: ['model', 'status'],
  })
  readonly modelTokens = this.#counter('model_tokens_total', {
    help: 'Tokens that were used. Kind: input, output, cache_read, cache_creation.',
    labels: ['model', 'kind'],
  })
  readonly modelCost = this.#counter('model_cost_usd_total', {
    help: 'What model requests cost in US dollars, by the price table.',
    labels: ['model'],
  })
  readonly httpSeconds = this.#histogram('http_request_duration_seconds', {
    help: 'Requests to this server, by the pattern of their route; of a stream, the time to its first byte.',
    labels: ['method', 'route', 'status'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  })
  readonly eventsAppended = this.#counter('events_appended_total', {
    help: 'Events that attempts wrote to their sessions’ logs.',
    labels: [],
  })
  readonly eventBatchSeconds = this.#histogram('event_append_duration_seconds', {
    help: 'How long the store took for a batch of events, tries after an outage included.',
    labels: [],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
  })
  readonly deliveries = this.#counter('deliveries_total', {
    help: 'Tries to deliver webhooks and callbacks that this process made. Event: what the delivery is about. Outcome: delivered; retried, if it failed and comes again; dead, if it was the last.',
    labels: ['event', 'outcome'],
  })
  readonly deliveriesWaiting = this.#gauge('deliveries_waiting', {
    help: 'Deliveries of all nodes together that wait for a try, at the time of the scrape.',
    labels: [],
  })
  readonly deliveriesOldestAge = this.#gauge('deliveries_oldest_age_seconds', {
    help: 'Age of the oldest delivery that waits for a try, at the time of the scrape; 0 if none does.',
    labels: [],
  })
  readonly openStreams = this.#gauge('open_streams', {
    help: 'Streams of events that are open now. Kind: sse, websocket.',
    labels: ['kind'],
  })

  constructor() {
    this.#observeProcess()
  }

  /** Everything in Prometheus's text format, and its content type. */
  async render(): Promise<{ text: string; contentType: string }> {
    return { text: await this.#registry.metrics(), contentType: this.#registry.contentType }
  }

  /** One row a metric, for the reference page. */
  describe(): readonly MetricText[] {
    return this.#described
  }

  /** Read when a scrape asks: none of them needs a timer or an observer that would stay behind. */
  #observeProcess(): void {
    this.#read('process_cpu_seconds_total', 'Processor time of the server process.', () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    })
    this.#read('process_event_loop_busy_seconds_total', 'Time in which JavaScript ran.', () => {
      return performance.eventLoopUtilization().active / 1000
    })
    this.#read('process_resident_memory_bytes', 'Memory of the server process.', () =>
      process.memoryUsage.rss(),
    )
    this.#read('process_heap_used_bytes', 'Memory that JavaScript values take.', () => {
      return process.memoryUsage().heapUsed
    })
    this.#read('process_start_time_seconds', 'When the process started, in Unix time.', () =>
      Math.round(performance.timeOrigin / 1000),
    )
    this.#read('process_open_fds', 'File descriptors that are open.', openDescriptors)
  }

  /** A value without labels that is read when it is asked for; a `_total` only grows. */
  #read(name: string, help: string, value: () => number | Promise<number>): void {
    if (!name.endsWith('_total')) {
      const collect = async (gauge: Gauge): Promise<void> => gauge.set(await value())
      new Gauge({
        ...this.#named(name, { help, labels: [] }, 'gauge'),
        collect() {
          return collect(this)
        },
      })
      return
    }
    const collect = async (counter: Counter): Promise<void> => {
      const now = await value()
      counter.reset()
      counter.inc(now)
    }
    new Counter({
      ...this.#named(name, { help, labels: [] }, 'counter'),
      collect() {
        return collect(this)
      },
    })
  }

  #counter<T extends string>(name: string, o: About<T>): Counter<T> {
    return new Counter(this.#named(name, o, 'counter'))
  }

  #gauge<T extends string>(name: string, o: About<T>): Gauge<T> {
    return new Gauge(this.#named(name, o, 'gauge'))
  }

  #histogram<T extends string>(
    name: string,
    { buckets, ...o }: About<T> & { readonly buckets: readonly number[] },
  ): Histogram<T> {
    return new Histogram({ ...this.#named(name, o, 'histogram'), buckets: [...buckets] })
  }

  #named<T extends string>(
    short: string,
    { help, labels }: About<T>,
    type: MetricText['type'],
  ): { name: string; help: string; labelNames: T[]; registers: Registry[] } {
    const name = `longhaul_${short}`
    this.#described.push({ name, type, labels, help })
    return { name, help, labelNames: [...labels], registers: [this.#registry] }
  }
}

interface About<T extends string> {
  readonly help: string
  readonly labels: readonly T[]
}

interface MetricText {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  readonly help: string
}

/** Linux and macOS name them in a directory; elsewhere it is not known. */
async function openDescriptors(): Promise<number> {
  const directory = process.platform === 'linux' ? '/proc/self/fd' : '/dev/fd'
  const open = await readdir(directory).catch(() => null)
  return open === null ? Number.NaN : open.length
}
