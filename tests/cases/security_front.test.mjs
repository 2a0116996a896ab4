// Attacks on the front: authorization requests, redirects, sign-in, consent and the browser (catalogue 2.1, 2.2, 2.4, 2.5).
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Browser, LOOPBACK, R1, R2, REDIRECT, Server, chainOf, claimsOf, deniedRecord, formOf, pageRefused, pkce, redirected, refused } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start({ clock: true, config: '[lifetimes]\nsession = "30d"\nsession_idle = "30d"' }); });
afterEach(async () => assert.equal((await server.flow()).scope, 'r1.read', 'the honest flow still works'));
after(async () => { await server?.end(); });

const open = (request, browser = new Browser(server)) => browser.open(`/authorize?${request instanceof URLSearchParams ? request : new URLSearchParams(server.authorization(request))}`);
const doubled = (name, value) => { const form = new URLSearchParams(server.authorization()); form.append(name, value ?? form.get(name)); return form; };
const formFor = async (request, user = 'u1') => {
  const page = await (await server.browser(user)).begin(server.authorization({ prompt: 'consent', ...request }), user);
  assert.equal(page.status, 200);
  return page;
};

test('1, 2, 31 doubled parameters, and the order of the checks', async () => {
  for (const name of ['client_id', 'redirect_uri']) await pageRefused(server, await open(doubled(name)));
  for (const name of ['scope', 'state', 'response_type', 'requested_actor', 'code_challenge', 'code_challenge_method', 'prompt', 'response_mode']) await redirected(server, await open(doubled(name, 'x')), 'invalid_request');
  const split = await new Browser(server).open(`/authorize?${new URLSearchParams({ scope: 'r1.write', requested_actor: 'a2' })}`, server.authorization());
  await pageRefused(server, split, 400, 'query_parameters');
  await pageRefused(server, await open({ scope: 'nonsense', redirect_uri: 'https://evil.example/cb', response_type: 'token' }));
});

test('5, 6 missing and unknown parameters', async () => {
  for (const name of ['client_id', 'redirect_uri']) for (const value of [null, '']) await pageRefused(server, await open({ [name]: value }));
  for (const value of [null, '']) await redirected(server, await open({ response_type: value }), 'invalid_request');
  const parameters = new URLSearchParams(server.authorization({ foo: 'bar-not-reflected', 'x[]': '1' }));
  await server.code();
  const answer = await open(parameters, await server.browser('u1'));
  assert.ok(answer.query.get('code'));
  assert.ok(!answer.location.includes('bar-not-reflected'));
});

test('8, 9, 12, 19 pushed requests: another client, a reload, a guess, an address elsewhere', async () => {
  const push = async () => (await server.as('ca', '/par', server.authorization())).json.request_uri;
  const uri = await push();
  await pageRefused(server, await open(new URLSearchParams({ client_id: 'cb', request_uri: uri })));
  const browser = new Browser(server);
  for (let reload = 0; reload < 3; ++reload) assert.match((await browser.open(`/authorize?${new URLSearchParams({ client_id: 'ca', request_uri: uri })}`)).location, /^\/login/);
  // The neighbours of one that is there, and values at random.
  const near = Array.from({ length: 1000 }, (_, index) => `${uri.slice(0, -2)}${index.toString(36).padStart(2, '0')}`).filter((guess) => guess !== uri);
  const random = Array.from({ length: process.env.BEHALF_QUICK ? 1000 : 10_000 }, () => `urn:ietf:params:oauth:request_uri:${pkce().verifier}`);
  const guesses = [...near, ...random];
  while (guesses.length > 0) {
    const answers = await Promise.all(guesses.splice(0, 100).map((guess) => server.http(`/authorize?${new URLSearchParams({ client_id: 'ca', request_uri: guess })}`)));
    for (const answer of answers) assert.deepEqual([answer.status, answer.location], [400, null]);
  }
  assert.match((await browser.open(`/authorize?${new URLSearchParams({ client_id: 'ca', request_uri: uri })}`)).location, /^\/login/, 'and the real one still works');
  assert.ok(uri.length - 'urn:ietf:params:oauth:request_uri:'.length >= 43);
  await pageRefused(server, await open(new URLSearchParams({ client_id: 'ca', request_uri: 'http://169.254.169.254/x' })));
});

