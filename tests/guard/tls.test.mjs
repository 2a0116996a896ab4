// TLS on both sides of the guard: the certificate it shows, and the one it asks of the API.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Guard, freePort, startServer, until } from './support/guard.mjs';

let server, api, folder;
const at = (name) => join(folder, name);
const certify = (name, host) => execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-addext', `subjectAltName=${host}`, '-keyout', at(`${name}.key`), '-out', at(`${name}.pem`)], { stdio: 'ignore' });
before(async () => {
  server = await startServer();
  folder = await mkdtemp(join(tmpdir(), 'behalf-tls-'));
  certify('api', 'IP:127.0.0.1');
  certify('guard', 'IP:127.0.0.1');
  certify('other', 'DNS:other.example');
  api = https.createServer({ key: await readFile(at('api.key')), cert: await readFile(at('api.pem')) }, async (request, response) => {
    let size = 0;
    for await (const piece of request) size += piece.length;
    api.seen = (api.seen ?? 0) + 1;
    response.end(JSON.stringify({ actor: request.headers['behalf-actor'], size, filler: 'x'.repeat(300_000) }));
  }).listen(0, '127.0.0.1');
  await once(api, 'listening');
});
after(async () => {
  api?.close();
  api?.closeAllConnections();
  await server?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

const call = (port, path, token, { method = 'GET', body, ca } = {}) => new Promise((resolve, reject) => {
  const request = https.request({ host: '127.0.0.1', port, path, method, ca, agent: false, headers: { authorization: `Bearer ${token}` } }, (response) => {
    let text = '';
    response.on('data', (piece) => { text += piece; });
    response.on('end', () => resolve({ status: response.statusCode, text }));
    response.on('error', reject);
  });
  request.on('error', reject);
  request.end(body);
});
const start = async (ca) => {
  const port = await freePort();
  const guard = await Guard.start(server, {
    upstream: `https://127.0.0.1:${api.address().port}"\nca_file = "${at(ca)}`, port, wait: false,
    listen: `tls_certificate = "${at('guard.pem')}"\ntls_private_key = "${at('guard.key')}"`,
  });
  return guard;
};

test('bodies of both directions, over TLS on both sides, on connections that are kept', async () => {
  const { access_token: token } = await server.flow({ scope: 'r1.read r1.write' });
  const guard = await start('api.pem');
  const ca = await readFile(at('guard.pem'));
  await until(async () => (await call(guard.port, '/read/x', token, { ca })).status === 200, 'the guard is ready');
  for (let round = 0; round < 5; ++round) {
    const read = await call(guard.port, '/read/x', token, { ca });
    assert.equal(read.status, 200);
    assert.equal(JSON.parse(read.text).actor, 'a1');
    const body = 'y'.repeat(700_000);
    const written = await call(guard.port, '/write/x', token, { ca, method: 'POST', body });
    assert.deepEqual([written.status, JSON.parse(written.text).size], [200, body.length]);
  }
  await assert.rejects(call(guard.port, '/read/x', token, { ca: await readFile(at('other.pem')) }), 'a client that trusts another');
  await guard.stop();
});

test('an API with a certificate that is not trusted gets nothing', async () => {
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  const guard = await start('other.pem');
  const ca = await readFile(at('guard.pem'));
  await until(async () => (await call(guard.port, '/readyz', token, { ca })).status === 200, 'the guard is ready');
  const seen = api.seen;
  const answer = await call(guard.port, '/read/x', token, { ca });
  assert.equal(answer.status, 502);
  assert.equal(api.seen, seen);
  await guard.stop();
});
