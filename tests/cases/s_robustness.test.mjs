// S: whatever comes in, a bounded answer.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, describe, test } from 'node:test';
import { Browser, R1, Server, claimsOf, pageRefused, refused, signJwt } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start({ clock: true }); });
afterEach(async () => assert.equal((await server.flow()).scope, 'r1.read', 'the honest flow still works'));
after(async () => { await server?.end(); });
const resident = async () => Number((await readFile(`/proc/${server.child.pid}/status`, 'utf8')).match(/VmRSS:\s+(\d+)/)[1]) / 1024;

test('S-01 a megabyte, or ten thousand parameters', async () => {
  const long = 'x'.repeat(1_000_000);
  for (const path of ['/token', '/par', '/introspect', '/revoke', '/authorize', '/login', '/consent']) {
    const answer = await server.http(path, { method: 'POST', form: { a: long } }).catch(() => ({ status: 413 }));
    assert.ok(answer.status >= 400 && answer.status < 500, `${path} ${answer.status}`);
  }
  assert.ok([400, 414, 431].includes((await server.raw({ path: `/authorize?a=${'x'.repeat(100_000)}` }).catch(() => ({ status: 414 }))).status));
  const many = Array.from({ length: 10_000 }, (_, index) => `p${index}=1`).join('&');
  const answer = await server.http('/token', { method: 'POST', body: many, headers: { ...server.basic('ca'), 'content-type': 'application/x-www-form-urlencoded' } });
  assert.ok([400, 413].includes(answer.status));
});

test('S-02 act nested a thousand deep', async () => {
  let act = { sub: 'a1' };
  for (let depth = 0; depth < 1000; ++depth) act = { sub: `a${depth}`, act };
  const claims = { iss: server.issuer, sub: 'u1', aud: R1, client_id: 'ca', iat: server.now, exp: server.now + 60, jti: randomUUID(), act };
  const began = performance.now();
  for (const key of [server.keys.a1, server.keys.stranger]) await refused(server, await server.exchange('ca', signJwt(key, claims, { typ: 'at+jwt' }), 'a2', { resource: R1 }), 400, 'invalid_request');
  await refused(server, await server.redeem(await server.code(), { actor_token: server.proof('a1', { act }) }), 400, 'invalid_grant');
  assert.ok(performance.now() - began < 3000);
});

test('S-04 percent signs and NUL', async () => {
  const bodies = ['grant_type=%', 'grant_type=%4', 'grant_type=%zz', 'grant_type=client_credentials%00', 'scope=%c0%af&grant_type=client_credentials', 'grant_type=client_credentials&scope=r1.read%00', 'grant_type=client_credentials\0', '%00=1&grant_type=client_credentials'];
  for (const body of bodies) {
    const answer = await server.http('/token', { method: 'POST', body, headers: { ...server.basic('ca'), 'content-type': 'application/x-www-form-urlencoded' } });
    assert.equal(answer.status, 400, body);
    assert.ok(['invalid_request', 'unsupported_grant_type'].includes(answer.json.error), `${body}: ${answer.text}`);
  }
  for (const query of ['client_id=%', 'client_id=ca%00', 'state=%c0%af', 'scope=%ff']) {
    const answer = await new Browser(server).open(`/authorize?${query}`);
    assert.equal(answer.status, 400, query);
    assert.equal(answer.location, null);
  }
});

test('S-05 ten thousand pushed requests: memory stays, and they expire', async () => {
  const form = new URLSearchParams(server.authorization());
  await server.as('ca', '/par', form);
  const before = await resident();
  let last;
  for (let done = 0; done < 10_000; done += 100) {
    const answers = await Promise.all(Array.from({ length: 100 }, () => server.http('/par', { method: 'POST', form, headers: server.basic('ca') })));
    for (const { status } of answers) assert.equal(status, 201);
    last = answers[0].json.request_uri;
  }
  assert.ok(await resident() - before < 150, `${before} MB, then ${await resident()} MB`);
  await server.advance(91);
  await pageRefused(server, await new Browser(server).open(`/authorize?${new URLSearchParams({ client_id: 'ca', request_uri: last })}`), 400, 'request_uri_expired');
});

test('S-08 killed between spending the code and answering: not good again', async () => {
  for (let round = 0; round < 5; ++round) {
    const codes = await Promise.all(Array.from({ length: 20 }, () => server.code()));
    const flights = codes.map((code) => server.redeem(code).then((answer) => ({ code, answer }), () => ({ code })));
    setTimeout(() => server.child.kill('SIGKILL'), round * 2);
    const done = await Promise.all(flights);
    await server.ended;
    await server.spawn();
    for (const { code, answer } of done) {
      if (answer?.status === 200) {
        assert.equal(await server.isActive('r1-server', answer.json.access_token), true, 'what was acknowledged is there');
        await refused(server, await server.redeem(code), 400, 'invalid_grant');
      } else {
        const [one, two] = [await server.redeem(code), await server.redeem(code)];
        assert.equal(two.status, 400, `${one.status} and ${two.status}`);
      }
    }
  }
});

test('S-09 sixty seconds of clock difference, not sixty-one', async () => {
  const { now } = server;
  const redeem = async (claims) => server.redeem(await server.code(), { actor_token: server.proof('a1', claims) });
  assert.equal((await redeem({ iat: now - 200, exp: now - 57 })).status, 200);
  await refused(server, await redeem({ iat: now - 200, exp: server.now - 61 }), 400, 'invalid_grant');
  assert.equal((await redeem({ iat: server.now + 57, exp: server.now + 120 })).status, 200);
  await refused(server, await redeem({ iat: server.now + 63, exp: server.now + 120 }), 400, 'invalid_grant');
  assert.equal((await redeem({ nbf: server.now + 57 })).status, 200);
  await refused(server, await redeem({ nbf: server.now + 63 }), 400, 'invalid_grant');
});

describe('limits', () => {
  let limited;
  before(async () => { limited = await Server.start({ config: '[limits]\nfailures = 20\nfailures_per_minute = 60' }); });
  after(async () => { await limited?.end(); });
  test('S-10 failed redemptions: 429 with Retry-After, for that client alone, and forgiven', async () => {
    let answer;
    for (let failed = 0; failed < 40; ++failed) {
      answer = await limited.token('ca', { grant_type: 'authorization_code', code: 'x', code_verifier: 'x'.repeat(43), redirect_uri: 'https://app.example/cb' });
      if (answer.status === 429) break;
      assert.equal(answer.status, 400);
    }
    await refused(limited, answer, 429, 'temporarily_unavailable', 'limit_failures');
    assert.ok(Number(answer.headers.get('retry-after')) >= 1);
    assert.equal((await limited.flow({ client: 'cb' })).scope, 'r1.read');
    const stranger = await limited.http('/token', { method: 'POST', form: { grant_type: 'client_credentials' }, headers: limited.basic('cb', 'wrong') });
    assert.equal(stranger.status, 401);
    await new Promise((resolve) => { setTimeout(resolve, 1000 * Number(answer.headers.get('retry-after')) + 200); });
    assert.equal((await limited.flow()).scope, 'r1.read');
  });
});
