// E: redeeming a code, and to whom and what it is bound.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { ACCESS_TOKEN, ASSERTION, JWT, M1, R1, R2, Server, chainOf, claimsOf, pkce, refused } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start({ clock: true }); });
afterEach(async () => assert.equal((await server.flow()).scope, 'r1.read', 'the honest flow still works'));
after(async () => { await server?.end(); });

const tampered = (token) => `${token.slice(0, -10)}${token.at(-10) === 'A' ? 'B' : 'A'}${token.slice(-9)}`;

test('E-01 person, client and agent apart', async () => {
  const answer = await server.redeem(await server.code());
  assert.equal(answer.status, 200, answer.text);
  const claims = claimsOf(answer.json.access_token);
  assert.deepEqual([claims.sub, claims.client_id, claims.act.sub], ['u1', 'ca', 'a1']);
});

test('E-02 without the agent\'s proof', async () => {
  await refused(server, await server.redeem(await server.code(), { actor_token: undefined }), 400, 'invalid_request');
  await refused(server, await server.redeem(await server.code(), { actor_token: '' }), 400, ['invalid_request', 'invalid_grant']);
});

test('E-03, E-04 another agent\'s proof, wherever it is from', async () => {
  await refused(server, await server.redeem(await server.code(), { actor_token: server.proof('a2') }), 400, 'invalid_grant', 'actor_mismatch');
  await refused(server, await server.redeem(await server.code(), { actor_token: await server.issuedProof('a2') }), 400, 'invalid_grant', 'actor_mismatch');
  const other = await server.code({ agent: 'a2' });
  await refused(server, await server.redeem(await server.code(), { actor_token: server.proof('a2') }), 400, 'invalid_grant', 'actor_mismatch');
  assert.equal((await server.redeem(other)).status, 200);
});

test('E-05, E-06 a code belongs to its client', async () => {
  for (const thief of ['cb', 'cg']) await refused(server, await server.token(thief, server.redemption(await server.code())), 400, 'invalid_grant');
  await refused(server, await server.token('cp', server.redemption(await server.code())), 400, 'invalid_grant');
  // Another client's attempt does not spend it (a failed attack must not hurt the victim) or spends it: documented as the first.
});

test('E-07 one client, not two', async () => {
  const code = await server.code();
  await refused(server, await server.redeem(code, { client_id: 'cb' }), 401, ['invalid_client', 'invalid_request']);
  await refused(server, await server.redeem(code, { client_secret: server.secrets.ca }), 400, ['invalid_client', 'invalid_request']);
  await refused(server, await server.http('/token', { method: 'POST', form: Object.fromEntries(Object.entries({ ...server.redemption(code), client_id: 'ca' }).filter(([, value]) => value)) }), 401, 'invalid_client');
  assert.equal((await server.redeem(code)).status, 200, 'a failed client authentication does not spend the code');
});

test('E-08, E-10 the verifier', async () => {
  for (const verifier of ['x'.repeat(43), pkce().verifier, '', 'short', 'x'.repeat(129), undefined]) {
    await refused(server, await server.redeem(await server.code(), { code_verifier: verifier }), 400, ['invalid_grant', 'invalid_request']);
  }
  const { verifier, challenge } = pkce();
  const one = await server.code({ challenge });
  await refused(server, await server.redeem(one, { code_verifier: challenge }), 400, 'invalid_grant');
  await refused(server, await server.redeem(await server.code({ challenge }), { code_verifier: `${verifier}=` }), 400, ['invalid_grant', 'invalid_request']);
});

test('E-11 the redirect_uri', async () => {
  await refused(server, await server.redeem(await server.code(), { redirect_uri: 'https://app.example/fixed?a=1' }), 400, 'invalid_grant');
  await refused(server, await server.redeem(await server.code(), { redirect_uri: 'https://app.example/cb/' }), 400, 'invalid_grant');
  await refused(server, await server.redeem(await server.code(), { redirect_uri: undefined }), 400, ['invalid_request', 'invalid_grant']);
});

test('E-12 an expired code', async () => {
  const code = await server.code();
  await server.advance(61);
  await refused(server, await server.redeem(code), 400, 'invalid_grant', /expired/);
  const fresh = await server.code();
  await server.advance(55);
  assert.equal((await server.redeem(fresh)).status, 200);
});

