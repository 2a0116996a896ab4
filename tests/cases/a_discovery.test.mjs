// A: what the server says about itself.
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { after, before, test } from 'node:test';
import { R1, R2, Server, claimsOf, headerOf, refused } from './support/cast.mjs';

let server, metadata;
before(async () => { server = await Server.start(); metadata = await server.metadata(); });
after(async () => { await server?.end(); });

test('A-01 the issuer is the one that was asked, and every endpoint is absolute beneath it', async () => {
  assert.equal(metadata.issuer, server.issuer);
  const endpoints = Object.entries(metadata).filter(([name]) => /(_endpoint|_uri)$/.test(name));
  assert.ok(endpoints.length >= 6, JSON.stringify(metadata));
  for (const [name, url] of endpoints) {
    assert.ok(url.startsWith(`${server.issuer}/`), `${name}: ${url}`);
    assert.notEqual((await server.http(url, { method: name === 'jwks_uri' ? 'GET' : 'POST' })).status, 404, name);
  }
  // The same at the OpenID Connect address.
  assert.deepEqual((await server.http('/.well-known/openid-configuration')).json, metadata);
});

test('A-02 PKCE with S256 alone', () => assert.deepEqual(metadata.code_challenge_methods_supported, ['S256']));

test('A-03 the code flow alone', () => {
  assert.deepEqual(metadata.response_types_supported, ['code']);
  assert.deepEqual([...metadata.response_modes_supported].sort(), ['form_post', 'query']);
  for (const grant of ['implicit', 'password']) assert.ok(!metadata.grant_types_supported.includes(grant));
});

test('A-05 requested_actor, and how an agent may prove itself', () => {
  assert.equal(metadata.requested_actor_parameter_supported, true);
  assert.ok(metadata.actor_token_types_supported.includes('urn:ietf:params:oauth:token-type:jwt'));
  const lists = Object.entries(metadata).filter(([name]) => name.includes('signing_alg_values'));
  assert.ok(lists.some(([name]) => name.startsWith('actor_token_')));
  for (const [name, algorithms] of lists) {
    assert.ok(algorithms.includes('ES256'), name);
    for (const algorithm of algorithms) assert.doesNotMatch(algorithm, /^(none|HS)/i, name);
  }
});

test('A-06 entity profiles: no empty list, and the actor is an ai_agent', () => {
  for (const list of Object.values(metadata.entity_profiles_supported)) assert.ok(Array.isArray(list) && list.length > 0);
  assert.ok(metadata.entity_profiles_supported.actor.includes('ai_agent'));
});

test('A-07 only public keys, each with kid and alg, and they verify every token', async () => {
  const { keys } = (await server.http('/jwks')).json;
  for (const key of keys) {
    assert.ok(key.kid && key.alg, JSON.stringify(key));
    for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) assert.ok(!(secret in key), `${key.kid} has ${secret}`);
  }
  for (const token of [(await server.flow()).access_token, await server.issuedProof('a1')]) {
    const key = keys.find(({ kid }) => kid === headerOf(token).kid);
    const [header, claims, signature] = token.split('.');
    assert.ok(verify('sha256', Buffer.from(`${header}.${claims}`), { key: createPublicKey({ key, format: 'jwk' }), dsaEncoding: 'ieee-p1363' },
      Buffer.from(signature, 'base64url')));
    assert.equal(claimsOf(token).iss, server.issuer);
  }
});

test('A-09 what is off is neither in the metadata nor at the endpoint', async () => {
  const URN = 'urn:ietf:params:oauth:grant-type:agent-authorization_code';
  assert.ok(!metadata.grant_types_supported.includes(URN));
  for (const grant of [URN, 'urn:openid:params:grant-type:ciba', 'urn:ietf:params:oauth:grant-type:device_code', 'password', 'implicit']) {
    await refused(server, await server.token('ca', { grant_type: grant }), 400, 'unsupported_grant_type', 'grant_type_unknown');
  }
  for (const absent of ['registration_endpoint', 'userinfo_endpoint', 'device_authorization_endpoint', 'backchannel_authentication_endpoint']) assert.ok(!(absent in metadata), absent);
  assert.notEqual(metadata.request_parameter_supported, true);
  assert.notEqual(metadata.request_uri_parameter_supported, true);
  // And each grant type that is in the metadata is understood.
  for (const grant of metadata.grant_types_supported) {
    assert.notEqual((await server.token('ca', { grant_type: grant })).json.error, 'unsupported_grant_type', grant);
  }
});

test('A-10 the metadata of a resource names it and this issuer', async () => {
  for (const resource of [R1, R2]) {
    const { pathname } = new URL(resource);
    const { json } = await server.http(`/.well-known/oauth-protected-resource${pathname}`);
    if (json) {
      assert.equal(json.resource, resource);
      assert.deepEqual(json.authorization_servers, [server.issuer]);
    } else {
      assert.fail(`no metadata of ${resource}`);
    }
  }
});
