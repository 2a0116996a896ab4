// What a person sees and does, in a real Chromium: sign in, read who asks, allow some or all or nothing, look at what was
// allowed and take it back; by mouse, by keyboard, on a telephone and without JavaScript. And what other pages cannot do.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Stage } from './support/stage.mjs';

let stage;
before(async () => { stage = await Stage.open(); });
after(() => stage?.close());

// Runs `play` as a person of their own; afterwards the console must be silent.
function scene(name, play, options) {
  test(name, async () => {
    const person = await stage.person(options);
    try {
      await play(person.page, person.context);
      assert.deepEqual(person.complaints, []);
    } finally {
      await person.context.close();
    }
  });
}

const allow = (page) => page.getByRole('button', { name: 'Allow' });
const deny = (page) => page.getByRole('button', { name: 'Deny' });
const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

async function toConsent(page, extra, username = 'alice') {
  const request = stage.request({ prompt: 'consent', ...extra });
  await page.goto(request.url);
  await stage.signIn(page, username);
  await page.waitForURL('**/consent?**');
  return request;
}

// Words as long as a registry takes them, or so: of one piece, and of many.
const LONG = {
  agent: 'Assistant for the planning of journeys, meetings and everything that comes between them, Edition for Travelling Companies',
  publisher: `The International Association of Makers of Software for Calendars, Region ${'North'.repeat(12)}`,
  owner: `team-for-calendars-and-journeys@${'department.'.repeat(8)}example.com`,
  description: `Finds free slots. ${'It reads what is there and proposes what could be. '.repeat(12)}The last words of the description.`,
  client: `Planner for ${'Everybody'.repeat(9)} and Others`,
  resource: `The Planner's Programming Interface ${'Worldwide'.repeat(8)}`,
  title: `Read your mail, ${'including what others sent to you in confidence, '.repeat(6)}and delete it`,
  explained: `${'Every message, with its attachments. '.repeat(15)}The last words of the permission.`,
};

async function putLongWords() {
  await stage.server.apply(`
[[agent]]
id = "agent-long"
name = "${LONG.agent}"
publisher = "${LONG.publisher}"
owner = "${LONG.owner}"
description = "${LONG.description}"
scopes = ["long.read"]
clients = ["app-long"]
onward = { to = ["agent-long-too"], depth = 1 }
intents = [{ name = "intent:long", text = "${LONG.explained}" }]
bearer_actor_tokens = true

[[agent]]
id = "agent-long-too"
name = "${LONG.agent} Two"
publisher = "${LONG.publisher}"
scopes = ["long.read"]

[[client]]
id = "app-long"
name = "${LONG.client}"
secret_file = "app-long.secret"
redirect_uris = ["${stage.redirectUri}"]
grant_types = ["authorization_code", "refresh_token"]
scopes = ["long.read"]

[[resource]]
id = "https://api.example/${'long/'.repeat(20)}planner"
name = "${LONG.resource}"
scopes = [{ name = "long.read", title = "${LONG.title}", description = "${LONG.explained}" }]
`);
}

// Elements that hide a part of their text.
const cutOff = (page) => page.evaluate(() => [...document.querySelectorAll('body *')].filter((element) => {
  const style = getComputedStyle(element);
  if (element.closest('svg, input') || style.display === 'none') return false;
  const hides = style.overflowX !== 'visible' || style.overflowY !== 'visible' || style.webkitLineClamp !== 'none' || style.textOverflow !== 'clip';
  const box = element.getBoundingClientRect();
  return hides || box.right > document.documentElement.clientWidth + 1 || box.left < -1;
}).map((element) => `${element.tagName}.${element.className}`));

const overflows = (page) => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);

