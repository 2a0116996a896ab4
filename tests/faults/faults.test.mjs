// The disk full, the database read-only, locked, gone, paused: 503 with Retry-After, nothing issued, what needs no writing still
// answered, and all well again by itself within five seconds of the fault's end. Nothing acknowledged before is lost.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { R1, Server } from '../cases/support/cast.mjs';
import { Postgres, startOn } from './support.mjs';

const run = promisify(execFile);
const isRoot = process.getuid() === 0;

const writing = (server) => ({
  '/token': () => server.token('a1-runtime', { grant_type: 'client_credentials', resource: R1, scope: 'r1.read' }),
  '/par': () => server.as('ca', '/par', server.authorization()),
  '/revoke': () => server.as('ca', '/revoke', { token: 'x' }),
  '/introspect': () => server.as('r1-server', '/introspect', { token: 'x' }),
});
async function unavailable(server, { soft = false } = {}) {
  for (const [path, call] of Object.entries(writing(server))) {
    const answer = await call();
    assert.equal(answer.status, 503, `${path}: ${answer.text}`);
    assert.equal(answer.json.error, 'temporarily_unavailable');
    assert.ok(Number(answer.headers.get('retry-after')) >= 1);
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    assert.doesNotMatch(answer.text, /token"|sqlite|postgres|disk|\/tmp/i);
  }
  assert.equal((await server.http('/livez')).status, 200);
  if (!soft) assert.equal((await server.http('/readyz')).status, 503);
  for (const path of ['/jwks', '/.well-known/oauth-authorization-server']) assert.equal((await server.http(path)).status, 200);
}
async function well(server, within = 5000) {
  const began = performance.now();
  for (;;) {
    const answer = await writing(server)['/token']().catch(() => ({ status: 0 }));
    if (answer.status === 200) break;
    assert.equal(answer.status, 503);
    assert.ok(performance.now() - began < within, `well again within ${within} ms`);
    await pause(50);
  }
  for (let tries = 0; (await server.http('/readyz')).status !== 200; ++tries) { assert.ok(tries < 50); await pause(100); }
  for (const call of Object.values(writing(server))) assert.ok((await call()).status < 500);
  assert.equal((await server.flow()).scope, 'r1.read');
}
// The fault comes between `before` and `after`; what was acknowledged before it must be there after it.
async function through(server, fault, end, options) {
  const kept = (await server.flow()).access_token;
  const ended = (await server.flow()).access_token;
  await server.as('ca', '/revoke', { token: ended });
  const code = await server.code();
  const refused = server.redemption(code);
  await fault();
  await unavailable(server, options);
  assert.equal((await server.token('ca', refused)).status, 503);
  await end();
  await well(server);
  assert.equal(await server.isActive('r1-server', kept), true, 'what was acknowledged is there');
  assert.equal(await server.isActive('r1-server', ended), false, 'what was ended stays ended');
  // Nothing was decided while the store was away: the code is still good, once.
  assert.equal((await server.redeem(code)).status, 200);
  assert.equal((await server.redeem(code)).status, 400);
  await server.noSecretAnywhere();
}

describe('SQLite', () => {
  test('the disk full', { skip: !isRoot && 'only root can mount a small disk' }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'behalf-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', folder]);
    try {
      const server = await Server.start({ folder: join(folder, 'server'), store: 'sqlite = "behalf.db"' }).catch(async (fault) => { await mkdir(join(folder, 'server'), { recursive: true }); throw fault; });
      try {
        await through(server, async () => {
          const space = Number(execFileSync('df', ['--output=avail', '-B1', folder], { encoding: 'utf8' }).split('\n')[1]);
          await run('fallocate', ['-l', String(space - 4096), join(folder, 'ballast')]).catch(() => run('dd', ['if=/dev/zero', `of=${join(folder, 'ballast')}`, 'bs=4096']).catch(() => {}));
          await run('dd', ['if=/dev/zero', `of=${join(folder, 'ballast2')}`, 'bs=512']).catch(() => {});
          // The last free pages of the log are used up first.
          for (let tries = 0; tries < 3000; ++tries) if ((await writing(server)['/par']()).status === 503) break;
        }, () => Promise.all(['ballast', 'ballast2'].map((name) => rm(join(folder, name), { force: true }))));
      } finally { await server.stop(); }
    } finally { execFileSync('umount', ['-l', folder]); await rm(folder, { recursive: true, force: true }); }
  });

  test('the database may not grow or change (EFBIG)', async () => {
    // What is open for writing keeps a disk from being remounted read-only; a limit on the size of files refuses its writes alike.
    const limit = (server, size) => execFileSync('prlimit', ['--pid', String(server.child.pid), `--fsize=${size}:unlimited`]);
    const server = await Server.start();
    try { await through(server, async () => limit(server, 1), async () => limit(server, 'unlimited')); } finally { await server.stop(); }
  });

  test('the database locked by somebody else', async () => {
    const server = await Server.start();
    let holder;
    try {
      await through(server, async () => {
        holder = spawn('python3', ['-c', `import sqlite3, sys
database = sqlite3.connect(${JSON.stringify(server.at('behalf.db'))}, isolation_level=None, timeout=10)
database.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
database.execute("ROLLBACK")`], { stdio: ['pipe', 'pipe', 'inherit'] });
        await new Promise((resolve) => { holder.stdout.once('data', resolve); });
      }, async () => { holder.stdin.end(); await new Promise((resolve) => { holder.once('exit', resolve); }); });
    } finally { holder?.kill(); await server.stop(); }
  });

  test('the disk does not take what is to be kept (fdatasync fails)', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'behalf-shim-'));
    await writeFile(join(folder, 'shim.c'), `#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
static int broken(void) { const char *flag = getenv("FSYNC_FLAG"); return flag && access(flag, F_OK) == 0; }
int fdatasync(int fd) { static int (*real)(int); if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync"); if (broken()) { errno = EIO; return -1; } return real(fd); }
int fsync(int fd) { static int (*real)(int); if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync"); if (broken()) { errno = EIO; return -1; } return real(fd); }
`);
    await run('gcc', ['-shared', '-fPIC', '-O1', '-o', join(folder, 'shim.so'), join(folder, 'shim.c'), '-ldl']);
    const flag = join(folder, 'broken');
    process.env.LD_PRELOAD_FOR_SERVER = join(folder, 'shim.so');
    process.env.FSYNC_FLAG = flag;
    const server = await Server.start();
    try { await through(server, () => writeFile(flag, ''), () => rm(flag), { soft: true }); } finally {
      delete process.env.LD_PRELOAD_FOR_SERVER;
      delete process.env.FSYNC_FLAG;
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('PostgreSQL', () => {
  let postgres;
  after(async () => { await postgres?.remove(); });
  test('stopped, killed, and paused', async () => {
    postgres = await Postgres.start();
    const server = await startOn(postgres);
    try {
      await through(server, () => postgres.end('SIGINT'), () => postgres.begin());
      await through(server, () => postgres.end('SIGQUIT'), () => postgres.begin());
      await through(server, async () => { postgres.signalAll('SIGSTOP'); }, async () => { postgres.signalAll('SIGCONT'); });
    } finally { postgres.signalAll('SIGCONT'); await server.stop(); }
  });
  test('connections cut under it: the next call is served', async () => {
    await postgres.remove();
    postgres = await Postgres.start();
    const server = await startOn(postgres);
    try {
      const kept = (await server.flow()).access_token;
      for (let round = 0; round < 5; ++round) {
        await postgres.query("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'");
        await well(server);
      }
      assert.equal(await server.isActive('r1-server', kept), true);
    } finally { await server.stop(); }
  });
});
