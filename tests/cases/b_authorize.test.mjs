// B: the authorization endpoint.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Browser, LOOPBACK, R1, R2, REDIRECT, Server, claimsOf, pageRefused, redirected } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start(); });
after(async () => { await server?.end(); });

const open = (request, browser = new Browser(server)) => browser.open(`/authorize?${new URLSearchParams(server.authorization(request))}`);
const honest = async () => assert.equal(claimsOf((await server.flow()).access_token).act.sub, 'a1');
// Without what is made anew each time, so that two answers can be compared.
const bare = (answer) => ({ status: answer.status, location: answer.location?.replace(/state=[^&]*/, ''), text: answer.text });

test('B-01 sign-in and consent, then code, state and iss', async () => {
  const browser = new Browser(server);
  const parameters = server.authorization();
  const asked = await browser.open(`/authorize?${new URLSearchParams(parameters)}`);
  assert.match(asked.location, /^\/login/);
  const page = await browser.begin(parameters);
  assert.equal(page.status, 200);
  const answer = await browser.decide(page);
  assert.ok(answer.location.startsWith(`${REDIRECT}?`));
  assert.deepEqual([...answer.query.keys()].sort(), ['code', 'iss', 'state']);
  assert.equal(answer.query.get('state'), parameters.state);
  assert.equal(answer.query.get('iss'), server.issuer);
});

test('B-02, B-03, B-04 unknown, suspended and not allowed here read alike', async () => {
  const answers = [];
  for (const agent of ['nobody', 'a3', 'a-elsewhere']) {
    const state = `s-${agent}`;
    const answer = await open({ agent, state });
    await redirected(server, answer, 'invalid_request', undefined, { state });
    answers.push(bare(answer));
  }
  assert.deepEqual(answers[1], answers[0]);
  assert.deepEqual(answers[2], answers[0]);
  assert.match(answers[0].location, /actor_unknown/);
  await honest();
});

test('B-05 an agent that is not for this person: refused once the person is known, and nothing is kept', async () => {
  const browser = new Browser(server);
  const answer = await browser.begin(server.authorization({ agent: 'a-picky', state: 's' }), 'u2');
  await redirected(server, answer, 'access_denied', undefined, { state: 's' });
  assert.equal((await server.cli('grant', 'list', '--json')).stdout.includes('a-picky'), false);
  assert.equal((await server.code({ agent: 'a-picky', user: 'u1' })).agent, 'a-picky');
});

test('B-07 requested_actor that is no identifier', async () => {
  for (const agent of ['', 'a'.repeat(256), 'a'.repeat(5000), 'a 1', 'a\t1', 'a1\n', 'ä1', 'a1\u200b']) {
    await redirected(server, await open({ agent, state: 's' }), 'invalid_request', undefined, { state: 's' });
  }
  const twice = new URLSearchParams(server.authorization());
  twice.append('requested_actor', 'a2');
  await redirected(server, await new Browser(server).open(`/authorize?${twice}`), 'invalid_request');
  await honest();
});

test('B-08 agents are compared byte for byte', async () => {
  for (const agent of ['A1', 'a1%20', 'a1/', 'a1.', '%61%31']) await redirected(server, await open({ agent }), 'invalid_request');
});

test('B-09 a person, a client or a resource is no agent', async () => {
  for (const agent of ['u1', 'u2', 'ca', R1]) await redirected(server, await open({ agent }), 'invalid_request');
  await redirected(server, await open({ agent: 'u1' }, await server.browser('u1')), 'invalid_request');
});

test('B-11, B-12, B-13 PKCE: there, S256, well-formed; no sign-in page otherwise', async () => {
  for (const change of [
    { code_challenge: undefined, code_challenge_method: undefined }, { code_challenge: undefined }, { code_challenge_method: undefined },
    { code_challenge_method: 'plain' }, { code_challenge_method: 's256' }, { code_challenge_method: 'S512' }, { code_challenge_method: '' },
    { code_challenge: 'x'.repeat(42) }, { code_challenge: 'x'.repeat(44) }, { code_challenge: `${'x'.repeat(42)}=` }, { code_challenge: `${'x'.repeat(42)}+` }, { code_challenge: '' },
  ]) await redirected(server, await open({ ...change, state: 's' }), 'invalid_request', undefined, { state: 's' });
  await honest();
});

