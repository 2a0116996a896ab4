// R: clients and servers mixed up.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { M1, R1, R2, Server, claimsOf, refused } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start(); });
after(async () => { await server?.end(); });

test('R-01 every response says who answers, errors too', async () => {
  const other = await Server.start();
  try {
    const [one, two] = [await server.code(), await other.code()];
    assert.equal(one.answer.query.get('iss'), server.issuer);
    assert.equal(two.answer.query.get('iss'), other.issuer);
    assert.notEqual(server.issuer, other.issuer);
    await refused(server, await server.redeem({ ...two, client: 'ca' }), 400, 'invalid_grant');
    await refused(server, await server.redeem(await server.code(), { actor_token: other.proof('a1') }), 400, 'invalid_grant');
    const foreign = (await other.flow()).access_token;
    assert.equal(await server.isActive('r1-server', foreign), false);
    await refused(server, await server.exchange('ca', foreign, null, { resource: R1 }), 400, 'invalid_request');
  } finally { await other.stop(); }
});

test('R-03 another client does not have this one\'s consent', async () => {
  await server.code();
  const page = await (await server.browser('u1')).begin(server.authorization({ client: 'cb' }));
  assert.equal(page.status, 200);
  assert.ok(page.text.includes('Client cb') && !page.text.includes('Client ca'));
});

test('R-04 a foreign agent named by somebody else\'s client', async () => {
  const code = await server.code({ client: 'cb', agent: 'a1' });
  await refused(server, await server.redeem(code, { actor_token: server.proof('a2') }), 400, 'invalid_grant', 'actor_mismatch');
});

test('R-05 a proof made for another client', async () => {
  await refused(server, await server.redeem(await server.code({ client: 'cb' }), { actor_token: server.proof('a1', { client_id: 'ca' }) }), 400, 'invalid_grant');
});

test('R-07 a resource does not play what it was given elsewhere', async () => {
  const token = (await server.flow()).access_token;
  await refused(server, await server.exchange('r2-server', token, 'a2', { resource: R2 }), 400, 'invalid_request');
  await refused(server, await server.exchange('r1-server', token, null, { resource: R2, scope: 'r2.read' }), 400, ['invalid_scope', 'invalid_target', 'invalid_request']);
});

test('R-08 an exchange keeps the person of the token', async () => {
  for (const user of ['u1', 'u2']) {
    const own = (await server.flow({ user, scope: 'm1.use r2.read', resource: M1 })).access_token;
    const answer = await server.exchange('m1', own, 'a2', { resource: R2, scope: 'r2.read', subject: 'u9', sub: 'u9' });
    assert.equal(claimsOf(answer.json.access_token).sub, user);
  }
});

test('R-09 an old request from the history', async () => {
  const browser = (await server.browser('u1')).copy();
  const parameters = server.authorization({ agent: 'a4' });
  const page = await browser.begin(parameters);
  const done = await browser.decide(page);
  assert.ok(done.query.get('code'));
  const replayed = await browser.open(page.at);
  assert.notEqual(replayed.status, 303);
  assert.equal(replayed.status, 400, 'the request has ended');
  const { Browser } = await import('./support/cast.mjs');
  assert.match((await new Browser(server).open(`/authorize?${new URLSearchParams(parameters)}`)).location, /^\/login/);
});
