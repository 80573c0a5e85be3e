import { z } from 'zod'
import { canonicalImage } from './image-name.ts'

/** A host and a port, as the allow-lists hold them. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

/** A name for hosts that whoever writes a list need not know. */
export type Preset = 'package_registries'
export type AllowedHost = HostPort | Preset

export function isPreset(entry: AllowedHost | string): entry is Preset {
  return entry === 'package_registries'
}

/** A whole number. */
export function count(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,9}$/, `expected a whole number from ${min} to ${max}`)
    .transform(Number)
    .pipe(z.number().min(min).max(max))
}

/** US dollars, above nothing. */
export function dollars() {
  return z
    .string()
    .regex(/^\d{1,6}(\.\d{1,4})?$/, 'expected US dollars, such as 50 or 12.5')
    .transform(Number)
    .pipe(z.number().gt(0))
}

export function secret() {
  return z
    .string()
    .max(4096)
    .regex(/^[\x21-\x7e]+$/, 'expected printable characters without spaces')
    .optional()
}

export function httpUrl() {
  return z
    .url({ protocol: /^https?$/ })
    .transform((text) => new URL(text))
    .refine((url) => url.username === '' && url.password === '', 'no credentials in the URL')
}

export function repositories() {
  return listOf((part, refuse) => {
    if (!/^[\w.-]+(\/[\w.-]+)*\/([\w.-]+|\*)$/.test(part) || /(^|\/)\.+(\/|$)/.test(part))
      refuse(`expected owner/name or owner/*, got ${JSON.stringify(part)}`)
    return `/${part.replace(/\.git$/, '')}`
  })
}

export function dockerEngine() {
  return z.string().transform((text, context) => {
    const [, socketPath] = /^unix:\/\/(\/.{1,106})$/.exec(text) ?? []
    if (socketPath !== undefined) return { socketPath }
    const url = URL.parse(text)
    if (url?.protocol === 'http:' && url.pathname === '/' && url.username === '') return { url }
    context.addIssue('expected unix:///path or http://host:port')
    return z.NEVER
  })
}

export function images() {
  return listOf((part, refuse) => {
    const image = canonicalImage(part)
    if (image === null) refuse(`expected an image, got ${JSON.stringify(part)}`)
    return image ?? ''
  })
}

export function modelNames() {
  return listOf((part, refuse) => {
    if (part !== '*' && !/^[\w.:/@-]{1,128}$/.test(part))
      refuse(`expected the name of a model or *, got ${JSON.stringify(part)}`)
    return part
  })
}

export function hostPorts() {
  return listOf(hostPortOf)
}

export function allowedHosts() {
  return listOf((part, refuse): AllowedHost => (isPreset(part) ? part : hostPortOf(part, refuse)))
}

function hostPortOf(part: string, refuse: (sentence: string) => void): HostPort {
  const [, host = '', port = '443'] =
    /^([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/i.exec(part) ?? []
  if (host === '' || Number(port) < 1 || Number(port) > 65_535)
    refuse(`expected host or host:port, got ${JSON.stringify(part)}`)
  return { host: host.toLowerCase().replace(/^\[|\]$/g, ''), port: Number(port) }
}

/** A comma-separated list; `refuse` says what is wrong with a part. */
function listOf<T>(parse: (part: string, refuse: (sentence: string) => void) => T) {
  return z.string().transform((text, context): T[] =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
      .map((part) => parse(part, (sentence) => context.addIssue(sentence))),
  )
}
