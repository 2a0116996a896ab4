// Apache with mod_auth_openidc (Debian's), which knows nothing of us: our tokens are RFC 9068, so a filter that verifies
// JWTs from a key set takes them, and refuses what is none.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { claimsOf, signJwt } from '../cases/support/cast.mjs';
import { Api, R1, call, freePort, startServer, until } from './support/guard.mjs';

let server, api, child, folder, port, keys;
before(async () => {
  server = await startServer();
  api = await Api.start();
  port = await freePort();
  folder = await mkdtemp(join(tmpdir(), 'behalf-apache-'));
  // The module fetches keys over TLS alone: a front for the server's key set.
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', join(folder, 'tls.key'), '-out', join(folder, 'tls.pem')], { stdio: 'ignore' });
  keys = https.createServer({ key: await readFile(join(folder, 'tls.key')), cert: await readFile(join(folder, 'tls.pem')) }, async (request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(await (await fetch(`${server.issuer}/jwks`)).text());
  }).listen(0, '127.0.0.1');
  await once(keys, 'listening');
  const modules = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'proxy', 'proxy_http', 'headers', 'auth_openidc'];
  await writeFile(join(folder, 'apache.conf'), `ServerRoot /usr/lib/apache2
ServerName api.example
Listen 127.0.0.1:${port}
PidFile ${folder}/pid
ErrorLog ${folder}/error.log
${process.getuid() === 0 ? 'User nobody\nGroup nogroup' : ''}
DefaultRuntimeDir ${folder}
${modules.map((name) => `LoadModule ${name}_module modules/mod_${name}.so`).join('\n')}
OIDCOAuthVerifyJwksUri https://127.0.0.1:${keys.address().port}/jwks
OIDCOAuthSSLValidateServer Off
OIDCOAuthRemoteUserClaim sub
OIDCCryptoPassphrase only-for-this-run
<Location />
  AuthType oauth20
  <RequireAll>
    Require claim iss:${server.issuer}
    Require claim aud:${R1}
    Require claim scope~(^|\\s)r1\\.read(\\s|$)
  </RequireAll>
  ProxyPass http://127.0.0.1:${api.port}/
</Location>
`);
  child = spawn('/usr/sbin/apache2', ['-DFOREGROUND', '-f', join(folder, 'apache.conf')], { stdio: 'inherit' });
  await until(() => call(port, '/').then(() => true, () => false), 'Apache answers');
});
after(async () => {
  if (child) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  keys?.close();
  await api?.stop();
  await server?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

test('mod_auth_openidc accepts a token of ours and passes its claims on, the chain too', async () => {
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  const answer = await call(port, '/read/week', token);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.headers.oidc_claim_sub ?? answer.json.headers['oidc-claim-sub'], 'u1');
  assert.match(answer.json.headers.oidc_claim_act ?? answer.json.headers['oidc-claim-act'], /"sub": *"a1"/);
  assert.equal(answer.json.headers.oidc_claim_client_id ?? answer.json.headers['oidc-claim-client_id'] ?? answer.json.headers['oidc-claim-client-id'], 'ca');
});

test('and refuses what is none, or not for it', async () => {
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  const other = await server.flow({ scope: 'r2.read', resource: 'https://api.example/r2' });
  const seen = api.requests.length;
  for (const [what, bad] of [['none', undefined], ['changed', `${token.slice(0, -8)}AAAAAAAA`], ['for another', other.access_token], ['signed by another', signJwt(server.keys.a1, claimsOf(token), { typ: 'at+jwt' })]]) {
    const answer = await call(port, '/read/week', bad);
    assert.ok([401, 403].includes(answer.status), `${what}: ${answer.status}`);
  }
  assert.equal(api.requests.length, seen);
});
