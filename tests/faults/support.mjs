// What the fault tests add to the cast: a PostgreSQL cluster of their own, and a second server over the same store.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Server } from '../cases/support/cast.mjs';

const run = promisify(execFile);
const PROGRAMS = '/usr/lib/postgresql/15/bin/';

// PostgreSQL refuses to run as root; there its programs run as the user "postgres".
const asPostgres = process.getuid() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : [];
const command = (program, ...words) => { const all = [...asPostgres, PROGRAMS + program, ...words]; return [all[0], all.slice(1)]; };

export class Postgres {
  static async start() {
    const cluster = new Postgres();
    cluster.folder = await mkdtemp('/tmp/behalf-pg-');
    if (asPostgres.length) execFileSync('chown', ['postgres:postgres', cluster.folder]);
    await run(...command('initdb', '-D', join(cluster.folder, 'data'), '-U', 'behalf', '-A', 'trust', '-N', '-E', 'UTF8', '--locale=C.UTF-8'), { cwd: '/' });
    await cluster.begin();
    return cluster;
  }
  get address() { return `host=${this.folder} user=behalf dbname=postgres`; }
  async begin() {
    const log = openSync(`${this.folder}.log`, 'a');
    this.process = spawn(...command('postgres', '-D', join(this.folder, 'data'), '-k', this.folder, '-c', 'listen_addresses=', '-c', 'shared_buffers=64MB', '-c', 'max_connections=60', '-c', 'recovery_init_sync_method=syncfs'),
      { cwd: '/', stdio: ['ignore', log, log] });
    closeSync(log);
    this.ended = once(this.process, 'exit');
    for (let tries = 0; ; ++tries) {
      if (await run(PROGRAMS + 'pg_isready', ['-q', '-h', this.folder]).then(() => true, () => false)) return;
      assert.ok(tries < 400, 'PostgreSQL starts');
      await pause(25);
    }
  }
  async end(signal = 'SIGINT') {
    this.process.kill(signal);
    await this.ended;
  }
  // Every process of the cluster.
  signalAll(signal) {
    const children = execFileSync('ps', ['-o', 'pid=', '--ppid', String(this.process.pid)], { encoding: 'utf8' }).split(/\s+/).filter(Boolean);
    for (const pid of [this.process.pid, ...children]) { try { process.kill(Number(pid), signal); } catch { /* gone */ } }
  }
  async query(sql) { return (await run(PROGRAMS + 'psql', ['-h', this.folder, '-U', 'behalf', '-d', 'postgres', '-At', '-c', sql])).stdout.trim(); }
  async remove() {
    await this.end('SIGQUIT').catch(() => {});
    await rm(this.folder, { recursive: true, force: true });
    await rm(`${this.folder}.log`, { force: true });
  }
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

// A server over that cluster.
export const startOn = (postgres, options = {}) => Server.start({ ...options, store: `postgres = "${postgres.address}"` });

// A second process over the same store, with the same keys and under the same name. A Server to talk to, with all that the
// first one knows.
export async function startTwin(server) {
  const port = await freePort();
  const config = server.at('twin.toml');
  const text = await readFile(server.at('behalf.toml'), 'utf8');
  await writeFile(config, text.replace(/^port = \d+$/m, `port = ${port}`).replace('behalf.sock', 'twin.sock'));
  const child = spawn(process.env.BEHALF, ['serve', '-c', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk) => { said += chunk; });
  const ended = once(child, 'exit');
  const base = `http://127.0.0.1:${port}`;
  for (let tries = 0; ; ++tries) {
    if (child.exitCode !== null || tries > 400) throw new Error(`the second server does not start:\n${said}`);
    if (await fetch(`${base}/readyz`).then((answer) => answer.ok, () => false)) break;
    await pause(25);
  }
  const twin = Object.create(server);
  twin.http = (path, options) => server.http.call(server, path.startsWith('http') ? path : base + path, options);
  twin.stop = async () => { child.kill('SIGTERM'); await ended; };
  twin.port = port;
  return twin;
}

// `count` calls, spread over the servers, all at once.
export const race = (servers, count, call) => Promise.all(Array.from({ length: count }, (_, index) => call(servers[index % servers.length], index)));
