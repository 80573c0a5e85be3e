/** Whether a parked task goes on at a moment that somebody named, which is kept when the date of a host is set. */
export const waitsForDates = {
  name: '0029-waits-for-dates',
  sql: `
alter table tasks add column wake_is_date boolean not null default false;
`,
}
