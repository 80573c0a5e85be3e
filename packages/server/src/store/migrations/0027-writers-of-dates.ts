/**
 * By whose clock the age of a delivery is, and since when an endpoint has been failing: the node that wrote
 * it, which alone moves it along when its date is set.
 */
export const writersOfDates = {
  name: '0027-writers-of-dates',
  sql: `
alter table deliveries add column queued_by text;
alter table endpoints add column failing_by text;
`,
}
