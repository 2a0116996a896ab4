// The guard in front of a plain API, against the real server: the resource's cases (section I) and the gateway's
// (security 2.12) by their ids, streams, tunnels, and what the API gets to see.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { claimsOf, headerOf, signJwt } from '../cases/support/cast.mjs';
import { Api, Guard, METADATA, R1, Stream, WebSocketByHand, pause, raw, startServer, until } from './support/guard.mjs';

let server, api, guard;
before(async () => {
  server = await startServer();
  api = await Api.start();
  guard = await Guard.start(server, { upstream: api.url });
});
after(async () => {
  await guard?.stop();
  await api?.stop();
  await server?.stop();
});

const tokenFor = async (request = {}) => (await server.flow(request)).access_token;
let known;
const good = async () => { known ??= await tokenFor({ scope: 'r1.read' }); return known; };

// G401/G403: refused, and the API saw nothing.
async function refused(answer, status, error) {
  assert.equal(answer.status, status, answer.text);
  if (error) {
    assert.match(answer.challenge, new RegExp(`error="${error}"`));
    assert.equal(answer.json.error, error);
  }
  if (status === 401 || status === 403) assert.ok(answer.challenge.includes(`resource_metadata="${METADATA}"`) || error === 'access_denied', answer.challenge);
  assert.equal(answer.headers['cache-control'], 'no-store');
  const record = await guard.last();
  assert.equal(record.verdict, 'denied', JSON.stringify(record));
  assert.ok(record.reason);
  return record;
}
async function unseen(call, status, error) {
  const seen = api.requests.length;
  const answer = await call();
  const record = await refused(answer, status, error);
  assert.equal(api.requests.length, seen, 'the API saw no request');
  return { answer, record };
}