test('19, 20 request objects are not understood, and not ignored', async () => {
  const answer = await open({ request: server.clientAssertion() });
  if (answer.location?.startsWith(REDIRECT)) await redirected(server, answer, ['request_not_supported', 'invalid_request']);
  else await pageRefused(server, answer);
});

test('26, 27 long and odd values come back byte for byte, or not at all', async () => {
  await server.code();
  const browser = await server.browser('u1');
  for (const state of ['x'.repeat(6000), '"><script>alert(1)</script>', '\u202eevil', 'a+b c%20d', 'ä'.repeat(500)]) assert.equal((await open({ state }, browser)).query.get('state'), state);
  const split = await server.raw({ path: `/authorize?${new URLSearchParams(server.authorization())}&state2=%0d%0aSet-Cookie:%20a=b` });
  assert.equal(split.headers.get('set-cookie')?.includes('a=b') ?? false, false);
  for (const state of ['a\r\nSet-Cookie: x=y', 'a\u0000b']) {
    const answer = await open({ state }, browser);
    if (answer.location?.includes('code=')) assert.equal(answer.query.get('state'), state);
    else assert.equal(answer.status, 400);
  }
});

test('30 resources', async () => {
  const many = new URLSearchParams(server.authorization());
  for (let index = 0; index < 50; ++index) many.append('resource', `https://api.example/x${index}`);
  await redirected(server, await open(many), ['invalid_target', 'invalid_request']);
  assert.match((await open(doubled('resource'))).location, /^\/login/, 'the same twice is the same');
  // Scheme and host have no case (RFC 3986 §6.2.2.1); the path has.
  assert.match((await open({ resource: 'HTTPS://API.example/r1' })).location, /^\/login/);
  await redirected(server, await open({ resource: 'https://api.example/R1' }), 'invalid_target');
});

test('32, 33, 34, 38, 39 redirect addresses that another parser would take for ours', async () => {
  const odd = [`${REDIRECT}/`, `${REDIRECT}/../evil`, `${REDIRECT}/%2f..%2f`, `${REDIRECT};x`, `${REDIRECT}//`, `${REDIRECT}?x=1`, `${REDIRECT}#f`, `${REDIRECT}#`, `${REDIRECT}\\`, `${REDIRECT}%5c`, `${REDIRECT}@evil.example`,
    'https://app.example:443/cb', 'https://APP.EXAMPLE/cb', 'https://app.example./cb', 'https:/app.example/cb', 'https://app.example/c\tb', 'https://app.example/c\nb', 'https://аpp.example/cb', 'https://app.example.evil.example/cb',
    'https://app.example/fixed?a=1&b=2', 'https://app.example/fixed?b=2&a=1', 'https://app.example/fixed?a=1&a=1', 'https://app.example/fixed?a=2', 'https://app.example/fixed?a=%31'];
  for (const uri of odd) {
    await pageRefused(server, await open({ redirect_uri: uri }));
    await refused(server, await server.as('ca', '/par', server.authorization({ redirect_uri: uri })), 400, 'invalid_request');
  }
  for (const uri of odd.slice(0, 6)) await refused(server, await server.redeem(await server.code(), { redirect_uri: uri }), 400, 'invalid_grant');
  const kept = await server.code({ redirect_uri: 'https://app.example/fixed?a=1', prompt: 'consent' });
  assert.match(kept.answer.location, /^https:\/\/app\.example\/fixed\?a=1&code=/);
  for (const uri of ['http://127.0.0.1:1/other', 'http://localhost:1/loop', 'http://127.0.0.1.evil.example:1/loop', 'http://127.1:1/loop', 'http://0x7f.1:1/loop', 'http://[::ffff:127.0.0.1]:1/loop', 'http://0.0.0.0:1/loop', 'http://[::1]:1/loop', 'https://127.0.0.1:1/loop']) {
    await pageRefused(server, await open({ client: 'cp', redirect_uri: uri }));
  }
  assert.match((await open({ client: 'cp', redirect_uri: LOOPBACK.replace('127.0.0.1', '127.0.0.1:65535') })).location, /^\/login/);
});

