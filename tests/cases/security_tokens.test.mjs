// Attacks on the back, what security_back does not have: redemption, assertions of other kinds, keys, and what a token's end
// reaches (catalogue 2.3, 2.6 to 2.8, 2.10, 2.15, 2.16).
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Browser, EXCHANGE, JWT_BEARER, M1, OPAQUE, PAIRWISE, R1, R2, Server, chainOf, claimsOf, deniedRecord, headerOf, refused, signJwt } from './support/cast.mjs';
import { Api, Guard, startServer, until } from '../guard/support/guard.mjs';

let server, api, guard;
before(async () => {
  server = await startServer({ clock: true, config: '[lifetimes]\nsession = "30d"\nsession_idle = "30d"' });
  api = await Api.start();
  guard = await Guard.start(server, { upstream: api.url });
});
afterEach(async () => assert.equal((await server.flow()).scope, 'r1.read', 'the honest flow still works'));
after(async () => {
  try { await guard?.stop(); } finally {
    await api?.stop();
    await server?.end();
  }
});

const t1 = async (more = {}) => (await server.flow({ scope: 'm1.use r2.read r1.read', resource: M1, ...more })).access_token;
const off = (answer) => assert.deepEqual([answer.status, answer.text, answer.headers.get('cache-control')], [200, '{"active":false}', 'no-store']);

test('52, 53, 56 another client, no verifier, another one\'s verifier', async () => {
  const code = await server.code();
  await refused(server, await server.token('cb', server.redemption(code)), 400, 'invalid_grant');
  // Whoever proves itself and has the code has stolen it: it is good for nobody any more (D-11).
  await refused(server, await server.redeem(code), 400, 'invalid_grant');
  await refused(server, await server.redeem(await server.code(), { code_verifier: undefined }), 400, ['invalid_grant', 'invalid_request']);
  const [alice, bob] = [await server.code(), await server.code({ user: 'u2' })];
  await refused(server, await server.redeem(alice, { code_verifier: bob.verifier }), 400, 'invalid_grant');
});

test('57 a code of another server', async () => {
  const other = await Server.start();
  try {
    const code = await other.code();
    await refused(server, await server.redeem(code), 400, 'invalid_grant');
    assert.equal((await other.redeem(code)).status, 200);
    await refused(server, await server.redeem(await server.code(), { actor_token: other.proof('a1') }), 400, 'invalid_grant');
  } finally { await other.stop(); }
});

// What each place answers: [status, error, the reason in the record]; of introspection and the guard the reason alone.
const gone = {
  redeem: [400, 'invalid_grant', 'code_ended'], refresh: [400, 'invalid_grant', 'refresh_token_ended'], exchange: [400, 'invalid_request', 'subject_ended'],
  obo: [400, 'invalid_grant', 'subject_ended'], introspect: 'ended',
};
const ofNobody = { ...gone, redeem: [401, 'invalid_client', 'client_inactive'], refresh: [401, 'invalid_client', 'client_inactive'] };
const withdrawn = {
  redeem: [400, 'invalid_scope', 'scope_empty'], refresh: [400, 'invalid_scope', 'scope_empty'], exchange: [400, 'invalid_request', 'subject_scope_withdrawn'],
  obo: [400, 'invalid_grant', 'subject_scope_withdrawn'], introspect: 'scope_withdrawn',
};
// What ends authority, undone after each: what it does, how, what undoes it, and the cause in the record of each token's end
// (none where the token stands and only what it may do is gone).
const suspended = (kind, id) => [() => server.admin(kind, 'suspend', id), () => server.admin(kind, 'resume', id)];
const edited = (kind, id, members, before) => {
  const set = (to) => server.apply((state) => { Object.assign(state[kind].find((one) => one.id === id), to); });
  return [() => set(members), () => set(before)];
};
let kept;
const ALL = ['r1.read', 'r1.write', 'r2.read', 'm1.use', 'x.read'];
const ends = [
  ['the person suspended', ...suspended('user', 'u2'), gone, 'user_suspended'],
  ['the client disabled', ...suspended('client', 'ca'), ofNobody, 'client_suspended'],
  ['the agent suspended', ...suspended('agent', 'a1'), gone, 'agent_suspended'],
  ['the person deleted', () => server.apply((state) => { kept ??= state.user; state.user = kept.filter(({ id }) => id !== 'u2'); }, '--prune'), () => server.apply((state) => { state.user = kept; }), gone, 'user_deleted'],
  ['the consent revoked', (grant) => server.cli('grant', 'revoke', grant), async () => {}, gone, 'revoked_by_operator'],
  ['the password reset', ...edited('user', 'u2', { password: 'another battery, correct' }, { password: 'correct horse battery' }), gone, 'password_changed'],
  ['the scope taken from the client', ...edited('client', 'ca', { scopes: ['m1.use'] }, { scopes: ALL }), withdrawn],
  ['the scope taken from the agent', ...edited('agent', 'a1', { scopes: ['m1.use'] }, { scopes: ALL }), withdrawn],
];
const freshly = () => server._browsers.delete('u2');  // a new password signs out

