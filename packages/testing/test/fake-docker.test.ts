import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startFakeDocker } from '@longhaul/testing'

const bounded = {
  NetworkMode: 'none',
  CapDrop: ['ALL'],
  SecurityOpt: ['no-new-privileges'],
  Memory: 1e9,
  MemorySwap: 1e9,
  CpuQuota: 1e5,
  PidsLimit: 64,
}

test('a container that would have more of its host than a bounded share is refused', async () => {
  await using docker = await startFakeDocker()
  const create = async (body: object) => {
    const init = { method: 'POST', body: JSON.stringify(body) }
    return (await fetch(`${docker.url}/v1.44/containers/create`, init)).status
  }
  const wrong = [
    { Privileged: true },
    { Binds: ['/:/host'] },
    { Mounts: [{ Type: 'bind', Source: '/', Target: '/host' }] },
    { VolumesFrom: ['other'] },
    { Devices: [{ PathOnHost: '/dev/kmsg' }] },
    { CapAdd: ['SYS_ADMIN'] },
    { CapDrop: [] },
    { NetworkMode: 'host' },
    { NetworkMode: 'bridge' },
    { PidMode: 'host' },
    { IpcMode: 'container:abc' },
    { UsernsMode: 'host' },
    { SecurityOpt: ['seccomp=unconfined'] },
    { SecurityOpt: ['no-new-privileges', 'apparmor=unconfined'] },
    { Memory: 0 },
    { PidsLimit: -1 },
    { CpuQuota: 0 },
  ]
  for (const change of wrong)
    assert.equal(
      await create({ HostConfig: { ...bounded, ...change } }),
      403,
      JSON.stringify(change),
    )
  assert.equal(await create({ HostConfig: bounded, Volumes: { '/a': {} } }), 403)
  assert.equal(docker.refusals.length, wrong.length + 1)
  // What is bounded is not refused; there is only no such image.
  assert.equal(await create({ Image: 'none', HostConfig: bounded }), 404)
  assert.deepEqual(docker.containers(), [])
})

test('a build with a network, without bounds, or by another builder is refused', async () => {
  await using docker = await startFakeDocker()
  const right = {
    ...{ networkmode: 'none', version: '1', forcerm: '1' },
    ...{ memory: '1', memswap: '1', cpuquota: '1' },
  }
  const wrong = { networkmode: 'host', version: '2', forcerm: '0', memory: '0', cpuquota: '0' }
  for (const [name, value] of [...Object.entries(wrong), ['remote', 'https://example.com']]) {
    const query = new URLSearchParams({ ...right, [name ?? '']: value ?? '' })
    const response = await fetch(`${docker.url}/v1.44/build?${query}`, { method: 'POST' })
    assert.equal(response.status, 403, name)
  }
  assert.deepEqual(docker.builds, [])
})
