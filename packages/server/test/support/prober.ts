import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

/** What a caller of the API waited for: one kind of question, asked again and again. */
export interface Latencies {
  readonly count: number
  readonly p95Ms: number
  /** Answers that were not 200. */
  readonly failures: readonly string[]
}

/** Asks the API as its users do, from a thread that does nothing else. */
export interface Prober extends AsyncDisposable {
  /** What was waited for since the last call, by question. */
  take(): Promise<Readonly<Record<string, Latencies>>>
}

/** Paths to ask, by name; of a stream, the first bytes are waited for. */
type Questions = Readonly<Record<string, string>>

interface Asked {
  readonly name: string
  readonly ms: number
  readonly failure: string | null
}

/** Between two rounds of questions. */
const pauseMs = 25
/** An answer that takes longer is a failure. */
const answerMsMax = 10_000

export function startProber(o: {
  readonly url: string
  readonly key: string
  readonly questions: Questions
}): Prober {
  const worker = new Worker(new URL(import.meta.url), { workerData: o })
  return {
    take: async () => {
      const answer = new Promise<Asked[]>((resolve, reject) => {
        worker.once('message', resolve)
        worker.once('error', reject)
      })
      worker.postMessage('take')
      const asked = await answer
      const names = Object.keys(o.questions)
      return Object.fromEntries(names.map((name) => [name, summaryOf(asked, name)]))
    },
    async [Symbol.asyncDispose]() {
      await worker.terminate()
    },
  }
}

function summaryOf(asked: readonly Asked[], name: string): Latencies {
  const own = asked.filter((one) => one.name === name)
  const sorted = own.map(({ ms }) => ms).sort((a, b) => a - b)
  return {
    count: own.length,
    p95Ms: sorted[Math.floor((sorted.length - 1) * 0.95)] ?? Number.POSITIVE_INFINITY,
    failures: own.flatMap(({ failure }) => failure ?? []),
  }
}

if (!isMainThread) await probe(workerData)

async function probe(o: Parameters<typeof startProber>[0]): Promise<never> {
  let asked: Asked[] = []
  parentPort?.on('message', () => {
    parentPort?.postMessage(asked)
    asked = []
  })
  for (;;) {
    for (const [name, path] of Object.entries(o.questions)) {
      const began = performance.now()
      const failure = await ask(`${o.url}${path}`, o.key)
      asked.push({ name, ms: performance.now() - began, failure })
    }
    await new Promise((resolve) => {
      setTimeout(resolve, pauseMs)
    })
  }
}

async function ask(url: string, key: string): Promise<string | null> {
  const over = new AbortController()
  try {
    const signal = AbortSignal.any([over.signal, AbortSignal.timeout(answerMsMax)])
    const response = await fetch(url, { headers: { authorization: `Bearer ${key}` }, signal })
    if (response.headers.get('content-type')?.startsWith('text/event-stream'))
      await response.body?.getReader().read()
    else await response.arrayBuffer()
    return response.status === 200 ? null : `${url}: ${response.status}`
  } catch (error) {
    return `${url}: ${String(error)}`
  } finally {
    over.abort()
  }
}