test('58, 214 whatever ends: not redeemed, refreshed, exchanged, called On-Behalf-Of, let through by a guard; introspected inactive; each with its reason', async () => {
  assert.equal((await server.http('/userinfo', { headers: { authorization: `Bearer ${await t1()}` } })).status, 404, 'there is no such place');
  for (const [what, end, undo, expected, cause] of ends) {
    freshly();
    const flow = await server.flow({ user: 'u2', scope: 'r1.read offline_access' });
    const tier = await server.flow({ user: 'u2', scope: 'r2.read', resource: M1 });
    const code = await server.code({ user: 'u2', scope: 'r1.read' });
    const grants = new Set([claimsOf(flow.access_token).grant_id, claimsOf(tier.access_token).grant_id, (await server.audit(1, '--user', 'u2'))[0].grant]);
    assert.equal((await guard.call('/read/week', flow.access_token)).status, 200, what);
    assert.equal(await server.isActive('m1', tier.access_token), true, what);
    for (const grant of grants) await end(grant);
    try {
      const late = await until(async () => { const answer = await guard.call('/read/week', flow.access_token); return answer.status !== 200 && answer; }, `${what}: the guard has heard of it`, 1000);
      assert.deepEqual([late.status, late.json.error, (await guard.last()).reason], [401, 'invalid_token', 'revoked'], what);
      const answers = {
        redeem: await server.redeem(code), refresh: await server.refresh('ca', flow.refresh_token), exchange: await server.exchange('m1', tier.access_token, 'a2', { resource: R2, scope: 'r2.read' }),
        obo: await server.onBehalfOf('m1', tier.access_token, `${R2}/r2.read`),
      };
      for (const [place, answer] of Object.entries(answers)) {
        await refused(server, answer, ...expected[place]).catch((fault) => { throw new Error(`${what}, ${place}: ${fault.message}`); });
      }
      for (const [client, token] of [['r1-server', flow.access_token], ['m1', tier.access_token]]) {
        const answer = await server.introspect(client, token);
        off(answer);
        await deniedRecord(server, answer, expected.introspect);
      }
      if (cause) {
        for (const { access_token: token } of [flow, tier]) {
          const told = (await server.audit(100, '--grant', claimsOf(token).grant_id)).find(({ event, node }) => event === 'access_token.end' && node === claimsOf(token).jti);
          assert.equal(told?.reason, cause, what);
        }
      }
    } finally { await undo(); }
    assert.equal(await server.isActive('m1', tier.access_token), cause === undefined, `${what}, for good`);
  }
  freshly();
});

