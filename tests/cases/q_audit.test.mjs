// Q: the log.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { M1, R1, R2, Server, claimsOf } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start({ clock: true }); });
after(async () => { await server?.end(); });

test('Q-01, Q-02 one query by grant tells the whole lineage, with person, client and agent apart', async () => {
  const own = (await server.flow({ scope: 'm1.use r2.read', resource: M1 })).access_token;
  const second = (await server.exchange('m1', own, 'a2', { resource: R2, scope: 'r2.read' })).json.access_token;
  const third = (await server.onBehalfOf('m1', own, `${R2}/r2.read`)).json.access_token;
  assert.equal(await server.isActive('r2-server', second), true);
  const records = await server.audit(100, '--grant', claimsOf(own).grant_id);
  const events = records.map(({ event }) => event);
  for (const event of ['consent.allow', 'token.authorization_code', 'token.token-exchange', 'token.jwt-bearer', 'introspect']) assert.ok(events.includes(event), `${event} in ${events}`);
  const issued = records.find(({ event }) => event === 'token.authorization_code');
  assert.deepEqual([issued.user, issued.client, issued.agent], ['u1', 'ca', 'a1']);
  const nodes = new Map(records.filter(({ node, event }) => node && /^(token|consent|authorize)\./.test(event)).map((record) => [record.node, record]));
  for (const token of [second, third]) {
    let at = nodes.get(claimsOf(token).jti);
    assert.ok(at, 'the token is in the log');
    for (let steps = 0; at?.parent && nodes.has(at.parent) && steps < 10; ++steps) at = nodes.get(at.parent);
    assert.ok(['consent.allow', 'authorize.stored_consent', 'token.authorization_code'].includes(at.event), at.event);
  }
});

test('Q-03 the caller hears little, the log says why', async () => {
  const wrong = await server.redeem(await server.code(), { code_verifier: 'x'.repeat(43) });
  const [one] = await server.audit();
  const spent = await server.code();
  await server.redeem(spent);
  const reused = await server.redeem(spent);
  const [two] = await server.audit();
  assert.equal(wrong.text, reused.text);
  assert.notEqual(one.reason, two.reason);
});

test('Q-04 no secret anywhere', () => server.noSecretAnywhere());

test('Q-06 by agent: all people; by person: all agents', async () => {
  for (const [user, agent] of [['u1', 'a1'], ['u2', 'a1'], ['u1', 'a2']]) await server.flow({ user, agent });
  const byAgent = await server.audit(1000, '--agent', 'a1');
  assert.deepEqual(new Set(byAgent.map(({ user }) => user).filter(Boolean)), new Set(['u1', 'u2']));
  const byPerson = await server.audit(1000, '--user', 'u1');
  assert.ok(byPerson.some(({ agent }) => agent === 'a2') && byPerson.some(({ agent }) => agent === 'a1'));
  assert.ok(byPerson.every(({ user }) => user === 'u1'));
});

test('Q-07 a cascade: one record an object that ended, with the cause', async () => {
  const flow = await server.flow({ scope: 'm1.use r2.read', resource: M1, agent: 'a1', prompt: 'consent' });
  const child = (await server.exchange('m1', flow.access_token, 'a2', { resource: R2, scope: 'r2.read' })).json.access_token;
  const grant = claimsOf(flow.access_token).grant_id;
  await server.cli('grant', 'revoke', grant);
  const records = await server.audit(200, '--grant', grant);
  const ended = records.filter(({ event }) => /ended|revoke|end/.test(event));
  for (const token of [flow.access_token, child]) assert.ok(ended.some(({ node }) => node === claimsOf(token).jti), `${JSON.stringify(ended)} tells of ${claimsOf(token).jti}`);
});

