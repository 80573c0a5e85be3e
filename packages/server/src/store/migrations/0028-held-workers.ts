/** Why a worker begins nothing new, which tasks that wait say once it is so of all. */
export const heldWorkers = {
  name: '0028-held-workers',
  sql: `alter table workers add column held text`,
}