test('E-13, E-14 a code used again ends what came from it, descendants too', async () => {
  const code = await server.code({ scope: 'm1.use r2.read', resource: M1 });
  const first = await server.redeem(code);
  const child = await server.exchange('m1', first.json.access_token, 'a2', { resource: R2, scope: 'r2.read' });
  assert.equal(child.status, 200, child.text);
  assert.equal(await server.isActive('r2-server', child.json.access_token), true);
  await refused(server, await server.redeem(code), 400, 'invalid_grant');
  assert.equal(await server.isActive('m1', first.json.access_token), false);
  assert.equal(await server.isActive('r2-server', child.json.access_token), false);
  await refused(server, await server.exchange('m1', first.json.access_token, 'a2', { resource: R2 }), 400, 'invalid_request');
});

test('E-15 of two at once one wins at most, and two live sets never result', async () => {
  for (let round = 0; round < 10; ++round) {
    const code = await server.code();
    const answers = await Promise.all(Array.from({ length: 8 }, () => server.redeem(code)));
    const good = answers.filter(({ status }) => status === 200);
    assert.equal(good.length, 1);
    for (const { json } of answers.filter(({ status }) => status !== 200)) assert.equal(json.error, 'invalid_grant');
    assert.equal(await server.isActive('r1-server', good[0].json.access_token), false, 'the others were a reuse');
  }
});

test('E-16 a failed redemption spends the code', async () => {
  for (const change of [{ code_verifier: 'x'.repeat(43) }, { actor_token: undefined }, { redirect_uri: 'https://app.example/fixed?a=1' }, { actor_token: 'x' }]) {
    const code = await server.code();
    assert.equal((await server.redeem(code, change)).status, 400);
    await refused(server, await server.redeem(code), 400, 'invalid_grant');
  }
});

test('E-18, E-19, E-20, E-22 what ended between consent and redemption', async () => {
  const suspended = async (kind, id, request = {}) => {
    const code = await server.code(request);
    const proof = server.proof(request.agent ?? 'a1');
    await server.admin(kind, 'suspend', id);
    await refused(server, await server.redeem(code, { actor_token: proof }), kind === 'client' ? 401 : 400, kind === 'client' ? 'invalid_client' : 'invalid_grant');
    await server.admin(kind, 'resume', id);
    await refused(server, await server.redeem(code), 400, 'invalid_grant');
  };
  await suspended('agent', 'a1');
  await suspended('user', 'u2', { user: 'u2' });
  await suspended('client', 'cb', { client: 'cb' });
  const code = await server.code({ agent: 'a4' });
  const [{ grant }] = await server.audit(1, '--event', 'authorize.stored_consent', '--agent', 'a4').then((found) => (found.length ? found : server.audit(1, '--event', 'consent.allow', '--agent', 'a4')));
  await server.cli('grant', 'revoke', grant);
  await refused(server, await server.redeem(code), 400, 'invalid_grant');
  const narrowed = await server.code({ agent: 'a5' });
  await server.changed('agent', 'a5', { clients: ['cb'] }, async () => {
    await refused(server, await server.redeem(narrowed), 400, 'invalid_grant');
  });
});

test('E-23 a proof for a code that has no agent', async () => {
  await refused(server, await server.redeem(await server.code({ agent: null }), { actor_token: server.proof('a1') }), 400, 'invalid_grant');
  const plain = await server.redeem(await server.code({ agent: null }));
  assert.equal(plain.status, 200);
  assert.deepEqual(chainOf(plain.json.access_token), []);
});

test('E-24 more scope at the token endpoint is never given', async () => {
  for (const scope of ['r1.read r1.write', 'r1.write', 'r2.read']) {
    const answer = await server.redeem(await server.code({ prompt: 'consent' }), { scope });
    if (answer.status === 200) assert.equal(answer.json.scope, 'r1.read');
    else await refused(server, answer, 400, 'invalid_scope');
  }
});

test('E-26 two resources in one redemption: one audience, or invalid_target', async () => {
  const two = async () => {
    const { verifier, challenge } = pkce();
    const parameters = new URLSearchParams(server.authorization({ challenge, scope: 'r1.read r2.read', resource: null }));
    parameters.append('resource', R1);
    parameters.append('resource', R2);
    const browser = await server.browser('u1');
    const page = await browser.open(`/authorize?${parameters}`);
    const answer = page.location.startsWith('/consent') ? await browser.decide(await browser.open(page.location)) : page;
    return { code: answer.query.get('code'), verifier, redirect: 'https://app.example/cb', client: 'ca', agent: 'a1' };
  };
  const code = await two();
  if (code.code) {
    const form = new URLSearchParams(Object.entries(server.redemption(code)));
    form.append('resource', R1);
    form.append('resource', R2);
    const answer = await server.token('ca', form);
    if (answer.status === 200) assert.equal(typeof claimsOf(answer.json.access_token).aud, 'string');
    else await refused(server, answer, 400, 'invalid_target');
  }
  await refused(server, await server.redeem(await server.code(), { resource: R2 }), 400, 'invalid_target');
});