test('Q-07 a suspension: one record with the new epoch, and from it the end of each token that names whom it stopped', async () => {
  const lineage = async (...words) => JSON.parse((await server.cli('audit', 'lineage', '--json', ...words)).stdout).lineages;
  const told = (lineages, token) => lineages.flatMap(({ nodes }) => nodes).find(({ id }) => id === claimsOf(token).jti);
  const onward = async (subject, agent, scope = 'r2.read', resource = M1) => (await server.exchange('m1', subject, agent, { resource, scope })).json.access_token;

  // a1's, by consent; a2's and a4's below it; and a2's own, without anybody's.
  const flow = await server.flow({ scope: 'm1.use r2.read', resource: M1, prompt: 'consent' });
  const first = flow.access_token;
  const grant = claimsOf(first).grant_id;
  const expired = await onward(first, 'a2');
  await server.advance(claimsOf(expired).exp - server.now + 61);
  const fresh = (await server.flow({ scope: 'm1.use r2.read', resource: M1 })).access_token;
  assert.equal(claimsOf(fresh).grant_id, grant, 'the same consent');
  const second = await onward(fresh, 'a2');
  const third = await onward(second, 'a4', 'r2.read', R2);
  const own = (await server.token('a2-runtime', { grant_type: 'client_credentials', resource: R1, scope: 'r1.read' })).json.access_token;
  assert.equal(told(await lineage('--grant', grant), third).status, 'active');

  await server.admin('agent', 'suspend', 'a2');
  const [stop] = await server.audit(1, '--event', 'agent.suspend');
  assert.deepEqual([stop.agent, stop.reason, stop.details.changed], ['a2', 'agent_suspended', true]);
  assert.ok(Number.isInteger(stop.details.epoch) && stop.details.epoch > 1, JSON.stringify(stop));
  await server.admin('agent', 'resume', 'a2');
  const later = await onward(fresh, 'a2');

  const ended = (token, cause, who, time) => {
    assert.deepEqual([token.status, token.cause, token.ended_with, Math.floor(Date.parse(token.ended_at) / 1000)], ['ended', cause, who, Math.floor(time / 1000)], JSON.stringify(token));
  };
  for (const question of [['--grant', grant], ['--token', claimsOf(third).jti], ['--agent', 'a2']]) {
    const found = await lineage(...question);
    for (const token of [second, third]) ended(told(found, token), 'agent_suspended', 'a2', stop.time);
    assert.equal(told(found, fresh).status, 'active', 'what does not name it lives');
    assert.ok(!found.some(({ root }) => root?.startsWith('principal:')), JSON.stringify(found.map(({ root }) => root)));
  }
  ended(told(await lineage('--agent', 'a2'), own), 'agent_suspended', 'a2', stop.time);
  const all = await lineage('--grant', grant);
  assert.equal(told(all, later).status, 'active', 'what came afterwards lives');
  assert.equal(told(all, expired).cause, 'expired', 'what had ended before ended by itself');
  const { stdout: drawn } = await server.cli('audit', 'lineage', '--grant', grant);
  assert.match(drawn, /ended \S+: agent_suspended \(a2\)/);

  // What ends later has its own record, and those that were dead keep their cause.
  await server.cli('grant', 'revoke', grant);
  const revoked = await lineage('--grant', grant);
  for (const token of [second, third]) ended(told(revoked, token), 'agent_suspended', 'a2', stop.time);
  for (const token of [fresh, later]) assert.equal(told(revoked, token).cause, 'revoked_by_operator');

  // A client in the middle, and one that is deleted.
  const other = (await server.flow({ scope: 'm1.use r2.read', resource: M1, user: 'u2' })).access_token;
  const middle = (await server.onBehalfOf('m1', other, `${R2}/r2.read`)).json.access_token;
  await server.admin('client', 'suspend', 'm1');
  const [halt] = await server.audit(1, '--event', 'client.suspend');
  await server.admin('client', 'resume', 'm1');
  const found = await lineage('--grant', claimsOf(other).grant_id);
  ended(told(found, middle), 'client_suspended', 'm1', halt.time);
  assert.equal(told(found, other).status, 'active');
  const alone = (await server.token('plain', { grant_type: 'client_credentials', resource: R1, scope: 'r1.read' })).json.access_token;
  const clients = server.state.client;
  await server.apply((state) => { state.client = clients.filter(({ id }) => id !== 'plain'); }, '--prune');
  const [gone] = await server.audit(1, '--event', 'registry.client.delete');
  assert.deepEqual([gone.client, gone.reason], ['plain', 'client_deleted']);
  ended(told(await lineage('--token', claimsOf(alone).jti), alone), 'client_deleted', 'plain', gone.time);
  await server.apply((state) => { state.client = clients; });
});

test('the log is one chain', async () => {
  const { stdout } = await server.cli('audit', 'tail', '--json', '-n', '10000');
  const { createHash } = await import('node:crypto');
  const entries = stdout.trim().split('\n').map((line) => JSON.parse(line));
  assert.ok(entries.length > 20);
  entries.forEach(({ record }, index) => { if (index) assert.equal(record.seq, entries[index - 1].record.seq + 1); });
  assert.equal(new Set(entries.map(({ hash }) => hash)).size, entries.length);
  assert.ok(createHash);
});

test('Q-08 the record of a consent has the words that were shown', async () => {
  await server.code({ scope: 'r1.read r1.write', prompt: 'consent' });
  const [{ details }] = await server.audit(1, '--event', 'consent.allow');
  assert.match(details.text_version, /^[0-9a-f]{12}$/);
  assert.equal(details.locale, 'en');
  assert.deepEqual(details.shown.map(({ scope, title, description }) => [scope, title, description]),
    [['r1.read', 'Title of r1.read', 'Words about r1.read.'], ['r1.write', 'Title of r1.write', 'Words about r1.write.']]);
});
