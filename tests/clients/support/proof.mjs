// What an agent shows to prove itself, and how a resource looks at a token: signed and verified with jose.
import { randomUUID } from 'node:crypto';
import assert from 'node:assert/strict';
import { createRemoteJWKSet, decodeProtectedHeader, importJWK, jwtVerify, SignJWT } from 'jose';

export const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt';
export const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';

export const privateKey = (pair) => importJWK(pair.privateJwk, 'ES256');

// The self-signed kind: the agent is issuer and subject, the authorization server the only audience.
export async function agentAssertion(server, agent = 'agent-calendar', { seconds = 120, jti = randomUUID() } = {}) {
  const pair = server.keys[agent];
  return new SignJWT({ jti })
    .setProtectedHeader({ alg: 'ES256', kid: pair.kid, typ: 'JWT' })
    .setIssuer(agent).setSubject(agent).setAudience(server.issuer)
    .setIssuedAt().setExpirationTime(`${seconds}s`)
    .sign(await privateKey(pair));
}

// As a resource would: keys from the JWKS URI, nothing from the token but its kid.
export async function verifyAccessToken(token, { issuer, jwksUri, audience, algorithm = 'ES256' }) {
  assert.equal(decodeProtectedHeader(token).alg, algorithm);
  const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(jwksUri)), {
    issuer, audience, algorithms: [algorithm], typ: 'at+jwt',
    requiredClaims: ['sub', 'client_id', 'iat', 'exp', 'jti'],
  });
  return payload;
}
