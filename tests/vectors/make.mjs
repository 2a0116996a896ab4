// Makes the JOSE vectors and the JSON suite of this folder, once: node tests/vectors/make.mjs
//
// The classes are those of the well-known collections: algorithm confusion, malleability, zero and out-of-range r and s, small
// order and non-canonical Ed25519, doubled members, `crit`, embedded keys, truncated and padded base64url, wrong types of claims,
// keys that must not be imported, JSON that must (y), must not (n) be taken. The files are part of the tree; the tests read them.
import { constants, createHash, createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const NOW = 1_795_000_000;
const b64 = (data) => Buffer.from(data).toString('base64url');
const bigint = (bytes) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
const bytes = (number, length, little = false) => {
  const out = Buffer.from(number.toString(16).padStart(2 * length, '0'), 'hex');
  return little ? out.reverse() : out;
};

const pair = (type, options) => generateKeyPairSync(type, options);
const made = { ES256: pair('ec', { namedCurve: 'P-256' }), other: pair('ec', { namedCurve: 'P-256' }), EdDSA: pair('ed25519'), RS256: pair('rsa', { modulusLength: 2048 }) };
made.PS256 = made.RS256;
const publicJwk = (name, more = {}) => ({ ...made[name].publicKey.export({ format: 'jwk' }), kid: name, ...more });
const keys = { ES256: publicJwk('ES256', { alg: 'ES256' }), EdDSA: publicJwk('EdDSA', { alg: 'EdDSA' }), RS256: publicJwk('RS256', { alg: 'RS256' }), PS256: publicJwk('PS256', { alg: 'PS256' }) };

function signature(alg, text, key = made[alg].privateKey) {
  const data = Buffer.from(text);
  if (alg === 'ES256') return sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' });
  if (alg === 'EdDSA') return sign(null, data, key);
  if (alg === 'RS256') return sign('sha256', data, key);
  return sign('sha256', data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
}
const base = { iss: 'issuer', sub: 'subject', aud: 'audience', iat: NOW, exp: NOW + 60, jti: 'one' };
const jwt = (alg, { header = {}, claims = {}, key, raw } = {}) => {
  const text = `${b64(JSON.stringify({ alg, kid: alg, typ: 'JWT', ...header }))}.${b64(raw ?? JSON.stringify({ ...base, ...claims }))}`;
  return `${text}.${b64(signature(alg, text, key))}`;
};

const vectors = [];
const add = (comment, token, result = 'invalid') => vectors.push({ id: vectors.length + 1, comment, jwt: token, result });
const ALGORITHMS = ['ES256', 'EdDSA', 'RS256', 'PS256'];

for (const alg of ALGORITHMS) {
  const good = jwt(alg);
  const [h, b, s] = good.split('.');
  const raw = Buffer.from(s, 'base64url');
  const sized = (change) => { const copy = Buffer.from(raw); change(copy); return `${h}.${b}.${b64(copy)}`; };
  add(`${alg}: good`, good, 'valid');
  add(`${alg}: good, without typ`, jwt(alg, { header: { typ: undefined } }), 'valid');
  add(`${alg}: good, audience as a list of one`, jwt(alg, { claims: { aud: ['audience'] } }), 'valid');
  add(`${alg}: good, further claims`, jwt(alg, { claims: { x: { y: [1, 'two', null, true] } } }), 'valid');
  for (const name of ['none', 'None', 'nOnE', 'NONE', '', 'HS256', 'HS384', 'HS512', 'ES384', 'ES512', 'ES256K', 'RS1', 'RS512', 'Ed448', 'dir', 'A128KW', alg.toLowerCase(), ` ${alg}`, `${alg} `, `${alg}\u0000`]) {
    if (name === alg) continue;
    add(`${alg}: alg ${JSON.stringify(name)}, signature kept`, `${b64(JSON.stringify({ alg: name, kid: alg, typ: 'JWT' }))}.${b}.${s}`);
  }
  for (const value of [null, 1, true, [alg], { alg }]) add(`${alg}: alg of type ${JSON.stringify(value)}`, `${b64(JSON.stringify({ alg: value, kid: alg, typ: 'JWT' }))}.${b}.${s}`);
  add(`${alg}: no alg`, `${b64(JSON.stringify({ kid: alg, typ: 'JWT' }))}.${b}.${s}`);
  for (const other of ALGORITHMS.filter((name) => name !== alg)) {
    add(`${alg}: signed as ${other}, with its kid`, `${b64(JSON.stringify({ alg: other, kid: alg, typ: 'JWT' }))}.${b}.${s}`);
    add(`${alg}: alg kept, kid of ${other}`, `${b64(JSON.stringify({ alg, kid: other, typ: 'JWT' }))}.${b}.${s}`);
  }
  for (const form of ['spki', 'jwk']) {
    const key = form === 'spki' ? made[alg].publicKey.export({ type: 'spki', format: 'pem' }) : JSON.stringify(keys[alg]);
    for (const header of [{ alg: 'HS256', kid: alg, typ: 'JWT' }]) {
      const text = `${b64(JSON.stringify(header))}.${b}`;
      add(`${alg}: HS256 keyed with the public key as ${form}`, `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`);
    }
  }
  add(`${alg}: HS256 with an empty key`, (() => { const text = `${b64(JSON.stringify({ alg: 'HS256', kid: alg }))}.${b}`; return `${text}.${createHmac('sha256', '').update(text).digest('base64url')}`; })());
  add(`${alg}: empty signature`, `${h}.${b}.`);
  add(`${alg}: no signature`, `${h}.${b}`);
  add(`${alg}: zero signature`, `${h}.${b}.${b64(Buffer.alloc(raw.length))}`);
  add(`${alg}: all ones`, `${h}.${b}.${b64(Buffer.alloc(raw.length, 255))}`);
  add(`${alg}: cut by one byte`, `${h}.${b}.${b64(raw.subarray(0, -1))}`);
  add(`${alg}: one byte more`, `${h}.${b}.${b64(Buffer.concat([raw, Buffer.from([0])]))}`);
  add(`${alg}: one byte before`, `${h}.${b}.${b64(Buffer.concat([Buffer.from([0]), raw]))}`);
  add(`${alg}: half`, `${h}.${b}.${b64(raw.subarray(0, raw.length / 2))}`);
  add(`${alg}: twice`, `${h}.${b}.${b64(Buffer.concat([raw, raw]))}`);
  for (const at of [0, 1, Math.floor(raw.length / 2), raw.length - 1]) add(`${alg}: bit of byte ${at} flipped`, sized((copy) => { copy[at] ^= 1; }));
  add(`${alg}: claims of another token`, `${h}.${b64(JSON.stringify({ ...base, sub: 'admin' }))}.${s}`);
  add(`${alg}: header of another token`, `${b64(JSON.stringify({ alg, kid: alg, typ: 'JWT', x: 1 }))}.${b}.${s}`);
  add(`${alg}: padded`, `${good}=`);
  add(`${alg}: padded twice`, `${good}==`);
  add(`${alg}: a padded header`, `${h}=.${b}.${s}`);
  add(`${alg}: a space`, `${h}.${b}. ${s}`);
  add(`${alg}: a line end`, `${good}\n`);
  add(`${alg}: the other alphabet`, `${h}.${b}.${raw.toString('base64')}`);
  const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  if (raw.length % 3 !== 0) add(`${alg}: unused bits set in the last character`, `${h}.${b}.${s.slice(0, -1)}${last[last.indexOf(s.at(-1)) + 1]}`);
  add(`${alg}: four parts`, `${good}.${s}`);
  add(`${alg}: five parts, as a JWE`, `${h}.${b}.${s}.${b}.${s}`);
  add(`${alg}: JSON serialization`, JSON.stringify({ protected: h, payload: b, signature: s }));
  add(`${alg}: two tokens`, `${good},${good}`);
  add(`${alg}: a scheme before it`, `Bearer ${good}`);
  add(`${alg}: an unknown kid`, jwt(alg, { header: { kid: 'unknown' } }));
  add(`${alg}: a kid that is a path`, jwt(alg, { header: { kid: '../../../dev/null' } }));
  for (const kid of [null, 1, ['x'], {}]) add(`${alg}: kid of type ${JSON.stringify(kid)}`, jwt(alg, { header: { kid } }));
  for (const crit of [['exp'], ['x'], [], 'x', null, ['b64'], ['alg', 'alg']]) add(`${alg}: crit ${JSON.stringify(crit)}`, jwt(alg, { header: { crit, x: 1 } }));
  add(`${alg}: b64 false`, jwt(alg, { header: { b64: false, crit: ['b64'] } }));
  for (const typ of ['at+jwt', 'dpop+jwt', 'JOSE', 'application/at+jwt', 1, null, ['JWT']]) add(`${alg}: typ ${JSON.stringify(typ)}`, jwt(alg, { header: { typ } }));
  const doubled = `{"alg":"${alg}","alg":"none","kid":"${alg}"}`;
  add(`${alg}: a doubled member in the header`, (() => { const text = `${b64(doubled)}.${b}`; return `${text}.${b64(signature(alg, text))}`; })());
  add(`${alg}: a doubled claim`, jwt(alg, { raw: JSON.stringify(base).replace('"sub":', '"sub":"admin","sub":') }));
  for (const claims of ['[]', 'null', '"x"', '1', '', '{', `${JSON.stringify(base)}x`, ` ${'['.repeat(500)}`, JSON.stringify(base).replace('subject', '\ud800')]) add(`${alg}: claims ${claims.slice(0, 12)}`, jwt(alg, { raw: claims }));
  for (const [name, values] of Object.entries({ exp: [undefined, null, `${NOW + 60}`, NOW - 61, NOW + 86400, -1, 1e300, [NOW + 60]], iat: [null, 'x', NOW + 62], nbf: [null, 'x', NOW + 62], aud: [undefined, null, 'other', ['audience', 'other'], [], ['audience', 'audience'], [['audience']], 1], iss: [undefined, 'other', 'issuer/', 1, null], sub: [undefined, 1, null], jti: [undefined, 1, null, ''] })) {
    for (const value of values) add(`${alg}: ${name} ${JSON.stringify(value)}`, jwt(alg, { claims: { [name]: value } }));
  }
  add(`${alg}: expired, but within the leeway`, jwt(alg, { claims: { iat: NOW - 100, exp: NOW - 59 } }), 'valid');
  add(`${alg}: not yet, but within the leeway`, jwt(alg, { claims: { nbf: NOW + 59 } }), 'valid');
}
for (const header of [{ jwk: { ...made.other.publicKey.export({ format: 'jwk' }) } }, { jku: 'https://evil.example/jwks' }, { x5u: 'https://evil.example/x5u' }, { x5c: ['MIIB'] }, { x5t: 'AAAA' }]) {
  add(`a key in the header: ${Object.keys(header)[0]}`, jwt('ES256', { header, key: made.other.privateKey }));
  add(`a key in the header, kid unknown: ${Object.keys(header)[0]}`, jwt('ES256', { header: { ...header, kid: 'evil' }, key: made.other.privateKey }));
}
add('ES256: another key under the same kid', jwt('ES256', { key: made.other.privateKey }));
{
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const [h, b, s] = jwt('ES256').split('.');
  const [r0, s0] = [bigint(Buffer.from(s, 'base64url').subarray(0, 32)), bigint(Buffer.from(s, 'base64url').subarray(32))];
  const two = (r, t) => `${h}.${b}.${b64(Buffer.concat([bytes(r, 32), bytes(t, 32)]))}`;
  const max = (1n << 256n) - 1n;
  for (const [name, r, t] of [['r=0', 0n, s0], ['s=0', r0, 0n], ['both 0', 0n, 0n], ['r=n', n, s0], ['s=n', r0, n], ['both n', n, n], ['r=1', 1n, s0], ['s=1', r0, 1n], ['both 1', 1n, 1n], ['r=n-1', n - 1n, s0], ['s=n-1', r0, n - 1n], ['r=n+1', n + 1n, s0], ['r=2^256-1', max, s0], ['s=2^256-1', r0, max], ['swapped', s0, r0], ['r+n', (r0 + n) & max, s0]]) add(`ES256: ${name}`, two(r, t));
  const der = sign('sha256', Buffer.from(`${h}.${b}`), made.ES256.privateKey);
  add('ES256: DER', `${h}.${b}.${b64(der)}`);
  add('ES256: each half with a zero before it', `${h}.${b}.${b64(Buffer.concat([Buffer.from([0]), bytes(r0, 32), Buffer.from([0]), bytes(s0, 32)]))}`);
}
{
  const order = (1n << 252n) + 27742317777372353535851937790883648493n;
  const [h, b, s] = jwt('EdDSA').split('.');
  const raw = Buffer.from(s, 'base64url');
  const scalar = bigint(Buffer.from(raw.subarray(32)).reverse());
  add('EdDSA: s + order', `${h}.${b}.${b64(Buffer.concat([raw.subarray(0, 32), bytes(scalar + order, 32, true)]))}`);
  add('EdDSA: s = order', `${h}.${b}.${b64(Buffer.concat([raw.subarray(0, 32), bytes(order, 32, true)]))}`);
  for (const point of ['0100000000000000000000000000000000000000000000000000000000000000', '0000000000000000000000000000000000000000000000000000000000000000', 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f']) {
    add(`EdDSA: R of small order or not canonical ${point.slice(0, 8)}`, `${h}.${b}.${b64(Buffer.concat([Buffer.from(point, 'hex'), Buffer.alloc(32)]))}`);
  }
}
{
  const text = (alg) => `${b64(JSON.stringify({ alg, kid: alg, typ: 'JWT' }))}.${b64(JSON.stringify(base))}`;
  const pss = (saltLength) => b64(sign('sha256', Buffer.from(text('PS256')), { key: made.PS256.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }));
  add('PS256: no salt', `${text('PS256')}.${pss(0)}`);
  add('PS256: the longest salt', `${text('PS256')}.${pss(constants.RSA_PSS_SALTLEN_MAX_SIGN)}`);
  add('PS256: PKCS#1 under its name', `${text('PS256')}.${b64(sign('sha256', Buffer.from(text('PS256')), made.RS256.privateKey))}`);
  add('RS256: PSS under its name', `${text('RS256')}.${b64(sign('sha256', Buffer.from(text('RS256')), { key: made.RS256.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }))}`);
  add('RS256: SHA-1', `${text('RS256')}.${b64(sign('sha1', Buffer.from(text('RS256')), made.RS256.privateKey))}`);
  add('RS256: SHA-512', `${text('RS256')}.${b64(sign('sha512', Buffer.from(text('RS256')), made.RS256.privateKey))}`);
}

const keyVectors = [];
const key = (comment, jwk, result = 'invalid') => keyVectors.push({ id: keyVectors.length + 1, comment, jwk, result });
for (const name of ALGORITHMS) key(`${name}: good`, keys[name], 'valid');
const { ES256: ec, EdDSA: ed, RS256: rsa } = keys;
const zero = b64(Buffer.alloc(32));
for (const [comment, jwk] of [
  ['EC: off the curve', { ...ec, x: ec.y }], ['EC: x of 31 bytes', { ...ec, x: b64(Buffer.from(ec.x, 'base64url').subarray(1)) }], ['EC: x of 33 bytes', { ...ec, x: b64(Buffer.concat([Buffer.from([0]), Buffer.from(ec.x, 'base64url')])) }],
  ['EC: the point at infinity', { ...ec, x: zero, y: zero }], ['EC: no y', { ...ec, y: undefined }], ['EC: no crv', { ...ec, crv: undefined }], ['EC: P-384 over P-256 values', { ...ec, crv: 'P-384' }], ['EC: secp256k1', { ...ec, crv: 'secp256k1' }],
  ['EC: x is p', { ...ec, x: b64(bytes(0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn, 32)) }], ['EC: padded', { ...ec, x: `${ec.x}=` }], ['EC: a number', { ...ec, x: 1 }], ['EC: alg of RSA', { ...ec, alg: 'RS256' }], ['EC: alg none', { ...ec, alg: 'none' }], ['EC: alg HS256', { ...ec, alg: 'HS256' }],
  ['EC: private', made.ES256.privateKey.export({ format: 'jwk' })], ['EC: use enc', { ...ec, use: 'enc' }], ['EC: key_ops encrypt', { ...ec, key_ops: ['encrypt'] }], ['EC: key_ops sign', { ...ec, key_ops: ['sign'] }], ['EC: key_ops twice', { ...ec, key_ops: ['verify', 'verify'] }], ['EC: use of type number', { ...ec, use: 1 }],
  ['OKP: X25519', { ...ed, crv: 'X25519' }], ['OKP: Ed448', { ...ed, crv: 'Ed448' }], ['OKP: short', { ...ed, x: b64(Buffer.alloc(31, 1)) }], ['OKP: long', { ...ed, x: b64(Buffer.alloc(33, 1)) }], ['OKP: private', made.EdDSA.privateKey.export({ format: 'jwk' })],
  ...['0100000000000000000000000000000000000000000000000000000000000000', 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', '0000000000000000000000000000000000000000000000000000000000000000', '0000000000000000000000000000000000000000000000000000000000000080', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'].map((point) => [`OKP: small order ${point.slice(0, 8)}`, { ...ed, x: b64(Buffer.from(point, 'hex')) }]),
  ['OKP: not canonical', { ...ed, x: b64(Buffer.from('eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', 'hex')) }],
  ['RSA: 1024 bits', { ...pair('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' }), kid: 'r' }], ['RSA: e 1', { ...rsa, e: 'AQ' }], ['RSA: e 2', { ...rsa, e: 'Ag' }], ['RSA: e 65536', { ...rsa, e: b64(Buffer.from([1, 0, 0])) }], ['RSA: e 0', { ...rsa, e: 'AA' }], ['RSA: no e', { ...rsa, e: undefined }], ['RSA: even n', { ...rsa, n: b64(Buffer.concat([Buffer.from(rsa.n, 'base64url').subarray(0, -1), Buffer.from([0])])) }],
  ['RSA: 16384 bits', { ...rsa, n: b64(Buffer.alloc(2048, 255)) }], ['RSA: private', made.RS256.privateKey.export({ format: 'jwk' })], ['RSA: alg ES256', { ...rsa, alg: 'ES256' }], ['RSA: alg RSA1_5', { ...rsa, alg: 'RSA1_5' }], ['RSA: alg HS256', { ...rsa, alg: 'HS256' }],
  ['symmetric', { kty: 'oct', k: 'AAAA', kid: 'o' }], ['kty unknown', { ...ec, kty: 'XX' }], ['kty missing', { ...ec, kty: undefined }], ['kty a number', { ...ec, kty: 1 }], ['kty in another case', { ...ec, kty: 'ec' }], ['nothing', {}], ['a list', []], ['text', 'x'], ['kid a number', { ...ec, kid: 1 }],
]) key(comment, jwk);

// ---- JSON ----
const suite = [];
const json = (kind, text) => suite.push({ kind, text: Buffer.from(text).toString('base64') });
for (const text of ['{}', '[]', 'null', 'true', 'false', '0', '-0', '1', '-1', '12345678901', '1.5', '-1.5e3', '1E5', '1e-5', '1e+5', '0.1', '""', '"a"', '"\\u0041"', '"\\ud83d\\ude00"', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"ä€😀"', ' \t\r\n{} \t\r\n', '{"a":1}', '{"a":{"b":[1,2,{"c":null}]}}', '[1,2,3]', '[[],[[]]]', '{"":0}', '{"a":1,"A":2}', '9007199254740991', '"\u007f"', '[true,false,null]', '{"a":"","b":[]}', '"\\u00e9"', '1e0', '"\\u2028"', '[0]', '[-1]', '["\\u0020"]', '{"a b":1}', '99999999999999999999999999999999']) json('y', text);
for (const text of ['', ' ', '{', '}', '[', ']', '[1,]', '[,1]', '[1,,2]', '{"a":1,}', '{,"a":1}', '{"a"}', '{"a":}', '{"a":1 "b":2}', '{a:1}', "{'a':1}", "'a'", '"a', 'a"', '"\n"', '"\t"', '"\u0000"', '"\u001f"', '"\\x41"', '"\\u"', '"\\u00"', '"\\u004"', '"\\u00g0"', '"\\ud800"', '"\\udc00"', '"\\ud800\\u0041"', '"\\ud800\\ud800"', '"\\u0000"', '01', '-01', '00', '+1', '.5', '5.', '1.', '1.e5', '1e', '1e+', '0x10', 'NaN', 'Infinity', '-Infinity', '-', '--1', '1-', '1 2', 'nul', 'nulll', 'True', 'TRUE', 'undefined', '[1}', '{"a":1]', '{}{}', '[][]', '{} x', '// x\n{}', '/* x */{}', '{}//', '{"a":1,"a":2}', '{"a":{"b":1,"b":2}}', '\ufeff{}', '[1] ,', '"a"b', '1e999', '-1e999', '{"a":1e400}', '["a",]', '[\u00a01]', '[1\u000b]', '\f{}', '["\\a"]', '["\\"]', '{1:2}', '{null:1}', '{"a":tru}', '[fals]', '{"a"::1}', '{"a",1}', '[1 2]', '["a" "b"]', ':', ',', '"', '\\', '{"a":"b', '{"a":"b"', '[[', '[{', '{[', ';', '#', '`', '\u0000', '{}\u0000', '1\u0000', 'é', '[é]']) json('n', text);
for (const bad of [[0x22, 0x80, 0x22], [0x22, 0xc0, 0xaf, 0x22], [0x22, 0xc1, 0xbf, 0x22], [0x22, 0xe0, 0x80, 0xaf, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0x22, 0xf5, 0x80, 0x80, 0x80, 0x22], [0x22, 0xf0, 0x80, 0x80, 0xaf, 0x22], [0x22, 0xff, 0x22], [0x22, 0xc3, 0x22], [0x22, 0xe2, 0x82, 0x22], [0xfe, 0xff, 0, 0x7b, 0, 0x7d], [0x7b, 0, 0x7d, 0], [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22]]) json('n', Buffer.from(bad));
for (const depth of [17, 64, 1000, 10_000]) { json('n', '['.repeat(depth) + ']'.repeat(depth)); json('n', '{"a":'.repeat(depth) + '1' + '}'.repeat(depth)); json('n', '['.repeat(depth)); }
for (const depth of [1, 8, 16]) json('y', '['.repeat(depth) + ']'.repeat(depth));

writeFileSync(join(here, 'jose.json'), `${JSON.stringify({ now: NOW, expect: { issuer: 'issuer', audience: 'audience' }, keys: Object.values(keys) })}\n${vectors.map((vector) => JSON.stringify(vector)).join('\n')}\n`);
writeFileSync(join(here, 'keys.json'), `${keyVectors.map((vector) => JSON.stringify(vector)).join('\n')}\n`);
writeFileSync(join(here, 'json.txt'), `${suite.map(({ kind, text }) => `${kind} ${text}`).join('\n')}\n`);
console.log(`${vectors.length} tokens, ${keyVectors.length} keys, ${suite.length} JSON texts (${createHash('sha256').update(JSON.stringify(vectors)).digest('hex').slice(0, 8)})`);

