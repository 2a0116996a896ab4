// An unmodified MCP client (@modelcontextprotocol/sdk) and an MCP server that knows nothing of tokens, with the guard
// between them: challenged, authorised through the whole delegated flow, and held to a policy about tools.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { REDIRECT } from '../cases/support/cast.mjs';
import { Guard, POLICY, WebSocketByHand, freePort, startServer, until } from './support/guard.mjs';

// Two tools. What it saw of each request: `seen`.
class McpApi {
  static async start() {
    const api = new McpApi();
    api.seen = [];
    api.sessions = new Map();
    api.server = http.createServer((request, response) => api.serve(request, response)).listen(0, '127.0.0.1');
    await once(api.server, 'listening');
    api.url = `http://127.0.0.1:${api.server.address().port}`;
    return api;
  }
  async serve(request, response) {
    let text = '';
    if (request.method === 'POST') for await (const piece of request) text += piece;
    this.seen.push({ method: request.method, headers: request.headers, text });
    const session = this.sessions.get(request.headers['mcp-session-id']);
    const body = text ? JSON.parse(text) : undefined;
    if (session) return session.handleRequest(request, response, body);
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => this.sessions.set(id, transport),
      onsessionclosed: (id) => this.sessions.delete(id),
    });
    const server = new McpServer({ name: 'mail', version: '1' });
    for (const tool of ['search', 'send']) {
      server.registerTool(tool, { description: tool }, () => ({ content: [{ type: 'text', text: `${tool} done` }] }));
    }
    await server.connect(transport);
    return transport.handleRequest(request, response, body);
  }
  stop() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

