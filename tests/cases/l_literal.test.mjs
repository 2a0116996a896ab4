// L: what the draft -02 says to the letter.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { JWT, REDIRECT, Server, claimsOf, pkce } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start(); });
after(async () => { await server?.end(); });

test('L-01, L-02 a client of -02 alone: its request, its redemption, its claims', async () => {
  const { verifier, challenge } = pkce();
  const browser = await server.browser('u1');
  const page = await browser.begin({ response_type: 'code', client_id: 'ca', redirect_uri: REDIRECT, scope: 'r1.write', state: 's', code_challenge: challenge, code_challenge_method: 'S256', requested_actor: 'a1' });
  assert.equal(page.status, 200, `${page.location} ${page.text.slice(0, 100)}`);
  const answer = await browser.decide(page);
  const token = await server.token('ca', { grant_type: 'authorization_code', code: answer.query.get('code'), redirect_uri: REDIRECT, code_verifier: verifier, actor_token: server.proof('a1') });
  assert.equal(token.status, 200, token.text);
  const claims = claimsOf(token.json.access_token);
  for (const name of ['iss', 'aud', 'sub', 'azp', 'scope', 'exp', 'iat', 'jti']) assert.ok(claims[name], name);
  assert.equal(claims.act.sub, 'a1');
});

test('L-03 refused redemptions are 400 and JSON with error', async () => {
  const changes = [{ actor_token: undefined }, { actor_token: server.proof('a2') }, { code_verifier: 'x'.repeat(43) }, { redirect_uri: 'https://other.example' }, { code: 'x' }];
  for (const change of changes) {
    const answer = await server.redeem(await server.code(), change);
    assert.equal(answer.status, 400);
    assert.equal(answer.headers.get('content-type'), 'application/json');
    assert.equal(typeof answer.json.error, 'string');
  }
});

test('L-06 a client of the successor, with actor_token_type', async () => {
  assert.equal((await server.redeem(await server.code(), { actor_token: server.proof('a1'), actor_token_type: JWT })).status, 200);
});
