// The packaged server as a process, and everybody who plays in the cases: people u1, u2, u3 (u3 may give r1.read alone);
// confidential clients ca, cb; public client cp; cg, which IS agent ag and proves itself with a key; cs, which is agent as and
// has a secret alone; agents a1, a2, a3 (suspended), a-picky (not for u2), a-elsewhere (not at ca); runtimes a1-runtime and
// a2-runtime, which are those agents; resources R1, R2, OPAQUE, PAIRWISE, STRONG and the middle tier m1, which is the resource M1.
//
// Nothing but Node.js and libfaketime, which moves the server's wall clock and leaves its steady clock alone.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash, generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const binary = process.env.BEHALF;

export const R1 = 'https://api.example/r1';
export const R2 = 'https://api.example/r2';
export const M1 = 'https://api.example/m1';
export const OPAQUE = 'https://api.example/opaque';
export const OUTERMOST = 'https://api.example/outermost';
export const PAIRWISE = 'https://api.example/pairwise';
export const STRONG = 'https://api.example/strong';
export const REDIRECT = 'https://app.example/cb';
export const LOOPBACK = 'http://127.0.0.1/loop';
export const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
export const REFRESH_TOKEN = 'urn:ietf:params:oauth:token-type:refresh_token';
export const JWT = 'urn:ietf:params:oauth:token-type:jwt';
export const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const PASSWORD = 'correct horse battery';
const SO = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';

const base64url = (data) => Buffer.from(data).toString('base64url');
export const claimsOf = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url'));
export const headerOf = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[0], 'base64url'));
// The actors of a token, outermost first.
export const chainOf = (jwt) => {
  const chain = [];
  for (let { act } = claimsOf(jwt); act; act = act.act) chain.push(act.sub);
  return chain;
};
export const pkce = () => {
  const verifier = base64url(randomBytes(32));
  return { verifier, challenge: base64url(createHash('sha256').update(verifier).digest()) };
};

function makeKey(kid) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { kid, privateKey, publicKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' } };
}
// Any header, any claims; `key` as of makeKey.
export function signJwt(key, claims, header = {}) {
  const text = `${base64url(JSON.stringify({ alg: 'ES256', kid: key.kid, typ: 'JWT', ...header }))}.${base64url(typeof claims === 'string' ? claims : JSON.stringify(claims))}`;
  return `${text}.${base64url(sign('sha256', Buffer.from(text), { key: key.privateKey, dsaEncoding: 'ieee-p1363' }))}`;
}

// What no refusal has in it.
const TOKEN = /"(access_token|refresh_token|id_token|request_uri)"|eyJ[A-Za-z0-9_-]{20,}\./;

// ---- The state file ----

function toml(value) {
  if (Array.isArray(value)) return `[${value.map(toml).join(', ')}]`;
  if (value && typeof value === 'object') return `{ ${Object.entries(value).map(([name, member]) => `${name} = ${toml(member)}`).join(', ')} }`;
  return JSON.stringify(value);
}
const writeState = (state) => Object.entries(state).map(([kind, things]) => things.map((thing) =>
  `[[${kind}]]\n${Object.entries(thing).map(([name, value]) => `${name} = ${toml(value)}\n`).join('')}`).join('\n')).join('\n');

