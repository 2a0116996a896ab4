// G: what an access token says.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { M1, OPAQUE, OUTERMOST, R1, R2, Server, chainOf, claimsOf, headerOf } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start({ change: (state) => state.resource.push({ id: 'https://api.example/aut', name: 'Aut', emit_aut: true, scopes: [{ name: 'x.read' }] }) }); });
after(async () => { await server?.end(); });
const claims = async (request) => claimsOf((await server.flow(request)).access_token);

test('G-01, G-02, G-03, G-04 three parties apart, and everything that RFC 9068 asks', async () => {
  const token = (await server.flow()).access_token;
  const said = claimsOf(token);
  assert.equal(new Set([said.sub, said.client_id, said.act.sub]).size, 3);
  assert.deepEqual([said.sub, said.client_id, said.azp, said.act.sub], ['u1', 'ca', 'ca', 'a1']);
  for (const name of ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti', 'scope', 'grant_id']) assert.ok(said[name], name);
  assert.equal(headerOf(token).typ, 'at+jwt');
  assert.equal(said.iss, server.issuer);
  assert.deepEqual(Object.keys(said.act).sort(), ['iss', 'sub', 'sub_profile']);
  assert.equal(said.act.sub_profile, 'ai_agent');
});

test('G-05 the audience is the resource that was asked for', async () => {
  assert.equal((await claims()).aud, R1);
  assert.equal((await claims({ scope: 'r2.read', resource: R2 })).aud, R2);
});

test('G-07 aut only for who asked for it', async () => {
  assert.ok(!('aut' in await claims()));
  const said = await claims({ scope: 'x.read', resource: 'https://api.example/aut' });
  assert.equal(said.aut, 'APPLICATION_USER');
  assert.ok(!('aut' in said.act));
});

test('G-08 sub_profile is ours to say', async () => {
  const code = await server.code({ sub_profile: 'admin', aut: 'X', act: '{"sub":"u9"}' });
  const answer = await server.redeem(code, { sub_profile: 'admin', acr: 'high', auth_time: '1', sub: 'u9', act: '{"sub":"u9"}', consent_id: 'x' });
  const said = claimsOf(answer.json.access_token);
  assert.equal(said.sub_profile, 'user');
  assert.equal(said.sub, 'u1');
  assert.deepEqual(chainOf(answer.json.access_token), ['a1']);
  assert.equal(said.acr, 'urn:behalf:acr:password');
});

test('G-09 it lives as long as agent and client allow, an hour at most', async () => {
  for (const [agent, client, life] of [['2m', undefined, 120], ['1h', '3m', 180], ['1h', '1h', 3600]]) {
    await server.changed('agent', 'a1', { access_token_lifetime: agent }, () => server.changed('client', 'ca', client ? { access_token_lifetime: client } : {}, async () => {
      const said = await claims();
      assert.ok(said.exp - said.iat <= life, `${said.exp - said.iat} of ${life}`);
    }));
  }
  await assert.rejects(server.changed('agent', 'a1', { access_token_lifetime: '61m' }, () => {}));
  await server.apply((state) => { delete state.agent.find(({ id }) => id === 'a1').access_token_lifetime; });
});

test('G-11 scope is one string, that of the answer', async () => {
  const answer = await server.flow({ scope: 'r1.write r1.read' });
  assert.equal(claimsOf(answer.access_token).scope, answer.scope);
  assert.deepEqual(answer.scope.split(' ').sort(), ['r1.read', 'r1.write']);
});

test('G-12 a jti never comes twice', async () => {
  const seen = new Set();
  const asked = 10_000;
  for (let done = 0; done < asked; done += 100) {
    const answers = await Promise.all(Array.from({ length: 100 }, () => server.token('plain', { grant_type: 'client_credentials', resource: R1, scope: 'r1.read' })));
    for (const { json } of answers) seen.add(claimsOf(json.access_token).jti);
  }
  assert.equal(seen.size, asked);
});

test('G-13 an opaque token says the same by introspection', async () => {
  const opaque = await server.flow({ scope: 'x.read', resource: OPAQUE });
  assert.match(opaque.access_token, /^at_/);
  const said = (await server.introspect('x-server', opaque.access_token)).json;
  const jwt = await server.flow();
  const ours = (await server.introspect('r1-server', jwt.access_token)).json;
  assert.deepEqual(Object.keys(said).sort(), Object.keys(ours).sort());
  assert.deepEqual(said.act, ours.act);
  const decoded = claimsOf(jwt.access_token);
  for (const [name, value] of Object.entries(decoded)) assert.deepEqual(ours[name], value, name);
});

test('G-15 the sign-in that it tells of is the person\'s', async () => {
  const said = await claims();
  assert.equal(said.acr, 'urn:behalf:acr:password');
  assert.deepEqual(said.amr, ['pwd']);
  assert.ok(Math.abs(said.auth_time - Date.now() / 1000) < 600);
});

test('G-16 an agent on its own has no person and no act', async () => {
  const answer = await server.token('a1-runtime', { grant_type: 'client_credentials', resource: R1, scope: 'r1.read' });
  const said = claimsOf(answer.json.access_token);
  assert.equal(said.sub, 'a1');
  for (const name of ['act', 'auth_time', 'acr', 'amr', 'grant_id']) assert.ok(!(name in said), name);
  assert.equal(said.sub_profile, 'ai_agent');
  assert.ok(!('refresh_token' in answer.json));
});

test('G-17 the same agent at two clients: two grants', async () => {
  const [one, two] = [await claims(), await claims({ client: 'cb' })];
  assert.notEqual(one.grant_id, two.grant_id);
  assert.notEqual(one.client_id, two.client_id);
});

test('G-20 two copies of one agent: one act.sub, two instances, and one stop for both', async () => {
  const copy = async (instance) => {
    const answer = await server.redeem(await server.code({ agent: 'a4' }), { actor_token: server.proof('a4', { agent_instance: instance }) });
    assert.equal(answer.status, 200, answer.text);
    return answer.json.access_token;
  };
  const [one, two] = [await copy('one'), await copy('two')];
  assert.deepEqual([claimsOf(one).act.sub, claimsOf(two).act.sub], ['a4', 'a4']);
  assert.deepEqual([claimsOf(one).act.agent_instance, claimsOf(two).act.agent_instance], ['one', 'two']);
  await server.admin('agent', 'suspend', 'a4');
  for (const token of [one, two]) assert.equal(await server.isActive('r1-server', token), false);
  await server.admin('agent', 'resume', 'a4');
});

test('each resource has the algorithm it asked for', async () => {
  for (const algorithm of ['EdDSA', 'PS256', 'RS256']) {
    await server.changed('resource', R2, { signing_alg: algorithm }, async () => {
      const token = (await server.flow({ scope: 'r2.read', resource: R2 })).access_token;
      assert.equal(headerOf(token).alg, algorithm);
      assert.equal(await server.isActive('r2-server', token), true);
    });
  }
});
