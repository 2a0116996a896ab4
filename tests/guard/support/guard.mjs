// The guard as a process, a plain API behind it, and clients that send exactly the bytes they are told to.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { R1, Server } from '../../cases/support/cast.mjs';

const binary = process.env.BEHALF;
export { R1, pause };
export const METADATA = 'https://api.example/.well-known/oauth-protected-resource/r1';

// The server of the cases, with r1-server as the guard's own client.
export const startServer = (options = {}) => Server.start({
  ...options,
  change(state) {
    const client = state.client.find(({ id }) => id === 'r1-server');
    client.grant_types = [...client.grant_types, 'client_credentials'];
    client.scopes = [...client.scopes, 'behalf.signals', 'behalf.evidence', 'behalf.decisions'];
    options.change?.(state);
  },
});

export async function freePort() {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

// Waits for a fact.
export async function until(fact, what, milliseconds = 10_000) {
  for (const end = Date.now() + milliseconds; ;) {
    const found = await fact();
    if (found) return found;
    assert.ok(Date.now() < end, `in time: ${what}`);
    await pause(20);
  }
}

// ---- A plain API: says what it saw ----
//   /stream      server-sent events, one every 50 ms, until the client goes
//   /echo        the body as it arrives
//   /socket      a WebSocket (RFC 6455) that says what it hears
//   anything     {method, url, headers (raw), body}
export class Api {
  static async start({ port = 0, socket } = {}) {
    const api = new Api();
    api.requests = [];
    api.open = new Set();
    api.server = http.createServer((request, response) => api.serve(request, response));
    api.server.on('upgrade', (request, socket) => api.upgrade(request, socket));
    api.server.on('connection', (socket) => {
      api.open.add(socket);
      socket.on('close', () => api.open.delete(socket));
    });
    if (socket) api.server.listen(socket);
    else api.server.listen(port, '127.0.0.1');
    await once(api.server, 'listening');
    api.port = api.server.address().port;
    api.url = socket ? `unix:${socket}` : `http://127.0.0.1:${api.port}`;
    return api;
  }
  async serve(request, response) {
    const seen = { method: request.method, url: request.url, headers: request.headers, raw: request.rawHeaders };
    this.requests.push(seen);
    const { pathname } = new URL(request.url, 'http://x');
    if (pathname.endsWith('/stream')) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      let number = 0;
      const timer = setInterval(() => response.write(`data: ${++number}\n\n`), 50);
      response.on('close', () => { clearInterval(timer); seen.closed = true; });
      return;
    }
    if (pathname.endsWith('/echo')) {
      response.writeHead(200, { 'content-type': 'application/octet-stream' });
      request.pipe(response);
      return;
    }
    let body = '';
    for await (const piece of request) body += piece;
    seen.body = body;
    response.writeHead(200, { 'content-type': 'application/json', 'set-cookie': 'theirs=1', 'x-api': 'yes' });
    response.end(JSON.stringify(seen));
  }
  upgrade(request, socket) {
    this.requests.push({ method: request.method, url: request.url, headers: request.headers, raw: request.rawHeaders, upgrade: true });
    const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    socket.on('data', (frame) => {  // short masked text frames only
      const length = frame[1] & 0x7f;
      const text = Buffer.from(frame.subarray(6, 6 + length).map((byte, index) => byte ^ frame[2 + (index % 4)]));
      socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text]));
    });
    socket.on('error', () => {});
  }
  last() { return this.requests.at(-1); }
  async stop() {
    this.server.close();
    for (const socket of this.open) socket.destroy();
  }
}

// ---- The guard ----

