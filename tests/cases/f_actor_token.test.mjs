// F: what proves an agent, and what does not. Everything else about each redemption is right.
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { after, afterEach, before, test } from 'node:test';
import { ACCESS_TOKEN, JWT, R1, REFRESH_TOKEN, Server, claimsOf, refused, signJwt } from './support/cast.mjs';

let server, visitors = 0, listener;
before(async () => {
  server = await Server.start({ clock: true });
  listener = createServer((request, answer) => { ++visitors; answer.end('{}'); }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
});
afterEach(async () => assert.equal((await server.redeem(await server.code())).status, 200, 'the honest flow still works'));
after(async () => { listener?.close(); await server?.end(); });

const redeem = async (token, more = {}) => server.redeem(await server.code(), { actor_token: token, ...more });
const bad = async (token, more = {}, error = 'invalid_grant', reason = undefined) => refused(server, await redeem(token, more), 400, error, reason);
const good = async (token, more = {}) => { const answer = await redeem(token, more); assert.equal(answer.status, 200, answer.text); return answer; };

test('F-01, F-02 issued by this server, or signed by the agent itself', async () => {
  await good(await server.issuedProof('a1'), { actor_token_type: ACCESS_TOKEN });
  await good(server.proof('a1'), { actor_token_type: JWT });
  await good(server.proof('a1'));
  await good(await server.issuedProof('a1'));
});

test('F-04, F-06, F-07 its time', async () => {
  const { now } = server;
  await bad(server.proof('a1', { iat: now - 200, exp: now - 61 }));
  await bad(server.proof('a1', { iat: now, exp: now + 301 }));
  await bad(server.proof('a1', { iat: now - 10, exp: now + 86400 }));
  await bad(server.proof('a1', { exp: undefined }));
  await bad(server.proof('a1', { nbf: now + 120 }));
  await bad(server.proof('a1', { iat: now + 120, exp: now + 180 }));
  for (const exp of [`${now + 60}`, 1e300, -1, 2 ** 63, null, true, [now + 60], {}]) await bad(server.proof('a1', { exp }));
  await good(server.proof('a1', { iat: now, exp: now + 299 }));
});

test('F-08 its signature', async () => {
  const token = server.proof('a1');
  const [head, claims, signature] = token.split('.');
  await bad(`${head}.${claims}.${signature.slice(0, -8)}AAAAAAAA`);
  await bad(server.proof('a1', {}, {}, server.keys.a2));
  await bad(server.proof('a1', {}, { kid: 'a2-1' }, server.keys.a2));
  await bad(server.proof('a1', {}, { kid: 'nothing' }));
  await bad(`${head}.${claims}.`);
  await bad(`${head}.${claims}`);
  await bad(`${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${claims}.`);
  const hs = `${Buffer.from('{"alg":"HS256","typ":"JWT","kid":"a1-1"}').toString('base64url')}.${claims}`;
  const pem = server.keys.a1.publicKey.export({ type: 'spki', format: 'pem' });
  await bad(`${hs}.${createHmac('sha256', pem).update(hs).digest('base64url')}`);
  await bad(`${head}.${Buffer.from(JSON.stringify({ ...claimsOf(token), sub: 'a1', jti: 'other' })).toString('base64url')}.${signature}`);
});

test('F-10, F-11 nothing in the header names a key, and what is critical must be understood', async () => {
  const { port } = listener.address();
  const evil = { ...server.keys.stranger.jwk };
  for (const header of [{ jwk: evil }, { jku: `http://127.0.0.1:${port}/jwks` }, { x5u: `http://127.0.0.1:${port}/x5u` }, { x5c: ['MIIB'] }]) {
    await bad(server.proof('a1', {}, { kid: undefined, ...header }, server.keys.stranger));
    await bad(server.proof('a1', {}, { ...header, kid: 'stranger-1' }, server.keys.stranger));
  }
  assert.equal(visitors, 0, 'nothing was fetched');
  for (const crit of [['x'], [], ['alg'], 'x', ['b64']]) await bad(server.proof('a1', {}, { crit, x: 1 }));
  await bad(server.proof('a1', {}, { crit: ['b64'], b64: false }));
});

test('F-12, F-14 its audience is this server alone', async () => {
  const delegated = (await server.flow()).access_token;
  await bad(delegated);
  await server.changed('client', 'a1-runtime', { scopes: ['r1.read'] }, async () => {
    const ordinary = await server.token('a1-runtime', { grant_type: 'client_credentials', resource: R1, scope: 'r1.read' });
    assert.equal(ordinary.status, 200, ordinary.text);
    await bad(ordinary.json.access_token, {}, 'invalid_grant');
  });
  for (const aud of [R1, undefined, '', [], [server.issuer, R1], `${server.issuer}/`, server.issuer.toUpperCase(), 'https://other.example', { a: 1 }, 7, [[server.issuer]]]) {
    await bad(server.proof('a1', { aud }));
  }
});

test('F-15, F-16, F-18 who made it, and for whom it speaks', async () => {
  await bad(server.proof('a1', { iss: 'https://other.example' }));
  await bad(server.proof('a1', { iss: 'a2' }));
  await bad(server.proof('a1', { sub: 'a2' }));
  await bad(server.proof('a1', { iss: 'stranger', sub: 'stranger' }, {}, server.keys.stranger));
  await bad(server.proof('a1', { iss: undefined }));
  await bad(server.proof('a1', { sub: undefined }));
  await bad(server.proof('a1', { iss: server.issuer }));
  await bad(server.proof('a1', { iss: 'A1', sub: 'A1' }));
});

test('F-19, F-20, F-22, F-23 other kinds of token', async () => {
  await bad(server.proof('a1', { act: { sub: 'a2' } }));
  await bad(server.proof('a1', { act: null }));
  for (const typ of ['at+jwt', 'id_token+jwt', 'txntoken+jwt', 'oauth-id-jag+jwt', 'dpop+jwt', 'logout+jwt', 'oauth-authz-req+jwt', 'token-introspection+jwt', 'secevent+jwt', 'JOSE', 7]) {
    await bad(server.proof('a1', {}, { typ }), {}, ['invalid_grant', 'invalid_request']);
  }
  const flow = await server.flow({ scope: 'r1.read offline_access' });
  await bad(flow.access_token);
  await bad(flow.refresh_token);
  await bad((await server.code()).code);
  await refused(server, await redeem(flow.refresh_token, { actor_token_type: REFRESH_TOKEN }), 400, 'invalid_request');
});

test('F-24 a jti is good once, at any client, for any code', async () => {
  const token = server.proof('a1');
  await good(token);
  await bad(token);
  await refused(server, await server.redeem(await server.code({ client: 'cb' }), { actor_token: token }), 400, 'invalid_grant', /replay|used/);
  await server.restart();
  await bad(token);
  await server.restart('SIGKILL');
  await bad(token);
  const jti = randomUUID();
  await good(server.proof('a1', { jti }));
  const second = await server.redeem(await server.code({ agent: 'a2' }), { actor_token: server.proof('a2', { jti }) });
  assert.equal(second.status, 200, 'a jti is the agent\'s own');
  await bad(server.proof('a1', { jti: undefined }));
  for (const odd of ['', 7, null, ['x']]) await bad(server.proof('a1', { jti: odd }));
  await bad(server.proof('a1', { jti: 'x'.repeat(60_000) }), {}, ['invalid_grant', 'invalid_request']).catch((fault) => { if (!/413/.test(fault.message)) throw fault; });
});

test('F-26 one assertion raced on many codes: one at most', async () => {
  for (let round = 0; round < 5; ++round) {
    const codes = await Promise.all(Array.from({ length: 8 }, () => server.code()));
    const token = server.proof('a1');
    const answers = await Promise.all(codes.map((code) => server.redeem(code, { actor_token: token })));
    assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  }
});

test('F-27 an actor token that was revoked', async () => {
  const token = await server.issuedProof('a1');
  assert.equal((await server.as('a1-runtime', '/revoke', { token })).status, 200);
  await bad(token);
});

test('F-28 a key that was taken out of the registry', async () => {
  const token = server.proof('a1');
  await server.changed('agent', 'a1', { jwks: { keys: [server.keys.stranger.jwk] } }, async () => {
    await refused(server, await server.redeem(await server.code(), { actor_token: token }), 400, 'invalid_grant');
    assert.equal((await server.redeem(await server.code(), { actor_token: server.proof('a1', {}, {}, server.keys.stranger) })).status, 200, 'the new key is good at once');
  });
});

test('F-30, F-38, F-39 what binds it must hold', async () => {
  await bad(server.proof('a1', { cnf: { jkt: 'x'.repeat(43) } }));
  await bad(server.proof('a1', { client_id: 'cb' }));
  await good(server.proof('a1', { client_id: 'ca' }));
  const { createHash } = await import('node:crypto');
  const hash = (code) => createHash('sha256').update(code).digest().subarray(0, 16).toString('base64url');
  const code = await server.code();
  const other = await server.code();
  await refused(server, await server.redeem(code, { actor_token: server.proof('a1', { c_hash: hash(other.code) }) }), 400, 'invalid_grant');
  assert.equal((await server.redeem(other, { actor_token: server.proof('a1', { c_hash: hash(other.code) }) })).status, 200);
});

test('F-34, F-35, F-36 its type', async () => {
  for (const kind of ['id_token', 'saml2', 'saml1', 'refresh_token', 'unknown']) await bad(server.proof('a1'), { actor_token_type: `urn:ietf:params:oauth:token-type:${kind}` }, 'invalid_request');
  await bad(server.proof('a1'), { actor_token_type: 'jwt' }, 'invalid_request');
  await bad(server.proof('a1'), { actor_token_type: ACCESS_TOKEN }, 'invalid_request');
  await bad(await server.issuedProof('a1'), { actor_token_type: JWT }, ['invalid_request', 'invalid_grant']).catch(() => {});
  await refused(server, await redeem(undefined, { actor_token_type: JWT }), 400, 'invalid_request');
});

test('F-40 what is no JWT, huge, deep or doubled: a clean 4xx', async () => {
  const deep = `{"iss":"a1","sub":"a1","aud":"${server.issuer}","iat":${server.now},"exp":${server.now + 60},"jti":"${randomUUID()}","x":${'['.repeat(5000)}${']'.repeat(5000)}}`;
  const twice = `{"iss":"a1","sub":"a1","sub":"a1","aud":"${server.issuer}","iat":${server.now},"exp":${server.now + 60},"jti":"${randomUUID()}"}`;
  for (const token of ['x', '..', '...', 'a.b.c', 'e30.e30.e30', 'null', '{}', `${'x'.repeat(30_000)}`, signJwt(server.keys.a1, deep), signJwt(server.keys.a1, twice), signJwt(server.keys.a1, '[]'), signJwt(server.keys.a1, 'null'),
    `${server.proof('a1')}=`, `${server.proof('a1')}.x`, ` ${server.proof('a1')}`, `${server.proof('a1')}\n`, `Bearer ${server.proof('a1')}`, `${server.proof('a1')},${server.proof('a1')}`]) {
    await bad(token, {}, ['invalid_grant', 'invalid_request']);
  }
  const began = performance.now();
  const huge = await redeem('x'.repeat(1_000_000));
  assert.equal(huge.status, 413);
  assert.ok(performance.now() - began < 5000);
});

test('F-42 a client that is no agent gets no actor token', async () => {
  await refused(server, await server.token('plain', { grant_type: 'client_credentials', resource: server.issuer }), 400, ['invalid_target', 'unauthorized_client', 'invalid_request', 'invalid_scope']);
});

test('F-43 a parent may ask for its own child\'s, and for nobody else\'s', async () => {
  const mine = await server.token('a1-runtime', { grant_type: 'client_credentials', resource: server.issuer, agent: 'child' });
  assert.equal(mine.status, 200, mine.text);
  assert.equal(claimsOf(mine.json.access_token).sub, 'child');
  for (const other of ['other-child', 'a2', 'nobody', 'u1']) {
    const answer = await server.token('a1-runtime', { grant_type: 'client_credentials', resource: server.issuer, agent: other });
    assert.equal(answer.status, 400, `${other}: ${answer.text}`);
    await refused(server, answer, 400, ['invalid_request', 'unauthorized_client', 'invalid_target', 'invalid_grant', 'access_denied']);
  }
});
