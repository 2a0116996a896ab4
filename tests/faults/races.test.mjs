// One code, one refresh token, one jti, one request_uri against 64 callers: on one server, and on two server processes over one
// PostgreSQL. Exactly one wins, every time.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ASSERTION, JWT, R1, Server } from '../cases/support/cast.mjs';
import { Postgres, race, startOn, startTwin } from './support.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 25);
const REFRESH_ROUNDS = Number(process.env.ROUNDS ?? 200);
const CALLERS = 64;

for (const kind of ['one server, SQLite', 'two servers, PostgreSQL']) {
  describe(kind, () => {
    let postgres, server, servers;
    before(async () => {
      if (kind.startsWith('two')) {
        postgres = await Postgres.start();
        server = await startOn(postgres);
        servers = [server, await startTwin(server)];
      } else {
        server = await Server.start();
        servers = [server];
      }
    });
    after(async () => {
      for (const twin of servers?.slice(1) ?? []) await twin.stop();
      try { await server?.end(); } finally { await postgres?.remove(); }
    });
    const rounds = async (round, count = ROUNDS) => { for (let index = 0; index < count; ++index) await round(); };
    const one = (answers, status = 200) => assert.equal(answers.filter((answer) => answer.status === status).length, 1, answers.map((answer) => answer.status).join(' '));

    test('49 one code', () => rounds(async () => {
      const code = await server.code();
      const forms = Array.from({ length: CALLERS }, () => server.redemption(code));
      const answers = await race(servers, CALLERS, (one, index) => one.token('ca', forms[index]));
      one(answers);
      for (const { status, json } of answers) if (status !== 200) assert.deepEqual([status, json.error], [400, 'invalid_grant']);
      const winner = answers.find(({ status }) => status === 200);
      for (const each of servers) assert.equal(await each.isActive('r1-server', winner.json.access_token), false, 'the rest was a reuse');
    }));

    test('207 one refresh token: at most one successor', () => rounds(async () => {
      const { refresh_token: token } = await server.flow({ scope: 'r1.read offline_access' });
      const proofs = Array.from({ length: CALLERS }, () => server.proof('a1'));
      const answers = await race(servers, CALLERS, (one, index) => one.token('ca', { grant_type: 'refresh_token', refresh_token: token, actor_token: proofs[index] }));
      const successors = new Set(answers.filter(({ status }) => status === 200).map(({ json }) => json.refresh_token));
      assert.equal(successors.size, 1, `${successors.size} successors`);
      const [next] = successors;
      for (const { status, json } of answers) if (status !== 200) assert.deepEqual([status, json.error], [400, 'invalid_grant']);
      assert.equal((await servers.at(-1).refresh('ca', next)).status, 200);
    }, REFRESH_ROUNDS));

    test('one client assertion', () => rounds(async () => {
      const assertion = server.clientAssertion();
      const answers = await race(servers, CALLERS, (one) => one.http('/introspect', { method: 'POST', form: { token: 'x', client_assertion: assertion, client_assertion_type: ASSERTION } }));
      one(answers);
      for (const { status, json } of answers) if (status !== 200) assert.deepEqual([status, json.error], [401, 'invalid_client']);
    }));

    test('one actor assertion, on many codes', () => rounds(async () => {
      const codes = [];
      for (let index = 0; index < 16; ++index) codes.push(await server.code());
      const proof = server.proof('a1');
      const answers = await race(servers, codes.length, (one, index) => one.token('ca', server.redemption(codes[index], { actor_token: proof, actor_token_type: JWT })));
      one(answers);
    }));

    test('one request_uri', () => rounds(async () => {
      await server.code();
      const { json } = await server.as('ca', '/par', server.authorization());
      const { cookies } = await server.browser('u1');
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const answers = await race(servers, CALLERS, (one) => one.http(`/authorize?${new URLSearchParams({ client_id: 'ca', request_uri: json.request_uri })}`, { headers: { cookie } }));
      const codes = answers.filter(({ query }) => query?.get('code'));
      assert.equal(codes.length, 1, answers.map(({ status, location }) => `${status} ${location}`).join('\n'));
    }));

    test('226 what is ended at one is ended at the other', async () => {
      const flow = await server.flow();
      for (const each of servers) assert.equal(await each.isActive('r1-server', flow.access_token), true);
      await servers.at(-1).as('ca', '/revoke', { token: flow.access_token });
      for (const each of servers) assert.equal(await each.isActive('r1-server', flow.access_token), false);
      const other = await server.flow();
      await server.admin('agent', 'suspend', 'a1');
      for (const each of servers) {
        assert.equal(await each.isActive('r1-server', other.access_token), false);
        assert.equal((await each.exchange('ca', other.access_token, null, { resource: R1 })).status, 400);
      }
      await server.admin('agent', 'resume', 'a1');
    });
  });
}
