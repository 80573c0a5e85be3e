/** A git host with a private repository of the session and another one, and git behind a gateway. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FakeGitHub, type FakeRepository, startFakeGitHub } from '@longhaul/testing'
import { fixedCredential } from '../../src/gateway/credential.ts'
import type { GatewayPolicy } from '../../src/gateway/policy.ts'
import { startBridge } from './harness.ts'

export const pushRefs = ['refs/heads/agent/x', 'refs/heads/agent/x-wip']
export const fetchQuery = '?service=git-upload-pack'

export interface GitStage extends AsyncDisposable {
  readonly github: FakeGitHub
  /** The repository of the session. */
  readonly app: FakeRepository
  /** Where clones are. */
  readonly directory: string
  policy(o: GitOptions): Partial<GatewayPolicy>
  git(gateway: { readonly socketPath: string }): Promise<GitInside>
}

interface GitOptions {
  readonly push: boolean
  readonly pushBytesMax?: number
  readonly fetchBytesMax?: number
}

export async function openGitStage(): Promise<GitStage> {
  await using opened = new AsyncDisposableStack()
  const github = opened.use(await startFakeGitHub({ token: 'real-token-canary' }))
  const files = { 'a.txt': 'one\n' }
  const app = await github.createRepository({ owner: 'acme', name: 'app', files, private: true })
  await github.createRepository({ owner: 'acme', name: 'other', files: { 'b.txt': 'two\n' } })
  const directory = await mkdtemp(join(tmpdir(), 'longhaul-git-'))
  opened.defer(() => rm(directory, { recursive: true, force: true }))
  const closing = opened.move()
  return {
    ...{ github, app, directory },
    policy: ({ push, ...bounds }) => ({
      git: {
        ...bounds,
        origin: github.url,
        path: '/acme/app',
        credential: fixedCredential(github.token),
        pushRefs: push ? pushRefs : [],
      },
      allowPrivate: [{ host: '127.0.0.1', port: Number(new URL(github.url).port) }],
    }),
    git: (gateway) => startGit({ gateway, url: github.url, directory }),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

export interface GitInside extends AsyncDisposable {
  git(cwd: string, ...args: string[]): Promise<{ code: number; output: string }>
  /** A clone of the session's repository, in a directory of this name. */
  clone(name: string): Promise<string>
}

/** git as it runs inside: the origin is rewritten to the gateway; no configuration of the host. */
export async function startGit(o: {
  readonly gateway: { readonly socketPath: string }
  readonly url: string
  readonly directory: string
}): Promise<GitInside> {
  const bridge = await startBridge(o.gateway.socketPath)
  const settings = [
    `url.${bridge.url}/git/.insteadOf=${o.url}/`,
    ...['user.name=a', 'user.email=a@example.org'],
  ].flatMap((setting) => ['-c', setting])
  const env = {
    ...{ PATH: process.env['PATH'], HOME: o.directory },
    ...{ GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0' },
  }
  const git: GitInside['git'] = (cwd, ...args) =>
    new Promise((resolve) => {
      execFile('git', [...settings, ...args], { cwd, env }, (error, out, err) =>
        resolve({ code: error === null ? 0 : 1, output: `${out}${err}` }),
      )
    })
  return {
    git,
    async clone(name) {
      const clone = join(o.directory, name)
      const { code, output } = await git(o.directory, 'clone', `${o.url}/acme/app`, clone)
      assert.equal(code, 0, output)
      return clone
    },
    [Symbol.asyncDispose]: () => bridge[Symbol.asyncDispose](),
  }
}

/** What git sends to make a branch: the command, and the beginning of a pack. */
export function pushBody(ref: string): string {
  const line = `${'0'.repeat(40)} ${'1'.repeat(40)} ${ref}\0report-status\n`
  return `${(line.length + 4).toString(16).padStart(4, '0')}${line}0000PACK`
}
