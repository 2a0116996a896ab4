// K: Microsoft's On-Behalf-Of. Tc is a delegated token for m1.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Browser, JWT_BEARER, M1, R1, R2, STRONG, Server, chainOf, claimsOf, pageRefused, refused } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start({ clock: true }); });
afterEach(async () => assert.equal((await obo(await tc())).status, 200, 'the honest call still works'));
after(async () => { await server?.end(); });

const tc = async (more = {}) => (await server.flow({ scope: 'm1.use r2.read r1.read offline_access', resource: M1, ...more })).access_token;
const obo = (assertion, scope = `${R2}/r2.read`, more = {}, client = 'm1') => server.onBehalfOf(client, assertion, scope, more);

test('K-01, K-02 the person kept, the tier added, the agents beneath it', async () => {
  const answer = await obo(await tc());
  assert.equal(answer.status, 200, answer.text);
  const claims = claimsOf(answer.json.access_token);
  assert.deepEqual([claims.aud, claims.sub, claims.client_id], [R2, 'u1', 'm1']);
  assert.deepEqual(chainOf(answer.json.access_token), ['m1', 'a1']);
  assert.ok(claims.exp <= claimsOf(await tc()).exp);
});

test('K-04 a token that is not for this tier', async () => {
  const forR1 = (await server.flow()).access_token;
  await refused(server, await obo(forR1), 400, 'invalid_grant');
  await refused(server, await obo(await tc(), undefined, {}, 'r1-server'), 400, 'invalid_grant');
});

test('K-05 requested_token_use', async () => {
  await refused(server, await obo(await tc(), undefined, { requested_token_use: undefined }), 400, 'invalid_grant');
  await refused(server, await obo(await tc(), undefined, { requested_token_use: 'something' }), 400, 'invalid_request');
});

test('K-06 other kinds of assertion', async () => {
  const { refresh_token: token } = await server.flow({ scope: 'r1.read offline_access' });
  for (const assertion of [token, server.proof('a1'), await server.issuedProof('a1'), (await server.code()).code, 'x', `${(await tc()).slice(0, -6)}AAAAAA`]) await refused(server, await obo(assertion), 400, 'invalid_grant');
  await refused(server, await obo(undefined), 400, 'invalid_request');
});

test('K-08, K-16 expired, ended, or of a person who is disabled', async () => {
  const ended = await tc();
  await server.cli('grant', 'revoke', claimsOf(ended).grant_id);
  await refused(server, await obo(ended), 400, 'invalid_grant');
  const old = await tc();
  await server.advance(301);
  await refused(server, await obo(old), 400, 'invalid_grant');
  const disabled = await tc({ user: 'u2' });
  await server.admin('user', 'suspend', 'u2');
  const answer = await obo(disabled);
  await refused(server, answer, 400, 'invalid_grant');
  assert.ok(answer.json.correlation_id);
  await server.admin('user', 'resume', 'u2');
});

test('K-09 clients that may not', async () => {
  await refused(server, await obo(await tc(), undefined, {}, 'cp'), 400, ['unauthorized_client', 'invalid_client']);
  await refused(server, await obo(await tc(), undefined, {}, 'ca'), 400, 'unauthorized_client');
});

test('K-10 a stronger sign-in is asked for with claims', async () => {
  const answer = await obo(await tc({ scope: 'm1.use r2.read x.read', resource: M1 }).catch(() => tc()), `${STRONG}/r2.read`);
  await refused(server, answer, 400, 'interaction_required', 'step_up_required');
  const claims = JSON.parse(answer.json.claims);
  assert.deepEqual(claims.access_token.acrs?.values ?? claims.access_token.acr?.values ?? [claims.access_token.acrs?.value ?? claims.access_token.acr?.value], ['urn:example:strong']);
  // The client brings them back to /authorize, where the person signs in again; a password is not that strong.
  const again = await (await server.browser('u1')).open(`/authorize?${new URLSearchParams(server.authorization({ scope: 'm1.use', resource: M1, claims: answer.json.claims }))}`);
  assert.ok(again.location.startsWith('/login') || again.query.get('error') === 'unmet_authentication_requirements', again.location);
});

test('K-12, K-14 .default, and scopes of more than one resource', async () => {
  const all = await obo(await tc(), `${R2}/.default`);
  assert.equal(all.status, 200, all.text);
  assert.equal(all.json.scope, 'r2.read');
  await refused(server, await obo(await tc(), `${R2}/.default ${R2}/r2.read`), 400, 'invalid_scope');
  await refused(server, await obo(await tc(), `${R2}/r2.read ${R1}/r1.read`), 400, ['invalid_scope', 'invalid_target']);
  for (const scope of ['.default', `${R2}/*`, `${R2}/unknown`, 'https://unknown.example/.default', '', `${R1}/r1.write`]) await refused(server, await obo(await tc(), scope), 400, ['invalid_scope', 'invalid_target']);
});

test('K-13 offline_access, where policy and person say so', async () => {
  await server.changed('client', 'm1', { grant_types: ['urn:ietf:params:oauth:grant-type:token-exchange', JWT_BEARER, 'client_credentials', 'refresh_token'] }, async () => {
    const answer = await obo(await tc(), `${R2}/r2.read offline_access`);
    assert.ok(answer.json.refresh_token, answer.text);
    const refreshed = await server.token('m1', { grant_type: 'refresh_token', refresh_token: answer.json.refresh_token });
    assert.equal(refreshed.status, 200, refreshed.text);
    assert.deepEqual(chainOf(refreshed.json.access_token), ['m1', 'a1']);
    assert.ok(!('refresh_token' in (await obo(await tc())).json));
  });
  assert.ok(!('refresh_token' in (await obo(await tc(), `${R2}/r2.read offline_access`)).json));
});

