/** Directories that stay when their session is over, and since when. */
export const kept = {
  name: '0002-kept',
  sql: 'alter table sessions add column kept_at timestamptz',
}
