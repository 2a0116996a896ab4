// The snippets of examples/snippets against the published vectors: each must refuse what is to be refused and read what is to be
// accepted. Where a vector is marked `strict`, a lenient JSON reader may accept; how many did is said, not asserted.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createLocalJWKSet } from 'jose';

const here = dirname(fileURLToPath(import.meta.url));
const snippets = join(here, '../../examples/snippets');
const vectors = JSON.parse(readFileSync(join(here, '../vectors/tokens/tokens.json')));

const work = mkdtempSync(join(tmpdir(), 'behalf-snippets-'));
after(() => rmSync(work, { recursive: true }));

// `answers`: for each case, what was read of the token, or null where it was refused.
function compare(answers) {
  assert.equal(answers.length, vectors.cases.length);
  let lenient = 0;
  vectors.cases.forEach((one, i) => {
    const answer = answers[i];
    if (one.verdict !== 'accepted') {
      if (answer !== null && one.strict) lenient += 1;
      else assert.equal(answer, null, `${one.name} (${one.verdict}) was accepted`);
      return;
    }
    assert.notEqual(answer, null, `${one.name} was refused`);
    if (!one.delegation) return;
    const { subject, client, chain, scopes } = one.delegation;
    assert.deepEqual({ subject: answer.person, client: answer.client, chain: answer.chain, scopes: answer.scopes }, { subject, client, chain, scopes }, one.name);
    assert.equal(answer.actor ?? null, chain[0] ?? null, one.name);
  });
  return `${lenient} of the strict ones accepted`;
}

test('JavaScript, jose', async (t) => {
  // Where a user would have it: beside its own node_modules.
  cpSync(join(snippets, 'verify.mjs'), join(work, 'verify.mjs'));
  symlinkSync(join(here, 'node_modules'), join(work, 'node_modules'));
  const { verify } = await import(join(work, 'verify.mjs'));
  const keys = createLocalJWKSet(vectors.jwks);
  const answers = [];
  for (const { token, now = vectors.now } of vectors.cases) {
    const read = verify(token, { keys, issuer: vectors.issuer, audience: vectors.audience, now, maxChain: vectors.max_chain });
    answers.push(await read.catch(() => null));
  }
  t.diagnostic(compare(answers));
});

test("Python, Debian's python3-jwt", (t) => {
  const program = `
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("verify", sys.argv[1])
snippet = importlib.util.module_from_spec(spec)
spec.loader.exec_module(snippet)
vectors = json.load(sys.stdin)
answers = []
for one in vectors["cases"]:
    try:
        answers.append(snippet.verify(one["token"], vectors["jwks"], vectors["issuer"], vectors["audience"], one.get("now", vectors["now"]), vectors["max_chain"]))
    except snippet.Refused:
        answers.append(None)
json.dump(answers, sys.stdout)
`;
  const output = execFileSync('/usr/bin/python3', ['-B', '-c', program, join(snippets, 'verify.py')], { input: JSON.stringify(vectors) });
  t.diagnostic(compare(JSON.parse(output)));
});
