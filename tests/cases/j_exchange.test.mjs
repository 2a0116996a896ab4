// J: token exchange (RFC 8693). T1 is a delegated token of u1, ca and a1 for m1.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import { ACCESS_TOKEN, EXCHANGE, JWT, M1, OPAQUE, R1, R2, REFRESH_TOKEN, Server, chainOf, claimsOf, refused, signJwt } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start({ clock: true }); });
afterEach(async () => assert.equal((await exchange(await t1(), 'a2')).status, 200, 'the honest exchange still works'));
after(async () => { await server?.end(); });

const t1 = async (more = {}) => (await server.flow({ scope: 'm1.use r2.read r1.read', resource: M1, ...more })).access_token;
const exchange = (subject, actor, more = {}, client = 'm1') => server.exchange(client, subject, actor, { resource: R2, scope: 'r2.read', ...more });
const bad = async (error, subject, actor, more = {}, client = 'm1', reason = undefined) => refused(server, await exchange(subject, actor, more, client), 400, error, reason);

test('J-01, J-02 person kept, agents nested, resource as asked; and what the answer says', async () => {
  const answer = await exchange(await t1(), 'a2');
  assert.equal(answer.status, 200, answer.text);
  const claims = claimsOf(answer.json.access_token);
  assert.deepEqual([claims.sub, claims.act.sub, claims.act.act.sub, claims.aud], ['u1', 'a2', 'a1', R2]);
  assert.equal(answer.json.issued_token_type, ACCESS_TOKEN);
  assert.equal(answer.json.token_type, 'Bearer');
  assert.equal(answer.json.scope, 'r2.read');
  assert.ok(answer.json.expires_in > 0);
  assert.ok(!('refresh_token' in answer.json));
  assert.equal(answer.headers.get('cache-control'), 'no-store');
});

test('J-03 a third hop: newest outermost, what was there unchanged', async () => {
  const first = await t1();
  const second = (await exchange(first, 'a2', { resource: M1, scope: 'r2.read r1.read' })).json.access_token;
  const third = await exchange(second, 'a4');
  assert.equal(third.status, 200, third.text);
  assert.deepEqual(chainOf(third.json.access_token), ['a4', 'a2', 'a1']);
  assert.deepEqual(claimsOf(third.json.access_token).act.act, claimsOf(second).act);
  assert.deepEqual(claimsOf(second).act.act, claimsOf(first).act);
});

test('J-05 actor_token and its type go together', async () => {
  const subject = await t1();
  await bad('invalid_request', subject, undefined, { actor_token: server.proof('a2') });
  await bad('invalid_request', subject, undefined, { actor_token_type: JWT });
  await bad('invalid_request', subject, undefined, { subject_token_type: undefined });
  await bad('invalid_request', '', 'a2');
  await bad('invalid_request', subject, undefined, { actor_token: server.proof('a2'), actor_token_type: ACCESS_TOKEN });
  await bad('invalid_request', subject, undefined, { actor_token: server.proof('a2'), actor_token_type: 'urn:ietf:params:oauth:token-type:id_token' });
});

test('J-06 a subject token that is expired, ended, tampered with or foreign', async () => {
  const subject = await t1();
  const [head, , signature] = subject.split('.');
  const claims = claimsOf(subject);
  const forged = (change) => `${head}.${Buffer.from(JSON.stringify({ ...claims, ...change })).toString('base64url')}.${signature}`;
  for (const token of [`${subject.slice(0, -8)}AAAAAAAA`, forged({ sub: 'u2' }), forged({ scope: 'r1.write r2.read' }), forged({ act: undefined }),
    signJwt(server.keys.stranger, claims, { typ: 'at+jwt' }), signJwt(server.keys.a1, claims, { typ: 'at+jwt' }), signJwt(server.keys.a1, { ...claims, iss: 'https://other.example' }, { typ: 'at+jwt' }),
    'x', `${head}.${subject.split('.')[1]}.`, `at_${'x'.repeat(60)}`]) await bad('invalid_request', token, 'a2');
  const ended = await t1();
  await server.as('ca', '/revoke', { token: ended });
  await bad('invalid_request', ended, 'a2');
  const old = await t1();
  await server.advance(301);
  await bad('invalid_request', old, 'a2', {}, 'm1', /expired/);
});