export const POLICY = `
[[rule]]
name = "health"
effect = "allow"
methods = ["GET"]
paths = ["/health"]
token = "none"

[[rule]]
name = "only-a1"
effect = "allow"
methods = ["GET"]
paths = ["/only-a1/**"]
scopes = ["r1.read"]
[rule.for]
actors = ["a1"]

[[rule]]
name = "agents"
effect = "allow"
methods = ["GET"]
paths = ["/agents/**"]
actor = "required"
scopes = ["r1.read"]

[[rule]]
name = "write"
effect = "allow"
methods = ["POST", "PUT"]
paths = ["/write/**"]
scopes = ["r1.write"]

[[rule]]
name = "echo"
effect = "allow"
methods = ["POST"]
paths = ["/read/echo"]
scopes = ["r1.read"]

[[rule]]
name = "read"
effect = "allow"
methods = ["GET"]
paths = ["/read/**"]
scopes = ["r1.read"]

[[rule]]
name = "search"
effect = "allow"
methods = ["POST"]
paths = ["/mcp"]
rpc_methods = ["initialize", "notifications/initialized", "tools/list", "ping"]
scopes = ["r1.read"]

[[rule]]
name = "tool-search"
effect = "allow"
methods = ["POST"]
paths = ["/mcp"]
rpc_methods = ["tools/call"]
tools = ["search"]
scopes = ["r1.read"]

[[rule]]
name = "tool-send"
effect = "allow"
methods = ["POST"]
paths = ["/mcp"]
rpc_methods = ["tools/call"]
tools = ["send"]
scopes = ["r1.write"]

[[rule]]
name = "mcp-stream"
effect = "allow"
methods = ["GET", "DELETE"]
paths = ["/mcp"]
scopes = ["r1.read"]
`;

export const CREDENTIAL = 'the-proxy-in-front-0123456789';

export class Guard {
  // `network`: the name of the network namespace it runs in. `top`, `tables`: lines of guard.toml. Exactly one of `dialect` and `upstream`.
  static async start(server, { dialect, upstream, policy = POLICY, top = '', tables = '', decide = 'credential_file = "credential"', socket, wait = true, resource = R1, client = 'r1-server', port, scopes = ['r1.read', 'r1.write'], listen = '', ca, network } = {}) {
    const guard = new Guard();
    guard.folder = await mkdtemp(join(tmpdir(), 'behalf-guard-'));
    guard.at = (name) => join(guard.folder, name);
    guard.environment = { ...process.env, ...server.clockEnvironment };
    guard.network = network;
    guard.port = socket ?? port ?? await freePort();
    guard.url = `http://127.0.0.1:${guard.port}`;
    await writeFile(guard.at('credential'), `${CREDENTIAL}\n`, { mode: 0o600 });
    await writeFile(guard.at('secret'), `${server.secrets[client]}\n`, { mode: 0o600 });
    await writeFile(guard.at('policy.toml'), policy);
    await writeFile(guard.at('guard.toml'), `policy = "policy.toml"
${dialect ? `dialect = "${dialect}"` : ''}
${top}
[server]
issuer = "${server.issuer}"
client_id = "${client}"
client_secret_file = "secret"
${ca ? `ca_file = "${ca}"` : ''}
[resource]
id = "${resource}"
name = "Resource one"
scopes = ${JSON.stringify(scopes)}
[listen]
${socket ? `socket = "${socket}"\nsocket_group = true` : `port = ${guard.port}`}
${listen}
${dialect ? `[decide]\n${decide}` : `[proxy]\nupstream = "${upstream}"`}
${tables.includes('[evidence]') ? '' : '[evidence]\nfile = "evidence.jsonl"'}
${tables}
`);
    await guard.spawn(wait).catch(async (fault) => {
      await guard.stop('SIGKILL');
      throw fault;
    });
    return guard;
  }
  async spawn(wait = true) {
    this.said = '';
    const [program, ...words] = [...(this.network ? ['ip', 'netns', 'exec', this.network] : []), binary, 'guard', '-c', this.at('guard.toml')];
    this.child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], env: this.environment });
    for (const stream of [this.child.stderr, this.child.stdout]) stream.on('data', (chunk) => { this.said += chunk; });
    this.ended = once(this.child, 'exit');
    await until(() => this.said.includes('behalf guards') || this.child.exitCode !== null, 'the guard starts');
    assert.equal(this.child.exitCode, null, this.said);
    if (wait) await until(async () => (await this.call('/readyz')).status === 200, 'the guard is ready').catch((fault) => { throw new Error(`${fault.message}: ${this.said}`); });
  }
  async stop(signal = 'SIGTERM') {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGCONT');
      this.child.kill(signal);
    }
    const [code] = await this.ended;
    if (signal === 'SIGTERM') {
      await rm(this.folder, { recursive: true, force: true });
      assert.equal(code, 0, this.said);
    }
  }
  // Records in the file, oldest first.
  async records(name = 'evidence.jsonl') {
    const text = await readFile(this.at(name), 'utf8').catch(() => '');
    return text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }
  async last() { return (await this.records()).at(-1); }
  // As a client of the proxy.
  call(path, token, { method = 'GET', headers = {}, body } = {}) {
    return call(this.port, path, token, { method, headers, body });
  }
  // As nginx would ask.
  decide(path, token, { method = 'GET', headers = {} } = {}) {
    return call(this.port, '/decide', token, { headers: { 'behalf-guard-credential': CREDENTIAL, 'x-original-method': method, 'x-original-uri': path, ...headers } });
  }
  get memory() { return readFile(`/proc/${this.child.pid}/status`, 'utf8').then((text) => Number(text.match(/VmRSS:\s+(\d+)/)[1]) / 1024); }
}

