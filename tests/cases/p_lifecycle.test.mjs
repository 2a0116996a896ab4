// P: introspection, revocation, and what ends with what.
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { after, before, test } from 'node:test';
import { M1, OUTERMOST, R1, R2, Server, chainOf, claimsOf, formOf, headerOf, refused } from './support/cast.mjs';

let server;
before(async () => {
  server = await Server.start({ clock: true, change: (state) => state.client.push({ id: 'receiver', name: 'Receiver', secret_file: 'receiver.secret', grant_types: ['client_credentials'], scopes: ['behalf.signals'] }) });
});
after(async () => { await server?.end(); });
const family = (more = {}) => server.flow({ scope: 'r1.read offline_access', ...more });

test('P-01, P-02, P-04 introspection by the resource, by another, and of what ended', async () => {
  const { access_token: token } = await server.flow();
  const said = (await server.introspect('r1-server', token)).json;
  assert.equal(said.active, true);
  assert.deepEqual([said.sub, said.client_id, said.scope, said.aud, said.act.sub], ['u1', 'ca', 'r1.read', R1, 'a1']);
  assert.ok(said.grant_id);
  assert.equal((await server.introspect('r2-server', token)).text, '{"active":false}');
  await server.as('ca', '/revoke', { token });
  assert.equal((await server.introspect('r1-server', token)).text, '{"active":false}');
  for (const nothing of ['x', '', 'e30.e30.e30', `${token}x`, 'x'.repeat(30_000)]) {
    const answer = await server.introspect('r1-server', nothing);
    if (nothing === '') await refused(server, answer, 400, 'invalid_request');
    else assert.equal(answer.text, '{"active":false}');
  }
  await refused(server, await server.introspect('cp', token), 401, 'invalid_client');
  await refused(server, await server.http('/introspect', { method: 'POST', form: { token } }), 401, 'invalid_client');
});

test('P-05, P-06 revocation by its client alone', async () => {
  const { access_token: access, refresh_token: refresh } = await family();
  for (const token of [access, refresh]) assert.ok([200, 400].includes((await server.as('cb', '/revoke', { token })).status));
  assert.equal(await server.isActive('r1-server', access), true);
  assert.equal((await server.as('ca', '/revoke', { token: refresh, token_type_hint: 'access_token' })).status, 200);
  assert.equal(await server.isActive('r1-server', access), false);
  await refused(server, await server.refresh('ca', refresh), 400, 'invalid_grant');
  for (const token of ['unknown', 'e30.e30.e30']) assert.equal((await server.as('ca', '/revoke', { token })).status, 200);
  await refused(server, await server.as('ca', '/revoke', {}), 400, 'invalid_request');
  assert.equal((await server.http('/revoke')).status, 405);
});

test('P-08, P-09 a person revokes one, or everything of an agent', async () => {
  const user = 'u2';
  const [mine, atCb, other] = [await server.flow({ user }), await server.flow({ user, client: 'cb' }), await server.flow({ user, agent: 'a2' })];
  const browser = await server.browser(user);
  const page = await browser.open('/agents');
  const { csrf } = Object.fromEntries(formOf(page.text, '/agents/revoke').map(({ name, value }) => [name, value]));
  assert.equal((await browser.open('/agents/revoke', { csrf, delegation: claimsOf(mine.access_token).grant_id })).status, 303);
  assert.deepEqual([await server.isActive('r1-server', mine.access_token), await server.isActive('r1-server', atCb.access_token)], [false, true]);
  const fresh = await server.flow({ user });
  const all = Object.fromEntries(formOf((await browser.open('/agents')).text, '/agents/revoke-agent').map(({ name, value }) => [name, value]));
  assert.equal((await browser.open('/agents/revoke-agent', { ...all, agent: 'a1' })).status, 303);
  for (const token of [fresh, atCb]) assert.equal(await server.isActive('r1-server', token.access_token), false);
  assert.equal(await server.isActive('r1-server', other.access_token), true);
});

test('P-10, P-14 a suspended agent or client: nothing goes on, and what is out is dead', async () => {
  for (const [kind, id] of [['agent', 'a1'], ['client', 'ca']]) {
    const flow = await family();
    const code = await server.code();
    await server.admin(kind, 'suspend', id);
    assert.equal(await server.isActive('r1-server', flow.access_token), false);
    const browser = await server.browser('u1');
    const asked = await browser.open(`/authorize?${new URLSearchParams(server.authorization())}`);
    assert.equal(asked.query?.get('code') ?? null, null);
    for (const answer of [await server.redeem(code), await server.refresh('ca', flow.refresh_token), await server.exchange('ca', flow.access_token, null, { resource: R1 })]) assert.ok([400, 401].includes(answer.status));
    assert.ok([400, 401].includes((await server.token('a1-runtime', { grant_type: 'client_credentials', resource: server.issuer })).status) || kind === 'client');
    await server.admin(kind, 'resume', id);
    assert.equal(await server.isActive('r1-server', flow.access_token), false, 'resuming revives nothing');
  }
});