let server, api, guard, url;
before(async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}/mcp`;
  server = await startServer({
    change(state) {
      const scope = (name) => ({ name, title: name, description: name });
      state.resource.push({ id: url, name: 'Mail', scopes: [scope('r1.read'), scope('r1.write')] });
      state.client.push({ id: 'mail-server', name: 'Mail server', secret_file: 'mail-server.secret', resource: url, grant_types: ['client_credentials'], scopes: ['behalf.signals', 'behalf.evidence'] });
    },
  });
  api = await McpApi.start();
  guard = await Guard.start(server, { upstream: api.url, resource: url, client: 'mail-server', port, policy: POLICY });
});
after(async () => {
  await guard?.stop();
  api?.stop();
  await server?.stop();
});

// The client app `ca`, acting through agent a1: what it does beyond OAuth is to name its agent and to prove it.
class App {
  constructor(scopes) { this.scopes = scopes; }
  get redirectUrl() { return REDIRECT; }
  get clientMetadata() { return { redirect_uris: [REDIRECT], client_name: 'Client ca' }; }
  clientInformation() { return { client_id: 'ca', client_secret: server.secrets.ca }; }
  tokens() { return this.saved; }
  saveTokens(tokens) { this.saved = tokens; }
  saveCodeVerifier(verifier) { this.verifier = verifier; }
  codeVerifier() { return this.verifier; }
  async redirectToAuthorization(address) {
    this.asked = Object.fromEntries(address.searchParams);
    address.searchParams.set('requested_actor', 'a1');
    const browser = await server.browser('u1');
    let answer = await browser.begin(Object.fromEntries(address.searchParams), 'u1');
    if (answer.status === 200) answer = await browser.decide(answer, { scopes: this.scopes });
    this.code = answer.query?.get('code');
    assert.ok(this.code, `${answer.status} ${answer.location} ${answer.text?.slice(0, 300)}`);
  }
  addClientAuthentication(headers, params) {
    for (const [name, value] of Object.entries(server.basic('ca'))) headers.set(name, value);
    params.set('actor_token', server.proof('a1'));
  }
}
async function connect(app) {
  const client = new Client({ name: 'test', version: '1' });
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: app });
  try {
    await client.connect(transport);
  } catch (fault) {
    if (!(fault instanceof UnauthorizedError)) throw fault;
    await transport.finishAuth(app.code);
    const again = new StreamableHTTPClientTransport(new URL(url), { authProvider: app });
    const second = new Client({ name: 'test', version: '1' });
    await second.connect(again);
    return { client: second, transport: again };
  }
  return { client, transport };
}

test('challenged, authorised, and held to the tools that were consented to', async () => {
  const app = new App(['r1.read']);
  const { client, transport } = await connect(app);
  assert.equal(app.asked.resource, url, 'the client found the resource by the challenge');
  assert.deepEqual((await client.listTools()).tools.map(({ name }) => name).sort(), ['search', 'send']);
  assert.deepEqual((await client.callTool({ name: 'search', arguments: {} })).content, [{ type: 'text', text: 'search done' }]);
  const last = api.seen.filter(({ method }) => method === 'POST').at(-1);
  assert.deepEqual([last.headers['behalf-subject'], last.headers['behalf-actor'], last.headers.authorization], ['u1', 'a1', undefined]);
  const posts = api.seen.length;
  Object.assign(app, { code: undefined, scopes: undefined });
  await assert.rejects(client.callTool({ name: 'send', arguments: {} }));
  assert.equal(api.seen.slice(posts).filter(({ text }) => text.includes('"send"')).length, 0, 'the server saw nothing of it');
  assert.ok(app.code, 'the client understood the challenge and asked for more');
  assert.ok(app.asked.scope.split(' ').includes('r1.write'), app.asked.scope);
  assert.ok(api.seen.some(({ method }) => method === 'GET'), 'the stream of notifications went through');
  await transport.terminateSession();
  assert.equal(api.seen.at(-1).method, 'DELETE');
  assert.equal(api.sessions.size, 0);
  await client.close();
  const records = await guard.records();
  const call = records.find(({ action, verdict }) => action.calls?.includes('tools/call send') && verdict === 'denied');
  assert.deepEqual([call.reason, call.rule, call.chain], ['insufficient_scope', 'tool-send', ['a1']]);
  assert.ok(records.some(({ action, verdict, rule }) => action.calls?.includes('tools/call search') && verdict === 'allowed' && rule === 'tool-search'));
});

test('security 263 what cannot be read as exactly the calls that are allowed is denied', async () => {
  const { access_token: token } = await server.flow({ scope: 'r1.read', resource: url });
  const rpc = (tool, id = 1) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: tool, arguments: {} } });
  const post = (body, headers = {}) => guard.call('/mcp', token, { method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers }, body });
  const good = JSON.stringify(rpc('search'));
  const evil = JSON.stringify(rpc('send'));
  const seen = api.seen.length;
  for (const [what, body, headers] of [
    ['another tool', evil],
    ['in a batch behind an allowed one', JSON.stringify([rpc('search'), rpc('send', 2)])],
    ['in a batch before one', JSON.stringify([rpc('send'), rpc('search', 2)])],
    ['text/plain', good, { 'content-type': 'text/plain' }],
    ['a type that is almost one', good, { 'content-type': 'Application/JSON ;charset' }],
    ['no type', good, { 'content-type': '' }],
    ['a form', good, { 'content-type': 'application/x-www-form-urlencoded' }],
    ['compressed', gzipSync(good), { 'content-encoding': 'gzip' }],
    ['compressed, it says', good, { 'content-encoding': 'gzip' }],
    ['two methods', '{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"send"}}'],
    ['two names', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","name":"send"}}'],
    ['escaped member names', '{"jsonrpc":"2.0","id":1,"method":"tools/list","m\\u0065thod":"tools/call","params":{"name":"send"}}'],
    ['trailing bytes', `${good}${evil}`],
    ['a name that folds to ours elsewhere', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search"},"param\u017f":{"name":"send"}}'],
    ['half', good.slice(0, -3)],
    ['nothing', ''],
    ['an empty batch', '[]'],
    ['a byte order mark', `\ufeff${good}`],
    ['another method', JSON.stringify({ ...rpc('search'), method: 'Tools/Call' })],
    ['too large', JSON.stringify({ ...rpc('search'), padding: 'x'.repeat(1_100_000) })],
  ]) {
    const answer = await post(body, headers).catch(() => ({ status: 'closed' }));
    const expected = what === 'too large' ? 413 : 403;
    assert.ok([expected, 'closed'].includes(answer.status), `${what}: ${answer.status} ${answer.text}`);
    if (answer.status === expected) assert.match(answer.text, /"error"/);
    const record = await guard.last();
    assert.deepEqual([record.verdict, record.status], ['denied', expected], what);
    if (what === 'too large') assert.equal(record.reason, 'body_too_large');
  }
  const chunked = await guard.call('/mcp', token, { method: 'POST', headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked' }, body: evil });
  assert.equal(chunked.status, 403);
  assert.equal(api.seen.length, seen, 'the server saw none of it');
  for (const [body, headers] of [[good], [good, { 'transfer-encoding': 'chunked' }]]) {
    const answer = await post(body, headers);
    assert.notEqual(answer.status, 403, answer.text);
    assert.equal(api.seen.at(-1).text, good, 'the same bytes');
    assert.equal(api.seen.at(-1).headers['transfer-encoding'], undefined, 'with their length');
  }
});

test('a WebSocket does not go where tools are looked at, and who has no token is challenged', async () => {
  const { access_token: token } = await server.flow({ scope: 'r1.read', resource: url });
  const seen = api.seen.length;
  const socket = await WebSocketByHand.open(guard.port, '/mcp', token);
  assert.equal(socket.status, 403);
  assert.deepEqual([(await guard.last()).reason, (await guard.last()).person], ['tunnel_refused', 'u1']);
  for (const [body, type] of [['x', 'text/plain'], [undefined, 'application/json'], ['x'.repeat(1_100_000), 'application/json']]) {
    const answer = await guard.call('/mcp', undefined, { method: 'POST', headers: { 'content-type': type }, body }).catch(() => ({ status: 401, challenge: 'Bearer ' }));
    assert.equal(answer.status, 401, type);
    assert.match(answer.challenge, /^Bearer /);
  }
  assert.equal(api.seen.length, seen, 'the server saw none of it');
});

test('a stream of an MCP server is cut when the agent is suspended', async () => {
  const app = new App(['r1.read']);
  const { client, transport } = await connect(app);
  const stream = await fetch(url, { headers: { authorization: `Bearer ${app.saved.access_token}`, accept: 'text/event-stream', 'mcp-session-id': transport.sessionId } });
  // The client itself holds the session's one stream; whichever it is, it ends.
  assert.ok([200, 409].includes(stream.status));
  const ended = stream.status === 409 ? Promise.resolve() : stream.text().catch(() => {});
  await server.admin('agent', 'suspend', 'a1');
  const suspended = Date.now();
  await until(async () => (await guard.call('/mcp', app.saved.access_token)).status === 401, 'refused', 1000);
  await ended;
  assert.ok(Date.now() - suspended < 2000);
  await client.close();
  await server.admin('agent', 'resume', 'a1');
});
