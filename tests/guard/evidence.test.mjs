// Every decision is a record, and no record is lost: the server away, the guard killed, the disk's share used up.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { after, afterEach, before, test } from 'node:test';
import { claimsOf } from '../cases/support/cast.mjs';
import { Api, Guard, R1, call, pause, startServer, until } from './support/guard.mjs';

let server, api;
before(async () => {
  server = await startServer();
  api = await Api.start();
});
afterEach(() => server.child.kill('SIGCONT'));
after(async () => {
  await api?.stop();
  await server?.stop();
});
const withTrace = (trace) => ({ headers: { traceparent: `00-${trace}-00f067aa0ba902b7-01` } });
const newTrace = () => randomBytes(16).toString('hex');
const logged = async (...filters) => (await server.audit(10000, '--event', 'resource.access', ...filters));

test('what an agent did stands in the server\'s log, filed under the consent it rests on', async () => {
  const guard = await Guard.start(server, { upstream: api.url, tables: '[evidence]\nsend = true\nfile = "evidence.jsonl"' });
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  const grant = claimsOf(token).grant_id;
  assert.equal((await guard.call('/read/week', token)).status, 200);
  assert.equal((await guard.call('/write/x', token, { method: 'POST', body: 'x' })).status, 403);
  assert.equal((await guard.call('/read/week')).status, 401);
  const records = await until(async () => { const found = await logged('--grant', grant); return found.length >= 2 && found; }, 'both records of the grant');
  assert.equal(records.length, 2);
  const text = JSON.stringify(records);
  assert.ok(text.includes('"a1"') && text.includes('"u1"') && text.includes('insufficient_scope'), text);
  assert.ok(!text.includes('"disputed":true'), text);
  assert.ok(!text.includes(token.slice(-24)));
  await until(async () => (await (await fetch(`${guard.url}/readyz`)).json()).evidence_waiting === 0, 'nothing waits');
  await guard.stop();
});

test('the server away and the guard killed in between: each answered call is in the log once', async () => {
  const guard = await Guard.start(server, { upstream: api.url, tables: '[evidence]\nsend = true\n[revocation]\nmax_staleness = "10m"' });
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  const answered = new Set();
  let stop = false;
  const load = async () => {
    while (!stop) {
      const trace = newTrace();
      const answer = await guard.call('/read/week', token, withTrace(trace)).catch(() => undefined);
      if (answer?.status === 200) answered.add(trace);
      else await pause(5);
    }
  };
  const loads = [load(), load(), load()];
  await until(() => answered.size > 50, 'calls');
  server.child.kill('SIGSTOP');  // the server hangs: nothing is taken any more
  const hung = answered.size;
  await until(() => answered.size > hung + 100, 'calls go on without the server');
  guard.child.kill('SIGKILL');
  await guard.ended;
  const killed = answered.size;
  assert.ok((await readdir(guard.at('evidence'))).some((name) => name.endsWith('.jsonl')));
  server.child.kill('SIGCONT');
  await guard.spawn();
  await until(() => answered.size > killed + 50, 'calls after the restart');
  stop = true;
  await Promise.all(loads);
  await until(async () => (await (await fetch(`${guard.url}/readyz`)).json()).evidence_waiting === 0, 'all is sent', 30_000);
  const found = new Map();
  for (const record of await logged('--grant', claimsOf(token).grant_id)) {
    const trace = record.trace ?? record.detail?.trace ?? JSON.stringify(record).match(/"trace":"([0-9a-f]{32})"/)?.[1];
    if (trace) found.set(trace, (found.get(trace) ?? 0) + 1);  // the test before this one had no traces
  }
  const missing = [...answered].filter((trace) => !found.has(trace));
  assert.deepEqual(missing, [], `${missing.length} of ${answered.size} answered calls are not in the log`);
  assert.deepEqual([...found].filter(([, count]) => count !== 1), [], 'and none twice');
  await guard.stop();
});

test('with no room left the answer is no, or the record is counted, as the operator chose', async () => {
  const away = { ...server, issuer: server.issuer, secrets: server.secrets };
  for (const policy of ['deny', 'drop']) {
    const guard = await Guard.start(away, { upstream: api.url, tables: `[evidence]\nsend = true\nmax_spool_mb = 1\nwhen_full = "${policy}"\n[revocation]\nmax_staleness = "10m"` });
    const { access_token: token } = await server.flow({ scope: 'r1.read' });
    assert.equal((await guard.call('/read/week', token)).status, 200);
    server.child.kill('SIGSTOP');
    const path = `/read/${'x'.repeat(900)}`;
    let refused = 0, calls = 0;
    while (refused === 0 && calls < 2500) {
      const answers = await Promise.all(Array.from({ length: 8 }, () => guard.call(path, token)));
      calls += answers.length;
      refused += answers.filter(({ status }) => status === 503).length;
      if (policy === 'drop' && calls % 200 === 0 && (await (await fetch(`${guard.url}/readyz`)).json()).evidence_dropped > 0) break;
    }
    const state = await (await fetch(`${guard.url}/readyz`)).json();
    if (policy === 'deny') {
      const seen = api.requests.length;
      const answer = await guard.call(path, token);
      assert.equal(answer.status, 503, `after ${calls} calls: ${answer.text}`);
      assert.equal(api.requests.length, seen);
      assert.ok(state.trouble.includes('evidence_full') && !state.ready, JSON.stringify(state));
    } else {
      assert.equal(refused, 0);
      assert.ok(state.evidence_dropped > 0, `after ${calls} calls: ${JSON.stringify(state)}`);
    }
    server.child.kill('SIGCONT');
    await until(async () => (await guard.call('/read/week', token)).status === 200, 'it goes on when the server is back', 30_000);
    await guard.stop();
  }
});

