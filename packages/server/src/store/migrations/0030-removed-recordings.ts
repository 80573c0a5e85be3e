/**
 * Since when the recordings of a session are being removed, which takes several transactions: nothing goes on
 * with what is left of them meanwhile.
 */
export const removedRecordings = {
  name: '0030-removed-recordings',
  sql: `
alter table sessions add column recordings_removed_at timestamptz;
`,
}