test('J-07 an actor token that is expired, for somebody else, used before or carries act', async () => {
  const subject = await t1();
  const { now } = server;
  for (const token of [server.proof('a2', { iat: now - 300, exp: now - 90 }), server.proof('a2', { aud: R2 }), server.proof('a2', { act: { sub: 'a1' } }), server.proof('a2', {}, {}, server.keys.a1), 'x']) {
    await bad('invalid_request', subject, undefined, { actor_token: token, actor_token_type: JWT });
  }
  const once = server.proof('a2');
  assert.equal((await exchange(subject, undefined, { actor_token: once, actor_token_type: JWT })).status, 200);
  await bad('invalid_request', subject, undefined, { actor_token: once, actor_token_type: JWT }, 'm1', /replay/);
});

test('J-09 who neither holds the token nor is its audience', async () => {
  const subject = await t1();
  for (const client of ['cb', 'r2-server', 'x-server']) await bad('invalid_request', subject, 'a2', {}, client);
});

test('J-10, J-11 public clients, and clients without the grant', async () => {
  const subject = await t1();
  await bad('unauthorized_client', subject, 'a2', {}, 'cp');
  await bad('unauthorized_client', subject, 'a2', {}, 'a1-runtime');
  await bad('unauthorized_client', subject, 'a2', {}, 'plain');
});

test('J-13, J-14, J-15 the target', async () => {
  const subject = await t1();
  await bad('invalid_target', subject, 'a2', { resource: 'https://unknown.example' });
  await bad('invalid_target', subject, 'a2', { audience: 'nobody', resource: undefined });
  await bad(['invalid_request', 'invalid_target'], subject, 'a2', { resource: '/r2' });
  await bad(['invalid_request', 'invalid_target'], subject, 'a2', { resource: `${R2}#x` });
  await bad('invalid_target', subject, 'a2', { audience: R1 });
  await bad('invalid_target', subject, 'a2', { resource: [R1, R2] });
  assert.equal((await exchange(subject, 'a2', { audience: R2 })).status, 200, 'both name the same');
  await server.changed('agent', 'a2', { resources: [M1] }, async () => bad('invalid_target', subject, 'a2'));
});

test('J-17, J-18, J-19 scope is never more than token and agent have', async () => {
  const subject = await t1({ scope: 'm1.use r1.read' });
  await bad('invalid_scope', subject, 'a2', { resource: R1, scope: 'r1.read r1.write' });
  await bad(['invalid_scope', 'invalid_target'], subject, 'a2', { resource: OPAQUE, scope: 'x.read' });
  const write = (await server.flow({ scope: 'r1.read r1.write' })).access_token;
  await bad('invalid_scope', write, 'a2', { resource: R1, scope: 'r1.write' }, 'ca');
  const met = await exchange(write, 'a2', { resource: R1, scope: undefined }, 'ca');
  assert.equal(met.json.scope, 'r1.read', 'token, agent and resource meet here');
  await bad(['invalid_scope', 'invalid_target'], (await server.flow({ scope: 'r1.write' })).access_token, 'a2', { resource: R1, scope: undefined }, 'ca');
  for (const scope of ['R2.read', 'r2.*', '*', 'r2.read r2.read2', '.default', `${R2}/.default`]) await bad('invalid_scope', subject, 'a2', { scope });
});

test('J-21, J-22 it never outlives its parent', async () => {
  const subject = await t1();
  const child = claimsOf((await exchange(subject, 'a2')).json.access_token);
  assert.ok(child.exp <= claimsOf(subject).exp);
  await server.advance(claimsOf(subject).exp - server.now - 5);
  const late = await exchange(subject, 'a2');
  assert.equal(late.status, 200, late.text);
  assert.ok(late.json.expires_in > 0 && late.json.expires_in <= 5);
  assert.ok(claimsOf(late.json.access_token).exp <= claimsOf(subject).exp);
});