describe('consent', () => {
  scene('names the agent, the client and where the code goes; Allow lands at the client', async (page) => {
    const request = stage.request({ prompt: 'consent' });
    await page.goto(request.url);
    await stage.picture(page, 'login');
    await stage.signIn(page);
    await page.waitForURL('**/consent?**');
    await stage.picture(page, 'consent');
    const text = await page.locator('main').innerText();
    for (const shown of ['Calendar Agent', 'Example Agents Ltd', 'team-calendar@example.com', 'agent-calendar', 'Planner',
      new URL(stage.redirectUri).hostname, 'Planner API', 'Read your mail', 'Book meetings', 'Search Agent']) {
      assert.ok(text.includes(shown), `the page shows "${shown}"`);
    }
    for (const permission of ['Read your mail', 'Book meetings']) assert.ok(await page.getByLabel(permission).isChecked());
    await allow(page).click();
    const landed = await stage.landed(page);
    assert.equal(landed.searchParams.get('state'), request.state);
    assert.equal(landed.searchParams.get('iss'), stage.server.issuer);
    const tokens = await stage.redeem(landed, request.verifier);
    assert.equal(tokens.scope, 'calendar.write mail.read');
    assert.equal(claims(tokens.access_token).act.sub, 'agent-calendar');
  });

  scene('an unticked permission is not in the token', async (page) => {
    const request = await toConsent(page);
    await page.locator('label', { hasText: 'Book meetings' }).click();  // the whole row answers to a click
    assert.equal(await page.getByLabel('Book meetings').isChecked(), false);
    await stage.picture(page, 'consent-partial');
    await allow(page).click();
    const tokens = await stage.redeem(await stage.landed(page), request.verifier);
    assert.equal(tokens.scope, 'mail.read');
    assert.equal(claims(tokens.access_token).scope, 'mail.read');
  });

  scene('Deny sends the browser back with access_denied and no code', async (page) => {
    const request = await toConsent(page);
    await deny(page).click();
    const landed = await stage.landed(page);
    assert.equal(landed.searchParams.get('error'), 'access_denied');
    assert.equal(landed.searchParams.get('state'), request.state);
    assert.equal(landed.searchParams.get('iss'), stage.server.issuer);
    assert.equal(landed.searchParams.get('code'), null);
  });

  scene('another account can be chosen, and the consent is that person\'s', async (page) => {
    const request = await toConsent(page);
    await page.locator('header form button').click();
    await page.waitForURL('**/login?**');
    await stage.signIn(page, 'bob');
    await page.waitForURL('**/consent?**');
    assert.match(await page.locator('header').innerText(), /Bob Example/);
    await allow(page).click();
    const tokens = await stage.redeem(await stage.landed(page), request.verifier);
    assert.equal(claims(tokens.access_token).sub, 'user-bob');
  });

  scene('can be given by keyboard alone', async (page) => {
    const request = stage.request({ prompt: 'consent' });
    await page.goto(request.url);
    const focus = async (selector) => {
      for (let presses = 0; presses < 40; ++presses) {
        if (await page.locator(selector).evaluate((element) => element === document.activeElement)) return;
        await page.keyboard.press('Tab');
      }
      assert.fail(`Tab reaches ${selector}`);
    };
    await focus('#username');
    await page.keyboard.type('alice');
    await page.keyboard.press('Tab');
    await page.keyboard.type('correct horse battery');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/consent?**');
    await focus('input[name=scope][value="calendar.write"]');
    await page.keyboard.press('Space');
    await stage.picture(page, 'consent-keyboard');
    await focus('button[value=allow]');
    await page.keyboard.press('Enter');
    const tokens = await stage.redeem(await stage.landed(page), request.verifier);
    assert.equal(tokens.scope, 'mail.read');
  });

  scene('Enter in a checkbox does not allow anything', async (page) => {
    await toConsent(page);
    await page.getByLabel('Book meetings').focus();
    await page.keyboard.press('Enter');
    await page.waitForLoadState();
    await page.waitForURL((url) => url.href.startsWith(stage.redirectUri) || url.pathname === '/consent');
    assert.equal(new URL(page.url()).searchParams.get('code'), null);
  });

  scene('works without JavaScript', async (page) => {
    const request = await toConsent(page);
    await allow(page).click();
    const tokens = await stage.redeem(await stage.landed(page), request.verifier);
    assert.equal(tokens.scope, 'calendar.write mail.read');
  }, { javaScriptEnabled: false });

  scene('fits a telephone without scrolling sideways', async (page) => {
    await page.goto(stage.request({ prompt: 'consent' }).url);
    assert.equal(await overflows(page), false);
    await stage.picture(page, 'phone-login');
    await stage.signIn(page);
    await page.waitForURL('**/consent?**');
    assert.equal(await overflows(page), false);
    await stage.picture(page, 'phone-consent');
    await page.goto(`${stage.server.issuer}/agents`);
    assert.equal(await overflows(page), false);
    await stage.picture(page, 'phone-agents');
  }, { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });

  for (const [width, colorScheme] of [[360, 'light'], [360, 'dark'], [1280, 'light'], [1280, 'dark']]) {
    scene(`long words are there to their end at ${width} pixels, ${colorScheme}`, async (page) => {
      await putLongWords();
      const request = stage.request({
        prompt: 'consent', client_id: 'app-long', scope: 'long.read', requested_actor: 'agent-long', intent_scope: 'intent:long',
        resource: `https://api.example/${'long/'.repeat(20)}planner`,
      });
      await page.goto(request.url);
      const look = async (name, words) => {
        assert.equal(await overflows(page), false, name);
        assert.deepEqual(await cutOff(page), [], name);
        const text = (await page.locator('body').innerText()).replaceAll(/\s+/g, ' ');
        for (const word of words) assert.ok(text.includes(word), `${name} shows "${word}"`);
        await stage.picture(page, `long-${name}-${width}-${colorScheme}`);
      };
      await look('login', [LONG.agent, LONG.publisher, LONG.client]);
      await stage.signIn(page);
      await page.waitForURL('**/consent?**');
      await look('consent', Object.values(LONG));
      await allow(page).click();
      await stage.landed(page);
      await page.goto(`${stage.server.issuer}/agents`);
      await look('agents', [LONG.agent, LONG.publisher, LONG.owner, LONG.description, LONG.client, LONG.resource, LONG.title, LONG.explained]);
    }, { viewport: { width, height: 800 }, colorScheme });
  }

  scene('says after Allow and Back that it is answered', async (page) => {
    await toConsent(page);
    await allow(page).click();
    await stage.landed(page);
    await page.goBack();
    const text = await page.locator('main').innerText();
    assert.match(text, /You have already answered this request/);
    assert.doesNotMatch(text, /Nothing was allowed/);
    await stage.picture(page, 'answered');
    await page.getByRole('link', { name: 'My agents' }).click();
    await page.getByRole('heading', { name: 'My agents' }).waitFor();
  });

  scene('is readable in the dark', async (page) => {
    await toConsent(page);
    await stage.picture(page, 'dark-consent');
    const [paper, ink] = await page.evaluate(() => [getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.body).color]);
    assert.notEqual(paper, ink);
  }, { colorScheme: 'dark' });
});