test('P-12 deleted and made again under the same id: nothing old comes back', async () => {
  const flow = await family({ agent: 'a-last' }).catch(() => server.flow({ agent: 'a-last' }));
  const agent = server.state.agent.find(({ id }) => id === 'a-last');
  await server.apply((state) => { state.agent = state.agent.filter(({ id }) => id !== 'a-last'); }, '--prune');
  assert.equal(await server.isActive('r1-server', flow.access_token), false);
  await server.apply((state) => { state.agent.push(agent); });
  assert.equal(await server.isActive('r1-server', flow.access_token), false);
  const page = await (await server.browser('u1')).begin(server.authorization({ agent: 'a-last' }));
  assert.equal(page.status, 200, 'the person is asked anew');
  await server.admin('agent', 'suspend', 'a3');
});

test('P-13 a key that is gone: its proofs fail, the grant stays', async () => {
  const flow = await server.flow({ agent: 'a5' });
  const old = server.proof('a5');
  await server.changed('agent', 'a5', { jwks: { keys: [server.keys.stranger.jwk] } }, async () => {
    await refused(server, await server.redeem(await server.code({ agent: 'a5' }), { actor_token: old }), 400, 'invalid_grant');
    assert.equal(await server.isActive('r1-server', flow.access_token), true);
  });
});

test('P-16 suspended in the middle of a chain', async () => {
  const subject = (await server.flow({ scope: 'm1.use r2.read', resource: M1 })).access_token;
  const second = (await server.exchange('m1', subject, 'a2', { resource: M1, scope: 'r2.read' })).json.access_token;
  const third = (await server.exchange('m1', second, 'a4', { resource: R2, scope: 'r2.read' })).json.access_token;
  assert.deepEqual(chainOf(third), ['a4', 'a2', 'a1']);
  await server.admin('agent', 'suspend', 'a2');
  assert.equal(await server.isActive('r2-server', third), false);
  assert.equal(await server.isActive('m1', second), false);
  assert.equal(await server.isActive('m1', subject), true);
  await server.admin('agent', 'resume', 'a2');
});

test('P-17 a resource that sees only who acts now', async () => {
  const subject = (await server.flow({ scope: 'm1.use r2.read', resource: M1 })).access_token;
  assert.ok(subject);
  const flow = await server.flow({ scope: 'x.read', resource: OUTERMOST });
  const said = (await server.introspect('o-server', flow.access_token)).json;
  assert.equal(said.chain_complete, false);
  const [record] = await server.audit(1, '--event', 'token.authorization_code');
  assert.deepEqual(record.chain, ['a1']);
});

test('P-18 a receiver hears of what was revoked, person, agent, consent or token, in events that it can verify', async () => {
  const { access_token: own } = (await server.token('receiver', { grant_type: 'client_credentials', resource: server.issuer, scope: 'behalf.signals' })).json;
  const send = (path, body, token = own) => server.http(path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) } });
  const { json: keys } = await server.http('/jwks');
  const heard = (set) => {
    const { kid, alg, typ } = headerOf(set);
    const end = set.lastIndexOf('.');
    const key = createPublicKey({ key: keys.keys.find((one) => one.kid === kid), format: 'jwk' });
    assert.deepEqual([alg, typ], ['ES256', 'secevent+jwt']);
    assert.ok(verify('sha256', Buffer.from(set.slice(0, end)), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(set.slice(end + 1), 'base64url')), 'signed by the issuer');
    const { iss, aud, sub_id: about, events } = claimsOf(set);
    assert.deepEqual([iss, aud], [server.issuer, 'receiver']);
    const [[type, event]] = Object.entries(events);
    return { type, about, why: event.reason_admin?.en };
  };
  const configuration = (await server.http('/.well-known/ssf-configuration')).json;
  const made = await send(new URL(configuration.configuration_endpoint).pathname, { delivery: { method: 'urn:ietf:rfc:8936' } });
  assert.equal(made.status, 201, made.text);
  const { pathname, search } = new URL(made.json.delivery.endpoint_url);
  let acknowledge = [];
  const poll = async () => {
    const answer = await send(pathname + search, { ack: acknowledge, returnImmediately: true });
    assert.equal(answer.status, 200, answer.text);
    acknowledge = Object.keys(answer.json.sets);
    return Object.values(answer.json.sets).map(heard);
  };
  while ((await poll()).length > 0);  // what was revoked before

  const subject = (sub) => ({ format: 'iss_sub', iss: server.issuer, sub });
  const [one, two] = [await server.flow({ client: 'cb' }), await server.flow({ agent: 'a2' })];
  const ends = [
    [() => server.as('cb', '/revoke', { token: one.access_token }), { format: 'complex', session: { format: 'jwt_id', iss: server.issuer, jti: claimsOf(one.access_token).jti } }],
    [() => server.cli('grant', 'revoke', claimsOf(two.access_token).grant_id), { format: 'complex', session: { format: 'opaque', id: claimsOf(two.access_token).grant_id }, user: subject('u1'), application: subject('a2') }],
    [() => server.admin('agent', 'suspend', 'a5'), { format: 'complex', application: subject('a5') }, 'agent_suspended', () => server.admin('agent', 'resume', 'a5')],
    [() => server.admin('user', 'suspend', 'u3'), { format: 'complex', user: subject('u3') }, 'user_suspended', () => server.admin('user', 'resume', 'u3')],
  ];
  for (const [end, about, why, undo] of ends) {
    await end();
    const found = (await poll()).find((event) => JSON.stringify(event.about) === JSON.stringify(about));
    assert.ok(found, JSON.stringify(about));
    assert.equal(found.type, 'https://schemas.openid.net/secevent/caep/event-type/session-revoked');
    if (why) assert.equal(found.why, why);
    await undo?.();
  }
  await poll();
  assert.deepEqual(await poll(), [], 'what was acknowledged does not come again');
  // Nobody else hears of it.
  assert.equal((await send(pathname + search, {}, null)).status, 401);
  assert.equal((await send(pathname + search, {}, (await server.flow()).access_token)).status, 401, 'a token for an API');
});