test('the API sees person, client, the whole chain and the consent, and not the token', async () => {
  const first = await server.flow({ client: 'ca', agent: 'a1', scope: 'r1.read r1.write' });
  const answer = await guard.call('/read/week?n=1', first.access_token, { headers: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' } });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers['x-api'], 'yes');
  const { headers } = answer.json;
  assert.equal(headers['behalf-subject'], 'u1');
  assert.equal(headers['behalf-client'], 'ca');
  assert.equal(headers['behalf-actor'], 'a1');
  assert.equal(headers['behalf-chain'], 'a1');
  assert.equal(headers['behalf-grant'], claimsOf(first.access_token).grant_id);
  assert.equal(headers.authorization, undefined);
  assert.equal(headers.host, 'api.example');
  assert.equal(answer.json.url, '/read/week?n=1');
  const nested = await server.exchange('r1-server', first.access_token, 'a2', { resource: R1, scope: 'r1.read' });
  if (nested.status === 200) {
    const seen = (await guard.call('/read/week', nested.json.access_token)).json.headers;
    assert.equal(seen['behalf-actor'], 'a2');
    assert.equal(seen['behalf-chain'], 'a2, a1');
  }
  const record = await until(async () => (await guard.records()).find(({ trace }) => trace), 'a record with the trace');
  assert.equal(record.trace, '4bf92f3577b34da6a3ce929d0e0e4736');
  assert.deepEqual([record.person, record.client, record.chain, record.verdict, record.rule, record.action, record.resource],
    ['u1', 'ca', ['a1'], 'allowed', 'read', { method: 'GET', path: '/read/week' }, R1]);
  assert.equal(record.token_id, claimsOf(first.access_token).jti);
});

test('I-01 no token: a challenge that says where to ask, and no error; the metadata is there', async () => {
  const { answer } = await unseen(() => guard.call('/read/week'), 401);
  assert.doesNotMatch(answer.challenge, /error=/);
  assert.match(answer.challenge, /scope="r1.read", required_scope="r1.read"/);
  for (const path of ['/.well-known/oauth-protected-resource', '/.well-known/oauth-protected-resource/r1']) {
    const document = (await guard.call(path)).json;
    assert.equal(document.resource, R1);
    assert.deepEqual(document.authorization_servers, [server.issuer]);
    assert.deepEqual(document.scopes_supported, ['r1.read', 'r1.write']);
  }
  assert.equal((await guard.call('/health')).status, 200, 'what is public needs none');
});

test('I-02, I-03, I-19, security 260 tokens that are forged, expired, for another place, or of another kind', async () => {
  const token = await good();
  const claims = claimsOf(token);
  const [head, body, signature] = token.split('.');
  const forged = (change) => `${head}.${Buffer.from(JSON.stringify({ ...claims, ...change })).toString('base64url')}.${signature}`;
  const other = await tokenFor({ resource: 'https://api.example/r2', scope: 'r2.read' });
  for (const bad of [`${token.slice(0, -8)}AAAAAAAA`, forged({ sub: 'u2' }), forged({ act: 'a1' }), forged({ act: [] }), forged({ act: {} }), `${head}.${body}.`,
    signJwt(server.keys.a1, claims, { typ: 'at+jwt', kid: headerOf(token).kid }), signJwt(server.keys.a1, { ...claims, iss: 'https://other.example' }, { typ: 'at+jwt' }),
    server.proof('a1'), other, 'x', 'a.b.c', `${token}.x`]) {
    await unseen(() => guard.call('/read/week', bad), 401, 'invalid_token');
  }
});

test('I-04, I-06, I-07 scope, agent, another agent', async () => {
  const { record } = await unseen(async () => guard.call('/write/x', await good(), { method: 'POST', body: 'x' }), 403, 'insufficient_scope');
  assert.equal(record.reason, 'insufficient_scope');
  const answer = await guard.call('/write/x', await good(), { method: 'POST' });
  assert.match(answer.challenge, /scope="r1.write", required_scope="r1.write"/);
  const other = await tokenFor({ agent: 'a2' });
  await unseen(() => guard.call('/only-a1/x', other), 403, 'actor_unauthorized');
  assert.equal((await guard.call('/only-a1/x', await good())).status, 200);
  assert.equal((await guard.call('/agents/x', await good())).status, 200);
});

test('I-15, security 258 one token, in one header, and nowhere else', async () => {
  const token = await good();
  const seen = api.requests.length;
  const line = `Authorization: Bearer ${token}\r\n`;
  const ask = (headers, path = '/read/week', rest = '\r\n') => raw(guard.port, `GET ${path} HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n${headers}${rest}`);
  for (const [headers, path] of [
    [line + line], [`Authorization: Bearer ${token}, Bearer ${token}\r\n`], [`Authorization: Bearer\t${token}\r\n`], ['Authorization: Bearer \r\n'], ['Authorization: Bearer\r\n'],
    [`Authorization: Bearer  ${token}\r\n`], [`Authorization: Bearer ${token} x\r\n`],
    [line, `/read/week?access_token=${token}`], ['', `/read/week?access_token=${token}`], [line, '/read/week?a=b&access%5Ftoken=x'],
    [`Authorization: Bearer ${'a'.repeat(17_000)}\r\n`],
  ]) assert.match(await ask(headers, path), /^HTTP\/1.1 400 /, `${headers.slice(0, 60)} ${path}`);
  assert.match(await ask(`Authorization: Bearer ${'a'.repeat(64 * 1024)}\r\n`), /^HTTP\/1.1 431 /);
  assert.match(await ask(`Cookie: access_token=${token}\r\n`), /^HTTP\/1.1 401 /, 'a cookie is no token');
  assert.match(await ask('Authorization: Basic eDp5\r\n'), /^HTTP\/1.1 401 /);
  const form = await guard.call('/write/x', token, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: `access_token=${token}` });
  assert.equal(form.status, 400);
  assert.equal(api.requests.length, seen);
  assert.match(await ask(line), /^HTTP\/1.1 200 /, 'and the honest call works');
});

test('security 259 a token bound to a key is no bearer token here, and DPoP is not taken', async () => {
  const { answer } = await unseen(async () => guard.call('/read/week', undefined, { headers: { authorization: `DPoP ${await good()}` } }), 401, 'invalid_token');
  assert.match(answer.challenge, /^Bearer /);
});

test('security 253 identity headers are ours alone, however they are spelled', async () => {
  const token = await good();
  const answer = await raw(guard.port, `GET /read/week HTTP/1.1\r\nHost: api.example\r\nConnection: close, Behalf-Actor, behalf-chain\r\nAuthorization: Bearer ${token}\r\n`
    + 'Behalf-Subject: root\r\nbehalf-subject: root\r\nBEHALF_SUBJECT: root\r\nBehalf_Actor: root\r\nBehalf.Grant: root\r\nBehalf-Chain: root \r\nBehalf-Identity: root\r\nBehalf-Guard-Credential: root\r\n\r\n');
  assert.match(answer, /^HTTP\/1.1 200 /);
  const { raw: names } = api.last();
  const pairs = names.reduce((list, name, at) => (at % 2 ? list : [...list, [name.toLowerCase().replaceAll(/[^a-z0-9]/g, '-'), names[at + 1]]]), []);
  assert.deepEqual(pairs.filter(([name]) => name.startsWith('behalf')), [['behalf-subject', 'u1'], ['behalf-client', 'ca'], ['behalf-actor', 'a1'], ['behalf-chain', 'a1'], ['behalf-grant', claimsOf(token).grant_id]]);
  const open = await guard.call('/health', undefined, { headers: { 'behalf-subject': 'root' } });
  assert.equal(open.json.headers['behalf-subject'], undefined, 'nobody is nobody');
});

test('security 254 what a client says of the request is not what is decided, nor what the API hears', async () => {
  const token = await good();
  const lies = { 'x-original-uri': '/health', 'x-original-url': '/health', 'x-rewrite-url': '/health', 'x-forwarded-uri': '/health', 'x-original-method': 'GET', 'x-forwarded-method': 'GET',
    'x-http-method-override': 'DELETE', x_http_method_override: 'DELETE', 'x-method-override': 'DELETE', 'x-forwarded-for': '9.9.9.9', forwarded: 'for=9.9.9.9', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'gopher', 'x-real-ip': '9.9.9.9' };
  await unseen(() => guard.call('/write/x', token, { method: 'POST', headers: lies }), 403, 'insufficient_scope');
  const { json } = await guard.call('/read/week', token, { headers: lies, });
  for (const name of Object.keys(lies)) {
    const now = json.headers[name];
    assert.ok(now === undefined || !Object.values(lies).includes(now), `${name}: ${now}`);
  }
  assert.equal(json.headers['x-forwarded-for'], '127.0.0.1');
  assert.equal(json.headers['x-forwarded-host'], 'api.example');
});

test('what belongs to the request is neither doubled nor taken away by Connection; framing is ours alone', async () => {
  const auth = `Host: a\r\nAuthorization: Bearer ${await good()}\r\n`;
  const seen = api.requests.length;
  for (const head of ['Content-Type: a/b\r\nContent-Type: a/b\r\n', 'Content-Type: a/b\r\nConnection: Content-Type\r\n', 'Connection: Content-Length\r\n', 'Connection: Host, Authorization\r\n', 'Cookie: a=b\r\nConnection: Cookie\r\n']) {
    const answer = await raw(guard.port, `POST /read/echo HTTP/1.1\r\n${auth}${head}Content-Length: 2\r\n\r\nhi`);
    assert.match(answer, /^HTTP\/1.1 400 /, head);
    assert.equal((await guard.last()).reason, 'unclear_request');
  }
  assert.equal(api.requests.length, seen);
  const answer = await raw(guard.port, `POST /read/echo HTTP/1.1\r\n${auth}Transfer_Encoding: chunked\r\nContent_Length: 1\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi`);
  assert.match(answer, /^HTTP\/1.1 200 /);
  assert.deepEqual(Object.keys(api.last().headers).filter((name) => /^(content|transfer)/.test(name)), ['content-length']);
});

test('readiness in detail is for this machine; browsers may ask for the metadata', async () => {
  const here = await guard.call('/readyz');
  assert.ok(here.json.policy);
  const elsewhere = await guard.call('/readyz', undefined, { headers: { 'x-forwarded-for': '192.0.2.1' } });
  assert.deepEqual([elsewhere.status, elsewhere.json], [200, { ready: true }]);
  const full = await Guard.start(server, { upstream: `${api.url}"\nhealth = "full` });
  assert.ok((await full.call('/readyz', undefined, { headers: { 'x-forwarded-for': '192.0.2.1' } })).json.policy);
  await full.stop();
  const preflight = await guard.call('/.well-known/oauth-protected-resource/r1', undefined, { method: 'OPTIONS', headers: { origin: 'https://app.example', 'access-control-request-method': 'GET', 'access-control-request-headers': 'mcp-protocol-version' } });
  assert.equal(preflight.status, 204);
  assert.deepEqual(['origin', 'methods', 'headers'].map((name) => preflight.headers[`access-control-allow-${name}`]), ['*', 'GET', 'MCP-Protocol-Version']);
});

test('shadow: what is too large goes on where its length is said, and is refused for what it is where it is not', async () => {
  const shadow = await Guard.start(server, { upstream: api.url, top: 'shadow = true' });
  const body = `{"x":"${'x'.repeat(1_100_000)}"}`;
  const ask = (headers) => shadow.call('/mcp', undefined, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
  const told = await ask({ authorization: `Bearer ${await good()}`, 'content-length': Buffer.byteLength(body) });
  assert.deepEqual([told.status, told.json?.body?.length], [200, body.length]);
  assert.deepEqual([(await shadow.last()).shadow, (await shadow.last()).reason], [true, 'body_too_large']);
  const chunked = await ask({ authorization: `Bearer ${await good()}`, 'transfer-encoding': 'chunked' }).catch(() => ({ status: 413 }));
  assert.equal(chunked.status, 413);
  assert.deepEqual([(await shadow.last()).shadow, (await shadow.last()).status, (await shadow.last()).verdict], [undefined, 413, 'denied']);
  await shadow.stop();
});

test('security 256 a method that no rule names is denied', async () => {
  const token = await good();
  for (const method of ['HEAD', 'OPTIONS', 'PROPFIND', 'TRACE', 'DELETE', 'get']) {
    const seen = api.requests.length;
    const answer = await raw(guard.port, `${method} /read/week HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    assert.match(answer, /^HTTP\/1.1 403 /, method);
    assert.equal(api.requests.length, seen);
  }
});

test('a path that two readers could read differently is nobody\'s', async () => {
  const token = await tokenFor({ scope: 'r1.read r1.write' });
  for (const path of ['/read/../only-a1/x', '/read/%2e%2e/write', '/read//week', '/read/%2Fweek', '/read/./week', '/read/week;x=1', '/%72ead/week', '/read/a%5cb', '/READ/week', '/read/%00']) {
    const seen = api.requests.length;
    const answer = await raw(guard.port, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    assert.match(answer, /^HTTP\/1.1 403 /, path);
    assert.equal(api.requests.length, seen, path);
  }
});

test('security 267, smuggling: whatever two readers could frame differently ends at the guard', async () => {
  const auth = `Authorization: Bearer ${await good()}\r\n`;
  const seen = api.requests.length;
  for (const bytes of [
    `GET /read/x HTTP/1.0\r\n${auth}\r\n`,
    'GET /read/x\r\n\r\n',
    `GET /read/x HTTP/1.1\r\n${auth}\r\n`,
    `GET /read/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n${auth}\r\n`,
    `POST /read/echo HTTP/1.1\r\nHost: a\r\n${auth}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `POST /read/echo HTTP/1.1\r\nHost: a\r\n${auth}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
    `POST /read/echo HTTP/1.1\r\nHost: a\r\n${auth}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    `POST /read/echo HTTP/1.1\r\nHost: a\r\n${auth}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
    `GET /read/x HTTP/1.1\nHost: a\n${auth.replace('\r', '')}\n`,
    `GET http://127.0.0.1/read/x HTTP/1.1\r\nHost: a\r\n${auth}\r\n`,
    `GET /read/socket HTTP/1.1\r\nHost: a\r\n${auth}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /write/x HTTP/1.1\r\nHost: a\r\n\r\n`,
  ]) assert.match(await raw(guard.port, bytes), /^(HTTP\/1.1 4\d\d |$)/, bytes.slice(0, 80));
  assert.equal(api.requests.length, seen);
  // An upgrade to anything but WebSocket is no upgrade (h2c would be a tunnel past every later decision).
  const answer = await raw(guard.port, `GET /read/x HTTP/1.1\r\nHost: a\r\n${auth}Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`);
  assert.match(answer, /^HTTP\/1.1 200 /);
  assert.equal(api.last().headers.upgrade, undefined);
  assert.equal(api.last().headers['http2-settings'], undefined);
});

test('bodies stream both ways and whole', async () => {
  const token = await good();
  const megabytes = 24;
  const answer = await fetch(`${guard.url}/read/echo`, {
    method: 'POST', duplex: 'half', headers: { authorization: `Bearer ${token}` },
    body: new ReadableStream({ start(controller) { for (let at = 0; at < megabytes * 16; ++at) controller.enqueue(new Uint8Array(65_536).fill(at % 251)); controller.close(); } }),
  });
  assert.equal(answer.status, 200);
  let size = 0;
  for await (const piece of answer.body) for (const byte of piece) { if (byte !== Math.floor(size / 65_536) % 251) assert.fail(`byte ${size}`); ++size; }
  assert.equal(size, megabytes * 1024 * 1024);
  assert.ok(await guard.memory < 64, `${await guard.memory} MB: nothing is kept whole`);
});

test('the honest API\'s answer is its own: cookies and headers of a refusal are not mixed in (security 268)', async () => {
  const answer = await guard.call('/read/week', await good());
  assert.deepEqual(answer.headers['set-cookie'], ['theirs=1']);
  assert.equal(answer.headers['behalf-subject'], undefined);
});

test('security 264 a stream and a socket are cut when the grant behind them ends', async () => {
  const { access_token: token } = await server.flow({ agent: 'a2', client: 'cb' });
  const stream = await Stream.open(guard.port, '/read/stream', token);
  assert.equal(stream.status, 200);
  await until(() => stream.text.includes('data: 3'), 'events come');
  const socket = await WebSocketByHand.open(guard.port, '/read/socket', token);
  assert.equal(socket.status, 101);
  socket.say('hello');
  await until(() => socket.heard.includes('hello'), 'the socket talks');
  const other = await Stream.open(guard.port, '/read/stream', await good());
  await server.cli('grant', 'revoke', claimsOf(token).grant_id);
  const revoked = Date.now();
  const [one, two] = await Promise.all([stream.ended, socket.ended]);
  assert.ok(one - revoked < 1500 && two - revoked < 1500, `${one - revoked} and ${two - revoked} ms`);
  await unseen(() => guard.call('/read/week', token), 401, 'invalid_token');
  await pause(200);
  const before = other.text.length;
  await until(() => other.text.length > before, 'somebody else\'s stream goes on');
  other.close();
  const cut = (await guard.records()).filter(({ event }) => event === 'resource.cut');
  assert.equal(cut.length, 2);
  assert.equal(cut[0].reason, 'revoked');
  assert.equal(cut[0].grant, claimsOf(token).grant_id);
});

test('security 260, 261 revoked, suspended: denied within the bound, also where it was allowed a moment ago', async () => {
  const { access_token: token } = await server.flow({ agent: 'a4', client: 'cb', scope: 'r1.read' });
  for (let round = 0; round < 3; ++round) assert.equal((await guard.call('/read/week', token)).status, 200);
  await server.admin('agent', 'suspend', 'a4');
  const revoked = Date.now();
  await until(async () => (await guard.call('/read/week', token)).status === 401, 'the suspended agent is refused', 1000);
  assert.ok(Date.now() - revoked < 1000);
  await server.admin('agent', 'resume', 'a4');
});

test('the policy changes without a request lost, and a faulty one changes nothing', async () => {
  const { readFile, writeFile } = await import('node:fs/promises');
  const token = await good();
  const before = await readFile(guard.at('policy.toml'), 'utf8');
  let failures = 0, calls = 0, stop = false;
  const load = (async () => { while (!stop) { const answer = await guard.call('/read/week', token).catch(() => ({ status: 0 })); ++calls; if (answer.status !== 200) ++failures; } })();
  await writeFile(guard.at('policy.toml'), `${before}\nnonsense = [`);
  guard.child.kill('SIGHUP');
  await until(async () => (await guard.call('/readyz')).json.trouble.includes('policy_faulty'), 'the fault is told');
  assert.equal((await guard.call('/readyz')).status, 200);
  assert.match(guard.said, /policy\.toml:\d+: /);
  await writeFile(guard.at('policy.toml'), `${before}\n[[rule]]\nname = "new"\neffect = "allow"\nmethods = ["GET"]\npaths = ["/new"]\nscopes = ["r1.read"]\n`);
  await until(async () => (await guard.call('/new', token)).status === 200, 'the new rule is in force, without a signal');
  assert.deepEqual((await guard.call('/readyz')).json.trouble, []);
  stop = true;
  await load;
  assert.equal(failures, 0);
  assert.ok(calls > 10);
  await writeFile(guard.at('policy.toml'), before);
});

test('a request that is allowed is told as allowed, and nothing secret is written', async () => {
  const records = JSON.stringify(await guard.records());
  assert.ok(!records.includes((await good()).slice(-24)));
  assert.ok(!guard.said.includes((await good()).slice(-24)));
  assert.ok(!records.includes('access_token='));
});

test('memory: at rest the guard takes at most 15 MB', async () => {
  const fresh = await Guard.start(server, { upstream: api.url });
  assert.ok(await fresh.memory <= 15, `${await fresh.memory} MB`);
  await fresh.stop();
  assert.ok(await guard.memory < 40, `${await guard.memory} MB after all this`);
});