function stateOfTheCast(keys) {
  const scope = (name, more = {}) => ({ name, title: `Title of ${name}`, description: `Words about ${name}.`, ...more });
  const everywhere = ['ca', 'cb', 'cp', 'm1', 'r1-server', 'r2-server', 'p-server'];
  const agent = (id, more = {}) => ({
    id, name: `Agent ${id}`, publisher: `Publisher of ${id}`, owner: `owner-of-${id}`, capability_version: '1',
    scopes: ['r1.read', 'r1.write', 'r2.read', 'm1.use', 'x.read'], clients: everywhere, jwks: { keys: [keys[id].jwk] }, ...more,
  });
  const client = (id, more = {}) => ({
    id, name: `Client ${id}`, scopes: ['r1.read', 'r1.write', 'r2.read', 'm1.use', 'x.read'], secret_file: `${id}.secret`,
    grant_types: ['authorization_code', 'refresh_token', EXCHANGE], redirect_uris: [REDIRECT, 'https://app.example/fixed?a=1'], ...more,
  });
  const service = (id, more) => ({ id, name: `Service ${id}`, secret_file: `${id}.secret`, scopes: ['r1.read', 'r1.write', 'r2.read', 'm1.use', 'x.read'], ...more });
  const runtime = (id, of) => service(id, { agent: of, grant_types: ['client_credentials'] });
  return {
    user: ['u1', 'u2', 'u3'].map((id) => ({ id, username: id, display_name: `User ${id}`, password: PASSWORD, ...(id === 'u3' && { entitlements: ['r1.read'] }) })),
    resource: [
      { id: R1, name: 'Resource one', scopes: [scope('r1.read'), scope('r1.write'), scope('r2.read')] },
      { id: R2, name: 'Resource two', scopes: [scope('r2.read')] },
      { id: M1, name: 'Middle tier', scopes: [scope('m1.use'), scope('r2.read'), scope('r1.read')], scope_map: [{ scope: 'm1.use', gives: ['r2.read'] }] },
      { id: OPAQUE, name: 'Opaque', token_format: 'opaque', scopes: [scope('x.read')] },
      { id: OUTERMOST, name: 'Outermost', chain_disclosure: 'outermost', scopes: [scope('x.read')] },
      { id: PAIRWISE, name: 'Pairwise', subject_type: 'pairwise', scopes: [scope('x.read'), scope('r2.read')] },
      { id: STRONG, name: 'Strong', required_acr: 'urn:example:strong', scopes: [scope('x.read'), scope('r2.read')] },
    ],
    agent: [
      agent('a1', { onward: { to: ['a2', 'm1', 'a4', 'r1-server', 'm1-child'], depth: 4 }, refresh_lifetime: '8h', bearer_actor_tokens: true }),
      agent('a2', { scopes: ['r1.read', 'r2.read', 'm1.use'], onward: { to: ['a1', 'a4', 'm1', 'r2-server'], depth: 3 }, bearer_actor_tokens: true }),
      agent('a3'),
      agent('a4', { scopes: ['r1.read', 'r2.read'], onward: { to: ['a5', 'a1', 'a2'], depth: 3 } }),
      agent('a5', { scopes: ['r1.read', 'r2.read'], onward: { to: ['a6', 'a1'], depth: 3 } }),
      agent('a6', { scopes: ['r1.read', 'r2.read'] }),
      agent('a-picky', { users: ['u1', 'u3'] }),
      agent('a-elsewhere', { clients: ['cb'] }),
      agent('a-last', {}),
      agent('ag', { clients: ['cg'], refresh_lifetime: '8h' }),
      agent('as', { clients: ['cs'] }),
      agent('child', { parent: 'a1-runtime' }),
      agent('m1-child', { parent: 'm1', clients: ['m1'], bearer_actor_tokens: true, refresh_lifetime: '8h' }),
      agent('other-child', { parent: 'a2-runtime' }),
    ],
    client: [
      client('ca', { refresh_lifetime: '30d' }), client('cb', { refresh_lifetime: '30d' }),
      { id: 'cp', name: 'Client cp', auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'], redirect_uris: [LOOPBACK], scopes: ['r1.read', 'r1.write'] },
      { ...client('cg', { auth_method: 'private_key_jwt', jwks: { keys: [keys.cg.jwk] }, agent: 'ag', refresh_lifetime: '30d' }), secret_file: undefined },
      client('cs', { agent: 'as' }),
      runtime('a1-runtime', 'a1'), runtime('a2-runtime', 'a2'), runtime('a4-runtime', 'a4'),
      service('m1', { grant_types: [EXCHANGE, JWT_BEARER, 'client_credentials'], resource: M1, acts_as_service: true, refresh_lifetime: '1d', introduces: ['a2'] }),
      service('r1-server', { grant_types: [EXCHANGE, JWT_BEARER], resource: R1, acts_as_service: true }),
      service('r2-server', { grant_types: [EXCHANGE], resource: R2 }),
      service('x-server', { grant_types: [EXCHANGE], resource: OPAQUE }),
      service('o-server', { grant_types: [EXCHANGE], resource: OUTERMOST }),
      service('p-server', { grant_types: [EXCHANGE, JWT_BEARER], resource: PAIRWISE, acts_as_service: true }),
      service('plain', { grant_types: ['client_credentials'] }),
    ].map((entry) => Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined))),
  };
}

// ---- People ----

