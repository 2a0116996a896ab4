// I: a resource that looks for the agent: the guarded APIs of `behalf demo`, which keep running after its story.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Browser, Server, claimsOf, signJwt } from './support/cast.mjs';

let server, places, child;
before(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'behalf-cases-'));
  child = spawn(process.env.BEHALF, ['demo', '--folder', folder], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { said += chunk; });
  for (let tries = 0; !said.includes('Ctrl-C stops all of it'); ++tries) {
    assert.ok(tries < 600 && child.exitCode === null, said);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  const [, issuer, planner, mail, app] = said.match(/server (http:\S+), APIs \(each behind a guard\) (http:\S+) and (http:\S+), app (http:\S+)/);
  const secret = async (name) => (await readFile(join(folder, `${name}.secret`), 'utf8')).trim();
  const key = async (agent) => {
    const jwk = JSON.parse(await readFile(join(folder, `${agent}.key`), 'utf8'));
    return { kid: jwk.kid, privateKey: createPrivateKey({ key: jwk, format: 'jwk' }) };
  };
  places = { planner, mail, app };
  server = Object.assign(new Server(), {
    folder, at: (name) => join(folder, name), issuer, port: Number(new URL(issuer).port), child, said,
    secrets: { planner: await secret('planner'), 'planner-api': await secret('planner-api') },
    keys: { 'agent-calendar': await key('agent-calendar'), 'agent-search': await key('agent-search') },
  });
  const browser = new Browser(server);
  await browser.signIn('alice', '/login', (await readFile(join(folder, 'alice.password'), 'utf8')).trim());
  server._browsers.set('alice', browser);
});
after(async () => {
  child?.kill('SIGINT');
  if (child) await once(child, 'exit');
  if (server) await rm(server.folder, { recursive: true, force: true });
});