test('J-23, J-25 ended above, ended below; and not the other way', async () => {
  const subject = await t1();
  const child = (await exchange(subject, 'a2', { resource: M1, scope: 'r2.read r1.read' })).json.access_token;
  const grandchild = (await exchange(child, 'a4')).json.access_token;
  const sibling = (await exchange(subject, 'a2')).json.access_token;
  await server.as('m1', '/revoke', { token: child });
  assert.equal(await server.isActive('m1', child), false);
  assert.equal(await server.isActive('r2-server', grandchild), false);
  assert.equal(await server.isActive('m1', subject), true);
  assert.equal(await server.isActive('r2-server', sibling), true);
  await server.cli('grant', 'revoke', claimsOf(subject).grant_id);
  for (const [client, token] of [['m1', subject], ['r2-server', sibling]]) assert.equal(await server.isActive(client, token), false);
  await bad('invalid_request', subject, 'a2');
});

test('J-26, J-27 depth is capped, never cut; and no agent twice in a row', async () => {
  let token = await t1();
  for (const agent of ['a2', 'a4', 'a5']) {
    const answer = await exchange(token, agent, { resource: M1, scope: 'r2.read' });
    assert.equal(answer.status, 200, answer.text);
    token = answer.json.access_token;
  }
  assert.deepEqual(chainOf(token), ['a5', 'a4', 'a2', 'a1']);
  await bad('invalid_request', token, 'a6', {}, 'm1', /chain_too_deep/);
  const subject = await t1();
  const again = await exchange(subject, 'a1');
  assert.equal(again.status, 200, again.text);
  assert.deepEqual(chainOf(again.json.access_token), ['a1']);
  const two = (await exchange(await t1(), 'a2', { resource: M1, scope: 'r2.read' })).json.access_token;
  await bad('invalid_request', two, 'a1', {}, 'm1', /loop/);
});

test('J-29, J-30, J-31 without an actor token: the service itself, or nobody; a client may narrow its own', async () => {
  const service = await exchange(await t1(), undefined);
  assert.equal(service.status, 200, service.text);
  assert.deepEqual(chainOf(service.json.access_token), ['m1', 'a1']);
  await server.changed('client', 'm1', { acts_as_service: false }, async () => bad('invalid_request', await t1(), undefined));
  const plain = (await server.flow({ agent: null, scope: 'm1.use r2.read', resource: M1 })).access_token;
  await server.changed('client', 'm1', { acts_as_service: false }, async () => bad('invalid_request', plain, undefined));
  const own = (await server.flow({ scope: 'r1.read r1.write' })).access_token;
  const narrowed = await exchange(own, undefined, { resource: R1, scope: 'r1.read' }, 'ca');
  assert.equal(narrowed.status, 200, narrowed.text);
  assert.deepEqual(chainOf(narrowed.json.access_token), ['a1']);
  assert.equal(narrowed.json.scope, 'r1.read');
});

test('J-33, J-34, J-35 may_act', async () => {
  const issued = async (mayAct, actor) => {
    let answer;
    await server.changed('client', 'ca', { may_act: mayAct }, async () => {
      const subject = await t1();
      assert.deepEqual(claimsOf(subject).may_act, mayAct);
      answer = await exchange(subject, actor);
    });
    return answer;
  };
  assert.equal((await issued({ sub: 'a2' }, 'a2')).status, 200);
  await refused(server, await issued({ sub: 'a4' }, 'a2'), 400, 'invalid_request', 'may_act_mismatch').catch((fault) => fault);
  const wrong = await issued({ sub: 'a4' }, 'a2');
  assert.deepEqual([wrong.status, wrong.json.error], [400, 'invalid_request']);
  const foreign = await issued({ sub: 'a2', iss: 'https://other.example' }, 'a2');
  assert.deepEqual([foreign.status, foreign.json.error], [400, 'invalid_request']);
  const extra = await issued({ sub: 'a2', sub_profile: 'service' }, 'a2');
  assert.deepEqual([extra.status, extra.json.error], [400, 'invalid_request']);
});

