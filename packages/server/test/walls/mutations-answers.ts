import type { Mutation } from './mutation.ts'

const answers = 'packages/server/src/gateway/answers.ts'
const test = 'packages/server/test/gateway/answers.test.ts'

/** The walls of `answers.test.ts`: around the one thread and the memory of the server. */
export const answerMutations: readonly Mutation[] = [
  {
    wall: 'a turn for each 4 KiB of an answer',
    file: 'packages/server/src/scrub/scrubber.ts',
    find: 'await inTurn(() => pieces.push(piece))',
    replace: 'pieces.push(piece)',
    test,
    title: 'while answers are searched that may spell anything, all else comes in after each 4 KiB',
  },
  {
    wall: 'a turn for each 4 KiB of a body',
    file: 'packages/server/src/gateway/github-route.ts',
    find: 'o.github.scrubber.valueInTurns(asked, context.answers.inTurn)',
    replace: 'o.github.scrubber.value(asked)',
    test,
    title: 'while what is sent to GitHub is searched, all else comes in after each 4 KiB',
  },
  {
    wall: 'turns by sessions',
    file: answers,
    find: '    this.#waiting.delete(session)\n    if (steps.length > 0) this.#waiting.set(session, steps)\n',
    replace: '    if (steps.length === 0) this.#waiting.delete(session)\n',
    test,
    title: 'of two sessions each has every second turn, however many answers one of them has',
  },
  {
    wall: 'a bound on the answers of a session',
    file: answers,
    find: 'if (this.#underWay >= sessionAnswersMax) throw new TooManyAnswers()',
    replace: '',
    test,
    title: 'a session has sixteen answers under way, and is told to come again for one more',
  },
]
