/** Which requests to GitHub's API a session may make; by path alone, without a network. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judgeGitHubRequest } from '../../src/gateway/github-scope.ts'
import { Scrubber } from '../../src/scrub/scrubber.ts'

const github = {
  apiUrl: new URL('https://api.example'),
  owner: 'Acme',
  repo: 'app',
  credential: async () => null,
  graphql: false,
  scrubber: new Scrubber([]),
}
const judge = (method: string, url: string, graphql = false) =>
  judgeGitHubRequest({ method, url, github: { ...github, graphql } })

const own = '/repos/acme/APP'
const granted: readonly (readonly [string, string, string?])[] = [
  ['GET', own],
  ['HEAD', `${own}/issues`],
  ['GET', `${own}/issues/1/comments?per_page=100&page=2`],
  ['GET', `${own}/pulls/1/files`],
  ['GET', `${own}/contents/src/a%20b/%C3%A4.ts?ref=agent/x`],
  ['GET', `${own}/compare/main...agent/x`],
  ['GET', `${own}/commits/agent/x/check-runs`],
  ['GET', `${own}/branches/protection`],
  ['GET', `${own}/actions/runs/1/jobs`],
  ['GET', `${own}/pulls?head=rival:secret&state=all`],
  ['GET', `${own}/commits?sha=main&since=2026-01-01T00:00:00Z`],
  ['GET', `${own}/contents/a:b.txt?ref=main`],
  ['GET', `${own}/labels/type:bug`],
  ['GET', `${own}/issues/1/events`],
  ['POST', `${own}/issues/7/comments`, 'comment'],
]
for (const [method, url, kind = 'read'] of granted)
  test(`${method} ${url} is a ${kind} of the repository, in the policy's spelling`, () => {
    const judged = judge(method, url)
    assert.equal(judged.kind, kind, JSON.stringify(judged))
    assert.equal(Reflect.get(judged, 'path'), url.replace(own, '/repos/Acme/app'))
  })

const refused: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  'another repository, organization or account': [
    ['GET', '/repos/acme/other'],
    ['GET', '/repos/other/app/issues'],
    ['GET', '/repos/acme'],
    ['GET', '/repositories/1/issues'],
    ['GET', '/orgs/acme/members'],
    ['GET', '/user'],
    ['GET', '/user/repos'],
    ['GET', '/'],
    ['POST', '/gists'],
    ['GET', '/search/code?q=x'],
    ['GET', '/installation/repositories'],
  ],
  'a commit of another repository of the network of forks': [
    ['GET', `${own}/compare/main...rival:secret`],
    ['GET', `${own}/compare/rival:secret...main`],
    ['GET', `${own}/compare/rival:app-private:main...main`],
    ['GET', `${own}/compare/main..rival:agent/x`],
    ['HEAD', `${own}/compare/main...agent/rival:x`],
    ['GET', `${own}/compare/main...rival%3Asecret`],
    ['GET', `${own}/compare/main...rival%253Asecret`],
    ['GET', `${own}/commits/rival:secret`],
    ['GET', `${own}/commits/rival:secret/check-runs`],
    ['GET', `${own}/git/trees/rival:secret`],
    ['GET', `${own}/branches/rival:secret`],
    ['GET', `${own}/commits?sha=rival:secret`],
    ['GET', `${own}/contents/a.txt?ref=rival:secret`],
    ['GET', `${own}/contents/a.txt?ref=rival%3Asecret`],
    ['GET', `${own}/contents/a.txt?x=1&%72ef=rival:secret`],
    ['GET', `${own}/contents/a.txt?x=1;ref=rival:secret`],
    ['GET', `${own}/readme?+ref[]=rival:secret`],
  ],
  'what shows issues of other repositories': [
    ['GET', `${own}/issues/1/timeline`],
    ['GET', `${own}/issues/1/timeline?per_page=100`],
    ['GET', `${own}/issues/1/sub_issues`],
    ['GET', `${own}/issues/1/parent`],
    ['GET', `${own}/issues/1/dependencies/blocked_by`],
  ],
  'a path that a server may read in another way': [
    ['GET', `${own}/../other`],
    ['GET', `${own}/..%2Fother`],
    ['GET', `${own}/%2e%2e/other`],
    ['GET', `${own}/issues/..;/..;/other`],
    ['GET', '/repos/acme%2Fother/app'],
    ['GET', '/repos//acme/app'],
    ['GET', `${own}//issues`],
    ['GET', `${own}/issues/`],
    ['GET', `${own}/contents/.../..`],
    ['GET', `${own}/contents/a\\..\\b`],
    ['GET', `${own}/contents/%5c..`],
    ['GET', `${own}/contents/%00`],
    ['GET', `${own}/contents/a#b`],
    ['GET', `${own}/issues?_method=DELETE`],
    ['GET', `//evil.example${own}`],
    ['GET', `https://evil.example${own}`],
    ['GET', `${own}/contents/${'x'.repeat(5000)}`],
  ],
  'settings, secrets, keys and people': [
    ['GET', `${own}/actions/secrets`],
    ['GET', `${own}/actions/secrets/public-key`],
    ['GET', `${own}/actions/variables`],
    ['GET', `${own}/actions/runners`],
    ['GET', `${own}/actions`],
    ['GET', `${own}/dependabot/secrets`],
    ['GET', `${own}/environments`],
    ['GET', `${own}/hooks`],
    ['GET', `${own}/keys`],
    ['GET', `${own}/collaborators`],
    ['GET', `${own}/invitations`],
    ['GET', `${own}/installation`],
    ['GET', `${own}/secret-scanning/alerts`],
    ['GET', `${own}/traffic/clones`],
    ['GET', `${own}/tarball/main`],
    ['GET', `${own}/branches/main/protection`],
    ['GET', `${own}/branches/agent/x/protection/required_status_checks`],
    ['GET', `${own}/branches/main/PROTECTION`],
  ],
  'whatever writes, but for comments': [
    ['PATCH', own],
    ['DELETE', own],
    ['PUT', `${own}/pulls/1/merge`],
    ['POST', `${own}/merges`],
    ['POST', `${own}/pulls`],
    ['POST', `${own}/pulls/1/reviews`],
    ['POST', `${own}/git/refs`],
    ['DELETE', `${own}/git/refs/heads/main`],
    ['PATCH', `${own}/git/refs/heads/main`],
    ['PUT', `${own}/contents/a.txt`],
    ['POST', `${own}/actions/workflows/ci.yml/dispatches`],
    ['POST', `${own}/dispatches`],
    ['POST', `${own}/actions/runners/registration-token`],
    ['POST', `${own}/keys`],
    ['PUT', `${own}/collaborators/eve`],
    ['POST', `${own}/forks`],
    ['POST', `${own}/transfer`],
    ['POST', `${own}/generate`],
    ['POST', `${own}/merge-upstream`],
    ['GET', `${own}/forks`],
    ['POST', `${own}/releases`],
    ['POST', `${own}/statuses/0000000000000000000000000000000000000000`],
    ['POST', `${own}/issues`],
    ['PATCH', `${own}/issues/1`],
    ['POST', `${own}/issues/1/labels`],
    ['DELETE', `${own}/issues/comments/1`],
    ['POST', `${own}/issues/0/comments`],
    ['POST', `${own}/issues/1/comments/`],
    ['POST', `${own}/issues/1/comments?x=1`],
    ['TRACE', own],
    ['POST', '/rate_limit'],
  ],
}
for (const [what, requests] of Object.entries(refused))
  test(`${what} is refused`, () => {
    for (const [method, url] of requests)
      assert.equal(judge(method, url).kind, 'refused', `${method} ${url}`)
  })

test('the refusal of a comparison with a fork says what may be named', () => {
  const judged = judge('GET', `${own}/compare/main...rival:secret`)
  assert.match(Reflect.get(judged, 'why'), /branch of another repository.*name a branch/)
})

test('GraphQL is for a credential of this one repository; the refusal names the way by REST', () => {
  const judged = judge('POST', '/graphql')
  assert.match(Reflect.get(judged, 'why'), /gh api repos\/Acme\/app/)
  assert.equal(judge('POST', '/graphql', true).kind, 'graphql')
  assert.equal(judge('GET', '/graphql?query={viewer{login}}', true).kind, 'refused')
  assert.equal(judge('POST', '/graphql/', true).kind, 'refused')
})
