import { BlockList, isIP } from 'node:net'

/**
 * Decides whether an address may be dialled for somebody who is not trusted: the agent in its
 * sandbox, or a callback URL in an order. Only globally routable unicast addresses pass; whatever
 * cannot be understood does not.
 */
export function judgeAddress(ip: string): { ok: true } | { ok: false; why: string } {
  const family = isIP(ip)
  if (family === 0) return { ok: false, why: `${JSON.stringify(ip)} is not an IP address` }
  const address = family === 6 ? withoutZone(ip) : ip
  const version = family === 6 ? 'ipv6' : 'ipv4'
  const kind = ranges[version].find((range) => range.list.check(address, version))
  return kind ? { ok: false, why: `${ip} is ${kind.what}` } : { ok: true }
}

interface Range {
  readonly what: string
  readonly list: BlockList
}

/**
 * The special-purpose registries of IANA for both versions. One list a version and kind: a rule
 * for `::ffff:0:0/96` in a list that also judges IPv4 would match every IPv4 address.
 */
const ranges: Readonly<Record<'ipv4' | 'ipv6', readonly Range[]>> = {
  ipv4: [
    range('unspecified or "this network"', ['0.0.0.0/8']),
    range('loopback', ['127.0.0.0/8']),
    range('private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16']),
    range('link-local (cloud metadata lives there)', ['169.254.0.0/16']),
    range('shared address space of a carrier', ['100.64.0.0/10']),
    range('reserved for protocols', ['192.0.0.0/24', '192.88.99.0/24', '192.31.196.0/24']),
    range('reserved for protocols', ['192.52.193.0/24', '192.175.48.0/24']),
    range('for documentation', ['192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24']),
    range('for benchmarks', ['198.18.0.0/15']),
    range('multicast', ['224.0.0.0/4']),
    range('reserved or broadcast', ['240.0.0.0/4']),
  ],
  ipv6: [
    range('unspecified, loopback or IPv4-compatible', ['::/96']),
    range('an IPv4 address in IPv6 form', ['::ffff:0:0/96', '::ffff:0:0:0/96']),
    range('translated to IPv4', ['64:ff9b::/96', '64:ff9b:1::/48']),
    range('6to4, which hides an IPv4 address', ['2002::/16']),
    range('reserved for protocols (Teredo, ORCHID)', ['2001::/23']),
    range('for documentation', ['2001:db8::/32', '3fff::/20']),
    range('discard-only', ['100::/64', '100:0:0:1::/64']),
    range('for segment routing', ['5f00::/16']),
    range('unique local (private)', ['fc00::/7']),
    range('link-local or site-local', ['fe80::/10', 'fec0::/10']),
    range('multicast', ['ff00::/8']),
  ],
}

function range(what: string, subnets: readonly string[]): Range {
  const list = new BlockList()
  for (const subnet of subnets) {
    const [net = '', bits = ''] = subnet.split('/')
    list.addSubnet(net, Number(bits), net.includes(':') ? 'ipv6' : 'ipv4')
  }
  return { what, list }
}

/** `fe80::1%eth0` names an interface; the address alone decides. */
function withoutZone(ip: string): string {
  return ip.split('%')[0] ?? ip
}
