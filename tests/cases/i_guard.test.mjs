// I: a resource that looks for the agent, where its policy decides more than the demo's does: the real guard before a plain API,
// against the real server. Both take their wall clock from the same file.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Browser, R1, REDIRECT, claimsOf, pkce } from './support/cast.mjs';
import { Api, Guard, METADATA, startServer, until } from '../guard/support/guard.mjs';

const POLICY = `
[[rule]]
name = "not-a1"
effect = "deny"
paths = ["/inner/**"]
actors = ["a1"]

[[rule]]
name = "inner"
effect = "allow"
methods = ["GET"]
paths = ["/inner/**"]
scopes = ["r1.read"]

[[rule]]
name = "not-this-pair"
effect = "deny"
paths = ["/pair/**"]
persons = ["u1"]
actors = ["a2"]

[[rule]]
name = "pair"
effect = "allow"
methods = ["GET"]
paths = ["/pair/**"]
scopes = ["r1.read"]

[[rule]]
name = "strong"
effect = "allow"
methods = ["GET"]
paths = ["/strong"]
acr = ["urn:example:strong", "urn:example:stronger"]
max_age = "5m"

[[rule]]
name = "recent"
effect = "allow"
methods = ["GET"]
paths = ["/recent"]
acr = ["urn:behalf:acr:password"]
max_age = "5m"

[[rule]]
name = "write"
effect = "allow"
methods = ["POST"]
paths = ["/write"]
scopes = ["r1.read"]
`;

let server, api, guard;
before(async () => {
  server = await startServer({ clock: true, config: '[lifetimes]\nsession = "30d"\nsession_idle = "30d"' });
  api = await Api.start();
  guard = await Guard.start(server, { upstream: api.url, policy: POLICY });
});
afterEach(async () => {
  const answer = await guard.call('/inner/x', (await server.flow({ agent: 'a2' })).access_token);
  assert.equal(answer.status, 200, `the honest call still works: ${answer.text}`);
});
after(async () => {
  try { await guard?.stop(); } finally {
    await api?.stop();
    await server?.end();
  }
});

const tokenFor = async (request = {}) => (await server.flow(request)).access_token;
// Refused with exactly that, the API has seen nothing, and the record says why.
async function refused(path, token, status, error, { on = guard, ...options } = {}) {
  const seen = api.requests.length;
  const answer = await on.call(path, token, options);
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.json.error, error);
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.equal(api.requests.length, seen, 'the API saw no request');
  const record = await on.last();
  assert.equal(record.verdict, 'denied', JSON.stringify(record));
  assert.ok(record.reason, JSON.stringify(record));
  assert.ok(!token || !JSON.stringify(record).includes(token.slice(-24)) && !on.said.includes(token.slice(-24)), 'no token is written down');
  return { answer, record };
}

test('I-10 an inner agent that may not come itself does not decide, and is noted', async () => {
  const first = await tokenFor();
  const { record } = await refused('/inner/x', first, 403, 'actor_unauthorized');
  assert.equal(record.rule, 'not-a1');
  const nested = await server.exchange('r1-server', first, 'a2', { resource: R1, scope: 'r1.read' });
  assert.equal(nested.status, 200, nested.text);
  const answer = await guard.call('/inner/x', nested.json.access_token);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.headers['behalf-actor'], 'a2');
  const noted = await guard.last();
  assert.deepEqual([noted.verdict, noted.chain, noted.forbidden_members], ['allowed', ['a2', 'a1'], ['a1']]);
});

test('I-11 this person, and this agent, and not the two together', async () => {
  const { answer, record } = await refused('/pair/x', await tokenFor({ agent: 'a2' }), 403, 'actor_unauthorized');
  assert.match(answer.challenge, /error="actor_unauthorized"/);
  assert.deepEqual([record.rule, record.person, record.chain], ['not-this-pair', 'u1', ['a2']]);
  for (const request of [{ agent: 'a1' }, { agent: 'a2', user: 'u2' }]) assert.equal((await guard.call('/pair/x', await tokenFor(request))).status, 200, JSON.stringify(request));
});

test('I-14 a sign-in that is too weak or too old: which one is needed, and with it the call succeeds', async () => {
  const { answer } = await refused('/strong', await tokenFor(), 401, 'insufficient_user_authentication');
  assert.match(answer.challenge, /error="insufficient_user_authentication"/);
  assert.match(answer.challenge, /acr_values="urn:example:strong urn:example:stronger"/);
  assert.ok(answer.challenge.includes(`resource_metadata="${METADATA}"`), answer.challenge);

  const browser = new Browser(server);
  await browser.signIn('u1');
  // Signed in as this browser is; the honest client puts what the challenge says into its next request.
  const flow = async (more = {}) => {
    const { verifier, challenge } = pkce();
    server.secret(verifier);
    let page = await browser.begin(server.authorization({ challenge, ...more }));
    if (page.status === 200) page = await browser.decide(page);
    const redeemed = await server.redeem({ code: page.query.get('code'), verifier, redirect: REDIRECT, client: 'ca', agent: 'a1' });
    return redeemed.json.access_token;
  };
  assert.equal((await guard.call('/recent', await flow())).status, 200);
  await server.advance(400);
  const old = await flow();
  assert.ok(server.now - claimsOf(old).auth_time >= 400, 'the session is as old as that');
  const late = (await refused('/recent', old, 401, 'insufficient_user_authentication')).answer;
  const [, wanted] = late.challenge.match(/max_age="?(\d+)"?/);
  assert.equal(wanted, '300');
  assert.equal((await guard.call('/recent', await flow({ max_age: wanted }))).status, 200, 'signed in anew');
});

test('I-15 two tokens, in the header and in the form', async () => {
  const token = await tokenFor();
  const form = { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' } };
  await refused('/write', token, 400, 'invalid_request', { ...form, body: `access_token=${token}` });
  assert.equal((await guard.call('/write', token, { ...form, body: 'a=b' })).status, 200);
});

test('I-17 a guard that cannot have the keys lets nobody through, and serves when it has them', async () => {
  const token = await tokenFor({ agent: 'a2' });
  server.child.kill('SIGKILL');
  await server.ended;
  const fresh = await Guard.start(server, { upstream: api.url, policy: POLICY, wait: false });
  try {
    const { record } = await refused('/inner/x', token, 503, 'temporarily_unavailable', { on: fresh });
    assert.equal(record.reason, 'keys_unavailable');
    assert.ok((await fresh.call('/readyz')).json.trouble.includes('keys_missing'));
    await server.spawn();
    await until(async () => (await fresh.call('/inner/x', token)).status === 200, 'it serves once the server is there', 30_000);
  } finally { await fresh.stop(); }
  // The one that was there before hears of the server again, too.
  await until(async () => (await guard.call('/readyz')).status === 200, 'the other is ready', 30_000);
});
