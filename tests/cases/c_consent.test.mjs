// C: consent.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Browser, R1, R2, Server, claimsOf, formOf, pageRefused, redirected } from './support/cast.mjs';

let server;
before(async () => { server = await Server.start({ clock: true, config: '[lifetimes]\ngrant = "2h"\nsession = "30d"\nsession_idle = "30d"' }); });
after(async () => { await server?.end(); });

const consentFor = async (request, user = 'u1') => {
  const page = await (await server.browser(user)).begin(server.authorization({ prompt: 'consent', ...request }), user);
  assert.equal(page.status, 200, page.location);
  return page;
};
const text = (html) => html.replace(/<style[\s\S]*?<\/style>/g, ' ').replace(/<[^>]+>/g, ' ').replaceAll('&#39;', "'").replace(/\s+/g, ' ');
const asks = async (request, user = 'u1') => {
  const answer = await (await server.browser(user)).begin(server.authorization(request), user);
  if (answer.status === 200) return true;
  assert.ok(answer.query.get('code'), answer.location);
  return false;
};
const grants = async (...filter) => JSON.parse((await server.cli('grant', 'list', '--json', ...filter)).stdout);

test('C-01, C-02 it names agent, client, permissions and resource, and says that software acts and for how long', async () => {
  const page = text((await consentFor({ scope: 'r1.read r1.write offline_access' })).text);
  for (const words of ['Agent a1', 'a1', 'Publisher of a1', 'owner-of-a1', 'Client ca', 'ca', 'app.example', 'Title of r1.read', 'Words about r1.write', 'Resource one']) assert.ok(page.includes(words), words);
  assert.match(page, /It is software/);
  assert.match(page, /2 hours|Until|until/);
  assert.match(page, /without you|while you are away|when you are not/i, 'use while the person is away is said in words');
});

test('C-03 names come from the registry, escaped, whatever the request says', async () => {
  const evil = '<img src=x onerror=alert(1)>"\'{{';
  const page = await consentFor({ client_name: `Bank ${evil}`, actor_name: 'Trusted', agent_name: 'Trusted', scope: 'r1.read', state: evil, login_hint: evil, ui_locales: evil, display: evil, purpose: evil });
  assert.ok(!page.text.includes('<img src=x'));
  assert.ok(!page.text.includes('Trusted'));
  assert.ok(!page.text.includes('Bank'));
  await server.changed('client', 'cb', { name: `Name ${evil}` }, async () => {
    const other = await consentFor({ client: 'cb' });
    assert.ok(!other.text.includes('<img src=x'));
    assert.ok(other.text.includes('&lt;img src=x'));
  });
  assert.match(page.headers.get('content-security-policy'), /default-src 'none'/);
  assert.doesNotMatch(page.headers.get('content-security-policy'), /unsafe-inline/);
});

test('C-04 look-alike names are told apart by id and publisher', async () => {
  await server.changed('agent', 'a2', { name: 'Agent a1' }, async () => {
    const [one, two] = [text((await consentFor({ agent: 'a1' })).text), text((await consentFor({ agent: 'a2' })).text)];
    assert.ok(one.includes('Publisher of a1') && !one.includes('Publisher of a2'));
    assert.ok(two.includes('Publisher of a2') && !two.includes('Publisher of a1'));
    assert.match(two, /\ba2\b/);
  });
});

