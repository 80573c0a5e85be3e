/**
 * Whose clock the dates of a delivery are by: the node that tried it last, which moves them along when
 * its date is set.
 */
export const deliveryDates = {
  name: '0024-delivery-dates',
  sql: `
alter table deliveries add column tried_by text;
`,
}