test('132 subjects of issuers that are not this one', async () => {
  const { now } = server;
  const claims = (iss) => ({ iss, sub: 'u1', aud: M1, client_id: 'ca', scope: 'r2.read', iat: now, exp: now + 60, jti: `x${Math.random()}` });
  for (const iss of ['https://other.example', `${server.issuer}/`, server.issuer.toUpperCase(), 'a1']) {
    for (const type of ['access_token', 'jwt']) {
      const token = signJwt(server.keys.a1, claims(iss), { typ: 'at+jwt' });
      await refused(server, await server.exchange('m1', token, 'a2', { resource: R2, subject_token_type: `urn:ietf:params:oauth:token-type:${type}` }), 400, 'invalid_request');
    }
  }
});

test('116, 120, 133, 134, 135 nobody\'s impersonation, may_act, tokens for somebody else, and tokens without a person', async () => {
  const one = await t1();
  await refused(server, await server.exchange('r2-server', one, undefined, { resource: R2, requested_token_type: 'urn:ietf:params:oauth:token-type:access_token' }), 400, 'invalid_request');
  for (const may of [{ sub: 'a4' }, { sub: 'a2', iss: 'https://other.example' }, { sub: 'a2', sub_profile: 'user' }]) {
    await server.changed('client', 'ca', { may_act: may }, async () => refused(server, await server.exchange('m1', await t1(), 'a2', { resource: R2, scope: 'r2.read' }), 400, 'invalid_request'));
  }
  for (const may of [['a2'], 'a2']) {
    await assert.rejects(server.changed('client', 'ca', { may_act: may }, () => {}), undefined, JSON.stringify(may));
    delete server.state.client.find(({ id }) => id === 'ca').may_act;
    await server.apply();
  }
  // A resource leaks what it was sent: nobody else can do anything with it.
  for (const client of ['cb', 'r1-server', 'r2-server', 'x-server']) await refused(server, await server.exchange(client, one, 'a2', { resource: R2, scope: 'r2.read' }), 400, 'invalid_request');
  await refused(server, await server.exchange('a1-runtime', one, 'a1', { resource: R2 }), 400, 'unauthorized_client');
  await refused(server, await server.exchange('cp', one, 'a2', { resource: R2 }), 400, ['unauthorized_client', 'invalid_client']);
  const alone = await server.token('plain', { grant_type: 'client_credentials', resource: M1, scope: 'm1.use' });
  assert.equal(alone.status, 200, alone.text);
  await refused(server, await server.onBehalfOf('m1', alone.json.access_token, `${R2}/r2.read`), 400, 'invalid_grant', 'assertion_without_user');
  await refused(server, await server.onBehalfOf('r1-server', one, `${R2}/r2.read`), 400, 'invalid_grant');
  await refused(server, await server.onBehalfOf('m1', one, `${R2}/r2.read`, { requested_token_use: undefined }), 400, 'invalid_grant');
});