test('C-06 a form without its anti-forgery value, or of another session, gives no code', async () => {
  const mine = await server.browser('u1');
  const before = (await grants()).length;
  for (const change of [
    (form) => { form.delete('csrf'); }, (form) => { form.set('csrf', 'x'); }, (form) => { form.set('csrf', `${form.get('csrf').startsWith('_') ? 'A' : '_'}${form.get('csrf').slice(1)}`); }, (form) => { form.set('csrf', form.get('csrf').slice(0, 20)); },
    (form) => { form.append('csrf', form.get('csrf')); },
  ]) {
    const answer = await mine.decide(await consentFor(), { change });
    await pageRefused(server, answer, answer.status === 400 ? 400 : 403);
  }
  // What was shown is part of it: an altered mark of the page shows the page again.
  const again = await mine.decide(await consentFor(), { change: (form) => { form.set('csrf', `${form.get('csrf').slice(0, -4)}AAAA`); } });
  assert.match(again.location, /^\/consent\?/);
  const page = await consentFor();
  const theirs = (await server.browser('u2')).copy();
  const stolen = await theirs.decide(page);
  assert.ok([400, 403].includes(stolen.status));
  const stranger = await new Browser(server).decide(page);
  assert.ok([400, 403].includes(stranger.status));
  const cross = new URLSearchParams(formOf(page.text, '/consent').map(({ name, value }) => [name, value]));
  cross.set('decision', 'allow');
  assert.equal((await mine.open('/consent', cross, { origin: 'https://evil.example' })).status, 403);
  assert.equal((await mine.open('/consent', cross, { 'sec-fetch-site': 'cross-site' })).status, 403);
  assert.equal((await grants()).length, before);
  assert.ok((await mine.decide(page)).query.get('code'), 'the honest form still works');
});

test('C-07 no means access_denied, nothing stored, and a record', async () => {
  const before = (await grants()).length;
  const page = await consentFor({ state: 's' });
  const record = await redirected(server, await (await server.browser('u1')).decide(page, { decision: 'deny' }), 'access_denied', 'denied_by_person', { state: 's' });
  assert.equal(record.event, 'consent.deny');
  assert.deepEqual([record.user, record.client, record.agent], ['u1', 'ca', 'a1']);
  assert.equal((await grants()).length, before);
  const answer = await (await server.browser('u1')).decide(page);
  await pageRefused(server, answer, 400);
});

test('C-08 what is unticked is not given, and the token answer says so', async () => {
  const code = await server.code({ scope: 'r1.read r1.write', prompt: 'consent', scopes: ['r1.read'] });
  const answer = await server.redeem(code);
  assert.equal(answer.json.scope, 'r1.read');
  assert.equal(claimsOf(answer.json.access_token).scope, 'r1.read');
});

test('C-10, C-11, C-12, C-15 a stored consent answers exactly its own question', async () => {
  const user = 'u2';
  assert.equal(await asks({ scope: 'r1.read' }, user), true);
  await server.code({ user, scope: 'r1.read' });
  assert.equal(await asks({ scope: 'r1.read' }, user), false, 'the same again');
  assert.equal(await asks({ scope: 'r1.read', agent: 'a2' }, user), true, 'another agent');
  assert.equal(await asks({ scope: 'r1.read', agent: null }, user), true, 'no agent');
  assert.equal(await asks({ scope: 'r1.read', client: 'cb' }, user), true, 'another client');
  assert.equal(await asks({ scope: 'r1.read', prompt: 'consent' }, user), true, 'prompt=consent');
  assert.equal(await asks({ scope: 'r1.read r1.write' }, user), true, 'more scope');
  assert.equal(await asks({ scope: 'r2.read', resource: R2 }, user), true, 'another resource');
  assert.equal(await asks({ scope: 'r1.read offline_access' }, user), true, 'use while away');
  assert.equal(await asks({ scope: 'r1.read' }, 'u3'), true, 'another person');
  assert.equal(await asks({ scope: 'r1.read', redirect_uri: 'https://app.example/fixed?a=1' }, user), false, 'the same host');
});

test('84 a public client on the person\'s own machine is asked for each time', async () => {
  await server.code({ client: 'cp', user: 'u3', scope: 'r1.read' });
  assert.equal(await asks({ client: 'cp', scope: 'r1.read' }, 'u3'), true);
});

test('C-14 a stored consent ends by itself', async () => {
  await server.code({ user: 'u2', agent: 'a4', scope: 'r1.read' });
  assert.equal(await asks({ scope: 'r1.read', agent: 'a4' }, 'u2'), false);
  await server.advance(2 * 3600 - 30);
  assert.equal(await asks({ scope: 'r1.read', agent: 'a4' }, 'u2'), false);
  await server.advance(31);
  assert.equal(await asks({ scope: 'r1.read', agent: 'a4' }, 'u2'), true);
});

