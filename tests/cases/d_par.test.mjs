// D: pushed authorization requests (RFC 9126).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ASSERTION, Browser, JWT, R1, Server, claimsOf, pageRefused, pkce, redirected, refused } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start({ clock: true }); });
after(async () => { await server?.end(); });

const push = (request = {}, client = 'ca') => {
  const { client_id: id, ...rest } = server.authorization({ client, ...request });
  return server.as(client, '/par', client === 'cp' ? { client_id: id, ...rest } : rest);
};
const open = (uri, more = {}, browser = new Browser(server)) => browser.open(`/authorize?${new URLSearchParams({ client_id: 'ca', request_uri: uri, ...more })}`);
const pushed = async (request) => {
  const answer = await push(request);
  assert.equal(answer.status, 201, answer.text);
  return answer.json.request_uri;
};

test('D-P01 201, a request_uri, at most 90 s; and the flow runs with it', async () => {
  const { verifier, challenge } = pkce();
  const answer = await push({ challenge, state: 's' });
  assert.equal(answer.status, 201);
  assert.match(answer.json.request_uri, /^urn:ietf:params:oauth:request_uri:/);
  assert.ok(answer.json.expires_in > 0 && answer.json.expires_in <= 90);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  const browser = (await server.browser('u1')).copy();
  const shown = await open(answer.json.request_uri, {}, browser);
  const page = await browser.open(shown.location);
  const done = await browser.decide(page);
  assert.equal(done.query.get('state'), 's');
  const token = await server.redeem({ code: done.query.get('code'), verifier, redirect: 'https://app.example/cb', client: 'ca', agent: 'a1' });
  assert.equal(claimsOf(token.json.access_token).act.sub, 'a1');
});

test('D-P02 without the client\'s proof 401', async () => {
  const { client_id: _, ...fields } = server.authorization();
  await refused(server, await server.http('/par', { method: 'POST', form: { ...fields, client_id: 'ca' } }), 401, 'invalid_client');
  const wrong = await server.http('/par', { method: 'POST', form: fields, headers: server.basic('ca', 'x'.repeat(43)) });
  await refused(server, wrong, 401, 'invalid_client', 'wrong_secret');
  assert.match(wrong.headers.get('www-authenticate'), /^Basic/);
  for (const aud of [`${server.issuer}/par`, `${server.issuer}/token`, `${server.issuer}/`, [server.issuer, 'https://other.example'], undefined]) {
    await refused(server, await server.http('/par', { method: 'POST', form: { ...server.authorization({ client: 'cg', agent: 'ag' }), client_assertion_type: ASSERTION, client_assertion: server.clientAssertion({ aud }) } }), 401, 'invalid_client');
  }
});

test('D-P04, D-P05, D-P06 a pushed actor token: good, bad, another agent\'s', async () => {
  const { verifier, challenge } = pkce();
  const good = await push({ challenge, actor_token: server.proof('a1'), actor_token_type: JWT });
  assert.equal(good.status, 201, good.text);
  const browser = (await server.browser('u1')).copy();
  await server.code();
  const shown = await open(good.json.request_uri, {}, browser);
  const code = { code: shown.query.get('code'), verifier, redirect: 'https://app.example/cb', client: 'ca', agent: 'a1' };
  await refused(server, await server.redeem(code, { actor_token: undefined }), 400, 'invalid_request');
  for (const token of [server.proof('a1', { exp: server.now - 120, iat: server.now - 180 }), `${server.proof('a1').slice(0, -6)}AAAAAA`, server.proof('a1', {}, {}, server.keys.a2), 'x']) {
    await refused(server, await push({ actor_token: token, actor_token_type: JWT }), 400, 'invalid_request', /actor_token|jwt/i);
  }
  const mismatch = await push({ actor_token: server.proof('a2'), actor_token_type: JWT });
  await refused(server, mismatch, 400, 'invalid_request', 'actor_mismatch');
  assert.match(mismatch.json.error_description, /^actor_mismatch: /);
});

