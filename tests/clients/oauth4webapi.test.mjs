// The library oauth4webapi, unmodified: discovery, pushed request, code flow with PKCE for a named agent, redemption with
// each kind of actor token, refresh, exchange, introspection and revocation.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import { Person } from './support/person.mjs';
import { ACCESS_TOKEN_TYPE, JWT_TYPE, agentAssertion, privateKey, verifyAccessToken } from './support/proof.mjs';
import { MAIL, PLANNER, SIGNED_BY, startServer } from './support/server.mjs';

const insecure = { [oauth.allowInsecureRequests]: true };  // plain HTTP on loopback
const redirectUri = 'http://127.0.0.1:49152/callback';
let server;
let as;

before(async () => {
  server = await startServer();
  const issuer = new URL(server.issuer);
  as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }));
});
after(() => server?.stop());

const app = { client_id: 'app' };
const appAuth = () => oauth.ClientSecretBasic(server.secrets.app);

async function actorTokenFromServer() {
  const runtime = { client_id: 'calendar-runtime' };
  const answer = await oauth.clientCredentialsGrantRequest(as, runtime, oauth.ClientSecretBasic(server.secrets['calendar-runtime']),
    new URLSearchParams({ resource: server.issuer }), insecure);
  return (await oauth.processClientCredentialsResponse(as, runtime, answer)).access_token;
}

function authorizationRequest(clientId, challenge, state, extra = {}) {
  return new URLSearchParams({
    response_type: 'code', client_id: clientId, redirect_uri: redirectUri, scope: 'mail.read calendar.write offline_access', state,
    code_challenge: challenge, code_challenge_method: 'S256', requested_actor: 'agent-calendar', resource: PLANNER, ...extra,
  });
}

async function codeFlow(client, auth, { pushed = false, extra = {}, person = {}, proof }) {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const parameters = authorizationRequest(client.client_id, await oauth.calculatePKCECodeChallenge(verifier), state, extra);
  const url = new URL(as.authorization_endpoint);
  if (pushed) {
    const answer = await oauth.pushedAuthorizationRequest(as, client, auth, parameters, insecure);
    const { request_uri } = await oauth.processPushedAuthorizationResponse(as, client, answer);
    url.search = new URLSearchParams({ client_id: client.client_id, request_uri });
  } else {
    url.search = parameters;
  }
  const landed = await new Person(server.issuer).authorize(url, person);
  assert.equal(landed.searchParams.get('iss'), server.issuer);
  const callback = oauth.validateAuthResponse(as, client, landed, state);  // checks state and iss
  const answer = await oauth.authorizationCodeGrantRequest(as, client, auth, callback, redirectUri, verifier,
    { ...insecure, additionalParameters: proof });
  return oauth.processAuthorizationCodeResponse(as, client, answer);
}

const verified = (token, audience = PLANNER, algorithm = 'ES256') =>
  verifyAccessToken(token, { issuer: server.issuer, jwksUri: as.jwks_uri, audience, algorithm });

const selfSigned = async () => ({ actor_token: await agentAssertion(server), actor_token_type: JWT_TYPE });
const fromServer = async () => ({ actor_token: await actorTokenFromServer(), actor_token_type: ACCESS_TOKEN_TYPE });

