import type { Gap, SandboxTool } from '@longhaul/client/contract'
import type { Bwrap } from './bwrap.ts'
import type { DetectedLimits } from './limits/detect.ts'

/** What this host and its programs lack, of what a sandbox can do without. */
export function hostGaps({
  bwrap,
  filters,
}: {
  readonly bwrap: Bwrap
  readonly filters: boolean
}): Gap[] {
  const gaps: Gap[] = []
  if (bwrap.version !== null && !bwrap.disablesUserns)
    gaps.push({
      what: `This bubblewrap, ${bwrap.version}, is older than 0.8.`,
      consequence:
        'It cannot forbid user namespaces inside: the filter of system calls alone refuses them.',
      fix: 'Install bubblewrap 0.8 or newer (Debian 12, Ubuntu 24.04).',
    })
  if (process.getuid?.() !== 0)
    gaps.push({
      what: 'The server is not root.',
      consequence:
        'Sessions share its uid: namespaces alone keep them apart from each other and from its files.',
      fix: 'Run the server as root: each session then has a uid of its own, without any privilege.',
    })
  if (!filters)
    gaps.push({
      what: `System calls of this architecture, ${process.arch}, are not known to Longhaul.`,
      consequence:
        'None is filtered inside: more of the kernel can be attacked, and AF_VSOCK reaches a hypervisor.',
      fix: 'Use a machine with x64 or arm64.',
    })
  return gaps
}

/** Programs that agents like to have, and that are not there. */
export function toolGaps(tools: readonly SandboxTool[]): Gap[] {
  const missing = (name: string) =>
    tools.some((tool) => tool.name === name && tool.version === null)
  return optionalTools.filter(({ name }) => missing(name)).map(({ gap }) => gap)
}

const optionalTools: readonly { readonly name: string; readonly gap: Gap }[] = [
  {
    name: 'rg',
    gap: {
      what: 'There is no ripgrep (rg) in the sandbox.',
      consequence: 'Commands of agents that search with rg fail; their own search tools work.',
      fix: 'On Debian and Ubuntu: apt-get install ripgrep.',
    },
  },
  {
    name: 'gh',
    gap: {
      what: 'There is no GitHub command line (gh) in the sandbox.',
      consequence: 'Commands of agents that use gh fail; the typed tools for GitHub work.',
      fix: 'On Debian and Ubuntu: apt-get install gh.',
    },
  },
]

/** What Longhaul has for other hosts than this one, and how it was tried instead. */
export function notRun({ memory, cpu, processes }: Omit<DetectedLimits, 'gaps' | 'hierarchies'>) {
  const isVersion2 = [memory, cpu, processes].includes('cgroup2')
  return [
    ...(isVersion2
      ? []
      : ['Control groups of version 2: the tests run them against a fake tree of files.']),
    ...(process.arch === 'arm64'
      ? []
      : ['The filter of system calls on arm64: the tests interpret its program from tables.']),
  ]
}