test('C-16 a changed agent is a question again', async () => {
  for (const change of [{ owner: 'somebody-else' }, { capability_version: '2' }]) {
    await server.code({ agent: 'a5', scope: 'r1.read' });
    assert.equal(await asks({ agent: 'a5', scope: 'r1.read' }), false);
    await server.changed('agent', 'a5', change, async () => assert.equal(await asks({ agent: 'a5', scope: 'r1.read' }), true, JSON.stringify(change)));
  }
});

test('C-18 "my agents" shows client, agent, permissions and dates, and takes back', async () => {
  const token = await server.flow({ user: 'u3', agent: 'a2', scope: 'r1.read' });
  const browser = await server.browser('u3');
  const page = await browser.open('/agents');
  for (const words of ['Agent a2', 'Publisher of a2', 'Client ca', 'Title of r1.read', 'Resource one', 'Last used', 'Ends']) assert.ok(text(page.text).toLowerCase().includes(words.toLowerCase()), words);
  assert.equal(await server.isActive('r1-server', token.access_token), true);
  const form = Object.fromEntries(formOf(page.text, '/agents/revoke').map(({ name, value }) => [name, value]));
  const csrf = await browser.open('/agents/revoke', { ...form, csrf: 'x' });
  assert.equal(csrf.status, 403);
  assert.equal(await server.isActive('r1-server', token.access_token), true);
  assert.equal((await browser.open('/agents/revoke', form)).status, 303);
  assert.equal(await server.isActive('r1-server', token.access_token), false);
  const other = (await server.browser('u2')).copy();
  assert.notEqual((await other.open('/agents/revoke', form)).status, 303, 'not by another person');
});

test('C-19 who changes the account on the way decides as that person', async () => {
  await server.code({ agent: 'a6', scope: 'r1.read' });
  const browser = (await server.browser('u1')).copy();
  const page = await browser.begin(server.authorization({ agent: 'a6', scope: 'r1.read', prompt: 'consent' }));
  const fields = Object.fromEntries(formOf(page.text, '/switch-account').map(({ name, value }) => [name, value]));
  const switched = await browser.open('/switch-account', fields);
  assert.match(switched.location, /^\/login/);
  const signed = await browser.signIn('u2', switched.location);
  const second = await browser.open(signed.location);
  assert.equal(second.status, 200, 'u2 is asked, for u1\'s consent is not u2\'s');
  assert.ok(text(second.text).includes('User u2'));
  const answer = await browser.decide(second);
  assert.ok(answer.query.get('code'));
  const [record] = await server.audit(1, '--event', 'consent.allow');
  assert.equal(record.user, 'u2');
});

test('C-20 an agent that is suspended while the page is open gets no code', async () => {
  const page = await consentFor({ agent: 'a-last' });
  await server.admin('agent', 'suspend', 'a-last');
  await redirected(server, await (await server.browser('u1')).decide(page), ['access_denied', 'invalid_request']);
  await server.admin('agent', 'resume', 'a-last');
  assert.ok(await server.code({ agent: 'a-last' }));
});

test('C-22 what the person may not give is not offered, and cannot be typed in', async () => {
  const browser = await server.browser('u3');
  const page = await browser.begin(server.authorization({ agent: 'a4', scope: 'r1.read r1.write', prompt: 'consent', client: 'cb' }), 'u3');
  if (page.status === 200) {
    const offered = formOf(page.text, '/consent').filter(({ name }) => name === 'scope').map(({ value }) => value);
    assert.deepEqual(offered, ['r1.read']);
    const answer = await browser.decide(page, { change: (form) => { form.append('scope', 'r1.write'); } });
    assert.ok(answer.query.get('code'), answer.location);
    const [record] = await server.audit(1, '--event', 'consent.allow');
    assert.equal(record.scope, 'r1.read');
  } else {
    await redirected(server, page, ['invalid_scope', 'access_denied']);
  }
});