test('B-15 other response types give nothing, least of all in a fragment', async () => {
  for (const type of ['token', 'code id_token', 'code token', 'id_token', 'none', 'Code']) {
    const answer = await open({ response_type: type, state: 's' });
    await redirected(server, answer, 'unsupported_response_type', undefined, { state: 's' });
    assert.ok(!answer.location.includes('#'));
  }
  await redirected(server, await open({ response_type: undefined }), 'invalid_request');
});

test('B-16 no fragment, no web message', async () => {
  for (const mode of ['fragment', 'web_message', 'jwt', 'query.jwt', 'Query']) {
    const answer = await open({ response_mode: mode });
    await redirected(server, answer, 'invalid_request');
    assert.ok(!answer.location.includes('#'));
  }
  const answer = await open({ response_mode: 'form_post', agent: 'nobody' });
  assert.equal(answer.status, 200);
  assert.match(answer.text, /name="error" value="invalid_request"/);
});

test('B-17 a redirect_uri that is not the registered one: a page, and no redirect', async () => {
  for (const uri of [
    'https://evil.example/cb', `${REDIRECT}/`, 'https://app.example/CB', 'https://APP.example/cb', 'https://app.example:443/cb', 'https://app.example:8443/cb',
    `${REDIRECT}?x=1`, `${REDIRECT}#f`, 'http://app.example/cb', 'https://app.example/cb/../cb', 'https://app.example/%63b', 'https://app.example.evil.example/cb',
    'https://user@app.example/cb', 'https://app.example@evil.example/cb', `${REDIRECT}%0d%0aX: y`, ' https://app.example/cb', 'https://app.example/fixed', 'https://app.example/fixed?a=1&b=2',
    'javascript:alert(1)', '//app.example/cb', '/cb', '', `${REDIRECT}\u0000`, `${REDIRECT}${'x'.repeat(5000)}`,
  ]) await pageRefused(server, await open({ redirect_uri: uri }));
  await pageRefused(server, await open({ redirect_uri: undefined }));
  const twice = new URLSearchParams(server.authorization());
  twice.append('redirect_uri', 'https://evil.example/cb');
  await pageRefused(server, await new Browser(server).open(`/authorize?${twice}`));
  // RFC 8252 §7.3: only the port of a loopback address may differ, and only where one is registered.
  for (const uri of [`http://127.0.0.1:9/loop/`, 'http://127.0.0.2:9/loop', 'http://localhost:9/loop', 'http://127.0.0.1:9/other', 'https://127.0.0.1:9/loop', 'http://127.0.0.1:9/loop?x', 'http://127.0.0.1:99999/loop']) {
    await pageRefused(server, await open({ client: 'cp', scope: 'r1.read', redirect_uri: uri }));
  }
  assert.match((await open({ client: 'cp', redirect_uri: LOOPBACK })).location, /^\/login/);
  await honest();
});

test('B-19 a client that is unknown or disabled: a page, and no redirect', async () => {
  const unknown = await open({ client: 'nobody' });
  await pageRefused(server, unknown);
  await server.admin('client', 'suspend', 'cb');
  const disabled = await open({ client: 'cb' });
  await pageRefused(server, disabled);
  await server.admin('client', 'resume', 'cb');
  const steady = (text) => text.replace(/[0-9a-z]{26}/g, '');
  assert.equal(steady(disabled.text), steady(unknown.text));
  for (const client of ['', 'CA', 'ca ', 'a1', 'u1']) await pageRefused(server, await open({ client_id: client }));
  await pageRefused(server, await open({ client_id: undefined }));
});

test('B-20, B-21 scope: there, and within the ceiling of the client', async () => {
  for (const scope of [null, 'unknown', 'r1.read unknown', 'r1.read  "', 'R1.read']) {
    await redirected(server, await open({ scope, state: 's' }), ['invalid_scope', 'invalid_request'], undefined, { state: 's' });
  }
  await redirected(server, await open({ scope: null }), 'invalid_scope');
  await redirected(server, await open({ client: 'cp', scope: 'r2.read', resource: R2 }), 'invalid_scope', undefined, { to: 'http://127.0.0.1:4711/loop' });
  await redirected(server, await open({ scope: 'r1.write', agent: 'a2' }), 'invalid_scope');
  await redirected(server, await open({ scope: 'r1.write', resource: R2 }), 'invalid_scope');
});