test('D-P08 a request_uri is good once', async () => {
  const browser = (await server.browser('u1')).copy();
  await server.code();
  const uri = await pushed();
  assert.ok((await open(uri, {}, browser)).query.get('code'));
  await pageRefused(server, await open(uri, {}, browser), 400, 'request_uri_used');
  const failed = await pushed({ prompt: 'none', agent: 'a6' });
  await redirected(server, await open(failed, {}, browser), 'consent_required');
  await pageRefused(server, await open(failed, {}, browser), 400, 'request_uri_used');
});

test('D-P09 expired, or with another client_id: a page, never a redirect', async () => {
  const uri = await pushed();
  for (const client of ['cb', 'nobody', '']) await pageRefused(server, await open(uri, { client_id: client }));
  const late = await pushed();
  await server.advance(91);
  await pageRefused(server, await open(late), 400, 'request_uri_expired');
  for (const made of [`${uri}x`, uri.slice(0, -1), 'urn:ietf:params:oauth:request_uri:', 'https://evil.example/request.jwt', 'http://127.0.0.1:1/x']) await pageRefused(server, await open(made));
});

test('D-P10 what the address adds is never applied', async () => {
  const browser = (await server.browser('u1')).copy();
  await pageRefused(server, await open(await pushed(), { requested_actor: 'a2' }, browser), 400, 'requested_actor_differs');
  await server.code();
  for (const more of [{ scope: 'r1.read r1.write' }, { redirect_uri: 'https://evil.example/cb' }, { response_type: 'token' }, { state: 'other' }, { resource: 'https://api.example/r2' }, { code_challenge: 'x'.repeat(43) }]) {
    const { verifier, challenge } = pkce();
    const answer = await open(await pushed({ challenge, state: 'mine' }), more, browser);
    if (answer.location && answer.query.get('code')) {
      assert.ok(answer.location.startsWith('https://app.example/cb?'), answer.location);
      assert.equal(answer.query.get('state'), 'mine');
      const token = await server.redeem({ code: answer.query.get('code'), verifier, redirect: 'https://app.example/cb', client: 'ca', agent: 'a1' });
      assert.equal(token.json.scope, 'r1.read');
      assert.equal(claimsOf(token.json.access_token).aud, R1);
    } else {
      assert.equal(answer.status, 400);
    }
  }
});

test('D-P12 a request_uri is not pushed', async () => {
  await refused(server, await push({ request_uri: await pushed() }), 400, 'invalid_request', 'request_uri_pushed');
});

test('a push is judged like a request: everything that /authorize refuses', async () => {
  const rows = [
    [{ requested_actor: 'nobody' }, 'invalid_request'], [{ requested_actor: 'a3' }, 'invalid_request'], [{ requested_actor: '' }, 'invalid_request'],
    [{ code_challenge: undefined }, 'invalid_request'], [{ code_challenge_method: 'plain' }, 'invalid_request'], [{ response_type: 'token' }, 'unsupported_response_type'],
    [{ scope: null }, 'invalid_scope'], [{ scope: 'unknown' }, 'invalid_scope'], [{ resource: '/r1' }, 'invalid_target'], [{ redirect_uri: 'https://evil.example/' }, 'invalid_request'],
    [{ redirect_uri: undefined }, 'invalid_request'], [{ response_mode: 'fragment' }, 'invalid_request'],
  ];
  for (const [change, error] of rows) await refused(server, await push(change), 400, error);
  await refused(server, await server.as('ca', '/par', { ...server.authorization(), client_id: 'cb' }), 401, ['invalid_client', 'invalid_request']);
  assert.equal((await server.http('/par')).status, 405);
  assert.equal((await push({}, 'cp')).status, 201, 'a public client may push');
  assert.equal((await push({ agent: 'ag' }, 'cg')).status, 201);
});

test('a client that must push cannot go to /authorize directly', async () => {
  await server.changed('client', 'ca', { require_pushed_authorization_requests: true }, async () => {
    await redirected(server, await new Browser(server).open(`/authorize?${new URLSearchParams(server.authorization())}`), 'invalid_request');
    assert.equal((await push()).status, 201);
  });
});
