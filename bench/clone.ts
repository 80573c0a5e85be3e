import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { say, script, when } from '@longhaul/testing'
import type { Bench } from './entry.ts'
import { openPlace, type Place } from './place.ts'

const commits = 10_000

/** What a mirror saves. */
export const clone: Bench = {
  entries: [
    {
      name: 'second-clone',
      what: 'the first clone of a repository of 10,000 commits, against the second',
      unit: 'ratio',
      aim: { atLeast: 3 },
    },
  ],
  async measure(signal) {
    await using place = await openPlace([script(when('Look', say('Seen.')))])
    const { url, directory } = await place.github.createRepository({
      ...{ owner: 'acme', name: 'long' },
      files: { 'README.md': 'A long history.\n' },
    })
    await addHistory(directory)
    const firstMs = await cloneMs(place, url, signal)
    const secondMs = await cloneMs(place, url, signal)
    return { 'second-clone': firstMs / secondMs }
  },
}

/** From the start of the attempt to the clone, as the log has it. */
async function cloneMs(place: Place, repoUrl: string, signal: AbortSignal): Promise<number> {
  const task = await place.order({ repoUrl, instructions: 'Look.' })
  await place.completed(task, signal)
  const events = await place.events(task.session_id)
  const at = (type: string): number => {
    const found = events.find((event) => event.type === type)
    if (found === undefined) throw new Error(`no event ${type}`)
    return Date.parse(found.processed_at)
  }
  return at('workspace.cloned') - at('task.updated')
}

/** Every commit changes one of 500 files of a few KiB, as a history of years does. */
async function addHistory(directory: string): Promise<void> {
  const lines: string[] = []
  for (let n = 1; n <= commits; n += 1) {
    const text = Array.from(
      { length: 60 },
      (_, line) => `${n} ${line} ${(n * 7919 + line * 104_729) % 65_521}\n`,
    ).join('')
    const message = `Change ${n}`
    lines.push(
      'commit refs/heads/main',
      `committer Bench <bench@example.com> ${1_700_000_000 + n} +0000`,
      `data ${message.length}`,
      message,
      ...(n === 1 ? ['from refs/heads/main^0'] : []),
      `M 100644 inline src/${n % 20}/file-${n % 500}.txt`,
      `data ${text.length}`,
      text,
    )
  }
  const importing = promisify(execFile)('git', ['-C', directory, 'fast-import', '--quiet'])
  importing.child.stdin?.end(`${lines.join('\n')}\n`)
  await importing
}
