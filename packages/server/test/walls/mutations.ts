import type { Mutation } from './mutation.ts'
import { answerMutations } from './mutations-answers.ts'
import { countedMutations } from './mutations-counted.ts'
import { floodMutations } from './mutations-floods.ts'
import { gatewayMutations } from './mutations-gateway.ts'
import { gitHubMutations } from './mutations-github.ts'
import { heldMutations } from './mutations-held.ts'
import { hostMutations } from './mutations-host.ts'
import { hostGitMutations } from './mutations-host-git.ts'
import { kernelMutations } from './mutations-kernel.ts'
import { leavingsMutations } from './mutations-leavings.ts'
import { limitMutations } from './mutations-limits.ts'
import { lookupMutations } from './mutations-lookups.ts'
import { modelMutations } from './mutations-model.ts'
import { parsingMutations } from './mutations-parsing.ts'
import { procMutations } from './mutations-proc.ts'
import { repoConfigMutations } from './mutations-repo-config.ts'
import { scrubbingMutations } from './mutations-scrubbing.ts'
import { secretMutations } from './mutations-secret.ts'

export type { Mutation } from './mutation.ts'

/** Every wall of the attack tables, and what shows that it is gone. */
export const mutations: readonly Mutation[] = [
  ...hostMutations,
  ...procMutations,
  ...kernelMutations,
  ...hostGitMutations,
  ...gatewayMutations,
  ...gitHubMutations,
  ...heldMutations,
  ...secretMutations,
  ...scrubbingMutations,
  ...leavingsMutations,
  ...modelMutations,
  ...repoConfigMutations,
  ...limitMutations,
  ...floodMutations,
  ...countedMutations,
  ...parsingMutations,
  ...answerMutations,
  ...lookupMutations,
]

/** Attacks that work: what bounds them, and the test that it does. */
export const withoutWall: readonly Pick<Mutation, 'test' | 'title'>[] = [
  {
    test: 'packages/server/test/walls/host.test.ts',
    title: 'tracing pid 1 hangs nothing but the sandbox, which its time limit ends',
  },
  {
    test: 'packages/server/test/walls/leavings.test.ts',
    title: 'a program that a repository has its tools run stays inside',
  },
]
