import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TaskOrder } from '@longhaul/client/contract'
import fc from 'fast-check'
import { branchOf, keptBranchOf, titleOf } from '../../src/tasks/naming.ts'

const order = (instructions: string): TaskOrder => ({
  type: 'refactor',
  repoUrl: 'https://github.com/acme/app',
  instructions,
  priority: 'medium',
  timeLimitMinutes: 60,
})
const id = 'task_01kaw3n6hvf2zt5e8q4w9rxm7c'

test('the branch has the type, the words of the order and the end of the id', () => {
  assert.equal(
    branchOf(order('Rename Foo() to bar – everywhere!\nMore.'), id),
    'agent/refactor-rename-foo-to-bar-everywhere-4w9rxm7c',
  )
  assert.equal(branchOf(order('重构'), id), 'agent/refactor-4w9rxm7c')
})

test('whatever the instructions say, the branch is a valid ref below agent/ and the title one line', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 300 }), (text) => {
      const branch = branchOf(order(text), id)
      assert.match(branch, /^agent\/[a-z0-9]+(-[a-z0-9]+)*$/)
      assert.ok(branch.length <= 80)
      assert.equal(keptBranchOf(branch), `${branch}-wip`)
      const title = titleOf(order(text))
      assert.ok(title.length >= 1 && title.length <= 72)
      assert.doesNotMatch(title, /[\r\n\0]/)
    }),
  )
})
