/** `docker.io/library/node` as `node:latest`: an image as people write it, with the tag it means. */
export function canonicalImage(name: string): string | null {
  const [, path = '', tag = '', digest = ''] =
    /^([a-z0-9][a-z0-9._:/-]*?)(?::([\w][\w.-]{0,127}))?(@sha256:[0-9a-f]{64})?$/.exec(name) ?? []
  if (path === '' || path.length > 255 || path.includes(':/') || /:(?!\d+\/)/.test(path))
    return null
  const short = path.replace(/^(index\.)?docker\.io\//, '').replace(/^library\//, '')
  return `${short}${tag === '' && digest !== '' ? '' : `:${tag || 'latest'}`}${digest}`
}
