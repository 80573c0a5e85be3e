import type { Mutation } from './mutation.ts'

const test = 'packages/server/test/walls/scrubbing.test.ts'
const source = 'packages/server/src'
/** Behind every room that writes: what is taken away before it must not be caught by it. */
const dialect = {
  file: `${source}/store/scrubbing-dialect.ts`,
  find: 'super.addParameter(this.#scrubbed(parameter))',
  replace: 'super.addParameter(parameter)',
}
const events = {
  file: `${source}/events/append.ts`,
  find: '(await scrubber?.valueInTurns(o.events)) ?? o.events',
  replace: 'o.events',
}
const audit = {
  file: `${source}/store/audit-writer.ts`,
  find: 'toJson(this.#scrubber.value(entry))',
  replace: 'toJson(entry)',
}

/** The walls of `scrubbing.test.ts`. */
export const scrubbingMutations: readonly Mutation[] = [
  {
    wall: 'events are scrubbed, and what is sent to the database',
    ...events,
    also: [dialect],
    test,
    title: 'an event does not say the secret',
  },
  {
    wall: 'what a value says of itself does not keep it from being scrubbed',
    file: `${source}/scrub/values.ts`,
    find: 'if (value instanceof Date || ArrayBuffer.isView(value)) return value',
    replace: "if ('toJSON' in value) return value",
    test,
    title: 'an event that calls a field toJSON does not say the secret',
  },
  {
    wall: 'events are scrubbed before they are cut',
    ...events,
    test,
    title: 'a long text is not cut within the secret, where a part of it would be left',
  },
  {
    wall: 'what is sent to the database is scrubbed',
    ...dialect,
    test,
    title: 'what a schedule orders, as all that is in the database, does not say the secret',
  },
  {
    wall: 'transcripts are scrubbed',
    file: `${source}/store/transcripts.ts`,
    find: '(await scrubberOf(db)?.valueInTurns(o.entries)) ?? o.entries',
    replace: 'o.entries',
    test,
    title: 'a transcript does not say the secret',
  },
  {
    wall: 'artifacts are scrubbed',
    file: `${source}/store/artifacts.ts`,
    find: ' : await scrubbed(db, artifact.data)',
    replace: ' : artifact.data',
    test,
    title: 'an artifact does not say the secret',
  },
  {
    wall: 'artifacts are scrubbed before they are cut',
    file: `${source}/store/artifacts.ts`,
    find: 'await scrubberOf(db)?.bytesInTurns(data)',
    replace: `Buffer.concat(
      await Array.fromAsync({ length: Math.ceil(data.length / chunkBytes) }, (_, n) =>
        scrubberOf(db)?.bytesInTurns(data.subarray(n * chunkBytes, (n + 1) * chunkBytes)),
      ),
    )`,
    test,
    title: 'an artifact does not say the secret where one of its rows ends',
  },
  {
    wall: 'differences are scrubbed',
    file: `${source}/store/diffs.ts`,
    find: '(await scrubber?.bytesInTurns(o.patch)) ?? o.patch',
    replace: 'o.patch',
    test,
    title: 'a difference that is read as a patch does not say the secret',
  },
  {
    wall: 'differences are scrubbed',
    file: `${source}/store/diffs.ts`,
    find: '(await scrubber?.valueInTurns(given)) ?? given',
    replace: 'given',
    test,
    title: 'a difference that is read as JSON does not say the secret',
  },
  {
    wall: 'what is sent to GitHub is scrubbed',
    file: `${source}/gateway/github-call.ts`,
    find: '...o.scrubber.value(fields),',
    replace: '...fields,',
    test,
    title: 'a pull request does not say the secret',
  },
  {
    wall: 'deltas are scrubbed, across their pieces',
    file: `${source}/agent/previews.ts`,
    find: 'open.text.push(piece)',
    replace: 'piece',
    test,
    title: 'an answer that streams does not say the secret, whatever its pieces',
  },
  {
    wall: 'the audit is scrubbed, and what is sent to the database',
    ...audit,
    also: [dialect],
    test,
    title: 'the audit does not say the secret',
  },
  {
    wall: 'the audit is scrubbed before it is hashed',
    ...audit,
    test,
    title: 'the audit’s hashes are of what can be read, without the secret',
  },
  {
    wall: 'the log is scrubbed',
    file: `${source}/log.ts`,
    find: 'const scrubbed = scrubber.json(line)',
    replace: 'const scrubbed = line',
    test,
    title: 'a line of the log does not say the secret',
  },
]
