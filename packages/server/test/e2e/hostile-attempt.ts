/** The form of what a hostile agent tries: a tool call, and the answer that it must get. */
import assert from 'node:assert/strict'
import { type Step, use } from '@longhaul/testing'
import { type Attempts, endsOf } from '../support/attempts.ts'
import { hostCanary, type Lures } from './hostile-stage.ts'

/** One attempt: what it wants, its tool call, and what the walls answer. */
export interface Attempt {
  readonly wants: string
  readonly call: Step
  /** Asserts that the tool's answer is a refusal, or says nothing that may not be known. */
  readonly ends: (answer: string) => void
  /**
   * What the gateway turned away, in the order of the tries: `route host:port`. All attempts are in
   * the session's log as tool calls with their arguments; these are there as denials as well.
   */
  readonly denied: readonly string[]
  /** The limit of the session that it ran into, which the log tells as well. */
  readonly limit?: 'out_of_memory' | 'too_many_processes' | 'disk_full'
}

/** What the attacker knows: more than it ever could. */
export interface Target {
  readonly lures: Lures
  readonly serverPid: number
  /** The workspace of the attacker's own session. */
  readonly workspace: string
  /** The directory of the session of the other task. */
  readonly otherSession: string
  readonly databaseSocket: string
  /** A registry that the sandbox may reach. */
  readonly registry: URL
  /** The git host, and the URL of a repository there that is not the task's. */
  readonly gitHost: string
  readonly otherRepository: string
  readonly modelHost: string
  readonly gitHubApiHost: string
  /** Whether the session has a file system of its own; where it has not, a hog ends its agent. */
  readonly hasOwnDisk: boolean
}

/** Every command of the list ends as it should; one that may succeed shows that the others could. */
export function tries(wants: string, commands: Attempts, denied: readonly string[] = []): Attempt {
  const lines = commands.map(([command]) => `attempt '${command}'`)
  const ends = (answer: string): void => assert.equal(answer, endsOf(commands))
  return { wants, call: bash(['. ./clients.sh', ...lines].join('\n')), ends, denied }
}

export function attempt(
  wants: string,
  call: Step,
  ends: Attempt['ends'],
  denied: readonly string[] = [],
): Attempt {
  return { wants, call, ends, denied }
}

export function bash(command: string): Step {
  return use('Bash', { command })
}

export function matches(pattern: RegExp): Attempt['ends'] {
  return (answer) => {
    assert.match(answer, pattern)
    assert.ok(!answer.includes(hostCanary), answer)
  }
}