test('B-23 an actor token in the address is never processed, and its exposure is on record', async () => {
  const token = server.proof('a1');
  for (const more of [{ actor_token: token }, { actor_token: token, actor_token_type: 'urn:ietf:params:oauth:token-type:jwt' }]) {
    const record = await redirected(server, await open({ ...more, state: 's' }), 'invalid_request', /actor_token/, { state: 's' });
    assert.ok(!JSON.stringify(record).includes(token.slice(0, 40)));
  }
  await honest();
});

test('B-24 a resource that is relative, has a fragment or is unknown', async () => {
  for (const resource of ['/r1', 'r1', `${R1}#x`, 'https://api.example/unknown', `${R1}/`, 'https://api.example/R1', '']) {
    await redirected(server, await open({ resource, state: 's' }), 'invalid_target', undefined, { state: 's' });
  }
});

test('B-25 prompt=none never shows a page', async () => {
  await redirected(server, await open({ prompt: 'none' }), 'login_required', 'no_session');
  const browser = (await server.browser('u2')).copy();
  await redirected(server, await open({ prompt: 'none', agent: 'a4' }, browser), 'consent_required', 'no_covering_consent');
  await server.code({ user: 'u2' });
  const answer = await open({ prompt: 'none' }, browser);
  assert.ok(answer.query.get('code'), answer.location);
  for (const prompt of ['none login', 'none consent', 'never', 'None']) await redirected(server, await open({ prompt }, browser), 'invalid_request');
});

test('B-27 without an agent an ordinary token, without act', async () => {
  const claims = claimsOf((await server.flow({ agent: null })).access_token);
  assert.equal(claims.sub, 'u1');
  assert.equal(claims.client_id, 'ca');
  assert.ok(!('act' in claims));
});

test('B-28 state may be left out where PKCE is, and then is not made up', async () => {
  const browser = await server.browser('u1');
  await server.code();
  const answer = await open({ state: undefined }, browser);
  assert.ok(answer.query.get('code'));
  assert.equal(answer.query.has('state'), false);
  for (const state of ['x'.repeat(4000), 'ä €&=?#/%00', '"><script>']) assert.equal((await open({ state }, browser)).query.get('state'), state);
});

test('B-31 max_age=0 asks for the password again', async () => {
  await server.code();
  const browser = (await server.browser('u1')).copy();
  for (const more of [{ max_age: '0' }, { prompt: 'login' }]) {
    const answer = await open(more, browser);
    assert.match(answer.location, /^\/login/, JSON.stringify(more));
    const after = await browser.signIn('u1', answer.location);
    assert.match(after.location, /^\/consent|code=/);
  }
  assert.ok((await open({ max_age: '3600' }, browser)).query.get('code'));
  for (const age of ['-1', 'x', '1.5', '99999999999999999999']) await redirected(server, await open({ max_age: age }, browser), 'invalid_request');
});

test('B-33 the old names are nobody while they are off: no act, or refused, never half', async () => {
  const flow = await server.flow({ agent: null, requested_agent: 'a1' });
  assert.ok(!('act' in claimsOf(flow.access_token)));
  await server.changed('client', 'ca', { require_requested_actor: true }, async () => {
    await redirected(server, await open({ agent: null, requested_agent: 'a1' }), 'invalid_request');
  });
});

test('B-35 a posted form is a request like any other', async () => {
  const browser = await server.browser('u1');
  await server.code();
  const parameters = server.authorization({ state: 's' });
  const answer = await browser.open('/authorize', parameters);
  assert.equal(answer.status, 303);
  assert.ok(answer.query.get('code'));
  assert.equal(answer.query.get('state'), 's');
  await redirected(server, await browser.open('/authorize', { ...parameters, requested_actor: 'nobody' }), 'invalid_request');
});

describe('strict_draft02', () => {
  let strict;
  before(async () => { strict = await Server.start({ config: '[delegation]\nstrict_draft02 = true' }); });
  after(async () => { await strict?.end(); });
  test('B-29 state must be there', async () => {
    const browser = new Browser(strict);
    await redirected(strict, await browser.open(`/authorize?${new URLSearchParams(strict.authorization({ state: undefined }))}`), 'invalid_request');
    assert.equal(claimsOf((await strict.flow()).access_token).act.sub, 'a1');
  });
});

