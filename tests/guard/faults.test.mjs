// Revocation under load while parts are killed, paused and restarted. Every call and every acknowledged revocation goes
// into a history; at the end it is checked, offline, that no call was let through later than the bound after the
// revocation of what it rested on had been acknowledged.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Api, Guard, pause, startServer, until } from './support/guard.mjs';
import { History, grants } from './support/history.mjs';

const BOUND = 1000;  // milliseconds from the acknowledgement to the last call that may begin and be let through
const STALENESS = 3000;  // of these guards; they are built to fail closed after it

let server, api;
before(async () => {
  server = await startServer();
  api = await Api.start();
});
after(async () => {
  server?.child.kill('SIGCONT');
  await api?.stop();
  await server?.stop();
});

test('no call is let through later than the bound after its end was acknowledged, whatever is killed or paused', async () => {
  const subjects = await grants(server);
  const options = { upstream: api.url, tables: `[revocation]\nmax_staleness = "${STALENESS / 1000}s"` };
  const guards = [await Guard.start(server, options), await Guard.start(server, options)];
  const history = new History(server);
  history.load(guards, subjects);
  const left = subjects.map(({ grant }) => grant);
  const next = () => left.splice(Math.floor(Math.random() * left.length), 1)[0];
  await until(() => history.calls.length > 100, 'load');

  for (let round = 0; round < 4; ++round) { await history.revoke(next()); await pause(50); }

  // A guard is killed while things end, and knows them all when it is back.
  guards[0].child.kill('SIGKILL');
  await guards[0].ended;
  for (let round = 0; round < 3; ++round) await history.revoke(next());
  await guards[0].spawn();
  await pause(BOUND + 200);

  // A guard is paused: what it lets through when it goes on was asked of it before.
  guards[1].child.kill('SIGSTOP');
  for (let round = 0; round < 2; ++round) await history.revoke(next());
  await pause(600);
  guards[1].child.kill('SIGCONT');
  await pause(BOUND + 200);

  // The server is killed: its ends outlive it.
  for (let round = 0; round < 2; ++round) await history.revoke(next());
  await server.restart('SIGKILL');
  for (let round = 0; round < 2; ++round) await history.revoke(next());
  await pause(BOUND + 200);

  // The feed falls silent: the guards serve on for as long as they may, then nobody.
  server.child.kill('SIGSTOP');
  const silent = Date.now();
  await pause(STALENESS + 6500);
  const dark = history.calls.length;
  await pause(500);
  const afterwards = history.calls.slice(dark);
  assert.ok(afterwards.length > 0 && afterwards.every(({ status }) => status !== 200), 'a guard that knows nothing new lets nobody through');
  const last = Math.max(...history.calls.filter(({ status }) => status === 200).map(({ begun }) => begun));
  assert.ok(last - silent < STALENESS + 6000, `${last - silent} ms`);
  const ready = await guards[0].call('/readyz');
  assert.equal(ready.status, 503);
  assert.ok(ready.json.trouble.includes('revocations_stale'), ready.text);
  const stale = await guards[0].call('/read/week', subjects.find(({ grant }) => left.includes(grant)).token);
  assert.equal(stale.status, 503);

  // It is back: they miss nothing and serve again.
  server.child.kill('SIGCONT');
  await history.revoke(next());
  await until(() => history.calls.slice(-20).some(({ status }) => status === 200), 'calls are let through again', 20_000);
  await pause(BOUND + 500);
  await history.end();

  assert.deepEqual(history.late(BOUND), []);
  assert.ok(history.calls.filter(({ status }) => status === 200).length > 200);
  assert.ok(history.revoked.size >= 14);
  for (const { token, grant } of subjects) {
    const expected = history.revoked.has(grant) ? 401 : 200;
    for (const guard of guards) assert.equal((await guard.call('/read/week', token)).status, expected, grant);
  }
  console.log(`${history.calls.length} calls, ${history.revoked.size} ends; the latest call let through after its end was acknowledged began ${history.slowest()} ms later`);
  for (const guard of guards) await guard.stop();
});

test('a guard that has never heard from its server lets nobody through', async () => {
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  server.child.kill('SIGSTOP');
  const guard = await Guard.start(server, { upstream: api.url, wait: false });
  const seen = api.requests.length;
  const answer = await guard.call('/read/week', token);
  assert.equal(answer.status, 503);
  assert.equal((await guard.call('/health')).status, 200, 'what is public is public');
  assert.equal(api.requests.length, seen + 1);
  assert.equal((await guard.call('/livez')).status, 200);
  const ready = await guard.call('/readyz');
  assert.equal(ready.status, 503);
  assert.ok(ready.json.trouble.includes('keys_missing'), ready.text);
  server.child.kill('SIGCONT');
  await until(async () => (await guard.call('/read/week', token)).status === 200, 'it serves when the server is there', 20_000);
  await guard.stop();
});

test('security 271 when_stale = "serve" goes on, and says so', async () => {
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  const guard = await Guard.start(server, { upstream: api.url, tables: '[revocation]\nmax_staleness = "1s"\nwhen_stale = "serve"' });
  server.child.kill('SIGSTOP');
  await until(async () => (await guard.call('/readyz')).json.trouble.includes('revocations_stale'), 'it is told', 20_000);
  assert.equal((await guard.call('/readyz')).status, 200);
  assert.equal((await guard.call('/read/week', token)).status, 200);
  await until(async () => (await guard.call('/readyz')).json.feed, 'why the feed is silent is told', 60_000);
  await until(() => /the feed of revocations: ./.test(guard.said), 'and logged', 5_000);
  server.child.kill('SIGCONT');
  await until(() => guard.said.includes('the feed of revocations answers again'), 'and so is its return', 60_000);
  await guard.stop();
});
