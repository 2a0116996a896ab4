// What was asked of guards and what was revoked meanwhile, with times, to be checked when all is over.
import { setTimeout as pause } from 'node:timers/promises';
import { claimsOf } from '../../cases/support/cast.mjs';

// Grants that differ in person, client or agent, for a grant is one of those three; one token each.
export async function grants(server) {
  const list = [];
  for (const user of ['u1', 'u2']) {
    for (const client of ['ca', 'cb']) {
      for (const agent of ['a1', 'a2', 'a4', 'a5', 'a6', 'a-last']) {
        const { access_token: token } = await server.flow({ user, client, agent, scope: 'r1.read' });
        list.push({ token, grant: claimsOf(token).grant_id });
      }
    }
  }
  return list;
}

export class History {
  calls = [];
  revoked = new Map();  // grant: when its end was acknowledged
  running = true;
  constructor(server) { this.server = server; }
  load(guards, subjects) {
    const worker = async (seed) => {
      for (let round = seed; this.running; ++round) {
        const { token, grant } = subjects[round % subjects.length];
        const begun = Date.now();
        const answer = await guards[round % guards.length].call('/read/week', token).catch(() => ({ status: 0 }));
        this.calls.push({ begun, grant, status: answer.status });
        if (answer.status === 0) await pause(10);
      }
    };
    this.workers = Array.from({ length: 6 }, (_, seed) => worker(seed * 5));
  }
  async revoke(grant) {
    await this.server.cli('grant', 'revoke', grant);
    this.revoked.set(grant, Date.now());
  }
  async end() {
    this.running = false;
    await Promise.all(this.workers);
  }
  // Calls let through that began later than `bound` milliseconds after the end of what they rest on had been acknowledged.
  late(bound) {
    return this.calls.filter(({ begun, grant, status }) => status === 200 && this.revoked.has(grant) && begun > this.revoked.get(grant) + bound)
      .map(({ begun, grant }) => `${grant} ${begun - this.revoked.get(grant)} ms after`);
  }
  // The slowest of all: how long after its end a grant was still let through.
  slowest() {
    return Math.max(0, ...this.calls.filter(({ status, grant }) => status === 200 && this.revoked.has(grant)).map(({ begun, grant }) => begun - this.revoked.get(grant)));
  }
}
