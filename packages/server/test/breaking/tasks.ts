import {
  type Conversation,
  type Scenario,
  type Step,
  say,
  script,
  use,
  when,
} from '@longhaul/testing'
import { brokenSum, mend } from '../support/world.ts'

/** What a task of the suite is, and how it has to end. */
export interface Kind {
  readonly name: string
  readonly order: Readonly<Record<string, unknown>>
  readonly files: Readonly<Record<string, string>>
  readonly ends: { readonly status: 'completed' | 'failed'; readonly reason: string }
  /** Pull requests, and branches beside `main`. */
  readonly published: number
  /** What a human does with it: answers its question, or cancels it once its agent is at work. */
  readonly human?: 'allow' | 'raise' | 'cancel'
  /** It has an agent that asks before it uses the shell. */
  readonly asks?: true
}

const slow = (seconds: number) => use('Bash', { command: `sleep ${seconds}` })
/** By what it says: a prompt as dear as that makes the CLI begin anew from a summary, which no script knows. */
const dear = { input_tokens: 10, output_tokens: 50_000 }
/** Long enough, as long as a check needs, and on a machine that is busy with everything else. */
const commands = { bash: 'sleep 0.3; npm test' }

export const kinds: readonly Kind[] = [
  {
    name: 'mend',
    order: { instructions: 'Mend the sum.', checks: ['npm test'] },
    files: brokenSum,
    ends: { status: 'completed', reason: 'done' },
    published: 1,
  },
  {
    name: 'mend slowly',
    order: { instructions: 'Take your time to mend the sum.', checks: [commands.bash] },
    files: brokenSum,
    ends: { status: 'completed', reason: 'done' },
    published: 1,
  },
  {
    name: 'report',
    order: { type: 'analysis', instructions: 'Say what is here.' },
    files: brokenSum,
    ends: { status: 'completed', reason: 'report' },
    published: 0,
  },
  {
    name: 'change nothing',
    order: { instructions: 'Look, and leave it.', checks: [] },
    files: brokenSum,
    ends: { status: 'completed', reason: 'no_changes' },
    published: 0,
  },
  {
    name: 'ask first',
    order: { instructions: 'Mend it with leave.', checks: ['npm test'] },
    files: brokenSum,
    ends: { status: 'completed', reason: 'done' },
    published: 1,
    human: 'allow',
    asks: true,
  },
  {
    name: 'spend',
    order: { instructions: 'Spend, and mend.', checks: ['npm test'], maxBudgetUsd: 0.5 },
    files: brokenSum,
    ends: { status: 'completed', reason: 'done' },
    published: 1,
    human: 'raise',
  },
  {
    name: 'be cancelled',
    order: { instructions: 'Go on for ever.' },
    files: brokenSum,
    ends: { status: 'failed', reason: 'cancelled' },
    published: 0,
    human: 'cancel',
  },
]

/** What an agent that was told so does: it looks, and mends again what its node took along. */
const lostMend = (text: string): boolean =>
  /may be missing|could be kept/.test(text) && text.includes(JSON.stringify(mend).slice(1, -1))

/** A call that was to wait when its server lost the database may be refused, with the word to try again. */
const again = ({ lastResults }: Conversation): Step =>
  lastResults.some(({ isError, text }) => isError && text.includes('Try again'))
    ? use('Bash', { command: mend })
    : say('Mended, with leave.')

/** What the agents of all kinds do. */
export const scenario: Scenario = script(
  when(lostMend, use('Bash', { command: mend }), slow(0.5), say('Mended again.')),
  when('Mend the sum', use('Bash', { command: mend }), slow(0.5), say('Mended.')),
  when(
    'Take your time',
    slow(1),
    use('Bash', { command: 'echo a > untracked.txt' }),
    slow(2),
    use('Bash', { command: mend }),
    slow(2),
    use('Bash', { command: 'echo b >> untracked.txt' }),
    slow(1),
    say('Mended, slowly.'),
  ),
  when('Say what is here', slow(1), use('Bash', { command: 'ls' }), say('A sum, and its test.')),
  when('Look, and leave', use('Bash', { command: 'cat sum.sh' }), slow(1), say('It is left.')),
  when('with leave', use('Bash', { command: mend }), again, again, say('Mended, with leave.')),
  when(
    'Spend, and mend',
    use('Bash', { command: mend }, { usage: dear }),
    slow(0.3),
    say('Mended, at a price.'),
  ),
  when('Go on for ever', ...Array.from({ length: 500 }, () => slow(2)), say('Never said.')),
)
