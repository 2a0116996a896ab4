// The command line: nothing it was given is lost, what it says is true, and its exit code says the same.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { Server, claimsOf } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start({ clock: true }); });
after(async () => { await server?.stop(); });

// { code, out, err }; a process that was killed has no code.
const run = (words, input = '') => new Promise((resolve) => {
  const child = execFile(process.env.BEHALF, words, { maxBuffer: 1 << 28, env: { ...process.env, ...server?.clockEnvironment } }, (fault, out, err) => resolve({ code: fault ? fault.code : 0, out, err }));
  child.stdin.end(input);
});
const cli = (...words) => run([...words, '-c', server.at('behalf.toml')]);
let count = 0;
async function stateFile(text) {
  const path = server.at(`some-${++count}.toml`);
  await writeFile(path, text);
  return path;
}
async function apply(text, ...options) { return cli('apply', await stateFile(text), ...options); }
const client = (id, more = '') => `[[client]]\nid = "${id}"\nname = "${id}"\ngrant_types = ["client_credentials"]\n${more}\n`;
const knows = async (id) => (await cli('client', 'resume', id)).code === 0;

test('apply: a secret that could not be kept is not asked for', async () => {
  await mkdir(server.at('folder'));
  const bad = {
    [server.at('nowhere/k2.secret')]: /there is no folder .*nowhere/,
    [server.at('folder')]: /is a folder/,
    [server.at('behalf.toml/x')]: /behalf.toml is no folder/,
  };
  for (const [path, words] of Object.entries(bad)) {
    const text = client('k1', 'secret_file = "k1.secret"') + client('k2', `secret_file = "${path}"`) + client('k0');
    for (const words_ of [['apply'], ['apply', '--dry-run'], ['check']]) {
      const answer = await cli(words_[0], await stateFile(text), ...words_.slice(1));
      assert.equal(answer.code, 2, answer.err);
      assert.match(answer.err, words);
      assert.match(answer.err, /some-\d+\.toml:6: /);
    }
    assert.equal(await knows('k1'), false, 'nothing has been changed');
  }
  const twice = await apply(client('k1', 'secret_file = "k.secret"') + client('k2', 'secret_file = "k.secret"'));
  assert.equal(twice.code, 2);
  assert.match(twice.err, /is that of client "k1" too/);
  assert.ok(!(await readdir(server.folder)).some((name) => name.endsWith('.new') || name === 'k1.secret'));
});

