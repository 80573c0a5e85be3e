/** Settings of repositories; a repository is known by its URL without case, as git hosts know it. */
export const repositories = {
  name: '0004-repositories',
  sql: `
create table repositories (
  id text primary key,
  url text not null,
  settings jsonb not null,
  created_by text,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create unique index repositories_url on repositories (lower(url));
`,
}
