// More callers than the server can serve: those it serves are as many as before, and when they are gone all is as it was (317).
import assert from 'node:assert/strict';
import http from 'node:http';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { Server } from '../cases/support/cast.mjs';

let server;
before(async () => { server = await Server.start(); });
after(async () => { await server?.noSecretAnywhere(); await server?.stop(); });

// Introspections by that many callers, each with a connection of its own, for that long: what they were answered.
async function offered(callers, milliseconds, token) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: callers });
  const until = performance.now() + milliseconds;
  const counts = {};
  const body = `token=${token}`;
  const ask = () => new Promise((resolve) => {
    const request = http.request({ host: '127.0.0.1', port: server.port, path: '/introspect', method: 'POST', agent, headers: { ...server.basic('r1-server'), 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length } }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer));
    });
    request.on('error', () => resolve({ statusCode: 'cut' }));
    request.end(body);
  });
  await Promise.all(Array.from({ length: callers }, async () => {
    while (performance.now() < until) {
      const { statusCode, headers } = await ask();
      counts[statusCode] = (counts[statusCode] ?? 0) + 1;
      if (statusCode === 503) assert.ok(headers['retry-after']);
    }
  }));
  agent.destroy();
  return counts;
}

test('317 ten times as many callers: nobody is answered wrongly, as much is done, and nothing remains of it', async () => {
  const { access_token: token } = await server.flow();
  const resident = async () => Number((await readFile(`/proc/${server.child.pid}/status`, 'utf8')).match(/VmRSS:\s+(\d+)/)[1]) / 1024;
  await offered(64, 1000, token);
  const [peak, before] = [await offered(64, 4000, token), await resident()];
  const crowd = await offered(640, 8000, token);
  for (const status of Object.keys(crowd)) assert.ok(['200', '503'].includes(status), JSON.stringify(crowd));
  // The callers share this machine with the server; that they are many costs them time, too.
  assert.ok(crowd[200] / 8 >= 0.5 * (peak[200] / 4), `${JSON.stringify(peak)} in 4 s, then ${JSON.stringify(crowd)} in 8 s`);
  const began = performance.now();
  assert.equal((await server.flow()).scope, 'r1.read');
  assert.ok(performance.now() - began < 2000, 'all is as it was');
  assert.ok(await resident() - before < 100, `${before} MB, then ${await resident()} MB`);
});