test('apply: a secret whose file turns out not to be writable is shown, and the others are kept', async (t) => {
  // A full disk is what no check sees beforehand: a limit of no bytes a file is one.
  const path = await stateFile(client('w1', 'secret_file = "w1.secret"') + client('w0'));
  const limited = (...more) => new Promise((resolve) => execFile('prlimit', ['--fsize=0:0', process.env.BEHALF, 'apply', path, '-c', server.at('behalf.toml'), ...more], { env: { ...process.env, ...server.clockEnvironment } }, (fault, out, err) => resolve({ code: fault?.code ?? 0, out, err })));
  const answer = await limited('--json');
  assert.equal(answer.code, 1, answer.err);
  const said = JSON.parse(answer.out);
  assert.equal(said.ok, false);
  assert.match(said.problems[0], /client "w1": its new secret could not be written/);
  assert.deepEqual(Object.keys(said.secrets).sort(), ['w0', 'w1']);
  for (const id of ['w0', 'w1']) assert.equal((await server.http('/token', { method: 'POST', form: { grant_type: 'client_credentials', resource: server.issuer }, headers: { authorization: `Basic ${Buffer.from(`${id}:${said.secrets[id]}`).toString('base64')}` } })).json.error, 'unauthorized_client', 'the secret is right');
  assert.ok(!(await readdir(server.folder)).some((name) => name.startsWith('w1.secret')), 'and nothing half-written is left');
  t.diagnostic(said.problems[0]);
  // It exists now and its file does not: said, with the way out.
  for (const options of [[], ['--dry-run']]) {
    const again = await cli('apply', path, ...options);
    assert.equal(again.code, 0, again.err);
    assert.match(again.err, /client "w1": .*w1\.secret is missing or empty.*openssl rand -hex 32 > .*w1\.secret, then apply/);
  }
  await writeFile(server.at('w1.secret'), `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  const rotated = await cli('apply', path);
  assert.match(rotated.out, /~ client +w1 \(secret\)/);
  assert.equal(rotated.err, '');
});

test('apply: secrets of several clients, each where it belongs', async () => {
  const answer = await apply(client('s1', 'secret_file = "s1.secret"') + client('s2') + client('s3', 'secret_file = "s3.secret"'), '--json');
  assert.equal(answer.code, 0, answer.err);
  const said = JSON.parse(answer.out);
  assert.deepEqual([said.ok, said.dry_run, said.problems, Object.keys(said.secrets)], [true, false, [], ['s2']]);
  for (const id of ['s1', 's3']) assert.match(await readFile(server.at(`${id}.secret`), 'utf8'), /^cs_\S{32,}\n$/);
  const dry = JSON.parse((await apply(client('s4'), '--json', '--dry-run')).out);
  assert.deepEqual([dry.dry_run, dry.secrets, dry.changes.length], [true, {}, 1]);
});

test('apply: a new password says what it ends', async () => {
  const user = (password) => `[[user]]\nid = "visitor"\npassword = "${password}"\n`;
  assert.equal((await apply(user('correct horse'))).err, '', 'a new person has nothing to lose');
  const dry = await apply(user('battery staple'), '--dry-run');
  assert.match(dry.err, /user "visitor": the new password would sign the person out everywhere and end their consents/);
  const real = await apply(user('battery staple'));
  assert.match(real.err, /user "visitor": the new password signed the person out everywhere and ended their consents/);
  const told = JSON.parse((await apply(user('correct horse'), '--json')).out);
  assert.deepEqual([told.notes.length, told.changes[0].grants_ended], [1, 0]);
  // And how many they were.
  await server.flow({ user: 'u2' });
  const u2 = server.state.user.find(({ id }) => id === 'u2');
  const changed = await apply(`[[user]]\nid = "u2"\nusername = "u2"\ndisplay_name = "${u2.display_name}"\npassword = "another one"\n`);
  assert.match(changed.err, /user "u2": the new password signed the person out everywhere and ended their consents: 1 grant$/m);
});

test('suspend says what it ended', async () => {
  await server.flow({ user: 'u3' });
  assert.match((await cli('user', 'suspend', 'u3')).out, /^user u3 is suspended\n1 grant ended; /);
  assert.equal((await cli('user', 'suspend', 'u3')).out, 'user u3 is suspended, as before\n');
  assert.equal((await cli('user', 'resume', 'u3')).out, 'user u3 is active\n');
});

test('check and apply: the same faults, the same words, exit 2', async () => {
  const agent = (id, more = '') => `[[agent]]\nid = "${id}"\nname = "A"\npublisher = "P"\n${more}\n`;
  const resource = (id, more = '') => `[[resource]]\nid = "${id}"\nscopes = [{ name = "a" }]\n${more}\n`;
  const rows = [
    [`[[user]]\nid = "same"\n${client('same')}`, /"same" is the id of a client and of a user/],
    [agent('x', 'jwks = { keys = [{ kty = "EC" }] }'), /agent "x": jwks cannot be used/],
    [client('x', 'auth_method = "private_key_jwt"\njwks = { keys = [{ kty = "EC" }] }'), /client "x": jwks cannot be used/],
    [agent('x', 'onward = { to = ["x"] }'), /onward.to names the agent itself/],
    [agent('x', 'onward = { to = ["*"] }'), /agent "x": onward.to = \["\*"\] needs a depth/],
    ['[[user]]\nid = "v"\npassword = "short"\n', /user "v": a password must have/],
    ['[[user]]\nid = "v"\nusername = "w"\n[[user]]\nid = "w"\n', /user "w": the username "w" is that of user "v" too/],
    [client('c', 'secret = "short"'), /client "c": a client secret must have/],
    [`[[client]]\nid = "c"\nname = "C"\nauth_method = "none"\nsecret = "${'x'.repeat(40)}"\n`, /client "c": .*"none" has no secret/],
    ['[[client]]\nid = "c"\nname = "C"\nauth_method = "none"\nsecret_file = "c.secret"\n', /:1: .*"none" has no secret/],
    [resource('https://a.example/', 'aliases = ["https://z.example"]') + resource('https://b.example/', 'aliases = ["https://z.example/"]'), /an alias must be of one resource alone/],
    [resource('https://a.example/') + resource('https://b.example/', 'aliases = ["https://a.example"]'), /an alias must be of one resource alone/],
    [resource('https://b.example/') + resource('https://a.example/', 'aliases = ["plain"]'), /alias "plain" is no URI/],
    [client('c', 'secret_file = "c.secret"\nsecret = "x"'), /either secret or secret_file/],
    [agent('x', 'jwks_file = "nowhere.jwks"'), /jwks_file .*nowhere\.jwks: cannot be read: there is no such file/],
    [agent('x', `jwks_file = "${server.folder}"`), /cannot be read: it is a folder/],
    ['[[client]]\nid = "c"\nname = "C"\ncolour = "red"\n', /unknown key "colour"/],
  ];
  for (const [text, words] of rows) {
    const path = await stateFile(text);
    for (const command of ['check', 'apply']) {
      const answer = await cli(command, path);
      assert.equal(answer.code, 2, `${command}: ${text}${answer.err}`);
      assert.match(answer.err, words);
      assert.ok(answer.err.startsWith(path), answer.err);
      const told = await cli(command, path, '--json');
      assert.equal(told.code, 2);
      assert.equal(told.err, '');
      assert.match(JSON.parse(told.out).problems[0], words);
    }
  }
  // What only a server knows is a note without one, and its refusal is the file's fault.
  const outside = await stateFile(agent('x', 'clients = ["ca", "nobody"]'));
  const checked = await cli('check', outside);
  assert.equal(checked.code, 0, checked.err);
  assert.match(checked.err, /note: .*clients names "ca", which is no client in this file/);
  assert.equal(JSON.parse((await cli('check', outside, '--json')).out).notes.length, 2);
  const refused = await cli('apply', outside);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /refused: agent "x": clients names "nobody", which is no client/);
  assert.equal((await apply(agent('x', 'clients = ["ca"]'), '--dry-run')).code, 0);
});

test('token inspect: 0 is for a token that stands, and nothing is said of one that is forged', async () => {
  const { access_token: token } = await server.flow();
  const look = async (text, ...more) => {
    const answer = await cli('token', 'inspect', text, ...more);
    const told = await cli('token', 'inspect', text, '--json', ...more);
    assert.equal(told.code, answer.code);
    return { ...answer, json: JSON.parse(told.out) };
  };
  const good = await look(token);
  assert.equal(good.code, 0, good.err);
  assert.deepEqual([good.json.valid, good.json.signature, good.json.expired, good.json.status], [true, 'valid', false, 'active']);
  assert.match(good.out, /^status {14}active$/m);

  const [head, , tail] = token.split('.');
  const forged = `${head}.${Buffer.from(JSON.stringify({ ...claimsOf(token), sub: 'u2' })).toString('base64url')}.${tail}`;
  const lie = await look(forged);
  assert.equal(lie.code, 1);
  assert.deepEqual([lie.json.valid, lie.json.signature, 'status' in lie.json], [false, 'the signature is wrong', false]);
  assert.doesNotMatch(lie.out, /active/);
  assert.equal((await run(['token', 'inspect', forged])).code, 0, 'without a configuration it is only decoded');

  const away = server.at('away.toml');
  await writeFile(away, (await readFile(server.at('behalf.toml'), 'utf8')).replace('"behalf.sock"', '"nobody.sock"'));
  const alone = await run(['token', 'inspect', token, '--json', '-c', away]);
  assert.equal(alone.code, 3);
  assert.deepEqual([JSON.parse(alone.out).signature, JSON.parse(alone.out).valid], ['valid', false]);
  assert.match(JSON.parse(alone.out).problems[0], /no server answers/);
  assert.equal((await run(['token', 'inspect', forged, '-c', away])).code, 1);

  await server.as('ca', '/revoke', { token });
  const revoked = await look(token);
  assert.deepEqual([revoked.code, revoked.json.signature, revoked.json.status, revoked.json.valid], [1, 'valid', 'ended', false]);

  const { access_token: late } = await server.flow();
  await server.advance(3700);
  const expired = await look(late);
  assert.deepEqual([expired.code, expired.json.signature, expired.json.expired, expired.json.valid], [1, 'valid', true, false]);
  assert.match(expired.out, /^expires .*\(it has\)$/m);

  const opaque = await look(`at_${'0'.repeat(26)}${'x'.repeat(43)}`);
  assert.equal(opaque.code, 1);
  assert.match(opaque.json.problems[0], /opaque access token/);
});

test('check: a configuration that serve would refuse is refused, with its line', async () => {
  const plain = await readFile(server.at('behalf.toml'), 'utf8');
  const rows = [
    [/^address = .*$/m, 'address = "localhost"', /address must be an IP address/],
    [/^address = .*$/m, 'address = "999.1.1.1"', /address must be an IP address/],
    [/^address = .*$/m, 'address = "0.0.0.0"\ntrusted_proxies = ["10.0.0.0/8"]', /takes single addresses; "10.0.0.0\/8" is a network/],
    [/^address = .*$/m, 'address = "127.0.0.1"\ntrusted_proxies = ["proxy.example"]', /trusted_proxies must be IP addresses/],
    [/^socket = .*$/m, 'socket = "nowhere/behalf.sock"', /socket: there is no folder .*nowhere/],
    [/^socket = .*$/m, `socket = "${'x'.repeat(120)}"`, /the path of the socket may have 107 bytes/],
    [/^sqlite = .*$/m, 'sqlite = "nowhere/behalf.db"', /sqlite: there is no folder/],
  ];
  const path = server.at('other.toml');
  for (const [at, text, words] of rows) {
    assert.match(plain, at);
    await writeFile(path, plain.replace(at, text));
    for (const command of ['check', 'serve']) {
      const answer = await run([command, '-c', path]);
      assert.equal(answer.code, 2, `${command} ${text}`);
      assert.match(answer.err, words);
      assert.match(answer.err, /other\.toml:\d+: /);
    }
  }
  const folder = await run(['check', '-c', server.folder]);
  assert.equal(folder.code, 2);
  assert.match(folder.err, /cannot be read: it is a folder/);
});

test('commands that are none', async () => {
  const rows = [
    [['foo'], /unknown command "foo"; known are serve, guard, check,/],
    [[], /a command is needed; known are serve,/],
    [['audit', 'verify'], /unknown command "verify" of audit; known are tail, lineage/],
    [['audit', 'verify', '--help'], /unknown command "verify" of audit/],
    [['audit'], /a command of audit is needed/],
    [['guard', 'foo'], /unknown command "foo" of guard; known are check, test, explain/],
  ];
  for (const [words, said] of rows) {
    const answer = await run(words);
    assert.equal(answer.code, 2, words.join(' '));
    assert.match(answer.err, said);
    assert.equal(answer.out, '');
  }
  for (const words of [['--help'], ['audit', '--help'], ['audit', 'lineage', '--help'], ['--version']]) assert.equal((await run(words)).code, 0, words.join(' '));
});

test('init: an issuer that is none makes nothing', async () => {
  for (const issuer of ['', 'not a url', 'http://as.example', 'https://as.example/']) {
    const answer = await run(['init', server.at('fresh/inner'), '--issuer', issuer]);
    assert.equal(answer.code, 2, issuer);
    assert.match(answer.err, /issuer/);
    assert.ok(!(await readdir(server.folder)).includes('fresh'));
  }
  assert.equal((await run(['init', server.at('fresh/inner')])).code, 0);
  await rm(server.at('fresh'), { recursive: true });
});

test('--json: a refusal is JSON too', async () => {
  const rows = [
    [['grant', 'revoke', 'nothing'], 1], [['user', 'suspend', 'nobody'], 1], [['apply', server.at('absent.toml')], 2],
    [['guard', 'explain', '--policy', server.at('absent.toml'), '--path', '/'], 2], [['guard', 'test', server.at('absent.toml')], 2],
  ];
  for (const [words, code] of rows) {
    const answer = words[0] === 'guard' ? await run([...words, '--json']) : await cli(...words, '--json');
    assert.equal(answer.code, code, `${words.join(' ')}: ${answer.err}`);
    assert.equal(answer.err, '');
    const said = JSON.parse(answer.out);
    assert.equal(said.ok, false);
    assert.equal(said.problems.length, 1);
  }
  const policy = server.at('policy.toml');
  await writeFile(policy, '[[rule]]\nname = "all"\neffect = "deny"\n');
  const agents = await run(['guard', 'explain', '--policy', policy, '--path', '/', '--agents', server.at('absent.json')]);
  assert.equal(agents.code, 2);
  assert.match(agents.err, /absent\.json: cannot be read: there is no such file/);
  assert.match((await run(['guard', 'check', policy])).out, /is fine: 1 rule, /);
});

test('the guard: what the walk-through makes is what its examples read', async () => {
  const source = new URL('../../', import.meta.url);
  const steps = await readFile(new URL('docs/guard.md', source), 'utf8');
  const [, step] = steps.match(/^ {3}```toml\n([\s\S]*?)^ {3}```$/m);
  const answer = await apply(step);
  assert.equal(answer.code, 0, answer.err);
  const scopes = [...step.matchAll(/name = "([a-z.]+)", title/g)].map(([, name]) => name);
  for (const name of ['guard-proxy.toml', 'guard-nginx.toml']) {
    const example = await readFile(new URL(`examples/guard/${name}`, source), 'utf8');
    await readFile(server.at(example.match(/^client_secret_file = "(.*)"$/m)[1]));
    assert.equal(example.match(/^client_id = "([^"]*)"/m)[1], step.match(/^ *id = "(calendar-[^"]*)"/m)[1]);
    assert.equal(example.match(/^id = "([^"]*)"/m)[1], step.match(/^ *id = "(https:[^"]*)"/m)[1]);
    assert.deepEqual(JSON.parse(example.match(/^scopes = (.*)$/m)[1]), scopes);
  }
});

test('docs/state-file.md: its example applies as printed, with the files it names', async () => {
  const text = await readFile(new URL('../../docs/state-file.md', import.meta.url), 'utf8');
  const [, example] = text.match(/^```toml\n([\s\S]*?)^```$/m);
  for (const name of ['calendar-agent.jwks', 'search-agent.jwks']) await writeFile(server.at(name), JSON.stringify({ keys: [generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })] }));
  await writeFile(server.at('alice.pw'), 'correct horse\n');
  const answer = await apply(example);
  assert.equal(answer.code, 0, answer.err);
  assert.equal((await apply(example)).out, 'nothing to change\n');
});

test('docs/revocation-feed.md: what it prints is what a server answers', async () => {
  const text = await readFile(new URL('../../docs/revocation-feed.md', import.meta.url), 'utf8');
  const printed = JSON.parse(text.match(/^```json\n(\{"spec_version"[\s\S]*?)^```$/m)[1].replaceAll('https://as.example', server.issuer));
  assert.deepEqual((await server.http('/.well-known/ssf-configuration')).json, printed);
});
