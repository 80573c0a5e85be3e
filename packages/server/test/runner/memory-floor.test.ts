import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Metrics } from '../../src/metrics.ts'
import { MemoryFloor } from '../../src/runner/memory-floor.ts'

const metrics = new Metrics()
const problemAt = (floorBytes: number, freeMemory?: () => number) =>
  new MemoryFloor({ floorBytes, metrics, ...(freeMemory && { freeMemory }) }).look().problem

test('the floor itself is enough, and without a floor anything is', () => {
  const free = (bytes: number) => () => bytes
  assert.notEqual(problemAt(256, free(255)), null)
  assert.equal(problemAt(256, free(256)), null)
  assert.equal(problemAt(0, free(0)), null)
})

test('what a machine has free is what this process could still take', () => {
  assert.notEqual(problemAt(1024 ** 5), null)
  assert.equal(problemAt(1), null)
})
