// Microsoft's library for middle tiers, @azure/msal-node, unmodified and over TLS: what was written against Entra's
// On-Behalf-Of joins the same lineage here. The authority's metadata comes from discovery, not from the test.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ConfidentialClientApplication } from '@azure/msal-node';
import * as oauth from 'oauth4webapi';
import { Person } from './support/person.mjs';
import { JWT_TYPE, agentAssertion, verifyAccessToken } from './support/proof.mjs';
import { MAIL, PLANNER, startServer } from './support/server.mjs';

const folder = process.env.BEHALF_TEST_TLS;
const redirectUri = 'http://127.0.0.1:49154/callback';
let server;
let as;

before(async () => {
  server = await startServer({ tls: { certificate: join(folder, 'server.pem'), key: join(folder, 'server.key') } });
  const issuer = new URL(server.issuer);
  as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2' }));
});
after(() => server?.stop());

// The token with which a client called the middle tier, for the person and the agent.
async function incomingToken() {
  const app = { client_id: 'app' };
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const url = new URL(as.authorization_endpoint);
  url.search = new URLSearchParams({
    response_type: 'code', client_id: 'app', redirect_uri: redirectUri, scope: 'mail.read calendar.write', state, resource: PLANNER,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', requested_actor: 'agent-calendar',
  });
  const landed = await new Person(server.issuer).authorize(url);
  const answer = await oauth.authorizationCodeGrantRequest(as, app, oauth.ClientSecretBasic(server.secrets.app),
    oauth.validateAuthResponse(as, app, landed, state), redirectUri, verifier,
    { additionalParameters: { actor_token: await agentAssertion(server), actor_token_type: JWT_TYPE } });
  return (await oauth.processAuthorizationCodeResponse(as, app, answer)).access_token;
}

const middleTier = () => new ConfidentialClientApplication({
  auth: {
    clientId: 'middle', clientSecret: server.secrets.middle, authority: server.issuer,
    knownAuthorities: [new URL(server.issuer).host],
  },
  system: { protocolMode: 'OIDC' },
});

describe('@azure/msal-node', () => {
  for (const scope of [`${MAIL}/mail.read`, `${MAIL}/.default`]) {
    test(`acquireTokenOnBehalfOf for ${scope}`, async () => {
      const oboAssertion = await incomingToken();
      const result = await middleTier().acquireTokenOnBehalfOf({ oboAssertion, scopes: [scope] });
      assert.equal(result.tokenType, 'Bearer');
      assert.ok(result.expiresOn > new Date());
      const claims = await verifyAccessToken(result.accessToken, { issuer: server.issuer, jwksUri: as.jwks_uri, audience: MAIL });
      assert.equal(claims.sub, 'user-alice');
      assert.equal(claims.client_id, 'middle');
      assert.equal(claims.scope, 'mail.read');
      assert.equal(claims.act.sub, 'middle');
      assert.equal(claims.act.act.sub, 'agent-calendar');
      assert.equal(claims.act.act.act, undefined);
    });
  }

  test('a revoked assertion is refused as invalid_grant', async () => {
    const oboAssertion = await incomingToken();
    const app = { client_id: 'app' };
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, app, oauth.ClientSecretBasic(server.secrets.app), oboAssertion));
    await assert.rejects(middleTier().acquireTokenOnBehalfOf({ oboAssertion, scopes: [`${MAIL}/mail.read`] }), { errorCode: 'invalid_grant' });
  });
});