// `port` may be the path of a Unix socket.
export function call(port, path, token, { method = 'GET', headers = {}, body, host = 'api.example' } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({
      ...(typeof port === 'string' ? { socketPath: port } : { host: '127.0.0.1', port }), path, method, agent: false,
      headers: { host, ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
    }, (response) => {
      let text = '';
      response.on('data', (piece) => { text += piece; });
      response.on('error', reject);
      response.on('end', () => {
        let json;
        try { json = JSON.parse(text); } catch { /* not JSON */ }
        resolve({ status: response.statusCode, headers: response.headers, challenge: response.headers['www-authenticate'] ?? '', text, json });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

// Sends bytes, then reads until the other end closes (or, with `enough`, until that has arrived).
export function raw(port, bytes, { enough, patience = 5000 } = {}) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    let text = '';
    const done = () => { socket.destroy(); resolve(text); };
    const timer = setTimeout(done, patience);
    socket.on('data', (piece) => { text += piece; if (enough && text.includes(enough)) done(); });
    socket.on('close', () => { clearTimeout(timer); resolve(text); });
    socket.on('error', (fault) => { if (fault.code === 'ECONNRESET' || fault.code === 'EPIPE') done(); else reject(fault); });
    socket.write(bytes);
  });
}

// A response whose body keeps coming: what has arrived, and when it ended.
export class Stream {
  static open(port, path, token, { headers = {} } = {}) {
    return new Promise((resolve, reject) => {
      const stream = new Stream();
      stream.text = '';
      stream.request = http.request({ host: '127.0.0.1', port, path, agent: false, headers: { host: 'api.example', authorization: `Bearer ${token}`, ...headers } }, (response) => {
        stream.status = response.statusCode;
        response.on('data', (piece) => { stream.text += piece; });
        stream.ended = new Promise((ended) => {
          response.on('close', () => ended(Date.now()));
          response.on('error', () => {});
        });
        resolve(stream);
      });
      stream.request.on('error', reject);
      stream.request.end();
    });
  }
  close() { this.request.destroy(); }
}

// A WebSocket by hand: short text frames.
export class WebSocketByHand {
  static open(port, path, token, { extra = '', host = 'api.example' } = {}) {
    return new Promise((resolve, reject) => {
      const web = new WebSocketByHand();
      web.socket = net.connect(port, '127.0.0.1');
      web.ended = new Promise((ended) => { web.socket.on('close', () => ended(Date.now())); });
      web.heard = [];
      let head = '';
      web.socket.on('error', () => {});
      web.socket.on('data', (piece) => {
        if (!web.status) {
          head += piece.toString('latin1');
          if (!head.includes('\r\n\r\n')) return;
          web.status = Number(head.split(' ')[1]);
          web.head = head;
          resolve(web);
        } else {
          web.heard.push(piece.subarray(2, 2 + piece[1]).toString());
        }
      });
      web.socket.on('close', () => { if (!web.status) reject(new Error(`closed: ${head}`)); });
      web.socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${token ? `Authorization: Bearer ${token}\r\n` : ''}${extra}\r\n`);
    });
  }
  say(text) {
    const mask = Buffer.from([1, 2, 3, 4]);
    const body = Buffer.from(text).map((byte, index) => byte ^ mask[index % 4]);
    this.socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | body.length]), mask, body]));
  }
  close() { this.socket.destroy(); }
}
