// Makes tokens.json, once: node tests/vectors/tokens/make.mjs
//
// Access tokens good and bad with the verdict each must get, for anybody's verifier. Signed here by Node.js, so that no
// code of this project is judged by itself. README.md beside this file says how to use them.
import { constants, generateKeyPairSync, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NOW = 1_800_000_000;
const ISSUER = 'https://as.example';
const API = 'https://api.example/mail';
const b64 = (data) => Buffer.from(data).toString('base64url');

const pairs = {
  es256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  eddsa: generateKeyPairSync('ed25519'),
  ps256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  rs256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  stranger: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
};
const algorithms = { es256: 'ES256', eddsa: 'EdDSA', ps256: 'PS256', rs256: 'RS256', stranger: 'ES256' };
const signers = {
  ES256: (data, key) => sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' }),
  EdDSA: (data, key) => sign(null, data, key),
  PS256: (data, key) => sign('sha256', data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
  RS256: (data, key) => sign('sha256', data, key),
};
const jwk = (name) => ({ ...pairs[name].publicKey.export({ format: 'jwk' }), kid: name, use: 'sig', alg: algorithms[name] });

// `header` and `claims` are objects or texts.
function token(claims, { key = 'es256', header = {}, input } = {}) {
  const full = typeof header === 'string' ? header : JSON.stringify({ alg: algorithms[key], kid: key, typ: 'at+jwt', ...header });
  const text = input ?? `${b64(full)}.${b64(typeof claims === 'string' ? claims : JSON.stringify(claims))}`;
  return `${text}.${b64(signers[algorithms[key]](Buffer.from(text), pairs[key].privateKey))}`;
}
const agent = (sub, act) => ({ iss: ISSUER, sub, sub_profile: 'ai_agent', ...(act && { act }) });
const good = {
  iss: ISSUER, sub: 'alice', aud: API, client_id: 'app', scope: 'mail.read mail.send', iat: NOW - 60, exp: NOW + 240,
  jti: '01mcc5nnee0123456789abcdef', sub_profile: 'user', grant_id: '01mcc5b3xr0123456789abcdef', act: agent('mail-agent'),
};
const without = (name) => { const { [name]: _, ...rest } = good; return rest; };
const nested = (depth) => { let act; for (let i = depth; i > 0; --i) act = agent(`agent-${i}`, act); return act; };
const doubled = (member) => JSON.stringify(good).replace(/}$/, `,${member}}`);

const cases = [];
const add = (name, verdict, value, more = {}) => cases.push({ name, verdict, token: value, ...more });
const who = (subject, client, chain, scopes) => ({ delegation: { subject, client, chain, scopes } });
const MAIL = ['mail.read', 'mail.send'];

// ----- Accepted
add('a person, an app, an agent', 'accepted', token(good), who('alice', 'app', ['mail-agent'], MAIL));
add('two hops: the outermost acts', 'accepted', token({ ...good, act: agent('search-agent', agent('mail-agent')) }), who('alice', 'app', ['search-agent', 'mail-agent'], MAIL));
add('no agent at all', 'accepted', token(without('act')), who('alice', 'app', [], MAIL));
add('an agent for itself', 'accepted', token({ ...without('act'), sub: 'mail-agent', sub_profile: 'ai_agent' }), who('mail-agent', 'app', [], MAIL));
add('act with sub alone', 'accepted', token({ ...good, act: { sub: 'mail-agent' } }), who('alice', 'app', ['mail-agent'], MAIL));
add('ten hops', 'accepted', token({ ...good, act: nested(10) }), who('alice', 'app', [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((i) => `agent-${i}`), MAIL));
add('no scope', 'accepted', token(without('scope')), who('alice', 'app', ['mail-agent'], []));
add('one of two audiences', 'accepted', token({ ...good, aud: ['https://other.example', API] }), who('alice', 'app', ['mail-agent'], MAIL));
add('EdDSA', 'accepted', token(good, { key: 'eddsa' }));
add('PS256', 'accepted', token(good, { key: 'ps256' }));
add('RS256', 'accepted', token(good, { key: 'rs256' }));
add('typ with its full media type', 'accepted', token(good, { header: { typ: 'application/at+jwt' } }));
add('typ in capitals', 'accepted', token(good, { header: { typ: 'AT+JWT' } }));
add('claims nobody knows', 'accepted', token({ ...good, 'https://x.example/claim': { any: ['thing'] } }));
add('one second before its end', 'accepted', token(good), { now: NOW + 239 });
add('nbf within the leeway', 'accepted', token({ ...good, nbf: NOW + 30 }));
add('issued within the leeway ahead', 'accepted', token({ ...good, iat: NOW + 30 }));

// ----- Time
add('in the second of its end', 'expired', token(good), { now: NOW + 240 });
add('expired by a second', 'expired', token(good), { now: NOW + 241 });
add('expired long ago', 'expired', token({ ...good, iat: 1000, exp: 2000 }));
add('not before, past the leeway', 'not_yet_valid', token({ ...good, nbf: NOW + 31 }));
add('issued ahead, past the leeway', 'not_yet_valid', token({ ...good, iat: NOW + 31 }));
add('no exp', 'malformed', token(without('exp')));
add('no iat', 'malformed', token(without('iat')));
add('exp is a text', 'malformed', token({ ...good, exp: String(NOW + 240) }));

// ----- For whom, from whom, what
add('another issuer', 'issuer', token({ ...good, iss: 'https://evil.example' }));
add('issuer differs in a slash', 'issuer', token({ ...good, iss: `${ISSUER}/` }));
add('another audience', 'audience', token({ ...good, aud: 'https://other.example' }));
add('audience is a prefix', 'audience', token({ ...good, aud: 'https://api.example' }));
add('audience is longer', 'audience', token({ ...good, aud: `${API}/more` }));
add('audience is an empty list', 'audience', token({ ...good, aud: [] }));
add('no audience', 'malformed', token(without('aud')));
add('an ID token', 'type', token({ ...without('act'), aud: API, nonce: 'n' }, { header: { typ: 'JWT' } }));
add('no typ', 'type', token(good, { header: { typ: undefined } }));
add('an actor token', 'type', token({ iss: 'mail-agent', sub: 'mail-agent', aud: ISSUER, jti: 'x', iat: NOW, exp: NOW + 60 }, { header: { typ: 'JWT' } }));
add('an actor token that calls itself an access token', 'audience', token({ ...without('act'), sub: 'mail-agent', aud: ISSUER }));
add('a security event', 'type', token({ iss: ISSUER, aud: API, jti: '1', iat: NOW, events: {} }, { header: { typ: 'secevent+jwt' } }));
add('a logout token', 'type', token({ ...good, events: {} }, { header: { typ: 'logout+jwt' } }));
add('no sub', 'malformed', token(without('sub')));
add('no client_id', 'malformed', token(without('client_id')));
add('no jti', 'malformed', token(without('jti')));
add('sub is a number', 'malformed', token({ ...good, sub: 7 }));
add('sub is empty', 'malformed', token({ ...good, sub: '' }));

// ----- The chain
add('act is a text', 'actor_malformed', token({ ...good, act: 'mail-agent' }));
add('act is a list', 'actor_malformed', token({ ...good, act: [agent('mail-agent')] }));
add('act is null', 'actor_malformed', token({ ...good, act: null }));
add('act is false', 'actor_malformed', token({ ...good, act: false }));
add('act without sub', 'actor_malformed', token({ ...good, act: { iss: ISSUER } }));
add('act with an empty sub', 'actor_malformed', token({ ...good, act: { sub: '' } }));
add('act whose sub is a number', 'actor_malformed', token({ ...good, act: { sub: 7 } }));
add('a nested act without sub', 'actor_malformed', token({ ...good, act: agent('a', { iss: ISSUER }) }));
add('a nested act that is a text', 'actor_malformed', token({ ...good, act: agent('a', 'b') }));
add('eleven hops', 'actor_malformed', token({ ...good, act: nested(11) }));

// ----- Bound to a key: not a bearer token
add('bound to a DPoP key', 'proof_required', token({ ...good, cnf: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } }));
add('bound to a certificate', 'proof_required', token({ ...good, cnf: { 'x5t#S256': 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2' } }));
add('bound to something new', 'proof_required', token({ ...good, cnf: { future: 1 } }));

// ----- The signature
add('a key that is not in the set', 'signature', token(good, { key: 'stranger' }));
add('signed by a stranger under a known kid', 'signature', token(good, { key: 'stranger', header: { kid: 'es256' } }));
add('alg none', 'signature', `${b64(JSON.stringify({ alg: 'none', typ: 'at+jwt' }))}.${b64(JSON.stringify(good))}.`);
add('alg none under a known kid', 'signature', `${b64(JSON.stringify({ alg: 'none', kid: 'es256', typ: 'at+jwt' }))}.${b64(JSON.stringify(good))}.`);
add('alg of another key', 'signature', token(good, { header: { alg: 'RS256' } }));
add('alg HS256', 'signature', token(good, { header: { alg: 'HS256' } }));
const [head, body, signature] = token(good).split('.');
add('claims changed after signing', 'signature', `${head}.${b64(JSON.stringify({ ...good, sub: 'bob' }))}.${signature}`);
add('chain taken out after signing', 'signature', `${head}.${b64(JSON.stringify(without('act')))}.${signature}`);
add('signature of zeros', 'signature', `${head}.${body}.${b64(Buffer.alloc(64))}`);
add('no signature', 'signature', `${head}.${body}.`);
add('signature in DER', 'signature', `${head}.${body}.${b64(sign('sha256', Buffer.from(`${head}.${body}`), pairs.es256.privateKey))}`);
add('a key of its own in the header', 'signature', token(good, { key: 'stranger', header: { kid: undefined, jwk: pairs.stranger.publicKey.export({ format: 'jwk' }) } }));

// ----- The form
add('empty', 'malformed', '');
add('no JWT', 'malformed', 'not.a.jwt');
add('an opaque token', 'malformed', 'bat_01mcc5nnee0123456789abcdefAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA');
add('four parts', 'malformed', `${token(good)}.x`);
add('an unknown critical header', 'malformed', token(good, { header: { crit: ['x'], x: 1 } }));
add('claims are a list', 'malformed', token('[]'));
// Where many JSON and base64 readers are lenient; a verifier that is not told apart by them is the better one.
const strict = { strict: true };
add('doubled sub', 'malformed', token(doubled('"sub":"bob"')), strict);
add('doubled act', 'malformed', token(doubled('"act":{"sub":"other"}')), strict);
add('exp with a fraction', 'malformed', token({ ...good, exp: NOW + 240.5 }), strict);
add('scope is a list', 'malformed', token({ ...good, scope: MAIL }), strict);
add('padded base64', 'malformed', `${token(good)}=`, strict);
add('sub with a line break', 'malformed', token({ ...good, sub: 'alice\r\nX-Admin: yes' }), strict);

const here = dirname(fileURLToPath(import.meta.url));
const lines = cases.map((one) => `  ${JSON.stringify(one)}`).join(',\n');
const keys = ['es256', 'eddsa', 'ps256', 'rs256'].map((name) => `  ${JSON.stringify(jwk(name))}`).join(',\n');
writeFileSync(join(here, 'tokens.json'), `{"issuer": ${JSON.stringify(ISSUER)}, "audience": ${JSON.stringify(API)}, "now": ${NOW},
"leeway_seconds": 30, "expiry_leeway_seconds": 0, "max_chain": 10,
"jwks": {"keys": [
${keys}]},
"cases": [
${lines}]}
`);
console.log(`${cases.length} tokens`);
