// H: refresh.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { R1, R2, Server, chainOf, claimsOf, pkce, refused } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start({ clock: true, config: '[lifetimes]\nsession = "30d"\nsession_idle = "30d"' }); });
after(async () => { await server?.end(); });
const family = (more = {}) => server.flow({ scope: 'r1.read r1.write offline_access', ...more });

test('H-01 no refresh token where the agent\'s policy has none', async () => {
  assert.ok(!('refresh_token' in await server.flow({ agent: 'a4', scope: 'r1.read offline_access' })));
  assert.ok('refresh_token' in await family());
  assert.ok(!('refresh_token' in await server.flow({ scope: 'r1.read' })));
});

test('H-02, H-13 every refresh proves the agent, and every token keeps it', async () => {
  let { refresh_token: token, access_token: first } = await family();
  for (let round = 0; round < 20; ++round) {
    const answer = await server.refresh('ca', token);
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(chainOf(answer.json.access_token), ['a1']);
    assert.equal(claimsOf(answer.json.access_token).grant_id, claimsOf(first).grant_id);
    assert.notEqual(answer.json.refresh_token, token);
    token = answer.json.refresh_token;
  }
});

test('H-03, H-05 without proof, or with an expired one: refused, and the family lives', async () => {
  const { refresh_token: token } = await family();
  await refused(server, await server.refresh('ca', token, null), 400, 'invalid_request');
  const { now } = server;
  await refused(server, await server.refresh('ca', token, null, { actor_token: server.proof('a1', { iat: now - 300, exp: now - 90 }) }), 400, 'invalid_grant');
  assert.equal((await server.refresh('ca', token)).status, 200);
});

test('H-04 another agent: refused, and the family is dead', async () => {
  const { refresh_token: token, access_token: access } = await family();
  await refused(server, await server.refresh('ca', token, 'a2'), 400, 'invalid_grant', 'actor_mismatch');
  await refused(server, await server.refresh('ca', token), 400, 'invalid_grant');
  assert.equal(await server.isActive('r1-server', access), false);
});

test('H-07 another client\'s: refused, and the victim\'s survives', async () => {
  const { refresh_token: token } = await family();
  for (const thief of ['cb', 'cg', 'cp']) await refused(server, await server.refresh(thief, token), 400, ['invalid_grant', 'unauthorized_client']);
  assert.equal((await server.refresh('ca', token)).status, 200);
});

test('H-08 narrower yes, wider no; and the token is not spent by asking too much', async () => {
  const { refresh_token: token } = await server.flow({ scope: 'r1.read offline_access', prompt: 'consent' });
  await refused(server, await server.refresh('ca', token, 'a1', { scope: 'r1.read r1.write' }), 400, 'invalid_scope');
  await refused(server, await server.refresh('ca', token, 'a1', { scope: 'r2.read' }), 400, 'invalid_scope');
  const both = await family();
  const narrow = await server.refresh('ca', both.refresh_token, 'a1', { scope: 'r1.read' });
  assert.equal(narrow.json.scope.replace(' offline_access', ''), 'r1.read');
  const again = await server.refresh('ca', narrow.json.refresh_token);
  assert.match(again.json.scope, /r1.write/, 'the grant is what it was');
});

test('H-09, H-11 suspended agent or person: refused, and resuming revives nothing', async () => {
  for (const [kind, id, user] of [['agent', 'a1', 'u1'], ['user', 'u2', 'u2']]) {
    const { refresh_token: token } = await family({ user });
    await server.admin(kind, 'suspend', id);
    await refused(server, await server.refresh('ca', token), 400, 'invalid_grant');
    await server.admin(kind, 'resume', id);
    await refused(server, await server.refresh('ca', token), 400, 'invalid_grant');
  }
  assert.equal((await server.refresh('ca', (await family()).refresh_token)).status, 200);
});

test('H-15 another resource within the consent, not outside', async () => {
  const { verifier, challenge } = pkce();
  const parameters = new URLSearchParams(server.authorization({ challenge, scope: 'r1.read r2.read offline_access', resource: null, prompt: 'consent' }));
  for (const resource of [R1, R2]) parameters.append('resource', resource);
  const browser = await server.browser('u1');
  const asked = await browser.open(`/authorize?${parameters}`);
  assert.match(asked.location, /^\/consent/);
  const done = await browser.decide(await browser.open(asked.location));
  const first = await server.redeem({ code: done.query.get('code'), verifier, redirect: 'https://app.example/cb', client: 'ca', agent: 'a1' }, { resource: R1 });
  assert.equal(first.status, 200, first.text);
  assert.equal(claimsOf(first.json.access_token).aud, R1);
  const second = await server.refresh('ca', first.json.refresh_token, 'a1', { resource: R2 });
  assert.equal(second.status, 200, second.text);
  assert.equal(claimsOf(second.json.access_token).aud, R2);
  await refused(server, await server.refresh('ca', second.json.refresh_token, 'a1', { resource: 'https://api.example/m1' }), 400, 'invalid_target');
  await refused(server, await server.refresh('ca', second.json.refresh_token, 'a1', { resource: 'https://unknown.example' }), 400, 'invalid_target');
});

test('H-16 the whole life of a family is that of its first', async () => {
  let { refresh_token: token } = await family();
  for (let hour = 0; hour < 7; ++hour) {
    await server.advance(3600);
    const answer = await server.refresh('ca', token);
    assert.equal(answer.status, 200, `after ${hour + 1} h: ${answer.text}`);
    token = answer.json.refresh_token;
  }
  await server.advance(3601);
  await refused(server, await server.refresh('ca', token), 400, 'invalid_grant', /expired/);
});

test('H-17 two at once: one live member at most', async () => {
  for (let round = 0; round < 5; ++round) {
    const { refresh_token: token } = await family();
    const answers = await Promise.all(Array.from({ length: 8 }, () => server.refresh('ca', token)));
    const successors = new Set(answers.filter(({ status }) => status === 200).map(({ json }) => json.refresh_token));
    assert.ok(successors.size <= 1, `${successors.size} successors`);
  }
});

test('a refresh token used again later ends the family, and says so in the log', async () => {
  const { refresh_token: first } = await family();
  const second = (await server.refresh('ca', first)).json;
  await server.advance(61);
  await refused(server, await server.refresh('ca', first), 400, 'invalid_grant', /reuse/);
  await refused(server, await server.refresh('ca', second.refresh_token), 400, 'invalid_grant');
  assert.equal(await server.isActive('r1-server', second.access_token), false);
  await server.restart('SIGKILL');
  await refused(server, await server.refresh('ca', second.refresh_token), 400, 'invalid_grant');
});
