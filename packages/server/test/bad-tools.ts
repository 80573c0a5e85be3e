/** Tools that are right, and what is wrong with others: for the test of the tools file. */

const description = 'Does something.'
const word = { type: 'string' }
const input = { type: 'object', properties: { word }, required: ['word'] }
const command = { argv: ['echo', '{word}'] }
export const http = { method: 'GET', url: 'https://example.com/{word}' }
export const tool = { name: 'say_word', description, input, command }
export const request = { name: 'get_word', description, input, http }
export const server = { name: 'words', mcp: { argv: ['words-mcp'] } }
const remote = { name: 'words', mcp: { url: 'https://example.com/mcp' } }
const secret = (name: string) => ({ authorization: { env: name } })

function withField(field: object): object {
  return { ...tool, input: { ...input, properties: { word: field } } }
}

/** A tool that is right but for one thing, and the sentence for that thing after its place. */
export const mistakes: readonly (readonly [object, string])[] = [
  [{ ...tool, name: undefined }, 'name: expected a text, came nothing.'],
  [{ ...tool, name: 7 }, 'name: expected a text, came 7.'],
  [
    { ...tool, name: 'Say-Word' },
    'name: expected letters and digits in lower case, with single _, came "Say-Word".',
  ],
  [
    { ...tool, name: 'git_word' },
    'name: expected a name that is not reserved for built-in tools, came "git_word".',
  ],
  [
    { ...tool, name: 'report_progress' },
    'name: expected a name that is not reserved for built-in tools, came "report_progress".',
  ],
  [
    { ...server, name: 'longhaul' },
    'name: expected a name that is not reserved for built-in tools, came "longhaul".',
  ],
  [
    { ...tool, description: undefined },
    'description: expected a text for the agent, came nothing.',
  ],
  [{ ...tool, description: '' }, 'description: expected at least 1 character, came "".'],
  [{ ...tool, comand: command }, 'comand: expected no field of this name, came an object.'],
  [
    { ...tool, permission_policy: 'always_ask' },
    'permission_policy: expected always_allow or always_deny (always_ask is not supported yet), came "always_ask".',
  ],
  [
    { ...tool, permission_policy: 'allow' },
    'permission_policy: expected always_allow or always_deny, came "allow".',
  ],
  [{ ...tool, read_only: 'yes' }, 'read_only: expected true or false, came "yes".'],
  [{ ...tool, timeout_seconds: 0 }, 'timeout_seconds: expected a number of at least 1, came 0.'],
  [
    { ...tool, timeout_seconds: 601 },
    'timeout_seconds: expected a number of at most 600, came 601.',
  ],
  [{ ...tool, timeout_seconds: 1.5 }, 'timeout_seconds: expected a whole number, came 1.5.'],
  [{ ...tool, command: undefined }, ': expected one of command, http and mcp, came none.'],
  [{ ...tool, http }, ': expected one of command, http and mcp, came command and http.'],
  // Inputs.
  [{ ...tool, input: 'word' }, 'input: expected an object, came "word".'],
  [{ ...tool, input: { ...input, type: 'array' } }, 'input.type: expected object, came "array".'],
  [
    { ...tool, input: { ...input, properties: { word: { type: 'text' } } } },
    'input.properties.word.type: expected a `type`: string, integer, number, boolean, array or object, came "text".',
  ],
  [
    { ...tool, input: { ...input, properties: { word: { ...word, pattern: 'a' } } } },
    'input.properties.word.pattern: expected no field of this name, came "a".',
  ],
  [
    { ...tool, input: { ...input, properties: { word: { ...word, maxLength: -1 } } } },
    'input.properties.word.maxLength: expected a number of at least 0, came -1.',
  ],
  [
    { ...tool, input: { ...input, properties: { word, other: word } } },
    'input.properties.other: expected a field that the tool uses, came an object.',
  ],
  [
    { ...tool, input: { ...input, required: ['word', 'wrod'] } },
    'input.required[1]: expected one of the properties, came "wrod".',
  ],
  [
    { ...tool, input: { ...input, additionalProperties: true } },
    'input.additionalProperties: expected false, came true.',
  ],
  [
    withField({ ...word, minLength: 10, maxLength: 5 }),
    'input.properties.word.minLength: expected at most 5, maxLength, came 10.',
  ],
  [
    withField({ ...word, minLength: 20_000 }),
    'input.properties.word.minLength: expected at most 16384, the default of maxLength, came 20000.',
  ],
  [
    withField({ ...word, enum: ['a', 'abc'], minLength: 2 }),
    'input.properties.word.enum[0]: expected a text that minLength and maxLength allow, came "a".',
  ],
  [
    withField({ ...word, enum: ['a', 'abc'], maxLength: 2 }),
    'input.properties.word.enum[1]: expected a text that minLength and maxLength allow, came "abc".',
  ],
  [
    withField({ ...word, enum: ['a\0'] }),
    'input.properties.word.enum[0]: expected text without NUL and unpaired surrogates, came "a\\u0000".',
  ],
  [
    withField({ type: 'number', minimum: 5, maximum: 1 }),
    'input.properties.word.minimum: expected at most 1, maximum, came 5.',
  ],
  [
    withField({ type: 'number', minimum: 1e20 }),
    'input.properties.word.minimum: expected at most 9007199254740991, the default of maximum, came 100000000000000000000.',
  ],
  [
    withField({ type: 'number', maximum: -1e20 }),
    'input.properties.word.maximum: expected at least -9007199254740991, the default of minimum, came -100000000000000000000.',
  ],
  [
    withField({ type: 'integer', minimum: 1.5, maximum: 1.6 }),
    'input.properties.word.minimum: expected an integer that a double holds exactly between minimum and maximum, came 1.5.',
  ],
  [
    withField({ type: 'array', items: word, minItems: 3, maxItems: 2 }),
    'input.properties.word.minItems: expected at most 2, maxItems, came 3.',
  ],
  [
    withField({ type: 'array', items: word, minItems: 200 }),
    'input.properties.word.minItems: expected at most 100, the default of maxItems, came 200.',
  ],
  [
    withField({ type: 'array', items: { ...word, minLength: 20_000 } }),
    'input.properties.word.items.minLength: expected at most 16384, the default of maxLength, came 20000.',
  ],
  // Commands.
  [{ ...tool, command: {} }, 'command.argv: expected a list, came nothing.'],
  [
    { ...tool, input: undefined, command: { argv: [] } },
    'command.argv: expected at least 1 item, came a list of 0.',
  ],
  [
    { ...tool, command: { argv: ['echo', '{word}', 'a {word}'] } },
    'command.argv[2]: expected a placeholder to be the whole argument, came "a {word}".',
  ],
  [
    { ...tool, command: { argv: ['echo', '{word}', '{wrod}'] } },
    'command.argv[2]: expected a field that is required, and plain, came "{wrod}".',
  ],
  [
    { ...tool, input: { ...input, required: [] } },
    'command.argv[1]: expected a field that is required, and plain, came "{word}".',
  ],
  [
    { ...tool, command: { ...command, stdin: true } },
    'command.argv[1]: expected no field where stdin is true, came "{word}".',
  ],
  [
    { ...tool, command: { argv: ['', '{word}'] } },
    'command.argv[0]: expected the name of a program, came "".',
  ],
  [
    { ...tool, command: { argv: ['echo', 'a\0b', '{word}'] } },
    'command.argv[1]: expected text without NUL and unpaired surrogates, came "a\\u0000b".',
  ],
  [
    { ...tool, command: { argv: ['echo', '\ud800', '{word}'] } },
    'command.argv[1]: expected text without NUL and unpaired surrogates, came "\\ud800".',
  ],
  [
    { ...tool, command: { argv: ['{word}'] } },
    'command.argv[0]: expected the name of a program, came "{word}".',
  ],
  [
    { ...tool, command: { argv: ['/bin/bash', '-ec', '{word}'] } },
    'command.argv[2]: expected a fixed text: a shell would run it, came "{word}".',
  ],
  [
    { ...tool, command: { argv: ['timeout', '9', 'sh', '-c', '{word}'] } },
    'command.argv[4]: expected a fixed text: a shell would run it, came "{word}".',
  ],
  [
    { ...tool, command: { argv: ['sh', '-c', '{file:none.sh}', 'sh', '{word}'] } },
    'command.argv[2]: expected a file beside the tools file, came {file:none.sh}.',
  ],
  [
    { ...tool, command: { argv: ['sh', '-c', '{file:../beside.sh}', 'sh', '{word}'] } },
    'command.argv[2]: expected the name of a file beside the tools file, came {file:../beside.sh}.',
  ],
  [
    { ...tool, command: { argv: ['sh', '-c', '{file:link.sh}', 'sh', '{word}'] } },
    'command.argv[2]: expected a file beside the tools file, came {file:link.sh}.',
  ],
  [
    { ...tool, command: { argv: ['sh', '-c', '{file:large.sh}', 'sh', '{word}'] } },
    'command.argv[2]: expected a file of at most 98304 bytes, came {file:large.sh}.',
  ],
  [
    { ...tool, command: { ...command, env: { 'A-B': 'c' } } },
    'command.env.A-B: expected the name of an environment variable, came a text of 1 characters.',
  ],
  [
    { ...tool, command: { ...command, network: 'on' } },
    'command.network: expected true or false, came "on".',
  ],
  // Requests.
  [
    { ...request, http: { ...http, method: 'get' } },
    'http.method: expected GET or POST or PUT or PATCH or DELETE, came "get".',
  ],
  [
    { ...request, http: { ...http, url: 'ftp://example.com/{word}' } },
    'http.url: expected an http or https URL without credentials and without #, came "ftp://example.com/{word}".',
  ],
  [
    { ...request, http: { ...http, url: 'https://a:b@example.com/{word}' } },
    'http.url: expected an http or https URL without credentials and without #, came "https://a:b@example.com/{word}".',
  ],
  [
    { ...request, http: { ...http, url: 'https://{word}.example.com/' } },
    'http.url: expected an http or https URL without credentials and without #, came "https://{word}.example.com/".',
  ],
  [
    { ...request, http: { ...http, url: 'https://example.com/a/../{word}' } },
    'http.url: expected a path without . and .. in it, came "https://example.com/a/../{word}".',
  ],
  [
    { ...request, http: { ...http, url: 'https://example.com/{word}?{word}=1' } },
    'http.url: expected placeholders in the path and in query values only, came "https://example.com/{word}?{word}=1".',
  ],
  [
    { ...request, http: { ...http, url: 'https://example.com/ä/{word}' } },
    'http.url: expected `{field}` and escaped characters only, came "https://example.com/ä/{word}".',
  ],
  [
    { ...request, http: { ...http, url: 'https://example.com/items/x\\{word}/z' } },
    'http.url: expected `{field}` and escaped characters only, came "https://example.com/items/x\\\\{word}/z".',
  ],
  [
    { ...request, http: { ...http, url: 'http://example.com/{word}' } },
    'http.url: expected https, or http to what GATEWAY_ALLOW_PRIVATE lists, came "http://example.com/{word}".',
  ],
  [
    { ...request, http: { ...http, url: 'https://example.com/{word}/{wrod}' } },
    'http.url: expected {wrod} to be a plain field of the input, came "https://example.com/{word}/{wrod}".',
  ],
  [
    { ...request, input: { ...input, required: [] } },
    'http.url: expected {word}, in the path, to be a required field, came "https://example.com/{word}".',
  ],
  [
    { ...request, http: { ...http, body: 'json' } },
    'http.body: expected none for a GET, came "json".',
  ],
  [
    { ...request, http: { ...http, headers: { Accept: 'a' } } },
    'http.headers.Accept: expected a header name in lower case, came a text of 1 characters.',
  ],
  [
    { ...request, http: { ...http, headers: { host: 'a' } } },
    "http.headers.host: expected a header that is not the server's, came a text of 1 characters.",
  ],
  [
    { ...request, http: { ...http, headers: { accept: 'a\nb' } } },
    'http.headers.accept: expected printable ASCII characters, came a text of 3 characters.',
  ],
  [
    { ...request, http: { ...http, secret_headers: secret('NOT_SET') } },
    'http.secret_headers.authorization.env: expected a variable of the server that is set, to 8 to 4096 printable characters without spaces, came NOT_SET, which is not.',
  ],
  [
    { ...request, http: { ...http, secret_headers: secret('SHORT') } },
    'http.secret_headers.authorization.env: expected a variable of the server that is set, to 8 to 4096 printable characters without spaces, came one of 3 characters.',
  ],
  [
    { ...request, http: { ...http, secret_headers: { authorization: 'canary-of-the-tickets' } } },
    'http.secret_headers.authorization: expected an object, came a text of 21 characters.',
  ],
  [
    {
      ...request,
      http: {
        ...http,
        headers: { authorization: 'a' },
        secret_headers: secret('TICKETS_TOKEN'),
      },
    },
    'http.secret_headers.authorization: expected a header that `headers` does not have, came an object.',
  ],
  // Servers.
  [
    { ...server, mcp: { argv: ['words-mcp', 'a\0b'] } },
    'mcp.argv[1]: expected text without NUL and unpaired surrogates, came "a\\u0000b".',
  ],
  [{ ...server, mcp: {} }, 'mcp: expected either argv or url, came neither.'],
  [
    { ...server, mcp: { ...server.mcp, ...remote.mcp } },
    'mcp: expected either argv or url, came both.',
  ],
  [
    { ...server, description },
    'description: expected none: an MCP server has its own, came "Does something.".',
  ],
  [{ ...server, input }, 'input: expected none: an MCP server has its own, came an object.'],
  [
    { ...server, mcp: { argv: ['words-mcp', '{word}'] } },
    'mcp.argv[1]: expected no field: a server has no input, came "{word}".',
  ],
  [
    { ...server, mcp: { ...server.mcp, headers: { a: 'b' } } },
    'mcp.headers: expected none without url, came an object.',
  ],
  [
    { ...remote, mcp: { ...remote.mcp, env: { A: 'b' } } },
    'mcp.env: expected none without argv, came an object.',
  ],
  [
    { ...remote, mcp: { url: 'https://example.com/{word}' } },
    'mcp.url: expected no {field}: a server has no input, came "https://example.com/{word}".',
  ],
]