test('36, 37, 40 redirect addresses that cannot be registered', async () => {
  for (const uri of ['javascript:alert(1)', 'JaVaScRiPt:x', 'data:text/html,x', 'vbscript:x', 'file:///x', 'blob:https://x', 'about:blank', 'http://app.example/cb', ' https://app.example/cb', '\u0001https://x.example/', 'myapp:/cb', 'https://app.example/cb#', 'https://u@app.example/', 'https:///cb']) {
    await assert.rejects(server.changed('client', 'cb', { redirect_uris: [uri] }, () => {}), undefined, uri);
    server.state.client.find(({ id }) => id === 'cb').redirect_uris = [REDIRECT, 'https://app.example/fixed?a=1'];
  }
  await server.apply();
  await server.changed('client', 'cb', { redirect_uris: ['com.example.app:/cb'] }, () => {});
});

test('43, 44, 46, 65 how answers leave', async () => {
  const browser = new Browser(server);
  const asked = await browser.open(`/authorize?${new URLSearchParams(server.authorization({ response_mode: 'form_post', state: '"><script>' }))}`);
  const page = await browser.open(asked.location);
  const signed = await browser.signIn('u1', asked.location);
  assert.equal(signed.status, 303);
  for (const answer of [page, signed]) {
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    if (answer.status === 200) assert.equal(answer.headers.get('referrer-policy'), 'no-referrer');
  }
  const consent = await browser.open(signed.location);
  const done = formOf(consent.text, '/consent') ? await browser.decide(consent) : consent;
  assert.equal(done.status, 200);
  assert.ok(done.text.includes(`action="${REDIRECT}"`) && !done.text.includes('"><script>'));
  assert.match(done.headers.get('content-security-policy'), /form-action 'self' https:\/\/app\.example/);
  const token = await server.redeem(await server.code());
  assert.equal(token.cookies.length, 0);
  assert.equal(token.headers.get('access-control-allow-origin'), null);
});

test('66, 67, 68 forms come from our pages, and belong to one request', async () => {
  const mine = await server.browser('u1');
  const [small, big] = [await formFor({ scope: 'r1.read' }), await formFor({ scope: 'r1.read r1.write', agent: 'a1' })];
  const fields = (page) => Object.fromEntries(formOf(page.text, '/consent').filter(({ type }) => type === 'hidden').map(({ name, value }) => [name, value]));
  const swapped = await mine.open('/consent', { ...fields(big), csrf: fields(small).csrf, decision: 'allow', scope: 'r1.write' });
  await pageRefused(server, swapped, 403);
  const loginPage = await new Browser(server).open('/login');
  const form = Object.fromEntries(formOf(loginPage.text, '/login').map(({ name, value }) => [name, value]));
  for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }]) {
    const browser = new Browser(server);
    await browser.open('/login');
    await pageRefused(server, await browser.open('/login', { ...form, username: 'u2', password: 'correct horse battery' }, headers), 403);
  }
});

