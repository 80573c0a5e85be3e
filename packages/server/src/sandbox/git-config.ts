/**
 * The `/etc/gitconfig` inside. Repositories of the rewritten prefixes are fetched from the gateway,
 * which adds the credential; the identity is one that a commit may override.
 */
export function gitConfig(o: {
  readonly gatewayUrl: string
  readonly rewrites: readonly { readonly from: string }[]
  readonly committer?: { readonly name: string; readonly email: string } | undefined
  /** Repositories that are another uid's, and may be read all the same. */
  readonly shared?: readonly string[]
}): string {
  const { name, email } = o.committer ?? placeholder
  const rewrites = o.rewrites.map(({ from }) => `\tinsteadOf = ${quoted(from)}\n`).join('')
  const trusted = (o.shared ?? []).map((path) => `\tdirectory = ${quoted(path)}\n`).join('')
  return `[user]
	name = ${quoted(name)}
	email = ${quoted(email)}
[init]
	defaultBranch = main
[advice]
	detachedHead = false
# A command's processes end with it: a detached repack would leave its lock behind.
[gc]
	autoDetach = false
[maintenance]
	autoDetach = false
# There is nobody to ask and nothing to remember.
[credential]
	helper =
[protocol "ext"]
	allow = never
[http ${quoted(`${o.gatewayUrl}/`)}]
	proxy =
${trusted === '' ? '' : `[safe]\n${trusted}`}${rewrites === '' ? '' : `[url ${quoted(`${o.gatewayUrl}/git/`)}]\n${rewrites}`}`
}

const placeholder = { name: 'Longhaul', email: 'longhaul@localhost' }

function quoted(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
  if (/[\x00-\x1f\x7f]/.test(text)) throw new Error('a git setting has a control character')
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