test('the guard stops at once also where the server hangs', async () => {
  const guard = await Guard.start(server, { upstream: api.url, tables: '[evidence]\nsend = true' });
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  server.child.kill('SIGSTOP');
  assert.equal((await guard.call('/read/week', token)).status, 200);
  await pause(400);
  const begun = Date.now();
  await guard.stop();
  assert.ok(Date.now() - begun < 5000, `${Date.now() - begun} ms`);
  server.child.kill('SIGCONT');
});

test('OCSF, and a record that is durable before its answer', async () => {
  const guard = await Guard.start(server, { upstream: api.url, tables: '[evidence]\nfile = "evidence.jsonl"\nformat = "ocsf"\nfsync = "answer"' });
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  const trace = newTrace();
  await Promise.all(Array.from({ length: 20 }, () => guard.call('/read/week', token, withTrace(trace))));
  await guard.call('/read/week');
  const events = await guard.records();
  assert.equal(events.length, 21);
  const [event] = events;
  assert.deepEqual([event.class_uid, event.category_uid, event.type_uid, event.activity_id, event.status_id], [6003, 6, 600302, 2, 1]);
  assert.equal(event.metadata.correlation_uid, trace);
  assert.equal(event.actor.user.uid, 'u1');
  assert.deepEqual(event.unmapped.delegation_chain, ['a1']);
  assert.equal(event.resources[0].uid, R1);
  assert.deepEqual([events.at(-1).status_id, events.at(-1).status_detail], [2, 'token_missing']);
  await guard.stop();
});

test('shadow: what would be denied goes through, and is told', async () => {
  const guard = await Guard.start(server, { upstream: api.url, top: 'shadow = true' });
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  const answer = await guard.call('/write/x', token, { method: 'POST', body: 'x', headers: { 'behalf-subject': 'root' } });
  assert.equal(answer.status, 200);
  assert.equal(answer.json.headers['behalf-subject'], 'u1');
  const nobody = await guard.call('/read/x', 'forged', { headers: { 'behalf-subject': 'root' } });
  assert.equal(nobody.status, 200);
  assert.equal(nobody.json.headers['behalf-subject'], undefined, 'nobody is vouched for');
  const [one, two] = await guard.records();
  assert.deepEqual([one.verdict, one.reason, one.shadow, two.verdict, two.shadow], ['denied', 'insufficient_scope', true, 'denied', true]);
  await guard.stop();
});

test('one signed header, which the API can check with the guard\'s own key', async () => {
  const guard = await Guard.start(server, { upstream: api.url, tables: '[identity]\nstyle = "signed"\nkey_file = "guard.key"' });
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  const { headers } = (await guard.call('/read/x', token, { headers: { 'behalf-identity': 'forged', 'behalf-subject': 'root' } })).json;
  assert.equal(headers['behalf-subject'], undefined);
  const { createPublicKey, verify } = await import('node:crypto');
  const { keys: [jwk] } = await (await fetch(`${guard.url}/.well-known/behalf-guard-jwks.json`)).json();
  const [head, body, signature] = headers['behalf-identity'].split('.');
  assert.ok(verify('sha256', Buffer.from(`${head}.${body}`), { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url')));
  const claims = claimsOf(headers['behalf-identity']);
  assert.deepEqual([claims.sub, claims.client_id, claims.act.sub, claims.aud, claims.grant_id], ['u1', 'ca', 'a1', R1, claimsOf(token).grant_id]);
  assert.equal(jwk.d, undefined);
  await guard.stop();
});

test('the decision port in Envoy\'s and in Traefik\'s words', async () => {
  const { CREDENTIAL } = await import('./support/guard.mjs');
  const { access_token: token } = await server.flow({ scope: 'r1.read' });
  const proof = { 'behalf-guard-credential': CREDENTIAL };
  const envoy = await Guard.start(server, { dialect: 'envoy' });
  const yes = await call(envoy.port, '/decide/read/week?n=1', token, { headers: proof });
  assert.deepEqual([yes.status, yes.headers['behalf-actor']], [200, 'a1']);
  assert.equal((await call(envoy.port, '/decide/write/x', token, { method: 'POST', headers: { ...proof, 'x-original-method': 'GET', 'x-original-uri': '/health', 'x-http-method-override': 'GET' } })).status, 403);
  const twice = await call(envoy.port, '/decide/read/week?access_token=x', token, { headers: proof });
  assert.equal(twice.status, 400, 'Envoy passes every status on');
  const rpc = (tool, more = {}) => call(envoy.port, '/decide/mcp', token, { method: 'POST', headers: { ...proof, 'content-type': 'application/json', ...more }, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: tool } }) });
  assert.equal((await rpc('search')).status, 200);
  assert.equal((await rpc('send')).status, 403);
  assert.equal((await rpc('search', { 'x-envoy-auth-partial-body': 'true' })).status, 403, 'half a body is none');
  assert.equal((await call(envoy.port, '/decide/read/week', token)).status, 403, 'without the secret');
  await envoy.stop();
  const forward = await Guard.start(server, { dialect: 'forward' });
  const said = (uri, method = 'GET', more = {}) => call(forward.port, '/decide', token, { headers: { ...proof, 'x-forwarded-method': method, 'x-forwarded-uri': uri, 'x-forwarded-proto': 'https', 'x-forwarded-host': 'evil.example', ...more } });
  assert.equal((await said('/read/week')).status, 200);
  const no = await said('/write/x', 'POST', { 'x-original-uri': '/health', 'x-original-method': 'GET' });
  assert.equal(no.status, 403);
  assert.ok(!no.challenge.includes('evil.example'), 'I16: addresses come from the configuration');
  await forward.stop();
});
