/** Tasks are found by their repository whatever the case of its URL, as its settings are. */
export const repositoryCase = {
  name: '0008-repository-case',
  sql: `
drop index tasks_of_repository;
create index tasks_of_repository on tasks (lower("order" ->> 'repoUrl'), created_at desc, id desc);
`,
}
