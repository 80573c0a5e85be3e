import type { Mutation, Patch } from './mutation.ts'

const options = 'packages/server/src/agent/options.ts'
const loaded = {
  wall: 'settingSources: []',
  file: options,
  find: 'settingSources: [],',
  replace: "settingSources: ['project', 'local'],",
  test: 'packages/server/test/walls/repo-config.test.ts',
}
const anyServer: Patch = { file: options, find: '    strictMcpConfig: true,\n', replace: '' }
const anyProvider: Patch = {
  file: options,
  find: "  CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1',\n",
  replace: '',
}

/** The walls of `repo-config.test.ts`. */
export const repoConfigMutations: readonly Mutation[] = [
  { ...loaded, title: 'hooks of a repository do not run' },
  { ...loaded, also: [anyProvider], title: 'a helper for keys of a repository does not run' },
  {
    ...loaded,
    also: [anyProvider],
    title: 'an address for the model of a repository’s is not asked',
  },
  { ...loaded, also: [anyServer], title: 'MCP servers of a repository are not started' },
  { ...loaded, title: 'local settings of a repository do not load either' },
]
