// docs/first-token.md, word for word, in an empty folder. Only ports are changed, and curl is alice's browser.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { formOf } from './support/cast.mjs';

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return String(port);
}

test('the first token, as it is printed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'behalf-first-token-'));
  const curl = async (...words) => (await promisify(execFile)('curl', ['-sSL', '-b', 'cookies', '-c', 'cookies', '-w', '\n%{url_effective}', ...words], { cwd: folder })).stdout;
  let child;
  try {
    await mkdir(join(folder, 'bin'));
    await symlink(process.env.BEHALF, join(folder, 'bin/behalf'));
    let script = [...(await readFile(new URL('../../docs/first-token.md', import.meta.url), 'utf8')).matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block]) => block).join('\n');
    const [server, app] = [await freePort(), await freePort()];
    script = script.replaceAll('8787', server).replaceAll('8790', app);
    child = spawn('bash', ['-c', `set -euo pipefail\n${script}`], { cwd: folder, detached: true, env: { ...process.env, PATH: `${join(folder, 'bin')}:${process.env.PATH}` } });
    let said = '';
    const ended = once(child, 'exit');
    const asked = new Promise((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (text) => {
          said += text;
          const address = said.match(/^http:\S*\/authorize\?\S*$/m)?.[0];
          if (address && said.includes(`${address}\n`)) resolve(address);
        });
      }
    });
    const address = await Promise.race([asked, ended.then(() => undefined)]);
    assert.ok(address, said);

    // What a browser does with a form: what is hidden or ticked goes back as it is.
    const submit = (page, action, more) => {
      const fields = formOf(page, action);
      assert.ok(fields, page);
      const words = fields.filter(({ type }) => type === 'hidden' || type === 'checkbox').map(({ name, value }) => [name, value]);
      return curl('-H', `Origin: http://127.0.0.1:${server}`, ...[...words, ...more].flatMap(([name, value]) => ['--data-urlencode', `${name}=${value}`]), new URL(action, address).href);
    };
    const password = said.match(/with the password (\S+) and/)[1];
    const consent = await submit(await curl(address), '/login', [['username', 'alice'], ['password', password]]);
    assert.match(consent, /Calendar Agent/);
    assert.match(await submit(consent, '/consent', [['decision', 'allow']]), /Back to the terminal/);

    assert.equal((await ended)[0], 0, said);
    const shown = said.match(/^person or software[\s\S]*?^status.*$/m)[0];
    const printed = (await readFile(new URL('../../docs/first-token.md', import.meta.url), 'utf8')).match(/^person or software[\s\S]*?^status.*$/m)[0];
    const timeless = (text) => text.replace(/^expires .*$/m, 'expires');
    assert.equal(timeless(shown), timeless(printed));
    assert.match(said, /^status +ended .*\n[\s\S]*it is over/m);
  } finally {
    try { process.kill(-child.pid, 'SIGKILL'); } catch { /* all of it has ended */ }
    await rm(folder, { recursive: true, force: true });
  }
});
