// What must not be told by how long an answer takes: Welch's t of two classes, taken in turns, below 4.5 (B-37; 326, 327, 328).
// The classes go through the network and a shared machine: outliers are cut alike from both, and a class pair that looks
// different is measured again, for what is really different stays so.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { Browser, R1, Server, formOf, pkce } from './support/cast.mjs';

let server, agent;
before(async () => {
  server = await Server.start();
  agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
});
after(async () => { agent?.destroy(); await server?.stop(); });

// Nanoseconds for one exchange on a connection that is open already.
const timed = ({ path, method = 'POST', form, headers = {} }) => new Promise((resolve, reject) => {
  const body = form && new URLSearchParams(form).toString();
  const began = process.hrtime.bigint();
  const request = http.request({ host: '127.0.0.1', port: server.port, path, method, agent, headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) }) } }, (answer) => {
    let text = '';
    answer.on('data', (chunk) => { text += chunk; });
    answer.on('end', () => resolve({ time: Number(process.hrtime.bigint() - began), status: answer.statusCode, text, location: answer.headers.location }));
  });
  request.on('error', reject);
  request.end(body);
});
function welch(one, two) {
  const cut = (times) => { const sorted = [...times].sort((a, b) => a - b); return sorted.slice(0, Math.floor(sorted.length * 0.9)); };
  const [a, b] = [cut(one), cut(two)].map((times) => {
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
    return { mean, error: times.reduce((sum, time) => sum + (time - mean) ** 2, 0) / (times.length - 1) / times.length };
  });
  return Math.abs(a.mean - b.mean) / Math.sqrt(a.error + b.error);
}
async function alike(name, count, one, two) {
  let t;
  for (let attempt = 0; attempt < 4; ++attempt) {
    const times = [[], []];
    for (let index = 0; index < count; ++index) {
      // In turns, and in both orders, so that whatever drifts drifts for both.
      for (const which of index % 2 ? [0, 1] : [1, 0]) {
        const { time } = await timed(await (which ? two : one)(index));
        if (index >= 20) times[which].push(time);
      }
    }
    t = welch(...times);
    if (t < 4.5) return;
  }
  assert.fail(`${name}: t = ${t.toFixed(1)}`);
}
const basic = (id, secret) => server.basic(id, secret);
const wrong = 'x'.repeat(43);

test('B-37 unknown and suspended agents', async () => {
  const ask = (name) => async () => ({ method: 'GET', path: `/authorize?${new URLSearchParams(server.authorization({ agent: name }))}` });
  await alike('unknown and suspended', 400, ask('a0'), ask('a3'));
  await alike('unknown and not allowed here', 400, ask('a-elsewherf'), ask('a-elsewhere'));
});

test('326 the first byte of a secret right, or wrong', async () => {
  const secret = server.secrets['a1-runtime'];
  const other = (text) => (text === 'A' ? 'B' : 'A');
  const near = `${secret.slice(0, -1)}${other(secret.at(-1))}`;
  const far = `${other(secret[0])}${secret.slice(1)}`;
  const ask = (value) => async () => ({ path: '/token', form: { grant_type: 'client_credentials', resource: R1 }, headers: basic('a1-runtime', value) });
  await alike('a client secret', 2000, ask(near), ask(far));
});

test('326 a refresh token, a code, a request_uri: the first byte, or the last', async () => {
  const { refresh_token: token } = await server.flow({ scope: 'r1.read offline_access' });
  const changed = (text, at) => `${text.slice(0, at)}${text.at(at) === 'A' ? 'B' : 'A'}${at === -1 ? '' : text.slice(at + 1)}`;
  const start = token.length - 43;
  const refresh = (value) => async () => ({ path: '/introspect', form: { token: value }, headers: basic('ca') });
  await alike('a refresh token', 1000, refresh(changed(token, start)), refresh(changed(token, -1)));
  const uri = (await server.as('ca', '/par', server.authorization())).json.request_uri;
  const open = (value) => async () => ({ method: 'GET', path: `/authorize?${new URLSearchParams({ client_id: 'ca', request_uri: value })}` });
  await alike('a request_uri', 1000, open(changed(uri, uri.length - 43)), open(changed(uri, -1)));
  await alike('an unknown code, and an unknown one', 1000, async () => ({ path: '/introspect', form: { token: `rt_${pkce().verifier}` }, headers: basic('ca') }), async () => ({ path: '/introspect', form: { token: `rt_${pkce().verifier}` }, headers: basic('ca') }));
});

test('327 a person who exists, and one who does not', async () => {
  const browser = new Browser(server);
  const page = await browser.open('/login');
  const hidden = Object.fromEntries(formOf(page.text, '/login').filter(({ type }) => type === 'hidden').map(({ name, value }) => [name, value]));
  const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const sign = (username) => async () => ({ path: '/login', form: { ...hidden, username, password: 'not the password' }, headers: { cookie, origin: server.issuer } });
  await alike('sign-in', 80, sign('u1'), sign('zz'));
});

test('328 a client that is unknown, has another secret, or is disabled', async () => {
  await server.admin('client', 'suspend', 'cb');
  for (const [path, form] of [['/token', { grant_type: 'client_credentials' }], ['/par', {}], ['/introspect', { token: 'x' }], ['/revoke', { token: 'x' }]]) {
    const ask = (id, secret) => async () => ({ path, form, headers: basic(id, secret) });
    await alike(`${path}: unknown and wrong`, 500, ask('zz', wrong), ask('ca', wrong));
    await alike(`${path}: disabled and wrong`, 500, ask('cb', wrong), ask('ca', wrong));
  }
});
