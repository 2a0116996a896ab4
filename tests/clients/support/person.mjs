// A person with a browser, as far as plain HTTP goes: keeps cookies, follows redirects inside the server, fills in the
// sign-in and consent forms with the hidden inputs it finds there. What a real browser does beyond that is tested with one.
import assert from 'node:assert/strict';
import { PASSWORDS } from './server.mjs';

const inputs = (html) => [...html.matchAll(/<input\b[^>]*>/g)].map(([tag]) => {
  const attribute = (name) => tag.match(new RegExp(`\\b${name}="([^"]*)"`))?.[1];
  return { type: attribute('type'), name: attribute('name'), value: attribute('value') };
});

const formWithAction = (html, action) => {
  const found = [...html.matchAll(/<form\b[^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/g)].find(([, to]) => to.endsWith(action));
  assert.ok(found, `there is a form for ${action}`);
  return inputs(found[2]);
};

export class Person {
  #cookies = new Map();

  constructor(issuer, username = 'alice') {
    this.issuer = issuer;
    this.username = username;
  }

  async #open(url, form) {
    const answer = await fetch(url, {
      method: form ? 'POST' : 'GET',
      redirect: 'manual',
      body: form,
      headers: {
        cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(form && { origin: this.issuer }),
      },
    });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (value === '') this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return answer;
  }

  // Opens an authorization URL and answers until the server sends the browser to the client; returns that address.
  async authorize(url, { decision = 'allow', without = [] } = {}) {
    let answer = await this.#open(url);
    let here = new URL(url);
    for (let step = 0; step < 8; ++step) {
      if (answer.status === 302 || answer.status === 303) {
        const next = new URL(answer.headers.get('location'), here);
        if (next.origin !== new URL(this.issuer).origin) return next;
        here = next;
        answer = await this.#open(next);
        continue;
      }
      const html = await answer.text();
      assert.equal(answer.status, 200, html);
      const action = here.pathname;
      const fields = formWithAction(html, action);
      const form = new URLSearchParams();
      for (const { type, name, value } of fields) {
        if (type === 'hidden' || (type === 'checkbox' && !without.includes(value))) form.append(name, value);
      }
      if (action.endsWith('/login')) {
        form.set('username', this.username);
        form.set('password', PASSWORDS[this.username]);
      } else {
        form.set('decision', decision);
      }
      answer = await this.#open(new URL(action, this.issuer), form);
    }
    throw new Error('the server never sent the browser back to the client');
  }
}
