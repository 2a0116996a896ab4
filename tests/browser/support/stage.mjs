// The stage for the browser tests: one server, one Chromium, one loopback client that notes where the browser lands.
// Every page is watched: a violated Content-Security-Policy or a script fault in the console fails the test that caused it.
import { createHash, randomBytes, randomUUID, sign, createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { PASSWORDS, PLANNER, startServer } from '../../clients/support/server.mjs';

const base64url = (data) => Buffer.from(data).toString('base64url');

export class Stage {
  static async open() {
    const stage = new Stage();
    stage.server = await startServer();
    stage.listener = createServer((request, response) => {
      response.setHeader('content-type', 'text/html');
      response.end(request.url.startsWith('/callback') ? '<title>client</title>Back at the client.' : stage.foreignPage ?? '<title>elsewhere</title>');
    }).listen(0, '127.0.0.1');
    await once(stage.listener, 'listening');
    stage.clientOrigin = `http://127.0.0.1:${stage.listener.address().port}`;
    stage.redirectUri = `${stage.clientOrigin}/callback`;
    stage.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM,
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync'],
    });
    return stage;
  }

  async close() {
    await this.browser?.close();
    this.listener?.closeAllConnections();
    this.listener?.close();
    await this.server?.stop();
  }

  // A fresh person: own cookies, own window. `complaints` collects what the console says against the page.
  async person(options = {}) {
    const context = await this.browser.newContext(options);
    context.setDefaultTimeout(10_000);
    const page = await context.newPage();
    const complaints = [];
    page.on('console', (message) => {
      if (/content security policy|refused to/i.test(message.text())) complaints.push(message.text());
    });
    page.on('pageerror', (fault) => complaints.push(String(fault)));
    return { context, page, complaints };
  }

  request(extra = {}) {
    const verifier = base64url(randomBytes(32));
    const state = base64url(randomBytes(12));
    const url = new URL('/authorize', this.server.issuer);
    url.search = new URLSearchParams({
      response_type: 'code', client_id: 'app', redirect_uri: this.redirectUri, scope: 'mail.read calendar.write offline_access', state,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
      requested_actor: 'agent-calendar', resource: PLANNER, ...extra,
    });
    return { url: url.href, state, verifier };
  }

  #assertion() {
    const pair = this.server.keys['agent-calendar'];
    const now = Math.floor(Date.now() / 1000);
    const input = [{ alg: 'ES256', kid: pair.kid, typ: 'JWT' }, {
      iss: 'agent-calendar', sub: 'agent-calendar', aud: this.server.issuer, jti: randomUUID(), iat: now, exp: now + 120,
    }].map((part) => base64url(JSON.stringify(part))).join('.');
    const key = createPrivateKey({ key: pair.privateJwk, format: 'jwk' });
    return `${input}.${base64url(sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }))}`;
  }

  async token(parameters) {
    const answer = await fetch(new URL('/token', this.server.issuer), {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`app:${this.server.secrets.app}`).toString('base64')}` },
      body: new URLSearchParams({ actor_token: this.#assertion(), ...parameters }),
    });
    return answer.json();
  }
  redeem(landed, verifier) {
    return this.token({ grant_type: 'authorization_code', code: landed.searchParams.get('code'), redirect_uri: this.redirectUri, code_verifier: verifier });
  }
  refresh(refreshToken) {
    return this.token({ grant_type: 'refresh_token', refresh_token: refreshToken });
  }

  async signIn(page, username = 'alice', password = PASSWORDS[username]) {
    await page.getByLabel('Username').fill(username);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
  }

  async landed(page) {
    await page.waitForURL(`${this.redirectUri}**`);
    return new URL(page.url());
  }

  picture(page, name) {
    return page.screenshot({ path: join(process.env.BEHALF_SCREENSHOTS, `${name}.png`), fullPage: true });
  }
}
