/**
 * Where a delivery goes (scheme, host and port of its address), computed from the address, so that what older
 * servers write has it, too. What waits is found by receiver: a claim does not read all that waits for a slow
 * one. No name is as long as 300 characters.
 */
export const receivers = {
  name: '0031-receivers',
  sql: `
create function origin_of(url text) returns text language sql immutable strict parallel safe
  return left(regexp_replace(
    lower(coalesce(substring(url from '^[^/]+//[^/?#\\\\]+'), url)),
    '^(https://.*):443$|^(http://.*):80$', '\\1\\2'), 300);
create index deliveries_of_receiver on deliveries
  (origin_of(url), (coalesce(endpoint_id, '')), next_try_at, position)
  where delivered_at is null and gave_up_at is null;
`,
}
