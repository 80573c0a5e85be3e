/** Endpoints of one task, which go with it, and a list of all deliveries: those of a status are few but for one. */
export const endpointsOfTasks = {
  name: '0025-endpoints-of-tasks',
  sql: `
alter table endpoints add column task_id text references tasks (id) on delete cascade;
create index endpoints_of_task on endpoints (task_id) where task_id is not null;
create index deliveries_of_key on deliveries (created_by, position);
create index deliveries_waiting on deliveries (position)
  where delivered_at is null and gave_up_at is null;
create index deliveries_dead on deliveries (position)
  where delivered_at is null and gave_up_at is not null;
`,
}
