import { canonicalImage } from '../image-name.ts'

const fileCharsMax = 64 * 1024
const instructionsMax = 200
/** Instructions of a Dockerfile. Not `ADD`, which fetches from the network, nor `ONBUILD`. */
const known = new Set(
  'ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER RUN SHELL STOPSIGNAL USER VOLUME WORKDIR'.split(
    ' ',
  ),
)

/**
 * Checks a Dockerfile and writes it anew: one instruction a line, no comments, no directives, no
 * continuations. What is built is the text that was checked, so that no two readings of one file can
 * differ. Every FROM names an allowed image, `scratch` or an earlier stage; nothing is copied from
 * any other image. Every image that a build makes on its way has the label, that of an earlier stage
 * or of a build that fails, too. Answers the text, or the sentence that says what is wrong.
 */
export function checkDockerfile(
  text: string,
  { allowed, label }: { readonly allowed: readonly string[]; readonly label: Label },
): { readonly text: string } | { readonly problem: string } {
  if (text.length > fileCharsMax) return { problem: `It has more than ${fileCharsMax} characters.` }
  const lines = instructionsOf(text).map(canonicalLine)
  if (lines.length > instructionsMax)
    return { problem: `It has more than ${instructionsMax} instructions.` }
  const stages: (string | null)[] = []
  for (const line of lines) {
    const problem = problemOf(line, { stages, allowed })
    if (problem !== null) return { problem: `${line.slice(0, 200)}: ${problem}` }
  }
  if (stages.length === 0) return { problem: 'It has no FROM.' }
  // After a LABEL of the file's own, which could say otherwise, once more.
  const ours = `LABEL ${label.name}="${label.value}"`
  const labelled = lines.flatMap((line) => (/^(FROM|LABEL) /.test(line) ? [line, ours] : [line]))
  return { text: `${labelled.join('\n')}\n` }
}

interface Label {
  readonly name: string
  readonly value: string
}

/**
 * What an engine may take for the start of a here-document, after which lines are not instructions:
 * `<<`, also as it puts it together, as of `<${A:-<}`.
 */
const hereDocument = /<<|<\$|\}<|\$\{[^}]*</

/** As the engine's parser folds them: comments go, also between continued lines. */
function instructionsOf(text: string): string[] {
  const folded: string[] = []
  let open = ''
  for (const raw of text.replace(/^\ufeff/, '').split(/\r?\n/)) {
    if (/^\s*(#|$)/.test(raw)) continue
    const [, line = '', more] = /^(.*?)(\\[ \t]*)?$/s.exec(raw) ?? []
    open += open === '' ? line.trimStart() : line
    if (more !== undefined) continue
    folded.push(open.trim())
    open = ''
  }
  if (open.trim() !== '') folded.push(open.trim())
  return folded.filter((line) => line !== '')
}

interface Seen {
  /** A name, or none, for each stage so far. */
  readonly stages: (string | null)[]
  readonly allowed: readonly string[]
}

/** The instruction in capitals, one space, and the rest. */
function canonicalLine(line: string): string {
  const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(line) ?? []
  return `${word.toUpperCase()} ${rest}`.trim()
}

function problemOf(line: string, seen: Seen): string | null {
  const [instruction = ''] = line.split(' ', 1)
  const rest = line.slice(instruction.length + 1)
  if (instruction === 'ADD') return 'use COPY; ADD also fetches from the network.'
  if (!known.has(instruction)) return `${instruction.slice(0, 40)} is not an instruction for here.`
  if (/\p{Cc}/u.test(line.replaceAll('\t', ' ')) || line.endsWith('\\'))
    return 'it has a control character, or ends in a backslash.'
  if ((instruction === 'RUN' || instruction === 'COPY') && hereDocument.test(rest))
    return 'expected no here-document (`<<`), which not every engine reads the same.'
  if (instruction === 'FROM') return problemOfFrom(rest, seen)
  if (seen.stages.length === 0 && instruction !== 'ARG') return 'expected FROM before it.'
  if (instruction === 'RUN' && rest.startsWith('--')) return 'RUN takes no options here.'
  return instruction === 'COPY' ? problemOfCopy(rest, seen) : null
}

function problemOfFrom(rest: string, { stages, allowed }: Seen): string | null {
  const [, image = '', stage] = /^(\S+)(?:\s+AS\s+([a-z][a-z0-9_.-]{0,62}))?$/i.exec(rest) ?? []
  if (image === '' || image.startsWith('-') || image.includes('$'))
    return 'expected `FROM image` or `FROM image AS stage`, written out, without options.'
  const isStage = stages.includes(image.toLowerCase())
  if (!isStage && image !== 'scratch' && !allowed.includes(canonicalImage(image) ?? ''))
    return `${image} is not among the images that may be built from: ${allowed.join(', ') || 'none but scratch'}.`
  stages.push(stage?.toLowerCase() ?? null)
  return null
}

/**
 * `--from` of an image would take its files without a FROM. An option is taken only in its plainest
 * form: the engine would read `--\from` and `--"from"` as the same.
 */
function problemOfCopy(rest: string, { stages }: Seen): string | null {
  for (const word of rest.split(/\s+/)) {
    if (!word.startsWith('--')) break
    const [, option = '', value = ''] = /^--(from|chown)=([\w.:-]+)$/.exec(word) ?? []
    if (option === '') return `COPY takes no ${word} here.`
    const index = /^\d{1,3}$/.test(value) ? Number(value) : -1
    const isEarlier = stages.slice(0, -1).includes(value.toLowerCase())
    if (option === 'from' && !isEarlier && (index < 0 || index >= stages.length - 1))
      return `${value} is not an earlier stage.`
  }
  return null
}
