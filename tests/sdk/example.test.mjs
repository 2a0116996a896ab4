// The example API (examples/api), built against the installed package, beside the real server: it lets in whom it should, and
// stops within a second whatever was revoked, whoever was away meanwhile.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { M1, R1, Server, chainOf, claimsOf } from '../cases/support/cast.mjs';

const snippets = join(dirname(fileURLToPath(import.meta.url)), '../../examples/snippets');
const POLICY = `
[[rule]]
name = "read-mail"
effect = "allow"
methods = ["GET"]
paths = ["/mail"]
actors = ["a1"]
scopes = ["r1.read"]

[[rule]]
name = "any"
effect = "allow"
methods = ["GET"]
paths = ["/any"]
`;

class Api {
  constructor(server) { this.server = server; }
  async start() {
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    this.port = probe.address().port;
    probe.close();
    await once(probe, 'close');
    const policy = this.server.at('policy.toml');
    await writeFile(policy, POLICY);
    this.child = spawn(process.env.BEHALF_EXAMPLE_API, [this.server.issuer, 'mail-api', this.server.secrets['mail-api'], R1, policy, String(this.port)], { stdio: 'inherit' });
    this.ended = once(this.child, 'exit');
    await until(async () => (await fetch(`http://127.0.0.1:${this.port}/`).catch(() => null)) !== null, 'the API starts');
    return this;
  }
  async kill(signal = 'SIGKILL') {
    this.child.kill(signal);
    await this.ended;
  }
  async get(token, path = '/mail') {
    const answer = await fetch(`http://127.0.0.1:${this.port}${path}`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
    return { status: answer.status, challenge: answer.headers.get('www-authenticate') ?? '', text: await answer.text() };
  }
}

async function until(fact, what, patience = 20_000) {
  const end = Date.now() + patience;
  while (!await fact()) {
    assert.ok(Date.now() < end, what);
    await pause(10);
  }
}

describe('the example API', () => {
  let server;
  let api;
  before(async () => {
    server = await Server.start({
      change: (state) => state.client.push({ id: 'mail-api', name: 'Mail API', secret_file: 'mail-api.secret', grant_types: ['client_credentials'], scopes: ['behalf.signals'] }),
    });
    api = await new Api(server).start();
  });
  after(async () => {
    await api?.kill();
    await server?.stop();
  });
  const token = async (request) => (await server.flow(request)).access_token;
  const accepted = async (it, why = 'the token is good') => until(async () => (await api.get(it)).status === 200, why);
  const stopped = async (it, what) => {
    const began = Date.now();
    await until(async () => (await api.get(it)).status === 401, `${what}: still accepted`);
    const took = Date.now() - began;
    assert.ok(took < 1000, `${what}: took ${took} ms`);
    assert.match((await api.get(it)).challenge, /error="invalid_token", error_description="the access token was revoked"/);
  };

  test('lets in the agent the policy names, and says why it refuses others', async () => {
    const mine = await token();
    await accepted(mine);
    assert.equal((await api.get(mine)).text, 'mail of u1, read by a1\n');
    const none = await api.get();
    assert.equal(none.status, 401);
    assert.match(none.challenge, /^Bearer resource_metadata="[^"]+", scope="r1\.read", required_scope="r1\.read"$/);
    const other = await api.get(await token({ agent: 'a2' }));
    assert.equal(other.status, 403);
    assert.match(other.challenge, /error="actor_unauthorized"/);
    const narrow = await api.get(await token({ scope: 'r1.write' }));
    assert.equal(narrow.status, 403);
    assert.match(narrow.challenge, /error="insufficient_scope".*required_scope="r1\.read"/);
    assert.equal((await api.get(mine, '/other')).status, 403);
    assert.equal((await api.get(mine, '/mail?access_token=x')).status, 400);
    assert.equal((await api.get(`${mine}x`)).status, 401);
  });

  test('stops within a second what was revoked, and that alone', async () => {
    const bystander = await token({ user: 'u2' });
    const first = await token();
    await accepted(first);
    assert.equal((await server.as('ca', '/revoke', { token: first })).status, 200);
    await stopped(first, 'a token');

    const second = await token();
    await accepted(second);
    const grant = JSON.parse(Buffer.from(second.split('.')[1], 'base64url')).grant_id;
    await server.admin('grant', 'revoke', grant);
    await stopped(second, 'a consent');

    const third = await token();
    await accepted(third);
    await accepted(bystander, 'nobody revoked the other person');
    await server.admin('agent', 'suspend', 'a1');
    await stopped(third, 'an agent');
    await stopped(bystander, 'an agent, for everybody');
    await server.admin('agent', 'resume', 'a1');
    await accepted(await token(), 'a new token after the agent came back');
    assert.equal((await api.get(third)).status, 401, 'the old one does not come back');
  });

  // Each way to end something, seen by a token that rests on it; deep in a chain, and where the chain is not shown.
  test('stops whatever a token rests on', async () => {
    const at = async (it) => (await api.get(it, '/any')).status;
    const chain = async (scope = 'r1.read') => {
      const first = await server.flow({ resource: M1, scope: 'm1.use r1.read' });
      const next = await server.exchange('m1', first.access_token, 'a2', { resource: R1, scope });
      assert.equal(next.status, 200, next.text);
      return { first: first.access_token, last: next.json.access_token };
    };
    const ways = {
      'a person': [() => server.admin('user', 'suspend', 'u1'), () => server.admin('user', 'resume', 'u1')],
      'the client a person allowed': [() => server.admin('client', 'suspend', 'ca'), () => server.admin('client', 'resume', 'ca')],
      'a client on the way': [() => server.admin('client', 'suspend', 'm1'), () => server.admin('client', 'resume', 'm1')],
      'the agent that acts': [() => server.admin('agent', 'suspend', 'a2'), () => server.admin('agent', 'resume', 'a2')],
      'an agent in the middle': [() => server.admin('agent', 'suspend', 'a1'), () => server.admin('agent', 'resume', 'a1')],
      'the token before': [({ first }) => server.as('ca', '/revoke', { token: first })],
      'the token itself': [({ last }) => server.as('m1', '/revoke', { token: last })],
      'the consent': [({ last }) => server.admin('grant', 'revoke', claimsOf(last).grant_id)],
      'the ceiling of the agent': [() => server.apply((state) => { state.agent.find(({ id }) => id === 'a2').scopes = ['r2.read']; }),
        () => server.apply((state) => { state.agent.find(({ id }) => id === 'a2').scopes = ['r1.read', 'r2.read', 'm1.use']; })],
    };
    const failures = [];
    for (const [what, [end, undo]] of Object.entries(ways)) {
      const it = await chain();
      assert.deepEqual(chainOf(it.last), ['a2', 'a1']);
      await until(async () => await at(it.last) === 200, `${what}: the token is good`);
      await end(it);
      const began = Date.now();
      await until(async () => await at(it.last) === 401, '', 1000).catch(() => failures.push(`${what} (${Date.now() - began} ms)`));
      await undo?.();
      server._browsers.clear();
    }
    assert.deepEqual(failures, [], 'still accepted a second later');
  });

  test('misses nothing, whoever was away', async () => {
    const one = await token();
    const two = await token();
    const three = await token();
    for (const it of [one, two, three]) await accepted(it);
    await server.as('ca', '/revoke', { token: one });
    await stopped(one, 'before');

    await server.restart('SIGKILL');
    await server.as('ca', '/revoke', { token: two });
    await until(async () => (await api.get(two)).status === 401, 'after the server was killed');
    assert.equal((await api.get(one)).status, 401);
    await accepted(three);

    await api.kill();
    await server.as('ca', '/revoke', { token: three });
    await api.start();
    const fresh = await token();
    await accepted(fresh, 'the restarted API knows what it has to know');
    for (const it of [one, two, three]) assert.equal((await api.get(it)).status, 401, 'a restarted API has forgotten something');
  });

  test('a key that is withdrawn ends what it signed, and the next one is known at once', async () => {
    const old = await token();
    await accepted(old);
    const file = server.at('behalf.keys');
    const keys = JSON.parse(await readFile(file));
    const place = keys.signing_keys.findIndex(({ alg }) => alg === 'ES256');
    const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
    keys.signing_keys[place] = { ...jwk, alg: 'ES256', use: 'sig', kid: randomUUID() };
    await writeFile(file, JSON.stringify(keys), { mode: 0o600 });
    await server.restart();
    const began = Date.now();
    await until(async () => (await api.get(old)).status === 401, 'still accepted');
    assert.ok(Date.now() - began < 3000, 'a second, and what it takes to find the server again');
    assert.equal((await api.get(await token())).status, 200);
  });

  test('lets nobody in when it has heard nothing for longer than it may', async () => {
    const it = await token();
    await accepted(it);
    server.child.kill('SIGSTOP');
    try {
      const began = Date.now();
      await until(async () => (await api.get(it)).status === 503, 'it goes on for ever', 40_000);
      assert.ok(Date.now() - began > 5_000, 'not before its time');
    } finally {
      server.child.kill('SIGCONT');
    }
    await accepted(it, 'and goes on when the server speaks again');
  });

  test('the shell snippet asks the server', async () => {
    const ask = (it, agent, scope, audience = R1) => new Promise((resolve) => {
      const child = execFile('sh', [join(snippets, 'verify.sh'), agent, scope], {
        env: { ...process.env, INTROSPECT: `${server.issuer}/introspect`, CLIENT_ID: 'r1-server', CLIENT_SECRET: server.secrets['r1-server'], AUDIENCE: audience },
      }, (fault, stdout) => resolve({ code: fault?.code ?? 0, who: stdout && JSON.parse(stdout) }));
      child.stdin.end(`${it}\n`);
    });
    const it = await token();
    assert.deepEqual(await ask(it, 'a1', 'r1.read'), { code: 0, who: { person: 'u1', client: 'ca', chain: ['a1'], scopes: ['r1.read'] } });
    assert.equal((await ask(it, 'a2', 'r1.read')).code, 2);
    assert.equal((await ask(it, 'a1', 'r1.write')).code, 3);
    assert.equal((await ask(it, 'a1', 'r1.read', 'https://other.example')).code, 1);
    assert.equal((await ask(`${it}x`, 'a1', 'r1.read')).code, 1);
    assert.equal((await ask('"\nurl = "http://127.0.0.1:1/', 'a1', 'r1.read')).code, 1);
    await server.as('ca', '/revoke', { token: it });
    assert.equal((await ask(it, 'a1', 'r1.read')).code, 1);
  });
});