test('69, 80, 321 what pages carry, and what they never show', async () => {
  const browser = await server.browser('u1');
  for (const page of [await new Browser(server).open('/login'), await formFor({}), await browser.open('/agents'), await open({ client: 'nobody' }), await new Browser(server).open('/'), await new Browser(server).open('/nothing')]) {
    const policy = page.headers.get('content-security-policy');
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval/);
    assert.equal(page.headers.get('x-frame-options'), 'DENY');
    assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
    assert.doesNotMatch(page.headers.get('server') ?? '', /\d/);
    assert.doesNotMatch(page.text, /SELECT|sqlite|\/tmp\/|\.cc:|0x[0-9a-f]{6}/);
    assert.doesNotMatch(page.text, /<script/);
  }
});

test('80, 81 names that would deceive cannot be registered, or are inert', async () => {
  for (const name of ['a\u202eb', 'a\u200bb', 'a\nb', 'x'.repeat(10_000), '\u2066x', 'a\u0000b']) {
    await assert.rejects(server.changed('agent', 'a6', { name }, () => {}), undefined, JSON.stringify(name));
    server.state.agent.find(({ id }) => id === 'a6').name = 'Agent a6';
  }
  await server.apply();
  await server.changed('agent', 'a6', { name: '{{EVIL}} <img src=x onerror=alert(1)> javascript:alert(1)', description: '</style><script>alert(1)</script>' }, async () => {
    const page = await formFor({ agent: 'a6' });
    assert.ok(page.text.includes('{{EVIL}} &lt;img src=x'));
    assert.doesNotMatch(page.text, /<img src=x|<script/);
  });
});

test('71, 79 a session is new after sign-in, and gone after sign-out', async () => {
  const browser = new Browser(server);
  await browser.signIn('u1');
  const before = browser.copy();
  await browser.signIn('u1');
  assert.ok(!(await before.open('/agents')).text.includes('User u1'), 'the old session is dead');
  const page = await browser.open('/agents');
  const old = browser.copy();
  const form = Object.fromEntries(formOf(page.text, '/sign-out').map(({ name, value }) => [name, value]));
  await pageRefused(server, await browser.open('/sign-out', { ...form, csrf: 'x' }), 403);
  assert.equal((await browser.open('/sign-out', form)).status, 200);
  assert.ok(!(await old.open('/agents')).text.includes('User u1'));
  await pageRefused(server, await old.open('/sign-out', form), 403);
  const fresh = new Browser(server);
  const login = await fresh.signIn('u1');
  for (const line of login.cookies) assert.match(line, /HttpOnly; SameSite=Lax|SameSite=Lax; HttpOnly|HttpOnly.*SameSite=Lax/);
});

test('82, 85 what was not given cannot be had later', async () => {
  const code = await server.code({ agent: 'a4', user: 'u3', scope: 'r1.read', prompt: 'consent' });
  assert.ok(code);
  const partial = await server.redeem(await server.code({ scope: 'r1.read r1.write offline_access', prompt: 'consent', scopes: ['r1.read', 'offline_access'] }));
  const { refresh_token: token, access_token: access } = partial.json;
  await refused(server, await server.refresh('ca', token, 'a1', { scope: 'r1.write' }), 400, 'invalid_scope');
  await refused(server, await server.exchange('ca', access, null, { resource: R1, scope: 'r1.write' }), 400, 'invalid_scope');
  const wider = await (await server.browser('u1')).begin(server.authorization({ scope: 'r1.read r1.write r2.read', resource: R1 }));
  assert.match(wider.at ?? '', /^\/consent/, 'more than was given is a question');
});

test('89 acr is never claimed falsely', async () => {
  const answer = await open({ acr_values: 'urn:example:mfa', prompt: 'consent' }, await server.browser('u1'));
  assert.ok(answer.location.startsWith('/login') || answer.location.startsWith('/consent') || answer.query.get('error') === 'unmet_authentication_requirements');
  assert.equal(claimsOf((await server.flow()).access_token).acr, 'urn:behalf:acr:password');
});