const unescape = (text) => text.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
// The inputs of the form that posts to `action`, as { name, value, type }; undefined if there is no such form.
export function formOf(html, action) {
  const found = [...html.matchAll(/<form\b[^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/g)].find(([, to]) => unescape(to).endsWith(action));
  return found && [...found[2].matchAll(/<input\b[^>]*>/g)].map(([tag]) => {
    const attribute = (name) => unescape(tag.match(new RegExp(`\\b${name}="([^"]*)"`))?.[1] ?? '');
    return { type: attribute('type'), name: attribute('name'), value: attribute('value') };
  });
}

// One browser: keeps cookies, follows nothing by itself.
export class Browser {
  constructor(server, cookies = new Map()) {
    this.server = server;
    this.cookies = cookies;
  }
  copy() { return new Browser(this.server, new Map(this.cookies)); }
  async open(path, form, headers = {}) {
    const answer = await this.server.http(path, {
      method: form ? 'POST' : 'GET', form,
      headers: { cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; '), ...(form && { origin: this.server.issuer }), ...headers },
    });
    for (const line of answer.cookies) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (value === '') this.cookies.delete(name);
      else {
        this.cookies.set(name, value);
        if (value.length >= 24) this.server.secret(value);
      }
    }
    return answer;
  }
  async signIn(user, next = '/login', password = PASSWORD) {
    const page = await this.open(next);
    const fields = formOf(page.text, '/login');
    assert.ok(fields, `a sign-in form: ${page.status} ${page.text.slice(0, 300)}`);
    const form = Object.fromEntries(fields.filter(({ type }) => type === 'hidden').map(({ name, value }) => [name, value]));
    return this.open('/login', { ...form, username: user, password });
  }
  // Opens an authorization request and signs in if asked to. What stands there then: the consent page, or the answer.
  async begin(parameters, user = 'u1') {
    let answer = await this.open(`/authorize?${new URLSearchParams(parameters)}`);
    if (answer.location?.startsWith('/login')) answer = await this.signIn(user, answer.location);
    if (answer.location?.startsWith('/consent')) return { ...await this.open(answer.location), at: answer.location };
    return answer;
  }
  // Decides on a consent page. `scopes`: what stays ticked; `change` alters the form that is sent.
  async decide(page, { decision = 'allow', scopes, change = (form) => form } = {}) {
    const fields = formOf(page.text, '/consent');
    assert.ok(fields, `a consent form: ${page.status} ${page.text.slice(0, 300)}`);
    const form = new URLSearchParams();
    for (const { type, name, value } of fields) {
      if (type === 'hidden' || (type === 'checkbox' && (name !== 'scope' || !scopes || scopes.includes(value)))) form.append(name, value);
    }
    form.set('decision', decision);
    return this.open('/consent', change(form) ?? form);
  }
}

// ---- Secrets ----

// The first of these secrets that stands in the text. There are thousands of each, so the text is walked once: its words are
// compared with the ends of all secrets (a handle's first part is its public id; a JWT's last part is what makes it one).
const TAIL = 24;
export function firstSecretIn(text, secrets) {
  const ends = new Map();
  const beginnings = new Uint8Array(1 << 18);
  const beginning = (word, at) => ((word.charCodeAt(at) & 63) << 12) | ((word.charCodeAt(at + 1) & 63) << 6) | (word.charCodeAt(at + 2) & 63);
  for (const secret of secrets) {
    const end = secret.slice(-TAIL);
    if (end.length < TAIL || !/^[\w.~-]+$/.test(end)) {
      if (end && text.includes(end)) return secret;
    } else {
      ends.set(end, secret);
      beginnings[beginning(end, 0)] = 1;
    }
  }
  for (const [word] of text.matchAll(/[\w.~-]{24,}/g)) {
    for (let at = 0; at + TAIL <= word.length; ++at) {
      if (beginnings[beginning(word, at)] && ends.has(word.slice(at, at + TAIL))) return ends.get(word.slice(at, at + TAIL));
    }
  }
  return undefined;
}

// ---- The server ----

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

export class Server {
  keys = {};
  secrets = {};
  _seen = new Set();
  _faults = [];          // answers of 500 and the like
  _refusals = new Map();  // trace: what was refused
  _offset = 0;
  _browsers = new Map();

  // `config`: lines for the end of behalf.toml. `clock`: with a wall clock that advance() moves. `store`: the line of [store],
  // where it is not SQLite in the folder. `folder`: an empty one to use, and to remove.
  // `https`: where it speaks TLS, as { address, certificate, key }. `within`: a command that starts it, with limits of its own.
  static async start({ config = '', clock = false, store, folder, https, within = [], change = () => {} } = {}) {
    if (!binary) throw new Error('BEHALF does not name the binary to test');
    const server = new Server();
    server.folder = folder ?? await mkdtemp(join(tmpdir(), 'behalf-cases-'));
    server.at = (name) => join(server.folder, name);
    server.port = await freePort();
    server.issuer = https ? `https://${https.address}:${server.port}` : `http://127.0.0.1:${server.port}`;
    server.hasClock = clock;
    server.within = within;
    for (const id of ['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a-picky', 'a-elsewhere', 'a-last', 'ag', 'as', 'child', 'm1-child', 'other-child', 'cg', 'stranger']) server.keys[id] = makeKey(`${id}-1`);
    server.state = stateOfTheCast(server.keys);
    change(server.state);
    await run(binary, ['init', server.folder, '--port', String(server.port), '--issuer', server.issuer]);
    // The cases fail on purpose and often; limits have cases of their own.
    const limits = config.includes('[limits]') ? '' : '[limits]\nfailures = 0\nsign_in_failures = 0\nprompts_per_hour = 0\n';
    let text = await readFile(server.at('behalf.toml'), 'utf8');
    if (store) text = text.replace(/^sqlite = .*$/m, store);
    if (https) text = text.replace(/^address = .*$/m, `address = "${https.address}"\ntls_certificate = "${https.certificate}"\ntls_private_key = "${https.key}"`);
    await writeFile(server.at('behalf.toml'), `${text}\n${limits}${config}\n`);
    await server.spawn();
    try {
      await server.apply();
      await server.admin('agent', 'suspend', 'a3');
      for (const { id, secret_file: file } of server.state.client) {
        if (file) server.secrets[id] = server.secret((await readFile(server.at(file), 'utf8')).trim());
      }
    } catch (fault) {
      await server.stop().catch(() => {});
      throw fault;
    }
    server.secret(PASSWORD);
    return server;
  }

  // What a process needs in its environment to have this server's clock.
  get clockEnvironment() {
    if (!this.hasClock) return {};
    assert.ok(existsSync(SO), 'libfaketime is installed');
    return { LD_PRELOAD: SO, FAKETIME_TIMESTAMP_FILE: this.at('clock'), FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' };
  }
  async spawn() {
    const fake = process.env.LD_PRELOAD_FOR_SERVER ? { LD_PRELOAD: process.env.LD_PRELOAD_FOR_SERVER } : {};
    if (this.hasClock) await this._writeClock();
    const [program, ...words] = [...this.within, binary, 'serve', '-c', this.at('behalf.toml')];
    this.child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...fake, ...this.clockEnvironment } });
    this.said = '';
    for (const stream of [this.child.stderr, this.child.stdout]) stream.on('data', (chunk) => { this.said += chunk; });
    this.ended = once(this.child, 'exit');
    for (let tries = 0; ; ++tries) {
      if (this.child.exitCode !== null || tries > 400) throw new Error(`the server does not start:\n${this.said}`);
      if (await fetch(`${this.issuer}/readyz`).then((answer) => answer.ok, () => false)) return;
      await pause(25);
    }
  }
  async restart(signal = 'SIGTERM') {
    this.child.kill(signal);
    await this.ended;
    await this.spawn();
  }
  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGTERM');
    const [code, signal] = await this.ended;
    await rm(this.folder, { recursive: true, force: true });
    if (code !== 0) throw new Error(`the server ended with ${code ?? signal}:\n${this.said}`);
  }

  // ---- Time ----
  async _writeClock() {
    await writeFile(this.at('clock.new'), `+${this._offset}s\n`);
    await rename(this.at('clock.new'), this.at('clock'));
  }
  get now() { return Math.floor(Date.now() / 1000) + this._offset; }
  async advance(seconds) {
    assert.ok(this.hasClock);
    this._offset += seconds;
    await this._writeClock();
  }

  // ---- HTTP ----
  // Every call is one trace of its own (W3C), by which its record is found; what was refused is kept for allIsWell().
  async http(path, { method = 'GET', form, body, headers = {} } = {}) {
    const trace = randomBytes(16).toString('hex');
    const answer = await fetch(new URL(path, this.issuer), {
      method, redirect: 'manual', headers: { traceparent: `00-${trace}-00f067aa0ba902b7-01`, ...headers, ...(form && { 'content-type': 'application/x-www-form-urlencoded' }) },
      body: form ? new URLSearchParams(form).toString() : body,
    });
    const text = await answer.text();
    let json;
    try { json = JSON.parse(text); } catch { /* a page */ }
    for (const name of ['access_token', 'refresh_token', 'request_uri']) if (json?.[name]) this.secret(json[name]);
    const location = answer.headers.get('location');
    const target = location && new URL(location, this.issuer);
    const code = target?.searchParams.get('code');
    if (code) this.secret(code);
    const { status } = answer;
    const what = `${method} ${new URL(path, this.issuer).pathname}: ${status} ${text.slice(0, 100)}`;
    if (status >= 500 && status !== 503) this._faults.push(what);
    // Refusals of the HTTP layer (405, 413, 415, ...) decide nothing.
    if ([400, 401, 403, 429].includes(status) || target?.searchParams.has('error')) {
      this._refusals.set(trace, { what, error: json?.error });
      if (TOKEN.test(text) || code) this._faults.push(`refused and given all the same: ${what}`);
      if (answer.headers.get('cache-control') !== 'no-store') this._faults.push(`may be cached: ${what}`);
    }
    return { status, headers: answer.headers, cookies: answer.headers.getSetCookie(), text, json, location, query: target?.searchParams, trace };
  }
  // Bytes as they are, for what no client library would send; the status and body that came back.
  raw(options, body) {
    return new Promise((resolve, reject) => {
      const request = http.request({ host: '127.0.0.1', port: this.port, agent: false, ...options }, (answer) => {
        let text = '';
        answer.on('data', (chunk) => { text += chunk; });
        answer.on('end', () => {
          if (answer.statusCode >= 500 && answer.statusCode !== 503) this._faults.push(`${options.method ?? 'GET'} ${options.path}: ${answer.statusCode} ${text.slice(0, 100)}`);
          resolve({ status: answer.statusCode, headers: new Headers(answer.headers), text, json: (() => { try { return JSON.parse(text); } catch { return undefined; } })() });
        });
      });
      request.on('error', reject);
      request.end(body);
    });
  }
  basic(client, secret = this.secrets[client]) { return { authorization: `Basic ${Buffer.from(`${encodeURIComponent(client)}:${encodeURIComponent(secret)}`).toString('base64')}` }; }
  // A form post by that client, authenticated as it is registered.
  async as(client, path, fields = {}) {
    const form = fields instanceof URLSearchParams ? fields : new URLSearchParams(Object.entries(fields).flatMap(([name, value]) =>
      (value === undefined ? [] : [value].flat().map((item) => [name, item]))));
    if (client === 'cp') { if (!form.has('client_id')) form.set('client_id', 'cp'); }
    else if (client === 'cg') {
      form.set('client_assertion_type', ASSERTION);
      form.set('client_assertion', this.clientAssertion());
    }
    return this.http(path, { method: 'POST', form, headers: this.secrets[client] ? this.basic(client) : {} });
  }
  token(client, fields) { return this.as(client, '/token', fields); }
  introspect(client, token) { return this.as(client, '/introspect', { token }); }
  async isActive(client, token) {
    const answer = await this.introspect(client, token);
    assert.equal(answer.status, 200, answer.text);
    if (!answer.json.active) assert.equal(answer.text, '{"active":false}');
    return answer.json.active;
  }
  async metadata() { return (await this.http('/.well-known/oauth-authorization-server')).json; }

  // ---- Proofs ----
  secret(text) { this._seen.add(text); return text; }
  // A self-signed actor assertion; `claims` replace (undefined removes).
  proof(agent, claims = {}, header = {}, key = this.keys[agent]) {
    return this.secret(signJwt(key, { iss: agent, sub: agent, aud: this.issuer, iat: this.now, exp: this.now + 60, jti: randomUUID(), ...claims }, header));
  }
  clientAssertion(claims = {}, header = {}, key = this.keys.cg) { return this.proof('cg', claims, header, key); }
  // The kind that the server issues to the agent's own runtime.
  async issuedProof(agent) {
    const answer = await this.token(`${agent}-runtime`, { grant_type: 'client_credentials', resource: this.issuer });
    assert.equal(answer.status, 200, answer.text);
    return answer.json.access_token;
  }

  // ---- Flows ----
  authorization({ client = 'ca', agent = 'a1', scope = 'r1.read', resource = R1, challenge, ...more } = {}) {
    const parameters = {
      response_type: 'code', client_id: client, redirect_uri: client === 'cp' ? 'http://127.0.0.1:4711/loop' : REDIRECT, scope, state: `state-${randomUUID()}`,
      code_challenge: challenge ?? pkce().challenge, code_challenge_method: 'S256', resource, requested_actor: agent, ...more,
    };
    return Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null));
  }
  // A browser in which that person is signed in; always the same one, so that passwords are hashed once.
  async browser(user = 'u1') {
    if (!this._browsers.has(user)) {
      const browser = new Browser(this);
      await browser.signIn(user);
      this._browsers.set(user, browser);
    }
    return this._browsers.get(user);
  }
  // A code for that person, client and agent.
  async code({ user = 'u1', scopes, ...request } = {}) {
    const { verifier, challenge } = pkce();
    this.secret(verifier);
    const parameters = this.authorization({ challenge, ...request });
    const browser = await this.browser(user);
    let answer = await browser.begin(parameters, user);
    if (answer.status === 200) answer = await browser.decide(answer, { scopes });
    assert.ok(answer.query?.get('code'), `a code: ${answer.status} ${answer.location} ${answer.text.slice(0, 200)}`);
    return { code: answer.query.get('code'), verifier, redirect: parameters.redirect_uri, client: parameters.client_id, agent: parameters.requested_actor, answer };
  }
  redemption(code, changes = {}) {
    return {
      grant_type: 'authorization_code', code: code.code, code_verifier: code.verifier, redirect_uri: code.redirect,
      actor_token: code.agent && !('actor_token' in changes) ? this.proof(code.agent) : undefined, ...changes,
    };
  }
  redeem(code, changes) { return this.token(code.client, this.redemption(code, changes)); }
  // The whole draft flow; the token endpoint's answer.
  async flow(request = {}) {
    const answer = await this.redeem(await this.code(request));
    assert.equal(answer.status, 200, answer.text);
    return answer.json;
  }
  exchange(client, subject, actor, fields = {}) {
    return this.token(client, {
      grant_type: EXCHANGE, subject_token: subject, subject_token_type: ACCESS_TOKEN,
      ...(actor && { actor_token: this.proof(actor), actor_token_type: JWT }), ...fields,
    });
  }
  onBehalfOf(client, assertion, scope, fields = {}) {
    return this.token(client, { grant_type: JWT_BEARER, assertion, requested_token_use: 'on_behalf_of', scope, ...fields });
  }
  refresh(client, token, agent = 'a1', fields = {}) {
    return this.token(client, { grant_type: 'refresh_token', refresh_token: token, actor_token: agent ? this.proof(agent) : undefined, ...fields });
  }

  // ---- Operator ----
  cli(...words) { return run(binary, [...words, '-c', this.at('behalf.toml')], { maxBuffer: 1 << 28 }); }
  admin(kind, verb, id) { return this.cli(kind, verb, id); }
  async apply(change = () => {}, ...options) {
    change(this.state);
    await writeFile(this.at('state.toml'), writeState(this.state));
    return this.cli('apply', this.at('state.toml'), ...options);
  }
  // Changes one registered thing for the time of `during`, then puts it back.
  async changed(kind, id, members, during) {
    const thing = this.state[kind].find((one) => one.id === id);
    const before = { ...thing };
    Object.assign(thing, members);
    await this.apply();
    try { return await during(); } finally {
      for (const name of Object.keys(thing)) delete thing[name];
      Object.assign(thing, before);
      await this.apply();
    }
  }
  async audit(count = 1, ...filters) {
    const { stdout } = await this.cli('audit', 'tail', '--json', '-n', String(count), ...filters);
    const text = stdout.trim();
    if (text === '') return [];
    const entries = text.startsWith('[') ? JSON.parse(text) : text.split('\n').map((line) => JSON.parse(line));
    return entries.map(({ record }) => record);
  }
  // Every record there is, oldest first, as [text, hash].
  async log() {
    const entries = [];
    for (let after = 0; ;) {
      const page = await this._ask(`/audit?limit=10000&after=${after}`);
      for (const { record, hash } of page.records) entries.push([record, hash]);
      if (page.records.length === 0) return entries;
      after = page.records.at(-1).sequence;
    }
  }
  // The operator's socket.
  _ask(path) {
    return new Promise((resolve, reject) => {
      http.get({ socketPath: this.at('behalf.sock'), path }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk) => { text += chunk; });
        answer.on('end', () => { if (answer.statusCode === 200) resolve(JSON.parse(text)); else reject(new Error(`${path}: ${answer.statusCode} ${text}`)); });
      }).on('error', reject);
    });
  }
  // Nothing that was ever secret stands in the log of decisions, in what the server printed or in its database; and the log is
  // one chain, as docs/audit-format.md has it.
  async noSecretAnywhere() {
    const entries = await this.log();
    let before = Buffer.alloc(32).toString('hex');
    for (const [text, hash] of entries) {
      assert.equal(createHash('sha256').update(Buffer.from(before, 'hex')).update(text).digest('hex'), hash, `the chain holds at ${text}`);
      before = hash;
    }
    const database = await Promise.all(['behalf.db', 'behalf.db-wal'].map((name) => readFile(this.at(name), 'latin1').catch(() => '')));
    for (const [where, text] of [['the audit log', entries.map(([record]) => record).join('\n')], ['the output', this.said], ...database.map((bytes) => ['the database', bytes])]) {
      const shown = firstSecretIn(text, this._seen);
      assert.ok(shown === undefined, `${where} shows ${shown?.slice(0, 12)}…`);
    }
    return entries;
  }
  // What holds after every case: no secret anywhere, no fault of the server's, and of each refusal that was seen here a record
  // with a reason, and with the error that the caller was told.
  async allIsWell() {
    const entries = await this.noSecretAnywhere();
    assert.deepEqual(this._faults, []);
    const denied = new Map();
    for (const [text] of entries) {
      const record = JSON.parse(text);
      if (record.outcome !== 'denied') continue;
      assert.ok(record.reason, `a reason in ${text}`);
      if (record.trace) denied.set(record.trace, record);
    }
    for (const [trace, { what, error }] of this._refusals) {
      const record = denied.get(trace);
      assert.ok(record, `a record of ${what}`);
      if (error) assert.equal(record.error, error, what);
    }
  }
  // After the last case.
  async end() {
    try { await this.allIsWell(); } finally { await this.stop(); }
  }
}

