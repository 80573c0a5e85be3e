/**
 * Searches that read much to count little. A task's words are cut out once, when it is written: cutting
 * takes 55 µs, so that counting a thousand tasks that have a common word took 60 ms.
 */
export const quickSearches = {
  name: '0022-quick-searches',
  sql: `
alter table tasks add column words tsvector
  generated always as (task_search("order", result)) stored;
drop index tasks_search;
create index tasks_of_word on tasks using gin (words);
`,
}
