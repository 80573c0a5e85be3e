import { arch, release } from 'node:os'
import type { Isolation, SandboxReport } from '@longhaul/client/contract'
import { wallWords } from './self-test.ts'

/** A report for people: the verdict first, then what is behind it, then what to do. */
export function reportText(report: SandboxReport): string {
  const { isolates, limits, tools, gaps } = report
  return [
    `Longhaul on ${process.platform} ${release()} ${arch()}, as ${userName()}`,
    '',
    ...verdict(report),
    ...section(
      'What isolates',
      Object.entries(wallWords).map(
        ([wall, words]) => `${isolates[wall as keyof Isolation] ? 'yes' : 'NO '}  ${words}`,
      ),
    ),
    ...section(
      'What limits',
      Object.entries(limits).map(([name, by]) => `${name.padEnd(10)} ${limitWords[by]}`),
    ),
    ...section(
      'Programs',
      tools.map(({ name, version }) => `${name.padEnd(10)} ${version ?? 'none that works'}`),
    ),
    ...section(
      'Gaps',
      gaps.flatMap(({ what, consequence, fix }) => [
        `- ${what}`,
        `  ${consequence}`,
        `  Fix: ${fix}`,
      ]),
    ),
    ...section('Not run on this host', report.not_run),
  ].join('\n')
}

function verdict({ ok, problem }: SandboxReport): string[] {
  if (ok) return ['A sandbox is possible here: one was built just now, and tried from inside.']
  return [
    'NO SANDBOX IS POSSIBLE HERE, and the server refuses to start.',
    ...(problem === null ? [] : [problem]),
    'SANDBOX=none is the only way round it: without walls, for trusted work only.',
  ]
}

function section(title: string, lines: readonly string[]): string[] {
  return ['', title, ...(lines.length === 0 ? ['none'] : lines).map((line) => `  ${line}`)]
}

function userName(): string {
  const uid = process.getuid?.()
  return uid === 0 ? 'root' : `uid ${uid}`
}

const limitWords = {
  cgroup2: 'held by a control group, version 2',
  cgroup1: 'held by a control group, version 1',
  rlimit: 'held by limits of single processes, and a watchdog',
  none: 'held by nothing',
  image: 'held by a file system of its own for each session',
  counted: 'counted every few seconds',
  unknown: 'not tried: no sandbox was built',
} as const satisfies Record<SandboxReport['limits'][keyof SandboxReport['limits']], string>