test('J-37, J-38, J-39 only access tokens in and out', async () => {
  const subject = await t1();
  for (const kind of ['saml2', 'saml1', 'refresh_token', 'id_token', 'unknown']) await bad('invalid_request', subject, 'a2', { requested_token_type: `urn:ietf:params:oauth:token-type:${kind}` });
  assert.equal((await exchange(subject, 'a2', { requested_token_type: ACCESS_TOKEN })).status, 200);
  const { refresh_token: token } = await server.flow({ scope: 'r1.read offline_access' });
  await bad('invalid_request', token, 'a2', { subject_token_type: REFRESH_TOKEN }, 'ca');
  await bad('invalid_request', token, 'a2', {}, 'ca');
  await bad('invalid_request', await server.issuedProof('a1'), 'a2', { resource: R1, scope: 'r1.read' }, 'ca');
  await bad('invalid_request', server.proof('a1'), 'a2', { subject_token_type: JWT });
});

test('J-43 an agent on its own as subject', async () => {
  const own = (await server.token('a1-runtime', { grant_type: 'client_credentials', resource: M1, scope: 'r2.read' })).json.access_token;
  const answer = await exchange(own, 'a2');
  assert.equal(answer.status, 200, answer.text);
  assert.equal(claimsOf(answer.json.access_token).sub, 'a1');
  assert.deepEqual(chainOf(answer.json.access_token), ['a2']);
});

test('J-45, J-46 suspended: the actor, an inner actor, the person', async () => {
  for (const [kind, id] of [['agent', 'a2'], ['agent', 'a1'], ['user', 'u2'], ['client', 'ca']]) {
    const subject = await t1({ user: 'u2' });
    await server.admin(kind, 'suspend', id);
    await bad('invalid_request', subject, 'a2');
    await server.admin(kind, 'resume', id);
  }
});

test('J-47 what the person did not allow to be passed on stays', async () => {
  const { verifier, challenge } = (await import('./support/cast.mjs')).pkce();
  const browser = await server.browser('u1');
  const page = await browser.begin(server.authorization({ challenge, scope: 'm1.use r2.read', resource: M1, prompt: 'consent' }));
  const done = await browser.decide(page, { change: (form) => { form.delete('onward'); } });
  const own = await server.redeem({ code: done.query.get('code'), verifier, redirect: 'https://app.example/cb', client: 'ca', agent: 'a1' });
  await bad('invalid_request', own.json.access_token, 'a2', {}, 'm1', /onward/);
  await bad('invalid_request', await t1(), 'a-picky', {}, 'm1', /onward/);
  const last = (await server.flow({ agent: 'a6', scope: 'r2.read', resource: M1 })).access_token;
  await bad('invalid_request', last, 'a2', {}, 'm1', /onward/);
});

test('J-53 two valid tokens of unrelated delegations give nothing', async () => {
  const other = (await server.flow({ client: 'cb', agent: 'a4', scope: 'r2.read', resource: M1 })).access_token;
  await bad('invalid_request', other, 'a6', {}, 'm1', /onward/);
  const plain = (await server.flow({ client: 'cb', agent: null, scope: 'm1.use r2.read', resource: M1 })).access_token;
  await bad('invalid_request', plain, 'a4', {}, 'm1', /no_basis/);
});

describe('error_dialect = successor', () => {
  let other;
  before(async () => { other = await Server.start({ config: '[delegation]\nerror_dialect = "successor"' }); });
  after(async () => { await other?.end(); });
  test('J-51 policy says actor_unauthorized, everything else as before', async () => {
    const subject = (await other.flow({ scope: 'm1.use r2.read', resource: M1 })).access_token;
    await refused(other, await other.exchange('m1', subject, 'a-picky', { resource: R2, scope: 'r2.read' }), 400, 'actor_unauthorized');
    await refused(other, await other.exchange('m1', subject, 'a2', { resource: R2, scope: 'r1.write' }), 400, 'invalid_scope');
    await refused(other, await other.exchange('m1', 'x', 'a2', { resource: R2 }), 400, 'invalid_request');
    await refused(other, await other.redeem(await other.code(), { actor_token: other.proof('a2') }), 400, 'actor_mismatch');
    await refused(other, await other.redeem(await other.code(), { actor_token: 'x' }), 400, 'invalid_actor_token');
    assert.equal((await other.exchange('m1', subject, 'a2', { resource: R2, scope: 'r2.read' })).status, 200);
  });
});
