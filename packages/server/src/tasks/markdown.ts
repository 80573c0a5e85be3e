/** Characters of inline code that are shown: a file's name, a command. */
const codeCharsMax = 300

/**
 * Untrusted text as Markdown code. What could close the span, start a line, or hide or turn what
 * stands around it is shown as an escape.
 */
export function inlineCode(text: string): string {
  const line = text.replace(/[`\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escaped)
  return `\` ${line.slice(0, codeCharsMax).toWellFormed()} \``
}

/**
 * Untrusted text as a fenced block that it cannot close (CommonMark, 4.5: a fence ends with as many
 * backticks as it began with, or more). What a terminal would obey, and what would hide or turn text,
 * is shown as an escape; lines and tabs stay.
 */
export function fenced(text: string, info = 'text'): string {
  const longest = (text.match(/`+/g) ?? []).reduce((max, { length }) => Math.max(max, length), 2)
  const fence = '`'.repeat(longest + 1)
  const shown = text
    .replace(/\r\n?/g, '\n')
    .replace(/(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escaped)
    .replace(/\n$/, '')
  return `${fence}${info}\n${shown}\n${fence}`
}

function escaped(sign: string): string {
  return `\\u{${sign.codePointAt(0)?.toString(16)}}`
}
