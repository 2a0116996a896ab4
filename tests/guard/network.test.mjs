// The guard on a network of its own, with a cable to the server that is pulled out: packets are lost without a word, nobody is
// told that a connection is gone. Revocations are acknowledged at the server meanwhile.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Api, Guard, pause, startServer, until } from './support/guard.mjs';
import { History, grants } from './support/history.mjs';

const STALENESS = 3000;  // milliseconds; the bound on what a guard may still let through
const BOUND = 1000;  // where nothing is cut

const name = `behalf-${process.pid}`;
const [here, there] = [`bh${process.pid}`, `bg${process.pid}`];  // the ends of the cable; 15 letters at most
const [serverAddress, guardAddress] = ['198.51.100.1', '198.51.100.2'];
const ip = (...words) => execFileSync('ip', words, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
const cannot = (() => {
  if (process.getuid() !== 0) return 'only root can make a network namespace';
  try {
    ip('netns', 'add', name);
    ip('link', 'add', here, 'type', 'veth', 'peer', 'name', there);
    return false;
  } catch (fault) {
    try { ip('netns', 'del', name); } catch { /* there is none */ }
    return `this machine does not let root make a network: ${fault.stderr || fault.message}`;
  }
})();

let server, api, folder;
const at = (file) => join(folder, file);
before(async () => {
  if (cannot) return;
  ip('link', 'set', there, 'netns', name);
  ip('addr', 'add', `${serverAddress}/24`, 'dev', here);
  ip('link', 'set', here, 'up');
  for (const words of [['addr', 'add', `${guardAddress}/24`, 'dev', there], ['link', 'set', there, 'up'], ['link', 'set', 'lo', 'up']]) ip('-n', name, ...words);
  folder = await mkdtemp(join(tmpdir(), 'behalf-network-'));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=server', '-addext', `subjectAltName=IP:${serverAddress}`, '-keyout', at('key'), '-out', at('certificate')], { stdio: 'ignore' });
  // This process, which plays the people, does not look at the certificate; the guard does.
  process.removeAllListeners('warning');
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  server = await startServer({ https: { address: serverAddress, certificate: at('certificate'), key: at('key') } });
  // A Unix socket is in both networks.
  api = await Api.start({ socket: at('api.sock') });
});
after(async () => {
  await api?.stop();
  await server?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
  if (!cannot) {
    ip('link', 'del', here);
    ip('netns', 'del', name);
  }
});

test('the cable to the server pulled: no call is let through later than the bound after its end was acknowledged, and nothing is missed', { skip: cannot }, async (t) => {
  const subjects = await grants(server);
  const guard = await Guard.start(server, { upstream: api.url, network: name, socket: at('guard.sock'), ca: at('certificate'), tables: `[revocation]\nmax_staleness = "${STALENESS / 1000}s"` });
  const history = new History(server);
  t.after(async () => {
    await history.end();
    await guard.stop();
  });
  history.load([guard], subjects);
  const left = subjects.map(({ grant }) => grant);
  const next = () => left.splice(Math.floor(Math.random() * left.length), 1)[0];
  const letThrough = (since) => history.calls.filter(({ begun, status }) => status === 200 && begun >= since);
  const plugged = (state) => ip('link', 'set', here, state);
  await until(() => letThrough(0).length > 100, 'load');

  for (let round = 0; round < 3; ++round) { await history.revoke(next()); await pause(BOUND / 2); }
  await pause(BOUND);
  assert.deepEqual(history.late(BOUND), []);

  // Short enough that what was sent goes out again by itself, and long enough that everything is given up: each time while an
  // answer to the guard's poll is on its way.
  const dark = [];
  for (const [seconds, ends] of [[1, 2], [STALENESS / 1000 + 6, 3], [2, 2], [STALENESS / 1000 + 12, 3]]) {
    plugged('down');
    const cut = Date.now();
    for (let round = 0; round < ends; ++round) await history.revoke(next());
    await pause(Math.max(0, cut + seconds * 1000 - Date.now()));
    const back = Date.now();
    // Nobody is let through on knowledge older than the bound, revoked or not.
    const old = letThrough(cut + STALENESS + 100).filter(({ begun }) => begun < back);
    assert.deepEqual(old, []);
    const isLong = seconds * 1000 > STALENESS + 1000;
    if (isLong) {
      assert.ok(history.calls.some(({ begun, status }) => begun > cut + STALENESS + 200 && status === 503), 'there is load in the dark, and it is refused');
      const ready = await guard.call('/readyz');
      assert.equal(ready.status, 503);
      assert.ok(ready.json.trouble.includes('revocations_stale'), ready.text);
    }
    plugged('up');
    await until(() => letThrough(back + 1).length > 20, 'calls are let through again', 30_000);
    dark.push(Date.now() - back);
    // Once it trusted nothing, it serves again only when it knows everything it had missed.
    if (isLong) assert.deepEqual(letThrough(cut + STALENESS + 100).filter(({ grant }) => history.revoked.has(grant)), []);
  }
  await history.revoke(next());
  await pause(BOUND + 200);
  await history.end();

  assert.deepEqual(history.late(STALENESS), []);
  assert.ok(history.revoked.size >= 14);
  for (const { token, grant } of subjects) assert.equal((await guard.call('/read/week', token)).status, history.revoked.has(grant) ? 401 : 200, grant);
  console.log(`${history.calls.length} calls, ${history.revoked.size} ends; the latest call let through after its end was acknowledged began ${history.slowest()} ms later; back after ${dark.join(', ')} ms`);
  await server.noSecretAnywhere();
});
