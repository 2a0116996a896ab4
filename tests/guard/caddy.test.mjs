// Real Caddy (Debian's) with examples/guard/Caddyfile as it stands.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Api, Guard, METADATA, R1, WebSocketByHand, call, freePort, raw, startServer, until } from './support/guard.mjs';

let server, api, guard, child, folder, port;
before(async () => {
  server = await startServer();
  api = await Api.start();
  guard = await Guard.start(server, { dialect: 'forward' });
  port = await freePort();
  folder = await mkdtemp(join(tmpdir(), 'behalf-caddy-'));
  const example = (await readFile(new URL('../../examples/guard/Caddyfile', import.meta.url), 'utf8'))
    .replaceAll('127.0.0.1:8788', `127.0.0.1:${guard.port}`).replaceAll('127.0.0.1:9000', `127.0.0.1:${api.port}`).replace('http://api.example:8080', `http://api.example:${port}`);
  await writeFile(join(folder, 'Caddyfile'), `{\n\tadmin off\n\tauto_https off\n}\n${example}`);
  child = spawn('/usr/bin/caddy', ['run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile'], { stdio: 'ignore', env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } });
  await until(() => call(port, '/').then(() => true, () => false), 'Caddy answers');
});
after(async () => {
  if (child) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  await guard?.stop();
  await api?.stop();
  await server?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

test('Caddy asks, passes on who it is, and the guard\'s refusals as they are', async () => {
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  const answer = await call(port, '/read/week?n=1', token, { host: `api.example:${port}`, headers: { 'behalf-actor': 'root', behalf_subject: 'root', 'x-forwarded-uri': '/health', 'x-forwarded-method': 'GET' } });
  assert.equal(answer.status, 200, answer.text);
  const { headers, url, method } = answer.json;
  assert.deepEqual([method, url, headers['behalf-subject'], headers['behalf-actor'], headers.authorization], ['GET', '/read/week?n=1', 'u1', 'a1', undefined]);
  assert.ok(!api.last().raw.includes('root'), JSON.stringify(api.last().raw));
  const seen = api.requests.length;
  const none = await call(port, '/read/week', undefined, { host: `api.example:${port}` });
  assert.equal(none.status, 401);
  assert.ok(none.challenge.startsWith(`Bearer resource_metadata="${METADATA}"`));
  const scope = await call(port, '/write/x', token, { method: 'POST', body: 'x', host: `api.example:${port}` });
  assert.equal(scope.status, 403);
  assert.equal(scope.json.error, 'insufficient_scope');
  assert.equal(api.requests.length, seen);
  assert.equal((await call(port, '/.well-known/oauth-protected-resource/r1', undefined, { host: `api.example:${port}` })).json.resource, R1);
  const { access_token: more } = await server.flow({ scope: 'r1.read r1.write' });
  const written = await call(port, '/write/x', more, { method: 'POST', body: 'hello', host: `api.example:${port}` });
  assert.deepEqual([written.status, written.json?.method, written.json?.body], [200, 'POST', 'hello']);
});

test('what a client names in Connection takes nothing away that the guard said', async () => {
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  for (const named of ['Behalf-Actor, Behalf-Chain, Behalf-Subject', 'Behalf-Guard-Credential, X-Forwarded-Uri, X-Forwarded-Method']) {
    const answer = await raw(port, `GET /read/week HTTP/1.1\r\nHost: api.example:${port}\r\nAuthorization: Bearer ${token}\r\nConnection: close, ${named}\r\n\r\n`);
    assert.match(answer, /^HTTP\/1.1 200/);
    const { headers } = api.last();
    assert.deepEqual([headers['behalf-subject'], headers['behalf-actor'], headers['behalf-chain']], ['u1', 'a1', 'a1'], named);
  }
  const ends = await raw(port, `GET /read/week HTTP/1.1\r\nHost: api.example:${port}\r\nAuthorization: Bearer ${token}\r\nConnection: close, Authorization\r\n\r\n`);
  assert.match(ends, /^HTTP\/1.1 401/, 'the question has no token then');
});

test('the bytes that were decided are the bytes that are sent', async () => {
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  for (const target of ['/read/a%20b', '/read/a%20b%C3%BC?q=%2F%20+&x', '/read/%40/@', "/read/it's(1)", '/read/%5Ba%5D', '/read/x?', '/read/x?a=1;b=2&a', '/read/x?a=%2F%3f+%20', '/read/x?a={env.HOME}']) {
    const answer = await call(port, target, token, { host: `api.example:${port}` });
    assert.equal(answer.status, 200, target);
    assert.equal(api.last().url, target);
  }
  const { access_token: more } = await server.flow({ scope: 'r1.read r1.write' });
  const written = await call(port, '/write/a%20b', more, { method: 'POST', body: 'hello', host: `api.example:${port}` });
  assert.deepEqual([written.json?.method, written.json?.url, written.json?.body], ['POST', '/write/a%20b', 'hello']);
});

test('nothing arrives that an API could take for the guard\'s word or for another request', async () => {
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  const names = ['Behalf-Identity', 'Behalf.Subject', 'BEHALF_Actor', 'Forwarded', 'X-Forwarded-User', 'X-Forwarded-Uri', 'X-Forwarded-Method', 'X_Forwarded_User', 'X-Forwarded-Client-Cert', 'X-Original-URL',
    'X-Original-Host', 'X-Rewrite-URL', 'X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override', 'X-Method', 'X-Real-IP', 'X-Client-IP', 'X-Client-Cert', 'X-Auth-Request-User', 'X-Remote-User', 'Remote-User', 'Proxy'];
  const answer = await call(port, '/read/x', token, { host: `api.example:${port}`, headers: Object.fromEntries(names.map((name) => [name, 'evil'])) });
  assert.equal(answer.status, 200);
  assert.ok(!api.last().raw.includes('evil'), JSON.stringify(api.last().raw));
});

test('a WebSocket goes through where it may, and not where tools are looked at', async () => {
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  const open = (path) => WebSocketByHand.open(port, path, token, { host: `api.example:${port}` });
  const refused = await open('/mcp');
  assert.equal(refused.status, 403);
  assert.equal((await guard.last()).reason, 'tunnel_refused');
  const socket = await open('/read/socket');
  assert.equal(socket.status, 101);
  socket.close();
  const h2c = await raw(port, `GET /read/x HTTP/1.1\r\nHost: api.example:${port}\r\nAuthorization: Bearer ${token}\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`);
  assert.match(h2c, /^HTTP\/1.1 200 /);
  assert.deepEqual([api.last().headers.upgrade, api.last().headers['http2-settings']], [undefined, undefined]);
});