describe('signing in', () => {
  scene('a wrong password and an unknown name read the same, and nobody is signed in', async (page) => {
    const messages = [];
    for (const [username, password] of [['alice', 'wrong'], ['nobody', 'wrong']]) {
      await page.goto(stage.request().url);
      await stage.signIn(page, username, password);
      messages.push(await page.getByRole('alert').innerText());
      assert.equal(await page.getByLabel('Password').inputValue(), '');
    }
    await stage.picture(page, 'login-wrong');
    assert.equal(messages[0], messages[1]);
    await page.goto(`${stage.server.issuer}/agents`);
    assert.ok(await page.getByRole('button', { name: 'Sign in' }).isVisible());
  });
});

describe('my agents', () => {
  scene('shows what was allowed; Revoke ends it, down to the next refresh', async (page) => {
    const request = await toConsent(page, {}, 'bob');
    await allow(page).click();
    const tokens = await stage.redeem(await stage.landed(page), request.verifier);
    const renewed = await stage.refresh(tokens.refresh_token);
    assert.ok(renewed.refresh_token, JSON.stringify(renewed));
    await page.goto(`${stage.server.issuer}/agents`);
    await stage.picture(page, 'agents');
    const text = await page.locator('main').innerText();
    for (const shown of ['Calendar Agent', 'Example Agents Ltd', 'Planner', 'Read your mail', 'Book meetings']) assert.ok(text.includes(shown), shown);
    await page.getByRole('button', { name: 'Revoke everything for this agent' }).click();
    await page.getByRole('status').waitFor();
    await stage.picture(page, 'agents-revoked');
    assert.match(await page.getByRole('status').innerText(), /^Calendar Agent lost its permission at Planner API, .* It holds no other permission from you\.$/);
    assert.equal(await page.getByRole('button', { name: 'Revoke', exact: true }).count(), 0);
    assert.equal((await stage.refresh(renewed.refresh_token)).error, 'invalid_grant');
  });

  scene('a single permission can be revoked', async (page) => {
    const request = await toConsent(page);
    await allow(page).click();
    const tokens = await stage.redeem(await stage.landed(page), request.verifier);
    await page.goto(`${stage.server.issuer}/agents`);
    const buttons = page.getByRole('button', { name: 'Revoke', exact: true });
    for (let left = await buttons.count(); left > 0; --left) {
      await buttons.first().click();
      await page.getByRole('status').waitFor();
      assert.equal(await buttons.count(), left - 1);
    }
    assert.equal((await stage.refresh(tokens.refresh_token)).error, 'invalid_grant');
  });
});

