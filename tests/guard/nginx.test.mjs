// Real nginx (Debian's) with examples/guard/nginx.conf as it stands, the guard, and a plain API that knows nothing
// of tokens.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { claimsOf } from '../cases/support/cast.mjs';
import { Api, CREDENTIAL, Guard, METADATA, R1, call, freePort, raw, startServer, until } from './support/guard.mjs';

const nginxBinary = '/usr/sbin/nginx';
class Nginx {
  static async start(guardAt, apiPort) {
    const nginx = new Nginx();
    nginx.port = await freePort();
    nginx.folder = await mkdtemp(join(tmpdir(), 'behalf-nginx-'));
    const example = (await readFile(new URL('../../examples/guard/nginx.conf', import.meta.url), 'utf8'))
      .replace('server 127.0.0.1:8788;', `server ${guardAt};`).replace('127.0.0.1:9000', `127.0.0.1:${apiPort}`).replace('listen 8080;', `listen 127.0.0.1:${nginx.port};`);
    await writeFile(join(nginx.folder, 'nginx.conf'), `${process.getuid() === 0 ? 'user root;' : ''}
daemon off; worker_processes 1; pid ${nginx.folder}/pid; error_log ${nginx.folder}/error.log;
events { worker_connections 256; }
http { access_log off; client_body_temp_path ${nginx.folder}/b; proxy_temp_path ${nginx.folder}/p; fastcgi_temp_path ${nginx.folder}/f; uwsgi_temp_path ${nginx.folder}/u; scgi_temp_path ${nginx.folder}/s;
${example}
}`);
    nginx.child = spawn(nginxBinary, ['-p', nginx.folder, '-c', 'nginx.conf'], { stdio: 'inherit' });
    nginx.ended = once(nginx.child, 'exit');
    await until(() => call(nginx.port, '/').then(() => true, () => false), 'nginx answers');
    return nginx;
  }
  async stop() {
    this.child.kill('SIGTERM');
    await this.ended;
    await rm(this.folder, { recursive: true, force: true });
  }
}

let server, api, guard, nginx;
before(async () => {
  server = await startServer();
  api = await Api.start();
  guard = await Guard.start(server, { dialect: 'nginx' });
  nginx = await Nginx.start(`127.0.0.1:${guard.port}`, api.port);
});
after(async () => {
  await nginx?.stop();
  await guard?.stop();
  await api?.stop();
  await server?.stop();
});
const through = (path, token, options) => call(nginx.port, path, token, options);
let known;
const good = async () => { known ??= (await server.flow({ scope: 'r1.read' })).access_token; return known; };

test('the API sees who stands behind the request, and not the token', async () => {
  const token = await good();
  const answer = await through('/read/week?n=1', token);
  assert.equal(answer.status, 200, answer.text);
  const { headers, url } = answer.json;
  assert.deepEqual([headers['behalf-subject'], headers['behalf-client'], headers['behalf-actor'], headers['behalf-chain'], headers['behalf-grant']],
    ['u1', 'ca', 'a1', 'a1', claimsOf(token).grant_id]);
  assert.equal(headers.authorization, undefined);
  assert.equal(url, '/read/week?n=1');
  const record = await guard.last();
  assert.deepEqual([record.person, record.action, record.verdict], ['u1', { method: 'GET', path: '/read/week' }, 'allowed']);
});

test('challenges arrive: 401 and 403 with their header, and what nginx cannot say by itself', async () => {
  const none = await through('/read/week');
  assert.equal(none.status, 401);
  assert.ok(none.challenge.startsWith(`Bearer resource_metadata="${METADATA}"`), none.challenge);
  assert.equal((await through('/.well-known/oauth-protected-resource/r1')).json.resource, R1);
  const bad = await through('/read/week', 'x.y.z');
  assert.equal(bad.status, 401);
  assert.match(bad.challenge, /error="invalid_token"/);
  const scope = await through('/write/x', await good(), { method: 'POST', body: 'hello' });
  assert.equal(scope.status, 403);
  assert.match(scope.challenge, /error="insufficient_scope".*scope="r1.write", required_scope="r1.write"/);
  assert.deepEqual(scope.json, { error: 'insufficient_scope' });
  const twice = await through(`/read/week?access_token=${await good()}`, await good());
  assert.equal(twice.status, 400);
  assert.deepEqual(twice.json, { error: 'invalid_request' });
  assert.equal((await through('/health')).status, 200);
});

test('security 253, 265 identity headers of a client are overwritten, in every spelling', async () => {
  const token = await good();
  const seen = await raw(nginx.port, `GET /read/week HTTP/1.1\r\nHost: api.example\r\nConnection: close, Behalf-Actor\r\nAuthorization: Bearer ${token}\r\n`
    + 'Behalf-Subject: root\r\nbehalf-subject: root\r\nBehalf_Subject: root\r\nBEHALF-ACTOR: root\r\nBehalf.Grant: root\r\nBehalf-Identity: root\r\n\r\n');
  assert.match(seen, /^HTTP\/1.1 200 /);
  assert.ok(!api.last().raw.includes('root'), JSON.stringify(api.last().raw));
  assert.equal((await through('/health', undefined, { headers: { 'behalf-subject': 'root' } })).json.headers['behalf-subject'], undefined);
});

