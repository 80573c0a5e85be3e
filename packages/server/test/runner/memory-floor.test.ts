import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLog } from '../../src/log.ts'
import { MemoryFloor } from '../../src/runner/memory-floor.ts'

const log = createLog('silent')

test('work is held back while less memory is free than the floor, and never without one', () => {
  let free = 300
  const memory = new MemoryFloor({ floorBytes: 256, log, freeBytes: () => free })
  assert.equal(memory.isHeld(), false)
  free = 255
  assert.equal(memory.isHeld(), true)
  free = 256
  assert.equal(memory.isHeld(), false)
  assert.equal(new MemoryFloor({ floorBytes: 0, log, freeBytes: () => 0 }).isHeld(), false)
})

test('what a machine has free is what this process could still take', () => {
  assert.equal(new MemoryFloor({ floorBytes: 1024 ** 5, log }).isHeld(), true)
  assert.equal(new MemoryFloor({ floorBytes: 1, log }).isHeld(), false)
})
