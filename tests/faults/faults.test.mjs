// The disk full, the database read-only, locked, gone, paused: 503 with Retry-After, nothing issued, what needs no writing still
// answered, and all well again by itself within five seconds of the fault's end. Nothing acknowledged before is lost.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
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

// A real file system in a file, mounted; `body` gets its folder and the device.
async function onDisk(megabytes, options, body) {
  const place = await mkdtemp(join(tmpdir(), 'behalf-disk-'));
  const folder = join(place, 'disk');
  const image = join(place, 'image');
  await mkdir(folder);
  try {
    await run('truncate', ['-s', `${megabytes}M`, image]);
    await run('/sbin/mkfs.ext4', ['-q', '-F', '-m', '0', image]);
    await run('mount', ['-o', ['loop', ...options].join(), image, folder]);
    try {
      const { stdout } = await run('findmnt', ['-no', 'SOURCE', folder]);
      await body({ folder, image, device: stdout.trim().split('/').at(-1) });
    } finally { await run('umount', [folder]).catch(() => run('umount', ['-l', folder])); }
  } finally { await rm(place, { recursive: true, force: true }); }
}
// Why no disk can be mounted here, or made to fail; false if it can.
const [noDisk, noFault] = (() => {
  if (!isRoot) return Array(2).fill('only root can mount a disk');
  const folder = execFileSync('mktemp', ['-d'], { encoding: 'utf8' }).trim();
  try {
    execFileSync('truncate', ['-s', '8M', `${folder}/image`]);
    execFileSync('/sbin/mkfs.ext4', ['-q', '-F', `${folder}/image`]);
    execFileSync('mkdir', [`${folder}/disk`]);
    execFileSync('mount', ['-o', 'loop', `${folder}/image`, `${folder}/disk`], { stdio: 'pipe' });
    const device = execFileSync('findmnt', ['-no', 'SOURCE', `${folder}/disk`], { encoding: 'utf8' }).trim().split('/').at(-1);
    let why = false;
    try { accessSync(`/sys/fs/ext4/${device}/trigger_fs_error`, constants.W_OK); } catch (fault) { why = `ext4 cannot be told to fail here: ${fault.message}`; }
    execFileSync('umount', [`${folder}/disk`]);
    return [false, why];
  } catch (fault) { return Array(2).fill(`this machine does not let root mount a disk: ${fault.stderr ?? fault.message}`); } finally { execFileSync('rm', ['-rf', folder]); }
})();

// Callers that go on whatever happens; what each was told, and when.
class Load {
  told = [];
  running = true;
  constructor(server, callers = 4) {
    this.server = server;
    this.callers = Array.from({ length: callers }, async () => {
      try {
        while (this.running) {
          const begun = performance.now();
          const answer = await writing(server)['/token']();
          this.told.push({ begun, ended: performance.now(), status: answer.status, token: answer.json?.access_token, later: answer.headers.get('retry-after') });
          if (answer.status !== 200) await pause(20);
        }
      } catch (fault) { this.fault ??= fault; }  // told by whoever waits: a test that ends early stops the server under us
    });
  }
  async until(count, status) {
    const seen = this.told.length;
    for (let tries = 0; this.told.slice(seen).filter((each) => each.status === status).length < count; ++tries) {
      if (this.fault) throw this.fault;
      assert.ok(tries < 500, `${count} answers ${status} under load`);
      await pause(10);
    }
  }
  // Nothing but 200 and 503 with Retry-After; nothing issued between the two times.
  async end({ from = 0, to = 0 } = {}) {
    this.running = false;
    await Promise.all(this.callers);
    if (this.fault) throw this.fault;
    for (const { status, later } of this.told) assert.ok(status === 200 || (status === 503 && Number(later) >= 1), `${status}`);
    assert.deepEqual(this.told.filter(({ begun, ended, status }) => status === 200 && begun > from && ended < to), [], 'nothing was issued meanwhile');
  }
  // Every token it was given (before that time) is known to the store.
  async kept(before = Infinity) {
    const tokens = this.told.filter(({ status, ended }) => status === 200 && ended < before).map(({ token }) => token);
    assert.ok(tokens.length > 0);
    for (const token of tokens.slice(-50)) assert.equal(await this.server.isActive('r1-server', token), true, 'what was acknowledged is there');
  }
}