test('187 issuers are compared byte for byte', async () => {
  for (const aud of [`${server.issuer}/`, server.issuer.toUpperCase(), server.issuer.replace('http://', 'HTTP://'), server.issuer.replace('127.0.0.1', 'localhost'), `${server.issuer}/t1`, server.issuer.replace('http:', 'https:'), `${server.issuer}#`, ` ${server.issuer}`]) {
    await refused(server, await server.redeem(await server.code(), { actor_token: server.proof('a1', { aud }) }), 400, 'invalid_grant');
    await refused(server, await server.http('/introspect', { method: 'POST', form: { client_assertion: server.clientAssertion({ aud }), client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', token: 'x' } }), 401, 'invalid_client');
  }
});

test('212, 216 a narrow refresh, then the whole again; and none where it was not given', async () => {
  const flow = await server.flow({ scope: 'r1.read r1.write offline_access' });
  const narrow = await server.refresh('ca', flow.refresh_token, 'a1', { scope: 'r1.read' });
  assert.deepEqual([narrow.json.scope, claimsOf(narrow.json.access_token).scope], ['r1.read', 'r1.read']);
  const whole = await server.refresh('ca', narrow.json.refresh_token);
  assert.deepEqual(whole.json.scope.split(' ').sort(), ['r1.read', 'r1.write']);
  await refused(server, await server.refresh('ca', whole.json.refresh_token, 'a1', { scope: 'r1.read r2.read' }), 400, 'invalid_scope');
  assert.ok(!('refresh_token' in await server.flow({ scope: 'r1.read' })));
  assert.ok(!('refresh_token' in await server.flow({ agent: 'a2', scope: 'r1.read offline_access' })), 'its entry gives none');
});

test('213 a suspended agent can do nothing, and what it had stays dead after its return', async () => {
  const flow = await server.flow({ scope: 'm1.use r2.read offline_access', resource: M1 });
  const issued = await server.issuedProof('a1');
  const browser = await server.browser('u1');
  const page = await browser.begin(server.authorization({ prompt: 'consent' }));
  const code = await server.code();
  const { access_token: call } = await server.flow();
  assert.equal((await guard.call('/read/week', call)).status, 200);
  await server.admin('agent', 'suspend', 'a1');
  await until(async () => (await guard.call('/read/week', call)).status === 401, 'the guard has heard of it', 1000);
  await refused(server, await server.refresh('ca', flow.refresh_token), 400, 'invalid_grant');
  await refused(server, await server.exchange('m1', flow.access_token, 'a2', { resource: R2 }), 400, 'invalid_request');
  await refused(server, await server.token('a1-runtime', { grant_type: 'client_credentials', resource: R1, scope: 'r1.read' }), 400, ['invalid_grant', 'unauthorized_client', 'invalid_client']);
  await refused(server, await server.as('ca', '/par', server.authorization()), 400, 'invalid_request');
  await refused(server, await server.redeem(code), 400, 'invalid_grant');
  off(await server.introspect('m1', flow.access_token));
  off(await server.introspect('a1-runtime', issued));
  const answer = await browser.decide(page);
  assert.ok(!answer.query?.get('code') && answer.query?.get('error'), answer.location);
  await server.admin('agent', 'resume', 'a1');
  off(await server.introspect('m1', flow.access_token));
  assert.equal((await guard.call('/read/week', call)).status, 401);
  await refused(server, await server.refresh('ca', flow.refresh_token), 400, 'invalid_grant');
  await refused(server, await server.redeem(await server.code(), { actor_token: issued }), 400, 'invalid_grant');
});

test('215 the end of a family does not move, and a clock that goes back revives nothing', async () => {
  await server.changed('client', 'ca', { refresh_lifetime: '10m' }, async () => {
    const first = await server.flow({ scope: 'r1.read offline_access', prompt: 'consent' });
    await server.advance(550);
    const next = await server.refresh('ca', first.refresh_token);
    assert.equal(next.status, 200, next.text);
    const { exp, iat } = claimsOf(next.json.access_token);
    assert.equal(next.json.expires_in, exp - iat);
    await server.advance(55);
    await refused(server, await server.refresh('ca', next.json.refresh_token), 400, 'invalid_grant');
    await server.advance(-55);
    // It was judged dead by the clock of then; what it may have now is at most what was left.
    const back = await server.refresh('ca', next.json.refresh_token);
    if (back.status === 200) assert.ok(claimsOf(back.json.access_token).exp <= iat + 50 + 1);
    await server.advance(55);
  });
});

test('217, 218 revocation: found whatever the hint, only by its client; a refresh token takes its access tokens along', async () => {
  const flow = await server.flow({ scope: 'r1.read offline_access' });
  for (const token of ['x', `${flow.refresh_token}x`, 'rt_unknown']) assert.equal((await server.as('ca', '/revoke', { token })).status, 200);
  assert.equal((await server.as('cb', '/revoke', { token: flow.refresh_token })).status, 200);
  assert.equal(await server.isActive('r1-server', flow.access_token), true, 'not theirs to end');
  await refused(server, await server.as('ca', '/revoke', {}), 400, 'invalid_request');
  const json = await server.http('/revoke', { method: 'POST', body: '{"token":"x"}', headers: { ...server.basic('ca'), 'content-type': 'application/json' } });
  await refused(server, json, 400, 'invalid_request');
  assert.equal((await server.http(`/revoke?token=${encodeURIComponent('x')}`, { headers: server.basic('ca') })).status, 405);
  assert.equal((await guard.call('/read/week', flow.access_token)).status, 200);
  assert.equal((await server.as('ca', '/revoke', { token: flow.refresh_token, token_type_hint: 'access_token' })).status, 200);
  await until(async () => (await guard.call('/read/week', flow.access_token)).status === 401, 'the guard has heard of it', 1000);
  off(await server.introspect('r1-server', flow.access_token));
  await refused(server, await server.refresh('ca', flow.refresh_token), 400, 'invalid_grant');
  const other = await server.flow({ scope: 'r1.read offline_access' });
  assert.equal((await server.as('ca', '/revoke', { token: other.access_token, token_type_hint: 'refresh_token' })).status, 200);
  off(await server.introspect('r1-server', other.access_token));
  assert.equal((await server.refresh('ca', other.refresh_token)).status, 200, 'an access token ends alone');
});

test('221, 222, 223 who may introspect, and one answer for everything that is not active', async () => {
  const flow = await server.flow({ scope: 'r1.read offline_access' });
  const opaque = (await server.flow({ scope: 'x.read', resource: OPAQUE })).access_token;
  await refused(server, await server.http('/introspect', { method: 'POST', form: { token: flow.access_token } }), 401, 'invalid_client');
  await refused(server, await server.http('/introspect', { method: 'POST', form: { token: flow.access_token, client_id: 'cp' } }), 401, 'invalid_client');
  const ended = (await server.flow()).access_token;
  await server.as('ca', '/revoke', { token: ended });
  const jwt = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"u1"}').toString('base64url')}.`;
  for (const token of ['x', jwt, ended, flow.access_token, opaque, flow.refresh_token, `${flow.access_token.slice(0, -4)}AAAA`, server.proof('a1'), 'x'.repeat(60_000), 'at_x', '\u00e4']) off(await server.introspect('r2-server', token));
  const plain = await server.http('/introspect', { method: 'POST', form: { token: flow.access_token }, headers: { ...server.basic('r1-server'), accept: 'application/token-introspection+jwt' } });
  assert.equal(plain.headers.get('content-type'), 'application/json', 'a signed answer is not offered, so none can be mistaken for a token');
});

test('335 the length of an answer says nothing, and nothing is compressed', async () => {
  const lengths = new Set();
  for (const secret of ['x', 'x'.repeat(43), `${server.secrets.ca.slice(0, 20)}${'x'.repeat(23)}`, `${server.secrets.ca}x`]) {
    const answer = await server.http('/token', { method: 'POST', form: { grant_type: 'client_credentials' }, headers: server.basic('ca', secret) });
    lengths.add(answer.headers.get('content-length'));
  }
  assert.equal(lengths.size, 1);
  const page = await server.raw({ path: '/login', headers: { 'accept-encoding': 'gzip, br, deflate' } });
  assert.equal(page.headers.get('content-encoding'), null);
  const token = await server.raw({ path: '/.well-known/oauth-authorization-server', headers: { 'accept-encoding': 'gzip' } });
  assert.equal(token.headers.get('content-encoding'), null);
});

test('336, G-18 two pairwise resources know one person by two names; introspection and log know who it is', async () => {
  await server.changed('resource', R2, { subject_type: 'pairwise' }, async () => {
    const flow = (resource, scope, more = {}) => server.flow({ resource, scope, prompt: 'consent', ...more });
    const [one, two] = [(await flow(PAIRWISE, 'x.read')).access_token, (await flow(R2, 'r2.read')).access_token];
    const [first, second] = [one, two].map((token) => claimsOf(token).sub);
    assert.match(first, /^[A-Za-z0-9_-]{43}$/);
    assert.notEqual(first, second);
    assert.equal(claimsOf((await flow(PAIRWISE, 'x.read', { client: 'cb', agent: 'a1' })).access_token).sub, first, 'always the same there');
    assert.notEqual(claimsOf((await flow(PAIRWISE, 'x.read', { user: 'u2' })).access_token).sub, first);
    const said = await server.introspect('p-server', one);
    assert.deepEqual([said.json.active, said.json.sub], [true, first]);
    assert.equal((await server.audit())[0].user, 'u1', 'the log says who');
    const onward = await server.exchange('p-server', (await flow(PAIRWISE, 'r2.read x.read')).access_token, 'a2', { resource: R2, scope: 'r2.read' });
    assert.equal(claimsOf(onward.json.access_token).sub, second, onward.text);
    await server.admin('user', 'suspend', 'u1');
    for (const [client, token] of [['p-server', one], ['r2-server', two]]) off(await server.introspect(client, token));
    await server.admin('user', 'resume', 'u1');
    server._browsers.delete('u1');
  });
});

test('324 the years 2038 and 2106', async () => {
  for (const year of [2038, 2106]) {
    const later = await Server.start({ clock: true });
    try {
      await later.advance(Math.floor(Date.UTC(year, 1, 8) / 1000) - later.now);
      const flow = await later.flow({ scope: 'r1.read offline_access' });
      const { iat, exp } = claimsOf(flow.access_token);
      assert.equal(new Date(iat * 1000).getUTCFullYear(), year);
      assert.ok(exp > iat && exp - iat <= 3600);
      assert.equal(await later.isActive('r1-server', flow.access_token), true);
      assert.equal((await later.refresh('ca', flow.refresh_token)).status, 200);
      await later.advance(3601);
      assert.equal(await later.isActive('r1-server', flow.access_token), false);
    } finally { await later.stop(); }
  }
});

test('311 TLS: old versions, weak ciphers and a second handshake are refused; a hello in single bytes is heard', async () => {
  const tls = await import('node:tls');
  const net = await import('node:net');
  const { spawn } = await import('node:child_process');
  const { once } = await import('node:events');
  const exec = promisify(execFile);
  const folder = await mkdtemp(join(tmpdir(), 'behalf-cases-'));
  const listener = net.createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await exec('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')]);
  await exec(process.env.BEHALF, ['init', join(folder, 'server'), '--port', String(port), '--issuer', `https://localhost:${port}`]);
  const config = join(folder, 'server', 'behalf.toml');
  await writeFile(config, (await readFile(config, 'utf8')).replace(/^port = .*$/m, `$&\ntls_certificate = "../cert.pem"\ntls_private_key = "../key.pem"`));
  const child = spawn(process.env.BEHALF, ['serve', '-c', config], { stdio: 'ignore' });
  const ca = await readFile(join(folder, 'cert.pem'));
  // The version that was agreed on and the answer to /livez; or the fault.
  const talk = (options, at = port) => new Promise((resolve) => {
    const socket = tls.connect({ host: '127.0.0.1', port: at, servername: 'localhost', ca, ...options }, () => { socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'); });
    let text = '', version;
    socket.on('secureConnect', () => { version = socket.getProtocol(); });
    socket.on('data', (chunk) => { text += chunk; });
    socket.on('error', (fault) => resolve({ fault }));
    socket.on('close', () => resolve({ text, version }));
  });
  try {
    for (let tries = 0; tries < 200 && (await talk({})).fault; ++tries) await new Promise((resolve) => { setTimeout(resolve, 25); });
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
      const { text, version: agreed, fault } = await talk({ minVersion: version, maxVersion: version });
      assert.equal(agreed, version, `${fault}`);
      assert.match(text, /^HTTP\/1\.1 200/);
    }
    for (const options of [{ minVersion: 'TLSv1', maxVersion: 'TLSv1' }, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' }]) assert.ok((await talk({ ...options, ciphers: 'ALL:@SECLEVEL=0' })).fault, JSON.stringify(options));
    for (const ciphers of ['AES128-SHA', 'ECDHE-ECDSA-AES128-SHA', 'aNULL', 'eNULL', 'CAMELLIA128-SHA']) assert.ok((await talk({ maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` })).fault, ciphers);
    const again = await new Promise((resolve) => {
      const socket = tls.connect({ host: '127.0.0.1', port, servername: 'localhost', ca, maxVersion: 'TLSv1.2' }, () => { if (!socket.renegotiate({}, (fault) => resolve(fault ?? 'renegotiated'))) resolve('not begun'); });
      socket.on('error', resolve);
      socket.on('close', () => resolve(new Error('closed')));
    });
    assert.ok(again instanceof Error, `${again}`);
    const slow = net.createServer((near) => {
      const far = net.connect({ host: '127.0.0.1', port, noDelay: true });
      far.pipe(near);
      near.on('data', (chunk) => { for (const byte of chunk) far.write(Buffer.from([byte])); });
      near.on('end', () => far.end());
      for (const one of [near, far]) one.on('error', () => { near.destroy(); far.destroy(); });
    }).listen(0, '127.0.0.1');
    await once(slow, 'listening');
    assert.match((await talk({}, slow.address().port)).text, /^HTTP\/1\.1 200/);
    slow.close();
    assert.match((await talk({})).text, /^HTTP\/1\.1 200/, 'the honest still get through');
  } finally {
    child.kill('SIGTERM');
    await once(child, 'exit');
    await rm(folder, { recursive: true, force: true });
  }
});

// The last: whoever follows the feed never trusts that key again, also when it is back.
test('190 a key that rests still verifies; one that was taken out does not, at once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'behalf-cases-'));
  const file = server.at('behalf.keys');
  const before = await readFile(file, 'utf8');
  const write = async (keys) => { await writeFile(file, JSON.stringify(keys)); await chmod(file, 0o600); await server.restart(); };
  try {
    await promisify(execFile)(process.env.BEHALF, ['init', folder]);
    const [old, fresh] = [JSON.parse(before), JSON.parse(await readFile(join(folder, 'behalf.keys'), 'utf8'))];
    const token = (await server.flow({ scope: 'r1.read' })).access_token;
    await write({ ...old, signing_keys: [...fresh.signing_keys, ...old.signing_keys] });
    const next = (await server.flow({ scope: 'r1.read' })).access_token;
    assert.notEqual(headerOf(next).kid, headerOf(token).kid, 'the new key signs');
    const published = (await server.http('/jwks')).json.keys;
    for (const one of [token, next]) assert.ok(published.some(({ kid }) => kid === headerOf(one).kid));
    for (const one of [token, next]) assert.equal(await server.isActive('r1-server', one), true);
    assert.equal((await server.exchange('ca', token, undefined, { resource: R1, scope: 'r1.read' })).status, 200);
    await write({ ...old, signing_keys: fresh.signing_keys });
    assert.ok(!(await server.http('/jwks')).json.keys.some(({ kid }) => kid === headerOf(token).kid));
    off(await server.introspect('r1-server', token));
    await refused(server, await server.exchange('ca', token, undefined, { resource: R1, scope: 'r1.read' }), 400, 'invalid_request');
    assert.equal(await server.isActive('r1-server', next), true);
  } finally {
    await writeFile(file, before);
    await server.restart();
    await rm(folder, { recursive: true, force: true });
  }
});
