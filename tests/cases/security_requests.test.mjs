// Attacks on the front, what security_front does not have: parameters, pushed requests, prompts, PKCE, and what the page says
// (catalogue 2.1, 2.2, 2.4, 2.5).
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Browser, R1, REDIRECT, Server, claimsOf, formOf, pageRefused, pkce, redirected, refused } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start({ clock: true, config: '[lifetimes]\nsession = "30d"\nsession_idle = "30d"' }); });
afterEach(async () => assert.equal((await server.flow()).scope, 'r1.read', 'the honest flow still works'));
after(async () => { await server?.end(); });

const open = (request, browser = new Browser(server)) => browser.open(`/authorize?${request instanceof URLSearchParams ? request : new URLSearchParams(server.authorization(request))}`);

test('3, 4 response types and modes that are not offered: said by query, nothing in a fragment', async () => {
  for (const type of ['token', 'id_token token', 'code id_token', 'none', 'code code', 'CODE', 'code token', 'id_token']) {
    const answer = await open({ response_type: type });
    await redirected(server, answer, 'unsupported_response_type');
    assert.ok(!answer.location.includes('#'), answer.location);
  }
  for (const mode of ['fragment', 'query.jwt', 'form_post.jwt', 'web_message', 'QUERY', 'x', 'fragment query']) {
    const answer = await open({ response_mode: mode });
    await redirected(server, answer, 'invalid_request');
    assert.ok(!answer.location.includes('#'), answer.location);
  }
});

test('7, 11 a pushed request and what else the address says', async () => {
  const push = await server.as('ca', '/par', server.authorization({ scope: 'r1.read', prompt: 'consent' }));
  await refused(server, await server.as('ca', '/par', { ...server.authorization(), request_uri: push.json.request_uri }), 400, 'invalid_request');
  const browser = await server.browser('u1');
  const answer = await browser.open(`/authorize?${new URLSearchParams({ client_id: 'ca', request_uri: push.json.request_uri, scope: 'r1.read r1.write', redirect_uri: 'https://evil.example/cb', resource: 'https://api.example/r2', state: 'mine' })}`);
  const page = await browser.open(answer.location);
  assert.doesNotMatch(page.text, /value="r1\.write"|evil\.example/);
  const done = await browser.decide(page);
  assert.ok(done.location.startsWith(`${REDIRECT}?`));
  assert.notEqual(done.query.get('state'), 'mine');
  const other = await server.as('ca', '/par', server.authorization());
  await pageRefused(server, await open(new URLSearchParams({ client_id: 'ca', request_uri: other.json.request_uri, requested_actor: 'a2' })), 400, 'requested_actor_differs');
});

test('13 pushing without proof, or with another proof than the registered one', async () => {
  const form = server.authorization();
  await refused(server, await server.http('/par', { method: 'POST', form }), 401, 'invalid_client');
  await refused(server, await server.http('/par', { method: 'POST', form: { ...form, client_secret: server.secrets.ca } }), 401, 'invalid_client');
  await refused(server, await server.http('/par', { method: 'POST', form: { ...form, client_id: 'cg' }, headers: server.basic('cg', 'x'.repeat(43)) }), 401, 'invalid_client');
  await refused(server, await server.http('/par', { method: 'POST', form, headers: server.basic('ca', 'x'.repeat(43)) }), 401, 'invalid_client');
});

test('14 who must push cannot come plainly: one client, or all of them', async () => {
  await server.changed('client', 'cb', { require_pushed_authorization_requests: true }, async () => {
    await redirected(server, await open({ client: 'cb' }), 'invalid_request');
    assert.equal((await server.as('cb', '/par', server.authorization({ client: 'cb' }))).status, 201);
  });
  const strict = await Server.start({ config: '[delegation]\nrequire_pushed_authorization_requests = true' });
  try {
    const plain = await new Browser(strict).open(`/authorize?${new URLSearchParams(strict.authorization())}`);
    await redirected(strict, plain, 'invalid_request');
    assert.equal((await strict.metadata()).require_pushed_authorization_requests, true);
    const { json } = await strict.as('ca', '/par', strict.authorization());
    assert.match((await new Browser(strict).open(`/authorize?${new URLSearchParams({ client_id: 'ca', request_uri: json.request_uri })}`)).location, /^\/login/);
  } finally { await strict.end(); }
});