describe('SQLite', () => {
  test('a real disk that becomes full and has room again (ENOSPC), under load', { skip: noDisk }, () => onDisk(24, [], async ({ folder }) => {
    const server = await Server.start({ folder: join(folder, 'server') });
    try {
      const load = new Load(server);
      await load.until(20, 200);
      const ballast = ['ballast', 'ballast2', 'ballast3'];
      let from, to;
      await through(server, async () => {
        // What ext4 has promised but not placed comes free again when it is placed: full is what is full after that.
        for (const name of ballast) {
          await run('dd', ['if=/dev/zero', `of=${join(folder, name)}`, 'bs=512', 'conv=fsync']).catch(() => {});
          await run('sync', ['-f', folder]);
        }
        await load.until(20, 503);
        // The last free places of the log are used up first; then even the smallest thing finds none, again and again.
        for (let tries = 0, refused = 0; refused < 30; ++tries) {
          assert.ok(tries < 3000, 'the disk is full for good');
          refused = (await writing(server)['/par']()).status === 503 ? refused + 1 : 0;
        }
        from = performance.now();
      }, async () => {
        to = performance.now();
        await Promise.all(ballast.map((name) => rm(join(folder, name), { force: true })));
      });
      await load.until(20, 200);
      await load.end({ from, to });
      await load.kept();
    } finally { await server.stop(); }
  }));

  test('a real disk on which nothing may be changed for a while, under load', { skip: noDisk }, () => onDisk(64, [], async ({ folder }) => {
    // Linux does not remount a disk read-only while a file on it is open for writing; that is tried first. What can be
    // taken back is to forbid changes of the files themselves: writes to them fail though they are open. Not of the index of
    // the log, which is memory that all its readers share: the kernel ends whoever changes a page of it then (SIGBUS).
    const server = await Server.start({ folder: join(folder, 'server') });
    const files = () => ['behalf.db', 'behalf.db-wal'].map((name) => server.at(name));
    try {
      const load = new Load(server);
      await load.until(20, 200);
      await assert.rejects(run('mount', ['-o', 'remount,ro', folder]), /busy/);
      await load.until(20, 200);
      let from, to;
      await through(server, async () => {
        execFileSync('chattr', ['+i', ...files()]);
        await load.until(20, 503);
        from = performance.now();
      }, async () => {
        to = performance.now();
        execFileSync('chattr', ['-i', ...files()]);
      });
      await load.until(20, 200);
      await load.end({ from, to });
      await load.kept();
    } finally {
      execFileSync('chattr', ['-i', ...files()]);
      await server.stop();
    }
  }));

  test('a real disk that the kernel makes read-only after a fault: 503 until it is repaired, and nothing acknowledged is lost', { skip: noFault }, () => onDisk(64, ['errors=remount-ro'], async ({ folder, image, device }) => {
    const server = await Server.start({ folder: join(folder, 'server') });
    try {
      const load = new Load(server);
      await load.until(20, 200);
      const kept = (await server.flow()).access_token;
      // ext4 itself says of a write in that moment that it is on the disk, and forgets it: what counts was told before.
      const fault = performance.now();
      await writeFile(`/sys/fs/ext4/${device}/trigger_fs_error`, '1');
      await assert.rejects(writeFile(join(folder, 'probe'), 'x'), /EROFS/);
      await load.until(20, 503);
      const from = performance.now();
      await unavailable(server);
      await load.until(20, 503);
      await load.end({ from, to: performance.now() });
      // Such a disk is not writable again before it has been unmounted and checked: the server ends in good order.
      server.child.kill('SIGTERM');
      const [code] = await server.ended;
      assert.equal(code, 0, server.said);
      // On a disk that is read-only it does not start, and says why.
      await assert.rejects(server.spawn(), /does not start/);
      assert.match(server.said, /behalf cannot serve: .+/);
      await run('umount', [folder]);
      await run('/sbin/fsck.ext4', ['-p', image]).catch(({ code: found, stdout }) => assert.equal(found, 1, stdout));
      await run('mount', ['-o', 'loop', image, folder]);
      await server.spawn();
      await well(server);
      assert.equal(await server.isActive('r1-server', kept), true);
      await load.kept(fault);
      await server.noSecretAnywhere();
    } finally { await server.stop().catch((fault) => { if (server.child.exitCode === null) throw fault; }); }
  }));

  test('the disk full', { skip: noDisk }, async () => {
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
