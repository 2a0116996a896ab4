// Connections that are slow, idle, or too many: they are cut in time or turned away, everybody else is served, and it costs nothing.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { R1, Server } from '../cases/support/cast.mjs';
import { Offer, pin, processorTime, until, wantDescriptors } from '../faults/support.mjs';

const EACH = 1000;
const cannot = wantDescriptors(16_384);

// Connections of the server, as the kernel counts them.
async function connectionsOf(server) {
  const port = `:${server.port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/));
  return lines.filter(([, local, , state]) => local?.endsWith(port) && state === '01').length;
}

describe('305 a thousand connections each', { skip: cannot }, () => {
  let server, offer, request, baseline;
  before(async () => {
    server = await Server.start();
    pin(server);
    offer = await Offer.build();
    const { access_token: token } = await server.flow();
    request = await offer.request(server, 'r1-server', '/introspect', { token });
    await honest(2);
    baseline = await honest(6);
  });
  after(async () => {
    await offer?.remove();
    await server?.stop();
  });
  const honest = (seconds) => offer.run(server, request, { connections: 32, rate: 200, seconds });

  // `says`: what each connection says at first; `drips`: and then a byte a second; `reads`: what it is answered. The honest ask
  // while the slow are all there.
  async function crowd({ says, drips = true, reads = true, within, answer }) {
    const file = join(offer.folder, 'says');
    await writeFile(file, says);
    const slowly = offer.slow(server, file, { connections: EACH, seconds: within + 10, drips, reads });
    await until(async () => await connectionsOf(server) >= EACH, 'they are all there at once');
    await pause(2000);
    const [during, slow] = await Promise.all([honest(within - 4), slowly]);
    const told = `305 ${says.slice(0, 40).split('\r')[0]}, ${answer ?? 'unread'}: ${JSON.stringify(slow)}; honest p50 ${during.p50_ms} ms, p99 ${during.p99_ms} ms (without them ${baseline.p50_ms} and ${baseline.p99_ms})`;
    console.log(told);
    assert.equal(slow.open, 0, told);
    if (answer) {
      assert.deepEqual(slow.answers, { [`HTTP/1.1 ${answer}`]: EACH });
      assert.ok(slow.answered <= within + 1, told);
    }
    // After its answer a connection may linger two seconds; and who does not read is waited for when the buffers are full.
    assert.ok(slow.last_end <= within + 3, told);
    assert.equal(during.later + during.other + during.cut, 0, JSON.stringify(during));
    assert.ok(during.good > 0.9 * during.due, JSON.stringify(during));
    // Twice; of the slowest, or what a disk makes of anything when it has something else to do.
    assert.ok(during.p50_ms <= 2 * baseline.p50_ms + 5, told);
    assert.ok(during.p99_ms <= Math.max(2 * baseline.p99_ms, 400), told);
  }

  test('305 slow headers are cut within 10 s', () => crowd({ says: 'POST /token HTTP/1.1\r\nHost: x\r\nX: ', within: 10, answer: '408 Request Timeout' }));
  test('305 slow bodies are cut within 15 s', () => crowd({ says: 'POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\na', within: 15, answer: '408 Request Timeout' }));
  // Requests enough that their answers are more than the buffers of both ends hold.
  test('305 slow readers are cut within 15 s', () => crowd({ says: 'GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(300), drips: false, reads: false, within: 15 }));
});

describe('306 ten thousand idle connections and 4,096 descriptors', { skip: cannot }, () => {
  const COUNT = 10_000;
  let server;
  const sockets = [];
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  before(async () => { server = await Server.start({ within: ['prlimit', '--nofile=4096:4096'] }); });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    agent.destroy();
    await server?.stop();
  });
  // One request on a connection of its own (or the agent's), and its answer; an error if there is none.
  const ask = (path, { own = false, form, headers = {} } = {}) => new Promise((resolve, reject) => {
    const body = form && new URLSearchParams(form).toString();
    const request = http.request({ host: '127.0.0.1', port: server.port, path, method: form ? 'POST' : 'GET', agent: own ? agent : false, timeout: 3000, headers: { ...headers, ...(form && { 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length }) } }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer));
      answer.on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error('no answer in 3 s')));
    request.on('error', reject);
    request.end(body);
  });
  const open = (index) => new Promise((resolve) => {
    const socket = net.connect(server.port, '127.0.0.1', () => socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n'));
    socket.index = index;
    socket.said = '';
    socket.on('data', (piece) => { socket.said += piece; resolve(); });
    socket.on('error', resolve);
    socket.on('close', () => { socket.isGone = true; resolve(); });
    sockets.push(socket);
  });
  const token = (own) => ask('/token', { own, form: { grant_type: 'client_credentials', resource: R1, scope: 'r1.read' }, headers: server.basic('a1-runtime') });
  const cost = async (milliseconds) => {
    const before = await processorTime(server.child.pid);
    await pause(milliseconds);
    return await processorTime(server.child.pid) - before;
  };

  test('306 the newest are turned away, health stays up, and it costs nothing', async () => {
    assert.equal((await token(true)).statusCode, 200);
    // Asked by somebody who has nothing else to do; each time on a connection of its own, and once more if that is cut.
    const prober = new Worker(`
      const { workerData: port, parentPort } = require('node:worker_threads');
      const ask = (path) => fetch('http://127.0.0.1:' + port + path, { headers: { connection: 'close' } }).then((answer) => answer.status, (fault) => String(fault.cause ?? fault));
      const health = [];
      let timer = setInterval(async () => {
        for (const path of ['/livez', '/readyz']) { const first = await ask(path); health.push([first, first === 200 ? first : await ask(path)]); }
      }, 50);
      parentPort.on('message', () => { clearInterval(timer); setTimeout(() => { parentPort.postMessage(health); parentPort.close(); }, 500); });
    `, { eval: true, workerData: server.port });
    for (let index = 0; index < COUNT; index += 200) await Promise.all(Array.from({ length: 200 }, (_, more) => open(index + more)));
    await pause(3000);
    prober.postMessage('enough');
    const [health] = await once(prober, 'message');
    const again = health.filter(([first]) => first !== 200);
    assert.ok(health.length > 20 && health.every(([, second]) => second === 200), `health: ${again.join('; ')} of ${health.length}`);
    assert.ok(again.length <= health.length / 20, `health: ${again.join('; ')} of ${health.length}`);

    // Places that the questions about health had are free again.
    for (let isFull = false; !isFull;) {
      await open(sockets.length);
      await pause(50);
      isFull = sockets.at(-1).isGone;
      assert.ok(sockets.length < COUNT + 500, 'at last nobody is kept any more');
    }
    const kept = sockets.filter(({ isGone }) => !isGone);
    assert.ok(kept.length > 3700 && kept.length < 4096, `${kept.length} are kept`);
    assert.ok(kept.every(({ said }) => said.startsWith('HTTP/1.1 200')), 'and were answered');
    assert.ok(kept.filter(({ index }) => index < 4096).length > kept.length - 100, 'the newest were shed');
    const idle = await cost(5000);
    assert.ok(idle < 0.5, `${idle} s of a processor in 5 s`);

    const stranger = await token(false);
    assert.equal(stranger.statusCode, 503);
    assert.ok(Number(stranger.headers['retry-after']) >= 1);
    assert.equal(stranger.headers.connection, 'close');
    assert.equal((await token(true)).statusCode, 200, 'who was here is served');
    for (let round = 0; round < 10; ++round) assert.equal((await ask('/readyz')).statusCode, 200);
    console.log(`306 ${kept.length} of ${COUNT} kept, ${health.length} answers about health while they came (${again.length} on the second try), ${idle.toFixed(2)} s of a processor in 5 s`);
  });

  test('306 no descriptor left at all (EMFILE): whoever waits, waits; nothing spins', async () => {
    const limit = (count) => execFileSync('prlimit', ['--pid', String(server.child.pid), `--nofile=${count}:4096`]);
    limit(1024);
    const waiting = Array.from({ length: 200 }, () => net.connect(server.port, '127.0.0.1').on('error', () => {}));
    for (const socket of waiting) socket.write('GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await pause(500);
    const spent = await cost(4000);
    assert.ok(spent < 0.4, `${spent} s of a processor in 4 s`);
    assert.equal((await ask('/livez', { own: true })).statusCode, 200, 'who was here is served');
    limit(4096);
    const began = performance.now();
    while (await ask('/livez').then(({ statusCode }) => statusCode !== 200, () => true)) assert.ok(performance.now() - began < 5000, 'health is back');
    for (const socket of waiting) socket.destroy();
    console.log(`306 EMFILE: ${spent.toFixed(2)} s of a processor in 4 s, health back after ${Math.round(performance.now() - began)} ms`);
  });

  test('306 when they have gone all is as it was', async () => {
    for (const socket of sockets) socket.destroy();
    const began = performance.now();
    while ((await token(false).catch(() => ({ statusCode: 0 }))).statusCode !== 200) assert.ok(performance.now() - began < 5000);
    assert.equal((await server.flow()).scope, 'r1.read');
    await server.noSecretAnywhere();
  });
});