test('security 254 nginx\'s word counts, not the client\'s', async () => {
  const lies = { 'x-original-uri': '/health', 'x-original-method': 'GET', 'x-forwarded-uri': '/health', 'x-http-method-override': 'DELETE', 'behalf-guard-credential': CREDENTIAL };
  const seen = api.requests.length;
  assert.equal((await through('/read/week', undefined, { headers: lies })).status, 401);
  assert.equal((await through('/write/x', await good(), { method: 'POST', headers: lies })).status, 403);
  assert.equal((await through('/_behalf_decide', await good(), { headers: lies })).status, 404);
  assert.equal(api.requests.length, seen);
  const allowed = await through('/read/week', await good(), { headers: lies });
  assert.equal(allowed.json.headers['x-http-method-override'], undefined);
  assert.equal(allowed.json.headers['behalf-guard-credential'], undefined);
  const names = ['forwarded', 'x-forwarded-user', 'x-forwarded-host', 'x-forwarded-for', 'x-forwarded-uri', 'x-original-host', 'x-auth-request-user', 'remote-user', 'x-remote-user', 'x-real-ip', 'x-client-cert', 'proxy'];
  assert.equal((await through('/read/week', await good(), { headers: Object.fromEntries(names.map((name) => [name, 'evil'])) })).status, 200);
  assert.ok(!api.last().raw.includes('evil'), JSON.stringify(api.last().raw));
});

test('security 254, 269 the decision port answers nobody but the proxy', async () => {
  for (const headers of [{}, { 'behalf-guard-credential': 'guess' }, { 'behalf-guard-credential': '' }, { 'behalf-guard-credential': [CREDENTIAL, CREDENTIAL] }]) {
    const answer = await call(guard.port, '/decide', await good(), { headers: { 'x-original-method': 'GET', 'x-original-uri': '/read/week', ...headers } });
    assert.equal(answer.status, 403);
    assert.equal(answer.text, 'forbidden\n');
    assert.equal(answer.headers['behalf-subject'], undefined);
  }
  for (const headers of [{ 'x-original-uri': ['/read/week', '/health'] }, { 'x-original-uri': 'http://x/' }, { 'x-original-uri': '' }, { 'x-original-method': ['GET', 'GET'] }]) {
    const before = (await guard.records()).length;
    const answer = await guard.decide('/read/week', await good(), { headers });
    assert.equal(answer.status, 403, JSON.stringify(headers));
    const records = await guard.records();
    assert.equal(records.length, before + 1);
    assert.deepEqual([records.at(-1).verdict, records.at(-1).reason, records.at(-1).person], ['denied', 'unclear_request', undefined]);
  }
  const raws = await raw(nginx.port, Buffer.from(`GET /read/\u00e9 HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\nAuthorization: Bearer ${await good()}\r\n\r\n`));
  assert.match(raws, /^HTTP\/1.1 403 /);
  assert.equal((await guard.last()).reason, 'unclear_request');
  assert.ok((await call(guard.port, '/readyz')).json.without_credential >= 4, 'whoever has no credential is counted, not recorded');
  assert.equal((await guard.decide('/read/week', await good())).status, 200);
});

test('a path that nginx and the guard could read differently is refused', async () => {
  for (const path of ['/read/../only-a1/x', '/read/%2e%2e/x', '/read//week', '/read/%2Fx']) {
    const answer = await raw(nginx.port, `GET ${path} HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\nAuthorization: Bearer ${await good()}\r\n\r\n`);
    assert.match(answer, /^HTTP\/1.1 40[03] /, path);
  }
});

test('nginx understands 200, 401 and 403 alone', async () => {
  const twice = await guard.decide('/read/week?access_token=x', await good());
  assert.deepEqual([twice.status, twice.headers['behalf-status'], twice.headers['behalf-error']], [403, '400', 'invalid_request']);
  const yes = await guard.decide('/read/week', await good());
  assert.equal(yes.status, 200);
  assert.equal(yes.text, '');
  assert.equal(yes.headers['behalf-subject'], 'u1');
  const no = await guard.decide('/read/week', 'x');
  assert.equal(no.status, 401);
  for (const name of ['behalf-subject', 'behalf-client', 'behalf-actor', 'behalf-chain', 'behalf-grant', 'behalf-identity']) assert.equal(no.headers[name], '', 'said, and empty');
});

test('without the guard nothing passes', async () => {
  const lone = await Nginx.start(`127.0.0.1:${await freePort()}`, api.port);
  const seen = api.requests.length;
  const answer = await call(lone.port, '/read/week', await good());
  assert.equal(answer.status, 500);
  assert.equal(api.requests.length, seen);
  await lone.stop();
});

test('over a Unix socket, without a secret: the socket is the proof', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'behalf-socket-'));
  const local = await Guard.start(server, { dialect: 'nginx', socket: join(folder, 'guard.sock'), decide: '' });
  const { stdout } = await new Promise((resolve, reject) => execFile('stat', ['-c', '%a', join(folder, 'guard.sock')], (fault, out) => (fault ? reject(fault) : resolve({ stdout: out }))));
  assert.equal(stdout.trim(), '660');
  const front = await Nginx.start(`unix:${join(folder, 'guard.sock')}`, api.port);
  const answer = await until(async () => { const one = await call(front.port, '/read/week', await good()); return one.status === 200 && one; }, 'the guard has its keys');
  assert.equal(answer.json.headers['behalf-actor'], 'a1');
  await front.stop();
  await local.stop();
  await rm(folder, { recursive: true, force: true });
});