test('15, 19, 20 request objects are refused by their own name, not ignored', async () => {
  for (const request of ['x', server.clientAssertion(), `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"requested_actor":"a2"}').toString('base64url')}.`]) {
    await redirected(server, await open({ request }), 'request_not_supported', 'request_object');
    await refused(server, await server.as('ca', '/par', { ...server.authorization(), request }), 400, 'request_not_supported', 'request_object');
  }
  const told = await server.metadata();
  assert.equal(told.request_parameter_supported, false);
  assert.equal(told.request_uri_parameter_supported, false);
  assert.ok(!('request_object_signing_alg_values_supported' in told));
});

test('23, 25 prompt=none: without a session, without a consent, with another prompt, and whoever the hint names', async () => {
  await redirected(server, await open({ prompt: 'none' }), 'login_required');
  await redirected(server, await open({ prompt: 'none', agent: 'a5' }, await server.browser('u1')), 'consent_required');
  for (const prompt of ['none login', 'login none', 'none consent']) await redirected(server, await open({ prompt }), 'invalid_request');
  await pageRefused(server, await open({ prompt: 'none', redirect_uri: 'https://evil.example/cb' }));
  // Nobody is signed in by a hint: there are no ID tokens here, and the parameter is none of ours.
  const hint = server.proof('a1', { sub: 'u2', aud: 'ca' });
  await redirected(server, await open({ prompt: 'none', id_token_hint: hint }), 'login_required');
  await redirected(server, await open({ prompt: 'none', login_hint: 'u2' }), 'login_required');
  const done = await server.code({ id_token_hint: hint });
  assert.equal(claimsOf((await server.redeem(done)).json.access_token).sub, 'u1', 'the person who is signed in, not the one of the hint');
});

test('24 prompt=login and max_age bring a fresh sign-in into the token, also when it comes in the middle', async () => {
  const browser = new Browser(server);
  await browser.signIn('u1');
  for (const fields of [{ prompt: 'login consent' }, { max_age: '1', prompt: 'consent' }]) {
    await server.advance(30);
    const { verifier, challenge } = pkce();
    server.secret(verifier);
    const asked = await open({ challenge, ...fields }, browser);
    assert.match(asked.location, /^\/login/, 'signed in half a minute ago is not enough');
    const at = server.now;
    // Straight to the consent page, without signing in: back to the sign-in.
    const id = new URL(asked.location, server.issuer).searchParams.get('request');
    assert.match((await browser.open(`/consent?request=${id}`)).location, /^\/login/);
    const signed = await browser.signIn('u1', asked.location);
    const done = await browser.decide(await browser.open(signed.location));
    const answer = await server.redeem({ code: done.query.get('code'), verifier, redirect: REDIRECT, client: 'ca', agent: 'a1' });
    assert.ok(claimsOf(answer.json.access_token).auth_time >= at - 1, `${claimsOf(answer.json.access_token).auth_time} ${at}`);
  }
});

test('28, 29 PKCE: there, S256, and well-formed, for every kind of client and at both doors', async () => {
  const { challenge } = pkce();
  const wrong = [{ code_challenge: null }, { code_challenge: '' }, { code_challenge_method: null }, { code_challenge_method: '' }, ...['plain', 's256', 'S512', 'S256 '].map((code_challenge_method) => ({ code_challenge_method })),
    ...[challenge.slice(0, 42), `${challenge}A`, `${challenge.slice(0, 42)}=`, `${challenge.slice(0, 42)}+`, `${challenge.slice(0, 42)}/`, `${challenge.slice(0, 42)} `].map((code_challenge) => ({ code_challenge }))];
  for (const client of ['ca', 'cp', 'cg']) {
    for (const fields of wrong) {
      const request = server.authorization({ client, ...(client === 'cg' && { agent: 'ag' }), challenge, ...fields });
      await redirected(server, await open(new URLSearchParams(request)), 'invalid_request', /^code_challenge/, { to: request.redirect_uri });
      const pushed = await server.as(client, '/par', request);
      await refused(server, pushed, 400, 'invalid_request', /^code_challenge/);
      assert.match(pushed.json.error_description, /code_challenge/);
    }
  }
});

