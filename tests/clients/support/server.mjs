// Starts the real server for a test: `behalf init`, `serve` and `apply` in a folder of its own, ended and removed after.
// Used by the library tests and by the browser tests; needs nothing but Node.js itself. Port and secrets are fresh each
// time, so that several can run beside each other.
import { execFile, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const binary = process.env.BEHALF;
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

export const PLANNER = 'https://api.example/planner';
export const MAIL = 'https://api.example/mail';
export const SIGNED_BY = {
  ES256: PLANNER,
  EdDSA: 'https://api.example/eddsa',
  PS256: 'https://api.example/ps256',
  RS256: 'https://api.example/rs256',
};
export const PASSWORDS = { alice: 'correct horse battery', bob: 'a different staple' };

const state = `
[[user]]
id = "user-alice"
username = "alice"
display_name = "Alice Example"
password_file = "alice.pw"

[[user]]
id = "user-bob"
username = "bob"
display_name = "Bob Example"
password_file = "bob.pw"

[[agent]]
id = "agent-calendar"
name = "Calendar Agent"
publisher = "Example Agents Ltd"
owner = "team-calendar@example.com"
description = "Finds free slots and books meetings."
scopes = ["mail.read", "calendar.write"]
clients = ["app", "app-jwt"]
onward = { to = ["agent-search", "middle"], depth = 2 }
refresh_lifetime = "8h"
bearer_actor_tokens = true
jwks_file = "agent-calendar.jwks"

[[agent]]
id = "agent-search"
name = "Search Agent"
publisher = "Example Agents Ltd"
scopes = ["mail.read"]
clients = ["middle"]
jwks_file = "agent-search.jwks"

[[client]]
id = "app"
name = "Planner"
secret_file = "app.secret"
redirect_uris = ["http://127.0.0.1/callback"]
grant_types = ["authorization_code", "refresh_token"]
scopes = ["mail.read", "calendar.write"]

[[client]]
id = "app-jwt"
name = "Planner with a key"
auth_method = "private_key_jwt"
jwks_file = "app-jwt.jwks"
redirect_uris = ["http://127.0.0.1/callback"]
grant_types = ["authorization_code", "refresh_token"]
scopes = ["mail.read", "calendar.write"]

[[client]]
id = "calendar-runtime"
name = "Calendar Agent runtime"
secret_file = "calendar-runtime.secret"
grant_types = ["client_credentials"]
agent = "agent-calendar"
scopes = ["mail.read"]

[[client]]
id = "middle"
name = "Middle tier"
auth_method = "client_secret_post"
secret_file = "middle.secret"
grant_types = ["urn:ietf:params:oauth:grant-type:jwt-bearer", "${EXCHANGE}"]
resource = "${PLANNER}"
scopes = ["mail.read"]

[[resource]]
id = "${PLANNER}"
name = "Planner API"
scopes = [
  { name = "mail.read", title = "Read your mail" },
  { name = "calendar.write", title = "Book meetings", description = "Creates events in your calendar." },
]

[[resource]]
id = "${MAIL}"
name = "Mail API"
scopes = [{ name = "mail.read", title = "Read your mail" }]
${Object.entries(SIGNED_BY).slice(1).map(([algorithm, id]) => `
[[resource]]
id = "${id}"
name = "${algorithm} API"
signing_alg = "${algorithm}"
scopes = [{ name = "mail.read", title = "Read your mail" }]
`).join('')}`;

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

function keyPair(kid) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' };
  return { kid, jwks: { keys: [jwk] }, privateJwk: { ...privateKey.export({ format: 'jwk' }), kid, alg: 'ES256' } };
}

// `tls`: { certificate, key } as file paths; without it plain HTTP on loopback.
export async function startServer({ tls } = {}) {
  if (!binary) throw new Error('BEHALF does not name the binary to test');
  const folder = await mkdtemp(join(tmpdir(), 'behalf-test-'));
  const at = (name) => join(folder, name);
  const port = await freePort();
  const issuer = tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
  const keys = {};
  for (const [name, password] of Object.entries(PASSWORDS)) await writeFile(at(`${name}.pw`), password, { mode: 0o600 });
  for (const name of ['agent-calendar', 'agent-search', 'app-jwt']) {
    keys[name] = keyPair(`${name}-1`);
    await writeFile(at(`${name}.jwks`), JSON.stringify(keys[name].jwks));
  }
  await writeFile(at('state.toml'), state);
  await run(binary, ['init', folder, '--port', String(port), '--issuer', issuer]);
  const config = at('behalf.toml');
  if (tls) {
    const text = await readFile(config, 'utf8');
    await writeFile(config, text.replace(/^# tls_certificate = .*$/m, `tls_certificate = "${tls.certificate}"`)
      .replace(/^# tls_private_key = .*$/m, `tls_private_key = "${tls.key}"`));
  }
  const child = spawn(binary, ['serve', '-c', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk) => { said += chunk; });
  const ended = once(child, 'exit');
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    const [code, signal] = await ended;
    await rm(folder, { recursive: true, force: true });
    if (code !== 0) throw new Error(`the server ended with ${code ?? signal}:\n${said}`);
  };
  try {
    for (let tries = 0; ; ++tries) {
      if (child.exitCode !== null || tries > 400) throw new Error(`the server does not start:\n${said}`);
      if (await fetch(`${issuer}/readyz`).then((answer) => answer.ok, () => false)) break;
      await pause(25);
    }
    await run(binary, ['apply', '-c', config, at('state.toml')]);
    const secrets = {};
    for (const name of ['app', 'calendar-runtime', 'middle']) secrets[name] = (await readFile(at(`${name}.secret`), 'utf8')).trim();
    // More of the registry, as the text of a state file.
    const apply = async (text) => {
      await writeFile(at('more.toml'), text);
      await run(binary, ['apply', '-c', config, at('more.toml')]);
    };
    return { issuer, keys, secrets, stop, apply };
  } catch (fault) {
    await stop().catch(() => {});
    throw fault;
  }
}