test('E-27 requested_actor at the token endpoint changes nothing', async () => {
  const answer = await server.redeem(await server.code(), { requested_actor: 'a2' });
  if (answer.status === 200) assert.deepEqual(chainOf(answer.json.access_token), ['a1']);
  else await refused(server, answer, 400, 'invalid_request');
  const plain = await server.redeem(await server.code({ agent: null }), { requested_actor: 'a2' });
  if (plain.status === 200) assert.deepEqual(chainOf(plain.json.access_token), []);
});

test('E-28, E-30 the request itself', async () => {
  for (const name of ['grant_type', 'code', 'actor_token', 'client_id', 'code_verifier', 'redirect_uri', 'scope']) {
    const code = await server.code();
    const form = new URLSearchParams(Object.entries(server.redemption(code)));
    if (!form.has(name)) form.append(name, name === 'client_id' ? 'ca' : 'r1.read');
    form.append(name, form.get(name));
    await refused(server, await server.http('/token', { method: 'POST', form, headers: server.basic('ca') }), 400, 'invalid_request', 'repeated_parameter');
  }
  const json = await server.http('/token', { method: 'POST', body: JSON.stringify(server.redemption(await server.code())), headers: { ...server.basic('ca'), 'content-type': 'application/json' } });
  await refused(server, json, 400, 'invalid_request');
  const query = await server.http(`/token?${new URLSearchParams(server.redemption(await server.code()))}`, { method: 'POST', form: { a: 'b' }, headers: server.basic('ca') });
  await refused(server, query, 400, 'invalid_request');
  for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    const answer = await server.http('/token', { method, headers: server.basic('ca') });
    assert.equal(answer.status, 405, method);
    assert.equal(answer.headers.get('allow'), 'POST');
  }
});

test('E-32 a public client with a bearer actor token', async () => {
  const code = await server.code({ client: 'cp' });
  await refused(server, await server.redeem(code, { actor_token: await server.issuedProof('a1') }), 400, ['invalid_grant', 'invalid_request']);
  const proof = await server.redeem(await server.code({ client: 'cp' }));
  assert.equal(proof.status, 200, 'with PKCE and a proof of the agent\'s own it may');
  assert.equal(claimsOf(proof.json.access_token).client_id, 'cp');
});

test('E-34, E-35, E-36 the client that is the agent', async () => {
  const own = await server.redeem(await server.code({ client: 'cg', agent: 'ag' }), { actor_token: undefined });
  assert.equal(own.status, 200, own.text);
  const claims = claimsOf(own.json.access_token);
  assert.deepEqual([claims.sub, claims.client_id, claims.act.sub], ['u1', 'cg', 'ag']);
  const unnamed = await server.redeem(await server.code({ client: 'cg', agent: null }), { actor_token: undefined });
  assert.deepEqual(chainOf(unnamed.json.access_token), ['ag'], 'the one agent it is linked to acts, named or not');
  await refused(server, await server.redeem(await server.code({ client: 'cs', agent: 'as' }), { actor_token: undefined }), 400, 'invalid_request');
  assert.equal((await server.redeem(await server.code({ client: 'cs', agent: 'as' }))).status, 200);
  await server.changed('agent', 'a2', { clients: ['ca', 'cb', 'cp', 'm1', 'cg'] }, async () => {
    await refused(server, await server.redeem(await server.code({ client: 'cg', agent: 'a2' }), { actor_token: undefined }), 400, ['invalid_grant', 'invalid_request']);
    const assertion = server.clientAssertion();
    const answer = await server.http('/token', { method: 'POST', form: { ...server.redemption(await server.code({ client: 'cg', agent: 'a2' }), { actor_token: assertion }), client_assertion: assertion, client_assertion_type: ASSERTION } });
    await refused(server, answer, 400, 'invalid_grant');
  });
});

test('E-39 a code put into another person\'s session', async () => {
  const [mine, theirs] = [await server.code({ user: 'u1' }), await server.code({ user: 'u2' })];
  await refused(server, await server.redeem({ ...mine, verifier: theirs.verifier }), 400, 'invalid_grant');
  await refused(server, await server.redeem(theirs, { code_verifier: mine.verifier }), 400, 'invalid_grant');
});

test('E-40 the answer', async () => {
  const answer = await server.redeem(await server.code());
  const claims = claimsOf(answer.json.access_token);
  assert.equal(answer.json.token_type, 'Bearer');
  assert.ok(Math.abs(answer.json.expires_in - (claims.exp - server.now)) <= 1);
  assert.equal(answer.json.scope, claims.scope);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.ok(!('refresh_token' in answer.json) && !('id_token' in answer.json));
});
