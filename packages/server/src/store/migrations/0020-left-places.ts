/**
 * Where sessions were that went on elsewhere: their files are still there, and so is the slot that owns
 * them, until that node has removed both. A row outlives its session.
 */
export const leftPlaces = {
  name: '0020-left-places',
  sql: `
create table left_places (
  node text not null,
  slot integer not null check (slot >= 1),
  session_id text not null,
  since timestamptz not null,
  primary key (node, slot),
  unique (node, session_id)
)
`,
}