test('P-21 an agent cannot have the id of a person or a client', async () => {
  for (const id of ['u1', 'ca']) {
    await assert.rejects(server.apply((state) => { state.agent.push({ id, name: 'X', publisher: 'Y' }); }), /already|same|id/);
    server.state.agent.pop();
  }
  await server.apply();
});

test('214 every end, at every place that decides', async () => {
  const ends = {
    'agent suspended': [() => server.admin('agent', 'suspend', 'a1'), () => server.admin('agent', 'resume', 'a1')],
    'person suspended': [() => server.admin('user', 'suspend', 'u3'), () => server.admin('user', 'resume', 'u3')],
    'client suspended': [() => server.admin('client', 'suspend', 'cb'), () => server.admin('client', 'resume', 'cb')],
    'consent revoked': [(grant) => server.cli('grant', 'revoke', grant), () => {}],
    'password changed': [() => server.apply((state) => { state.user.find(({ id }) => id === 'u3').password = 'another good passphrase'; }),
      () => server.apply((state) => { state.user.find(({ id }) => id === 'u3').password = 'correct horse battery'; })],
  };
  for (const [name, [end, restore]] of Object.entries(ends)) {
    const { Browser } = await import('./support/cast.mjs');
    const browser = new Browser(server);
    const fresh = async (request) => {
      const { verifier, challenge } = (await import('./support/cast.mjs')).pkce();
      let answer = await browser.begin(server.authorization({ client: 'cb', challenge, scope: 'r1.read offline_access', ...request }), 'u3');
      if (answer.status === 200) answer = await browser.decide(answer);
      return { code: answer.query.get('code'), verifier, redirect: 'https://app.example/cb', client: 'cb', agent: 'a1' };
    };
    const flow = (await server.redeem(await fresh())).json;
    const code = await fresh();
    assert.equal(await server.isActive('r1-server', flow.access_token), true, name);
    await end(claimsOf(flow.access_token).grant_id);
    assert.equal(await server.isActive('r1-server', flow.access_token), false, `${name}: introspection`);
    for (const [place, answer] of [['redeem', await server.redeem(code)], ['refresh', await server.refresh('cb', flow.refresh_token)],
      ['exchange', await server.exchange('cb', flow.access_token, null, { resource: R1 })], ['exchange by the resource', await server.exchange('r1-server', flow.access_token, null, { resource: R1 })]]) {
      assert.ok([400, 401].includes(answer.status), `${name}: ${place}: ${answer.text}`);
    }
    await restore();
    assert.equal(await server.isActive('r1-server', flow.access_token), false, `${name}: for good`);
  }
});

test('214 a permission taken from client, agent or person: no new token has it', async () => {
  for (const [kind, id, members] of [['client', 'ca', { scopes: ['r2.read'] }], ['agent', 'a1', { scopes: ['r2.read'] }], ['user', 'u2', { entitlements: ['r2.read'] }]]) {
    const flow = await family({ user: 'u2', prompt: 'consent' });
    const code = await server.code({ user: 'u2' });
    await server.changed(kind, id, members, async () => {
      for (const [place, answer] of [['redeem', await server.redeem(code)], ['refresh', await server.refresh('ca', flow.refresh_token)],
        ['exchange', await server.exchange('ca', flow.access_token, null, { resource: R1 })]]) {
        assert.equal(answer.status, 400, `${kind}: ${place}: ${answer.text}`);
      }
      assert.equal(await server.isActive('r1-server', flow.access_token), false, `${kind}: introspection`);
    });
  }
});

test('219 a token of the same second as the end is dead', async () => {
  for (const [kind, id] of [['agent', 'a2'], ['client', 'cb'], ['user', 'u2']]) {
    for (let round = 0; round < 5; ++round) {
      if (kind === 'user') server._browsers.delete(id);
      const flow = await server.flow({ agent: 'a2', client: 'cb', user: 'u2' });
      await server.admin(kind, 'suspend', id);
      await server.admin(kind, 'resume', id);
      assert.equal(await server.isActive('r1-server', flow.access_token), false, kind);
    }
  }
  server._browsers.delete('u2');
});