describe('my agents, signed out in another window', () => {
  scene('Revoke says that nothing was revoked yet and leads back by the sign-in', async (page, context) => {
    await toConsent(page);
    await allow(page).click();
    await stage.landed(page);
    await page.goto(`${stage.server.issuer}/agents`);
    const second = await context.newPage();
    await second.goto(`${stage.server.issuer}/agents`);
    await second.getByRole('button', { name: 'Sign out' }).click();
    await second.getByRole('heading', { name: 'Signed out' }).waitFor();
    await page.getByRole('button', { name: 'Revoke', exact: true }).first().click();
    await page.getByRole('heading', { name: 'You were signed out' }).waitFor();
    assert.match(await page.locator('main').innerText(), /You were signed out; nothing was revoked yet\./);
    await stage.picture(page, 'revoke-signed-out');
    await page.getByRole('link', { name: 'Sign in' }).click();
    await stage.signIn(page);
    await page.getByRole('button', { name: 'Revoke', exact: true }).first().waitFor();
  });
});

describe('other pages', () => {
  test('cannot show the consent page in a frame', async () => {
    const { context, page } = await stage.person();
    try {
      await toConsent(page);
      const consent = page.url();
      const answer = await page.request.get(consent);
      assert.match(answer.headers()['content-security-policy'], /frame-ancestors 'none'/);
      const violations = [];
      page.on('console', (message) => violations.push(message.text()));
      stage.foreignPage = `<title>elsewhere</title><iframe name="trap" src="${consent}"></iframe>`;
      await page.goto(`${stage.clientOrigin}/frame`, { waitUntil: 'load' });
      assert.equal(await page.frame('trap').locator('button[value=allow]').count(), 0);
      assert.ok(violations.some((text) => /frame-ancestors/.test(text)), violations.join('\n'));
    } finally {
      await context.close();
    }
  });

  // A page of another site, then one of the same host on another port: same site, but not the same origin.
  for (const host of ['localhost', '127.0.0.1']) {
    test(`cannot post the consent form from ${host}, even with its values`, async () => {
      const { context, page } = await stage.person();
      try {
        await toConsent(page);
        const values = await page.locator('form.decision').evaluate((form) => [...new FormData(form)]);
        const fields = [...values, ['decision', 'allow']].map(([name, value]) => `<input type="hidden" name="${name}" value="${value}">`).join('');
        stage.foreignPage = `<title>elsewhere</title><form method="post" action="${stage.server.issuer}/consent">${fields}<button>Win</button></form>`;
        await page.goto(`${stage.clientOrigin.replace('127.0.0.1', host)}/trap`);
        const [answer] = await Promise.all([
          page.waitForResponse((response) => response.url().endsWith('/consent') && response.request().method() === 'POST'),
          page.getByRole('button', { name: 'Win' }).click(),
        ]);
        assert.equal(answer.status(), 403);
        await page.waitForLoadState();
        await stage.picture(page, `forged-from-${host}`);
      } finally {
        await context.close();
      }
    });
  }
});