test('47 iss is the metadata\'s, byte for byte, in every response', async () => {
  const told = await server.metadata();
  assert.equal(told.authorization_response_iss_parameter_supported, true);
  const good = (await server.code()).answer;
  assert.equal(good.query.get('iss'), told.issuer);
  const bad = await open({ scope: 'nonsense' });
  await redirected(server, bad, 'invalid_scope');
  assert.equal(bad.query.get('iss'), told.issuer);
});

test('78 nobody is signed out by an image of another site', async () => {
  const browser = new Browser(server);
  await browser.signIn('u2');
  assert.equal((await browser.open('/sign-out')).status, 405);
  for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }]) await pageRefused(server, await browser.open('/sign-out', { csrf: 'x' }, headers), 403);
  assert.ok((await browser.open('/agents')).text.includes('User u2'));
});

test('93 the page tells who, what, where, and for how long: in the registry\'s words', async () => {
  const browser = await server.browser('u1');
  const page = await browser.begin(server.authorization({ client: 'cb', agent: 'a2', scope: 'r1.read', prompt: 'consent', client_name: 'A bank', actor_name: 'Your friend', agent_name: 'Your friend', scope_description: 'nothing at all' }));
  for (const words of ['User u1', 'Client cb', 'Agent a2', 'Publisher of a2', 'owner-of-a2', 'app.example', 'Resource one', 'Title of r1.read', 'Words about r1.read.', '30 days']) assert.ok(page.text.includes(words), words);
  for (const id of ['a2', 'cb', 'r1.read']) assert.match(page.text, new RegExp(`[>" ]${id.replace('.', '\\.')}[<" ]`), id);
  assert.doesNotMatch(page.text, /A bank|Your friend|nothing at all/);
  assert.ok(formOf(page.text, '/consent'));
  await browser.decide(page, { decision: 'deny' });
});

test('96, 100, 103 an agent that is not for this client; proofs that are none; a proof used again elsewhere', async () => {
  await redirected(server, await open({ agent: 'a-elsewhere' }), ['invalid_request', 'access_denied'], 'actor_not_for_this_client');
  const { now } = server;
  const none = `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${server.proof('a1').split('.')[1]}.`;
  for (const proof of [server.proof('a1', { iat: now - 400, exp: now - 200 }), server.proof('a1', { iss: 'https://other.example' }), server.proof('a1', { aud: R1 }), server.proof('a1', {}, { typ: 'at+jwt' }), none, server.proof('a1', {}, { jwk: server.keys.stranger.jwk, kid: 'stranger-1' }, server.keys.stranger), server.proof('a1', {}, {}, server.keys.stranger)]) {
    await refused(server, await server.redeem(await server.code(), { actor_token: proof }), 400, ['invalid_grant', 'invalid_request']);
  }
  const proof = server.proof('a1');
  assert.equal((await server.redeem(await server.code(), { actor_token: proof })).status, 200);
  for (const client of ['ca', 'cb']) await refused(server, await server.redeem(await server.code({ client }), { actor_token: proof }), 400, 'invalid_grant', /replayed|used/);
  // What this server issued to the agent is good until it ends, with the same client's authentication each time.
  const issued = await server.issuedProof('a1');
  for (let times = 0; times < 2; ++times) assert.equal((await server.redeem(await server.code(), { actor_token: issued })).status, 200);
});
