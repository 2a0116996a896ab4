// What the fault tests add to the cast: a PostgreSQL cluster of their own, a second server over the same store, and a load
// generator that costs little.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
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

// ---- Load ----

// What a process has cost so far, in seconds of a processor; what it has in memory, in megabytes.
export async function processorTime(pid) {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
export const resident = async (pid) => Number((await readFile(`/proc/${pid}/status`, 'utf8')).match(/VmRSS:\s+(\d+)/)[1]) / 1024;

// The server on one core, who offers it load on another, where there are two; both before whatever else wants them, where we may.
const isPinned = availableParallelism() > 1;
const isRoot = process.getuid() === 0;
export function pin(server) {
  if (isPinned) execFileSync('taskset', ['-a', '-p', '-c', '0', String(server.child.pid)], { stdio: 'ignore' });
  if (isRoot) execFileSync('renice', ['-n', '-15', ...readdirSync(`/proc/${server.child.pid}/task`)], { stdio: 'ignore' });
}

// Waits for a fact.
export async function until(fact, what, milliseconds = 10_000) {
  for (const end = Date.now() + milliseconds; !await fact(); await pause(20)) assert.ok(Date.now() < end, `in time: ${what}`);
}

// offer.cc and slow.cc, built.
export class Offer {
  static async build() {
    const offer = new Offer();
    offer.folder = await mkdtemp('/tmp/behalf-offer-');
    for (const name of ['offer', 'slow']) {
      await run('g++', ['-std=c++20', '-O2', '-Wall', '-Wextra', '-Werror', '-o', join(offer.folder, name), new URL(`../load/${name}.cc`, import.meta.url).pathname]);
    }
    return offer;
  }
  // A form post by that client, as bytes.
  async request(server, client, path, form) {
    const body = new URLSearchParams(form).toString();
    const file = join(this.folder, 'request');
    await writeFile(file, `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nAuthorization: ${server.basic(client).authorization}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    return file;
  }
  // `rate`: requests a second, whatever is answered; 0: on each connection the next one when the last is answered.
  async run(server, file, { connections, rate = 0, seconds }) {
    return this._run('offer', server.port, connections, rate, seconds, file);
  }
  async slow(server, file, { connections, seconds, drips, reads }) {
    return this._run('slow', server.port, connections, seconds, file, drips ? 1 : 0, reads ? 1 : 0);
  }
  async _run(name, ...words) {
    const all = [...(isRoot ? ['nice', '-n', '-15'] : []), ...(isPinned ? ['taskset', '-c', '1'] : []), join(this.folder, name), ...words.map(String)];
    const { stdout } = await run(all[0], all.slice(1));
    return JSON.parse(stdout);
  }
  remove() { return rm(this.folder, { recursive: true, force: true }); }
}

// Raises this process's own limit on descriptors; why not, where that cannot be.
export function wantDescriptors(count) {
  try {
    execFileSync('prlimit', ['--pid', String(process.pid), `--nofile=${count}:${count}`], { stdio: 'pipe' });
    return false;
  } catch (fault) { return `this test needs ${count} descriptors: ${fault.stderr}`; }
}
