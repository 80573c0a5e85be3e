/**
 * What a long-running agent needs around it, on loopback and without a key: a scripted model that
 * the real claude CLI talks to, a GitHub with real git, a package registry. For our tests, for
 * `script/demo`, and for yours.
 */
export type { Conversation, Entry, ToolCall, ToolResult } from './conversation.ts'
export type { DockerBuild } from './docker-context.ts'
export type { ContainerEnd, FakeDocker, FakeDockerOptions } from './fake-docker.ts'
export { startFakeDocker } from './fake-docker.ts'
export type { FakeGitHub, FakeGitHubOptions } from './fake-github.ts'
export { startFakeGitHub } from './fake-github.ts'
export type { FakeRepository, PullRequest, RepositoryOptions } from './fake-repository.ts'
export type { AppOptions, FakeApp, InstallationToken, Permissions } from './github-apps.ts'
export type { BeforeRequest, GitHubAction, GitHubRequest, Push, Verdict } from './github-gate.ts'
export type { CheckRun, Comment, Issue, Issues, Review } from './issues.ts'
export type {
  PackageRegistry,
  PackageRegistryOptions,
  RegistryPackage,
  RegistryRequest,
} from './package-registry.ts'
export { startPackageRegistry } from './package-registry.ts'
export type {
  AnswerBlock,
  Fault,
  Matcher,
  Rule,
  Scenario,
  Step,
  StepOptions,
  Usage,
} from './scenario.ts'
export { say, script, think, together, use, when } from './scenario.ts'
export type { ScriptedModel, ScriptedModelOptions } from './scripted-model.ts'
export { startScriptedModel } from './scripted-model.ts'
export type { DuplicateTurn, ModelRequest } from './turn-ledger.ts'