test('92 no cross-origin reading, except of what is public', async () => {
  for (const origin of ['null', 'https://evil.example', 'https://app.example.evil']) {
    for (const path of ['/token', '/introspect', '/revoke', '/par']) {
      const answer = await server.http(path, { method: 'POST', form: { a: 'b' }, headers: { origin } });
      assert.equal(answer.headers.get('access-control-allow-origin'), null);
      assert.equal(answer.headers.get('access-control-allow-credentials'), null);
    }
  }
});

test('94, 95, 97, 98, 99, 104, 105, 107 the agent is named, exact, and still what was shown', async () => {
  for (const agent of ['A1', 'a1\u00a0', 'ａ１', 'a1 ', 'a0', 'a3', 'u1', 'ca', '']) await redirected(server, await open({ agent }), 'invalid_request');
  await redirected(server, await open(doubled('requested_actor')), 'invalid_request');
  await pageRefused(server, await open({ agent: 'a1\u0000' }));
  await refused(server, await server.redeem(await server.code(), { actor_token: undefined }), 400, 'invalid_request', 'actor_token_missing');
  await refused(server, await server.redeem(await server.code(), { actor_token: server.proof('a2') }), 400, 'invalid_grant', 'actor_mismatch');
  await refused(server, await server.redeem(await server.code({ agent: null }), { actor_token: server.proof('a1') }), 400, 'invalid_grant', 'actor_token_without_actor');
  const before = await server.code({ agent: 'a5' });
  await server.changed('agent', 'a5', { jwks: { keys: [server.keys.stranger.jwk] } }, async () => refused(server, await server.redeem(before), 400, 'invalid_grant'));
  const page = await formFor({ agent: 'a5' });
  await server.changed('agent', 'a5', { name: 'Another name altogether' }, async () => {
    const answer = await (await server.browser('u1')).decide(page);
    assert.match(answer.location, /^\/consent/, 'the page is shown again');
    await deniedRecord(server, answer, 'page_out_of_date');
    const again = await (await server.browser('u1')).open(answer.location);
    assert.ok(again.text.includes('Another name altogether'));
  });
  const code = await server.code({ agent: 'a-last' });
  const agent = server.state.agent.find(({ id }) => id === 'a-last');
  await server.apply((state) => { state.agent = state.agent.filter(({ id }) => id !== 'a-last'); }, '--prune');
  await server.apply((state) => { state.agent.push(agent); });
  await refused(server, await server.redeem(code), 400, 'invalid_grant');
});

test('86, 87, 111, 313 in the limits: a person asked fifty times, and a hundred wrong passwords', async () => {
  const limited = await Server.start({ config: '[limits]\nprompts_per_hour = 5\nsign_in_failures = 5\nsign_in_failures_per_minute = 60' });
  try {
    const browser = await limited.browser('u1');
    let last;
    for (let asked = 0; asked < 8; ++asked) {
      last = await browser.begin(limited.authorization({ agent: 'a2' }));
      if (last.status !== 200) break;
      last = await browser.decide(last, { decision: 'deny' });
    }
    await redirected(limited, last, 'access_denied', 'limit_prompts');
    assert.equal((await browser.begin(limited.authorization({ agent: 'a4' }))).status, 200, 'another agent may ask');
    const answers = [];
    for (let tries = 0; tries < 8; ++tries) answers.push((await new Browser(limited).signIn('u2', '/login', 'wrong')).status);
    assert.deepEqual(answers.slice(0, 5), [401, 401, 401, 401, 401]);
    assert.ok(answers.includes(429), `${answers}`);
    const right = await new Browser(limited).signIn('u2');
    assert.equal(right.status, 429);
    assert.ok(Number(right.headers.get('retry-after')) >= 1);
    assert.equal((await new Browser(limited).signIn('u3')).status, 303);
  } finally { await limited.end(); }
});

test('chains of the front stay what they are', async () => {
  assert.deepEqual(chainOf((await server.flow({ agent: 'a2' })).access_token), ['a2']);
  assert.equal(claimsOf((await server.flow({ resource: R2, scope: 'r2.read' })).access_token).aud, R2);
});
