import type { DockerBuild } from './docker-context.ts'

/** A stage of a build, as far as it came. */
interface Stage {
  readonly name: string
  readonly labels: Record<string, string>
  /** Steps after its FROM: each makes an image. */
  steps: number
}

/** The stages of a build, and what of it fails without running anything. */
export function stagesOf(
  { text, files }: DockerBuild,
  bases: readonly string[],
): { readonly stages: readonly Stage[]; readonly problem: string | null } {
  const stages: Stage[] = []
  for (const { word, rest } of instructionsIn(text)) {
    const [first = '', , name = ''] = rest.split(/\s+/)
    const stage = stages.at(-1)
    if (word === 'FROM') {
      const from = stages.find((each) => each.name === first)
      if (from === undefined && first !== 'scratch' && !bases.includes(first))
        return { stages, problem: `pull access denied for ${first}` }
      stages.push({ name, labels: { ...from?.labels }, steps: 0 })
      continue
    }
    if (word === 'COPY' && !first.startsWith('--') && first !== '.' && !(first in files))
      return { stages, problem: `COPY failed: file not found in build context: ${first}` }
    if (stage === undefined) continue
    stage.steps += 1
    if (word === 'LABEL') Object.assign(stage.labels, labelsIn(rest))
  }
  return { stages, problem: null }
}

function labelsIn(text: string): Record<string, string> {
  const pairs = text.matchAll(/([\w.-]+)="?([^"\s]*)"?/g)
  return Object.fromEntries([...pairs].map(([, name = '', value = '']) => [name, value]))
}

/**
 * As engines since 23 read it: lines up to the end of a here-document are no instructions.
 * https://docs.docker.com/reference/dockerfile/#here-documents
 */
function instructionsIn(text: string): { readonly word: string; readonly rest: string }[] {
  const found: { word: string; rest: string }[] = []
  const lines = text.split('\n')
  for (let line = lines.shift(); line !== undefined; line = lines.shift()) {
    const [, word = '', rest = ''] = /^\s*(\S+)\s*(.*)$/.exec(line) ?? []
    if (word === '') continue
    found.push({ word: word.toUpperCase(), rest })
    if (!/^(ADD|COPY|RUN)$/i.test(word)) continue
    for (const [, end] of rest.matchAll(/(?:^|\s)\d*<<-?["']?(\w+)["']?(?=\s|$)/g))
      lines.splice(0, lines.findIndex((each) => each.trim() === end) + 1)
  }
  return found
}