describe('oauth4webapi', () => {
  test('discovers the server through both well-known addresses, with one answer', async () => {
    const issuer = new URL(server.issuer);
    const oidc = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oidc', ...insecure }));
    assert.deepEqual(oidc, as);
    assert.equal(as.authorization_response_iss_parameter_supported, true);
  });

  for (const [kind, proof] of [['a token of this server', fromServer], ['a self-signed assertion', selfSigned]]) {
    test(`code flow for a named agent proved by ${kind}, then refresh`, async () => {
      const tokens = await codeFlow(app, appAuth(), { proof: await proof() });
      assert.equal(tokens.token_type, 'bearer');
      const claims = await verified(tokens.access_token);
      assert.equal(claims.sub, 'user-alice');
      assert.equal(claims.client_id, 'app');
      assert.equal(claims.act.sub, 'agent-calendar');
      assert.equal(claims.act.act, undefined);

      const refresh = async (parameters) => oauth.processRefreshTokenResponse(as, app,
        await oauth.refreshTokenGrantRequest(as, app, appAuth(), tokens.refresh_token, { ...insecure, additionalParameters: parameters }));
      await assert.rejects(refresh({}), { error: 'invalid_request' });  // the agent proves itself each time
      const renewed = await refresh(await proof());
      assert.notEqual(renewed.refresh_token, tokens.refresh_token);
      assert.equal((await verified(renewed.access_token)).act.sub, 'agent-calendar');
    });
  }

  test('private_key_jwt, a pushed request, and the same flow', async () => {
    const client = { client_id: 'app-jwt' };
    const pair = server.keys['app-jwt'];
    const auth = oauth.PrivateKeyJwt({ key: await privateKey(pair), kid: pair.kid });
    const tokens = await codeFlow(client, auth, { pushed: true, proof: await selfSigned() });
    assert.equal((await verified(tokens.access_token)).client_id, 'app-jwt');
  });

  test('an assertion that was shown before, or another agent, redeems nothing', async () => {
    const once = await selfSigned();
    await codeFlow(app, appAuth(), { proof: once });
    await assert.rejects(codeFlow(app, appAuth(), { proof: once }), { error: 'invalid_grant' });
    const other = { actor_token: await agentAssertion(server, 'agent-search'), actor_token_type: JWT_TYPE };
    await assert.rejects(codeFlow(app, appAuth(), { proof: other }), { error: 'invalid_grant' });
  });

  test('a refusal reaches the library as access_denied', async () => {
    await assert.rejects(codeFlow(app, appAuth(), { extra: { prompt: 'consent' }, person: { decision: 'deny' }, proof: {} }), { error: 'access_denied' });
  });

  for (const [algorithm, resource] of Object.entries(SIGNED_BY)) {
    test(`jose verifies ${algorithm} tokens by the JWKS URI`, async () => {
      const tokens = await codeFlow(app, appAuth(), { extra: { scope: 'mail.read', resource }, proof: await selfSigned() });
      const claims = await verified(tokens.access_token, resource, algorithm);
      assert.deepEqual([claims.sub, claims.client_id, claims.act.sub], ['user-alice', 'app', 'agent-calendar']);
      const others = Object.values(SIGNED_BY).filter((id) => id !== resource);
      await assert.rejects(verified(tokens.access_token, others[0], algorithm), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' });
    });
  }

  test('token exchange nests the second agent around the first, with less scope', async () => {
    const tokens = await codeFlow(app, appAuth(), { proof: await selfSigned() });
    const middle = { client_id: 'middle' };
    const auth = oauth.ClientSecretPost(server.secrets.middle);
    const exchange = async (scope) => oauth.processGenericTokenEndpointResponse(as, middle,
      await oauth.genericTokenEndpointRequest(as, middle, auth, 'urn:ietf:params:oauth:grant-type:token-exchange', new URLSearchParams({
        subject_token: tokens.access_token, subject_token_type: ACCESS_TOKEN_TYPE,
        actor_token: await agentAssertion(server, 'agent-search'), actor_token_type: JWT_TYPE, resource: MAIL, scope,
      }), insecure));
    const exchanged = await exchange('mail.read');
    assert.equal(exchanged.issued_token_type, ACCESS_TOKEN_TYPE);
    const claims = await verified(exchanged.access_token, MAIL);
    assert.equal(claims.scope, 'mail.read');
    assert.equal(claims.act.sub, 'agent-search');
    assert.equal(claims.act.act.sub, 'agent-calendar');
    await assert.rejects(exchange('mail.read calendar.write'), { error: 'invalid_scope' });
  });

  test('introspection tells who acts; revocation ends the token', async () => {
    const tokens = await codeFlow(app, appAuth(), { proof: await selfSigned() });
    const middle = { client_id: 'middle' };
    const auth = oauth.ClientSecretPost(server.secrets.middle);
    const introspect = async () => oauth.processIntrospectionResponse(as, middle, await oauth.introspectionRequest(as, middle, auth, tokens.access_token, insecure));
    const live = await introspect();
    assert.equal(live.active, true);
    assert.equal(live.sub, 'user-alice');
    assert.equal(live.act.sub, 'agent-calendar');
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, app, appAuth(), tokens.refresh_token, insecure));
    assert.deepEqual(await introspect(), { active: false });
  });
});