// ---- After-checks ----

// The record of that answer's own decision: a denial, with a reason.
export async function deniedRecord(server, answer, reason) {
  const [text] = (await server._ask('/audit?newest=1&limit=50')).records.map(({ record }) => record).filter((record) => answer.trace === undefined || record.includes(answer.trace));
  assert.ok(text, `a record of ${answer.status} ${answer.location ?? answer.text.slice(0, 100)}`);
  const record = JSON.parse(text);
  assert.equal(record.outcome, 'denied', text);
  assert.ok(record.reason, text);
  if (reason) assert.match(record.reason, reason instanceof RegExp ? reason : new RegExp(`^${reason}$`), text);
  return record;
}
const tokenless = (answer) => assert.doesNotMatch(answer.text, TOKEN, 'no token in the answer');
// A refusal at an endpoint: exact status and error (one of, where the specification leaves a choice), no token, nothing cached, audited with a reason.
export async function refused(server, answer, status, error, reason) {
  assert.equal(answer.status, status, answer.text);
  assert.ok([error].flat().includes(answer.json?.error), `${answer.json?.error} is ${error}: ${answer.text}`);
  tokenless(answer);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.equal(answer.headers.get('content-type'), 'application/json');
  const record = await deniedRecord(server, answer, reason);
  assert.equal(record.error, answer.json.error);
  return record;
}
// A refusal by redirect: to the client and nowhere else, with iss and the client's state, without a code.
export async function redirected(server, answer, error, reason, { state, to = REDIRECT } = {}) {
  assert.ok([302, 303].includes(answer.status), `${answer.status} ${answer.text.slice(0, 200)}`);
  assert.ok(answer.location.startsWith(to), answer.location);
  assert.ok([error].flat().includes(answer.query.get('error')), answer.location);
  assert.equal(answer.query.get('code'), null);
  assert.equal(answer.query.get('iss'), server.issuer);
  if (state !== undefined) assert.equal(answer.query.get('state'), state);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  tokenless(answer);
  return deniedRecord(server, answer, reason);
}
// A refusal as a page: the browser stays here.
export async function pageRefused(server, answer, status = 400, reason) {
  assert.equal(answer.status, status, answer.text.slice(0, 300));
  assert.equal(answer.location, null);
  assert.match(answer.headers.get('content-type'), /^text\/html/);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  tokenless(answer);
  return deniedRecord(server, answer, reason);
}