const flow = async (request = {}) => server.flow({ user: 'alice', client: 'planner', agent: 'agent-calendar', scope: 'calendar.read', resource: `${places.planner}/planner`, redirect_uri: 'http://127.0.0.1/callback', ...request });
const call = async (path, token, { method = 'GET', scheme = 'Bearer' } = {}) => {
  const answer = await fetch(places[path.split('/')[1]] + path, { method, headers: token === undefined ? {} : { authorization: `${scheme} ${token}` } });
  return { status: answer.status, challenge: answer.headers.get('www-authenticate') ?? '', json: await answer.json() };
};
const invalid = (answer) => {
  assert.equal(answer.status, 401);
  assert.match(answer.challenge, /error="invalid_token"/);
  assert.match(answer.challenge, /resource_metadata="/);
};

test('I-01 without a token: a challenge that says where to ask, and no error', async () => {
  for (const answer of [await call('/planner/week'), await call('/planner/week', 'x', { scheme: 'Basic' })]) {
    assert.equal(answer.status, 401);
    assert.match(answer.challenge, /^Bearer resource_metadata="http/);
    assert.doesNotMatch(answer.challenge, /error/);
  }
  const [, metadata] = (await call('/planner/week')).challenge.match(/resource_metadata="([^"]+)"/);
  const document = await (await fetch(metadata)).json();
  assert.equal(document.resource, `${places.planner}/planner`);
  assert.deepEqual(document.authorization_servers, [server.issuer]);
});

test('I-02, I-03, I-19 tokens that are forged, for another place, or of another kind', async () => {
  const { access_token: good } = await flow();
  const saw = await call('/planner/week', good);
  assert.equal(saw.status, 200, JSON.stringify(saw));
  assert.deepEqual([saw.json.saw.person, saw.json.saw.client, saw.json.saw.acting_now], ['user-alice', 'planner', 'agent-calendar']);
  const claims = claimsOf(good);
  const [head, body, signature] = good.split('.');
  const forged = (change) => `${head}.${Buffer.from(JSON.stringify({ ...claims, ...change })).toString('base64url')}.${signature}`;
  for (const token of [`${good.slice(0, -8)}AAAAAAAA`, forged({ sub: 'u9' }), forged({ act: 'agent-calendar' }), forged({ act: ['x'] }), forged({ act: {} }), `${head}.${body}.`,
    signJwt(server.keys['agent-calendar'], claims, { typ: 'at+jwt' }), signJwt(server.keys['agent-calendar'], { ...claims, iss: 'https://other.example' }, { typ: 'at+jwt' }),
    server.proof('agent-calendar'), 'x']) invalid(await call('/planner/week', token));
  invalid(await call('/mail/inbox', good));
  const other = await flow({ resource: `${places.mail}/mail`, scope: 'mail.read' });
  invalid(await call('/planner/week', other.access_token));
});

test('I-04, L-04 too little scope: what is needed, in header and body, under both names', async () => {
  const answer = await call('/planner/meetings', (await flow()).access_token, { method: 'POST' });
  assert.equal(answer.status, 403);
  assert.match(answer.challenge, /error="insufficient_scope"/);
  assert.match(answer.challenge, /\bscope="calendar\.write"/);
  assert.match(answer.challenge, /required_scope="calendar\.write"/);
  assert.equal(answer.json.required_scope, 'calendar.write');
});

test('I-05 the flow again with what was missing, and the call succeeds', async () => {
  const browser = await server.browser('alice');
  await flow();
  const page = await browser.begin(server.authorization({ client: 'planner', agent: 'agent-calendar', scope: 'calendar.read calendar.write', resource: `${places.planner}/planner`, redirect_uri: 'http://127.0.0.1/callback' }));
  if (page.status === 200) assert.match(page.text, /Book meetings/);
  const more = await flow({ scope: 'calendar.read calendar.write' });
  assert.equal((await call('/planner/meetings', more.access_token, { method: 'POST' })).status, 200);
});

test('I-06 a token without an agent where one must act', async () => {
  const answer = await call('/planner/week', (await flow({ agent: null })).access_token);
  invalid(answer);
  assert.match(answer.challenge, /delegation|act/);
});

test('I-07, I-09 another agent than the one allowed, with all the scope it takes', async () => {
  assert.equal((await call('/planner/notes', (await flow()).access_token)).status, 200);
  const answer = await call('/planner/notes', (await flow({ agent: 'agent-search' })).access_token);
  assert.equal(answer.status, 403);
  assert.match(answer.challenge, /error="actor_unauthorized"/);
});

test('140 what was revoked is refused within a second where nobody asks', async () => {
  const { access_token: token } = await flow();
  assert.equal((await call('/planner/week', token)).status, 200);
  await server.as('planner', '/revoke', { token });
  const revoked = Date.now();
  let answer;
  do answer = await call('/planner/week', token); while (answer.status === 200 && Date.now() - revoked < 1000);
  invalid(answer);
});

// The last: it takes the place of the guard before the planner.
test('I-18 the demo\'s app asks again for what an API refuses, not for ever, and not because of just anything', async () => {
  // A person's browser that goes where it is sent, to the app and to the server; how often it was sent to ask.
  const visit = async () => {
    const app = new Browser({ issuer: places.app, http: (path, options) => server.http(new URL(path, places.app).href, options), secret: (text) => server.secret(text) });
    const jars = { [places.app]: app, [server.issuer]: (await server.browser('alice')).copy() };
    let asked = 0, scope, answer = await app.open('/start?agent=agent-calendar');
    for (let steps = 0; answer.location || answer.text.includes('action="/consent"'); ++steps) {
      assert.ok(steps < 40, 'it comes to an end');
      if (!answer.location) { answer = await jars[server.issuer].decide(answer); continue; }
      const to = new URL(answer.location, server.issuer);
      if (to.pathname === '/authorize') { ++asked; scope = to.searchParams.get('scope'); }
      answer = await jars[to.origin].open(to.pathname + to.search);
    }
    return { asked, scope, text: answer.text };
  };
  const honest = await visit();
  assert.equal(honest.asked, 1);
  assert.match(honest.text, /looked at your week/);

  const guards = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  let guard;
  for (const pid of guards) {
    const [parent, command] = await Promise.all([readFile(`/proc/${pid}/stat`, 'utf8').then((text) => Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1])), readFile(`/proc/${pid}/cmdline`, 'utf8')]).catch(() => []);
    if (parent === child.pid && command.includes('planner.guard.toml')) guard = pid;
  }
  process.kill(guard, 'SIGKILL');
  const metadata = `${places.planner}/.well-known/oauth-protected-resource/planner`;
  let calls = 0, reply;
  const impostor = http.createServer((request, response) => {
    const { status, challenge } = reply(++calls);
    response.writeHead(status, { 'content-type': 'application/json', ...(challenge && { 'www-authenticate': challenge }) }).end('{"saw":{}}');
  });
  for (let tries = 0; !impostor.listening; ++tries) {
    assert.ok(tries < 200, 'the port is free');
    impostor.listen(Number(new URL(places.planner).port), '127.0.0.1');
    await once(impostor, 'listening').catch(() => new Promise((resolve) => { setTimeout(resolve, 25); }));
  }
  try {
    const invalid = `Bearer error="invalid_token", resource_metadata="${metadata}"`;
    const scope = `Bearer error="insufficient_scope", scope="mail.read", required_scope="mail.read", resource_metadata="${metadata}"`;
    for (const [name, answer, wanted] of [
      ['401 for ever', () => ({ status: 401, challenge: invalid }), 3], ['403 for ever', () => ({ status: 403, challenge: scope }), 3],
      ['in turns', (call) => (call % 2 ? { status: 401, challenge: invalid } : { status: 403, challenge: scope }), 3],
      ['no challenge', () => ({ status: 401 }), 1], ['of another resource', () => ({ status: 401, challenge: invalid.replace(metadata, 'https://evil.example/.well-known/oauth-protected-resource') }), 1],
      ['nothing a token helps with', () => ({ status: 403, challenge: scope.replace('insufficient_scope', 'actor_unauthorized') }), 1],
    ]) {
      reply = answer;
      calls = 0;
      const { asked, text } = await visit();
      assert.deepEqual([asked, calls], [wanted, wanted], name);
      assert.match(text, /The API refused/, name);
    }
    // What it asked again for is what was missing, and with that it is content.
    calls = 0;
    reply = (call) => (call === 1 ? { status: 403, challenge: scope } : { status: 200 });
    const helped = await visit();
    assert.equal(helped.asked, 2);
    assert.deepEqual(helped.scope.split(' ').sort(), ['calendar.read', 'calendar.write', 'mail.read']);
    assert.match(helped.text, /looked at your week/);
  } finally {
    impostor.close();
    impostor.closeAllConnections();
  }
});