test('B-36 intent_scope: the registry\'s words for what the agent is registered for, nothing for anything else', async () => {
  await server.changed('agent', 'a2', { intents: [{ name: 'intent:meet', text: 'Arrange meetings in your calendar.' }] }, async () => {
    const browser = await server.browser('u1');
    const shown = async (intent, more = {}) => (await browser.begin(server.authorization({ agent: 'a2', prompt: 'consent', intent_scope: intent, ...more }))).text;
    for (const intent of ['intent:unknown', 'Arrange meetings in your calendar, and pay.', '<b>bold</b>', 'INTENT:MEET', 'intent:meet intent:meet', null, '']) {
      const page = await shown(intent);
      assert.doesNotMatch(page, /Stated purpose|and pay|bold|unknown/, `${intent}`);
    }
    assert.doesNotMatch(await shown('intent:meet', { agent: 'a1' }), /Stated purpose/, 'of this agent alone');
    const page = await browser.begin(server.authorization({ agent: 'a2', prompt: 'consent', intent_scope: 'intent:meet' }));
    assert.match(page.text, /Stated purpose[\s\S]*Arrange meetings in your calendar\./);
    assert.ok((await browser.decide(page)).query.get('code'));
    assert.equal((await server.audit(1, '--event', 'consent.allow'))[0].details.purpose, 'Arrange meetings in your calendar.');
    // Remembered for that purpose; what was given for none does not cover one, and changed words are new words.
    const again = (intent) => browser.begin(server.authorization({ agent: 'a2', intent_scope: intent }));
    assert.ok((await again('intent:meet')).query?.get('code'));
    server.state.agent.find(({ id }) => id === 'a2').intents = [{ name: 'intent:meet', text: 'Something else.' }];
    await server.apply();
    assert.match((await again('intent:meet')).text, /Something else\./);
    await redirected(server, await browser.open(`/authorize?${new URLSearchParams([...Object.entries(server.authorization({ agent: 'a2', intent_scope: 'intent:meet' })), ['intent_scope', 'x']])}`), 'invalid_request');
  });
});

describe('legacy_draft00', () => {
  let legacy;
  const URN = 'urn:ietf:params:oauth:grant-type:agent-authorization_code';
  before(async () => { legacy = await Server.start({ config: '[delegation]\nlegacy_draft00 = true' }); });
  after(async () => { await legacy?.end(); });
  const code = async () => ({ ...await legacy.code({ agent: null, requested_agent: 'a1' }), agent: null });
  const redeem = (one, fields = {}) => legacy.redeem(one, { grant_type: URN, agent_token: legacy.proof('a1'), ...fields });

  test('B-32 requested_agent works, and is never mixed with requested_actor', async () => {
    const answer = await redeem(await code());
    assert.equal(answer.status, 200, answer.text);
    assert.equal(claimsOf(answer.json.access_token).act.sub, 'a1');
    for (const more of [{ requested_agent: 'a1' }, { requested_agent: 'a2' }]) {
      await redirected(legacy, await new Browser(legacy).open(`/authorize?${new URLSearchParams(legacy.authorization(more))}`), 'invalid_request');
    }
  });
  test('E-38 the grant of version 00: the same checks and the same results', async () => {
    const { refused } = await import('./support/cast.mjs');
    assert.ok((await legacy.metadata()).grant_types_supported.includes(URN));
    const good = await redeem(await code());
    assert.equal(good.status, 200, good.text);
    const claims = claimsOf(good.json.access_token);
    assert.deepEqual([claims.sub, claims.client_id, claims.act.sub], ['u1', 'ca', 'a1']);
    await refused(legacy, await redeem(await code(), { agent_token: undefined }), 400, 'invalid_request');
    await refused(legacy, await redeem(await code(), { agent_token: legacy.proof('a2') }), 400, 'invalid_grant', /actor/);
    await refused(legacy, await redeem(await code(), { code_verifier: 'x'.repeat(43) }), 400, 'invalid_grant');
    await refused(legacy, await redeem(await code(), { actor_token: legacy.proof('a1') }), 400, 'invalid_request');
    const spent = await code();
    assert.equal((await redeem(spent)).status, 200);
    await refused(legacy, await redeem(spent), 400, 'invalid_grant');
    assert.equal((await redeem(await code())).status, 200);
  });
});
