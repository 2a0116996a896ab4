// The library openid-client, unmodified, with its own state and issuer checks: the same flow as a second opinion, with
// private_key_jwt as the client's authentication.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as client from 'openid-client';
import { Person } from './support/person.mjs';
import { ACCESS_TOKEN_TYPE, JWT_TYPE, agentAssertion, privateKey, verifyAccessToken } from './support/proof.mjs';
import { MAIL, PLANNER, startServer } from './support/server.mjs';

const redirectUri = 'http://127.0.0.1:49153/callback';
let server;

before(async () => { server = await startServer(); });
after(() => server?.stop());

const discover = (id, auth, algorithm = 'oauth2') => client.discovery(new URL(server.issuer), id, undefined, auth,
  { algorithm, execute: [client.allowInsecureRequests] });
const app = async (algorithm) => {
  const pair = server.keys['app-jwt'];
  return discover('app-jwt', client.PrivateKeyJwt({ key: await privateKey(pair), kid: pair.kid }), algorithm);
};
const middle = () => discover('middle', client.ClientSecretPost(server.secrets.middle));

const selfSigned = async () => ({ actor_token: await agentAssertion(server), actor_token_type: JWT_TYPE });
async function fromServer() {
  const runtime = await discover('calendar-runtime', client.ClientSecretBasic(server.secrets['calendar-runtime']));
  const { access_token: token } = await client.clientCredentialsGrant(runtime, { resource: server.issuer });
  return { actor_token: token, actor_token_type: ACCESS_TOKEN_TYPE };
}

async function codeFlow(config, proof, { pushed = false, ...extra } = {}) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const parameters = {
    redirect_uri: redirectUri, scope: 'mail.read calendar.write offline_access', state, requested_actor: 'agent-calendar', resource: PLANNER,
    code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...extra,
  };
  const url = pushed ? await client.buildAuthorizationUrlWithPAR(config, parameters) : client.buildAuthorizationUrl(config, parameters);
  const landed = await new Person(server.issuer).authorize(url);
  assert.equal(landed.searchParams.get('iss'), server.issuer);
  return client.authorizationCodeGrant(config, landed, { pkceCodeVerifier: verifier, expectedState: state }, await proof());
}

async function verified(config, token, audience = PLANNER) {
  const { issuer, jwks_uri: jwksUri } = config.serverMetadata();
  return verifyAccessToken(token, { issuer, jwksUri, audience });
}

describe('openid-client', () => {
  test('discovers the server through both well-known addresses, with one answer', async () => {
    const [oauth2, oidc] = await Promise.all([app('oauth2'), app('oidc')]);
    assert.deepEqual(oauth2.serverMetadata(), oidc.serverMetadata());
    assert.equal(oauth2.serverMetadata().supportsPKCE(), true);
  });

  for (const [kind, proof] of [['a token of this server', fromServer], ['a self-signed assertion', selfSigned]]) {
    for (const pushed of [false, true]) {
      test(`code flow${pushed ? ' with a pushed request' : ''}, agent proved by ${kind}, then refresh`, async () => {
        const config = await app();
        const tokens = await codeFlow(config, proof, { pushed });
        const claims = await verified(config, tokens.access_token);
        assert.deepEqual([claims.sub, claims.client_id, claims.act.sub], ['user-alice', 'app-jwt', 'agent-calendar']);
        await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token), { error: 'invalid_request' });
        const renewed = await client.refreshTokenGrant(config, tokens.refresh_token, await proof());
        assert.notEqual(renewed.refresh_token, tokens.refresh_token);
        assert.equal((await verified(config, renewed.access_token)).act.sub, 'agent-calendar');
      });
    }
  }

  test('without the proof of the agent the code is worth nothing', async () => {
    await assert.rejects(codeFlow(await app(), async () => ({})), { error: 'invalid_request' });
  });

  test('token exchange nests the second agent around the first', async () => {
    const tokens = await codeFlow(await app(), selfSigned);
    const config = await middle();
    const exchanged = await client.genericGrantRequest(config, 'urn:ietf:params:oauth:grant-type:token-exchange', {
      subject_token: tokens.access_token, subject_token_type: ACCESS_TOKEN_TYPE,
      actor_token: await agentAssertion(server, 'agent-search'), actor_token_type: JWT_TYPE, resource: MAIL, scope: 'mail.read',
    });
    const claims = await verified(config, exchanged.access_token, MAIL);
    assert.deepEqual([claims.sub, claims.client_id, claims.act.sub, claims.act.act.sub], ['user-alice', 'middle', 'agent-search', 'agent-calendar']);
  });

  test('introspection tells who acts; revocation ends token and refresh', async () => {
    const config = await app();
    const tokens = await codeFlow(config, selfSigned);
    const live = await client.tokenIntrospection(await middle(), tokens.access_token);
    assert.deepEqual([live.active, live.sub, live.act.sub], [true, 'user-alice', 'agent-calendar']);
    await client.tokenRevocation(config, tokens.refresh_token);
    assert.deepEqual(await client.tokenIntrospection(await middle(), tokens.access_token), { active: false });
    await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token, await selfSigned()), { error: 'invalid_grant' });
  });
});