test('K-17 the same assertion twice: two tokens, one lineage', async () => {
  const assertion = await tc();
  const [one, two] = [await obo(assertion), await obo(assertion)].map(({ json }) => json.access_token);
  assert.notEqual(claimsOf(one).jti, claimsOf(two).jti);
  assert.equal(claimsOf(one).grant_id, claimsOf(two).grant_id);
  await server.as('ca', '/revoke', { token: assertion });
  for (const token of [one, two]) assert.equal(await server.isActive('r2-server', token), false);
});

// The blueprint's own token for one of its agents; it calls on for that agent.
const forChild = async (agent = 'm1-child') => server.token('m1', { grant_type: 'client_credentials', resource: server.issuer, agent });
const ISSUED = 'urn:ietf:params:oauth:token-type:access_token';

test('K-18 a tier calls on for an agent of its own, which its token proves', async () => {
  const proof = (await forChild()).json.access_token;
  const answer = await obo(await tc(), undefined, { actor_token: proof, actor_token_type: ISSUED });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(chainOf(answer.json.access_token), ['m1-child', 'a1']);
  assert.deepEqual([claimsOf(answer.json.access_token).sub, claimsOf(answer.json.access_token).client_id], ['u1', 'm1']);
  // Its own key does as well; a proof that is none, of a stranger's agent, or of a type that it is not, does not.
  assert.deepEqual(chainOf((await obo(await tc(), undefined, { actor_token: server.proof('m1-child') })).json.access_token), ['m1-child', 'a1']);
  for (const actor_token of ['x', server.proof('m1-child', {}, {}, server.keys.stranger), server.proof('m1-child', { aud: R1 }), await tc()]) await refused(server, await obo(await tc(), undefined, { actor_token }), 400, ['invalid_grant', 'invalid_request']);
  await refused(server, await obo(await tc(), undefined, { actor_token: proof, actor_token_type: 'urn:ietf:params:oauth:token-type:jwt' }), 400, 'invalid_request');
  await refused(server, await obo(await tc(), undefined, { actor_token_type: ISSUED }), 400, 'invalid_request');
  await refused(server, await obo(await tc(), undefined, { actor_token: server.proof('a-elsewhere') }), 400, 'invalid_request');
  await refused(server, await forChild('child'), 400, ['invalid_request', 'invalid_grant', 'unauthorized_client', 'access_denied']);
  const once = server.proof('m1-child');
  assert.equal((await obo(await tc(), undefined, { actor_token: once })).status, 200);
  await refused(server, await obo(await tc(), undefined, { actor_token: once }), 400, 'invalid_grant', 'actor_token_replayed');
  await server.admin('agent', 'suspend', 'm1-child');
  await refused(server, await obo(await tc(), undefined, { actor_token: proof }), 400, 'invalid_grant');
  await server.admin('agent', 'resume', 'm1-child');
});

test('K-20 its refresh needs a fresh token of its parent each time', async () => {
  await server.changed('client', 'm1', { grant_types: ['urn:ietf:params:oauth:grant-type:token-exchange', JWT_BEARER, 'client_credentials', 'refresh_token'] }, async () => {
    const old = (await forChild()).json.access_token;
    const answer = await obo(await tc(), `${R2}/r2.read offline_access`, { actor_token: old });
    assert.ok(answer.json.refresh_token, answer.text);
    const refresh = (actor_token) => server.token('m1', { grant_type: 'refresh_token', refresh_token: answer.json.refresh_token, actor_token });
    await refused(server, await refresh(undefined), 400, 'invalid_request');
    await server.advance(301);
    await refused(server, await refresh(old), 400, 'invalid_grant');
    const next = await refresh((await forChild()).json.access_token);
    assert.equal(next.status, 200, next.text);
    assert.deepEqual(chainOf(next.json.access_token), ['m1-child', 'a1']);
  });
});

test('K-21 an agent that is not for people to sign in at has no /authorize', async () => {
  await server.changed('client', 'cg', { grant_types: ['urn:ietf:params:oauth:grant-type:token-exchange'] }, async () => {
    for (const agent of ['ag', null]) await pageRefused(server, await new Browser(server).open(`/authorize?${new URLSearchParams(server.authorization({ client: 'cg', agent }))}`), 400, 'grant_type_not_registered');
    await refused(server, await server.as('cg', '/par', server.authorization({ client: 'cg', agent: 'ag' })), 400, ['unauthorized_client', 'invalid_request']);
  });
});

describe('obo_emit_act = false', () => {
  let other;
  before(async () => { other = await Server.start({ config: '[delegation]\nobo_emit_act = false' }); });
  after(async () => { await other?.end(); });
  test('K-02 the token has no act, introspection says that the chain is not all, and an exchange shows it again', async () => {
    const own = (await other.flow({ scope: 'm1.use r2.read', resource: M1 })).access_token;
    const answer = await other.onBehalfOf('m1', own, `${R2}/r2.read`);
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(chainOf(answer.json.access_token), []);
    const said = (await other.introspect('r2-server', answer.json.access_token)).json;
    assert.equal(said.chain_complete, false);
    const [record] = await other.audit(1, '--event', 'token.jwt-bearer');
    assert.deepEqual(record.chain, ['m1', 'a1']);
  });
});
