// An access token of a person's agent, verified with the `jose` package (npm install jose). Node.js 20 or newer.
//
//   const keys = createRemoteJWKSet(new URL('https://as.example/jwks'));
//   const { person, client, actor, scopes } = await verify(token, { keys, issuer: 'https://as.example', audience: 'https://api.example' });
//   if (actor !== 'mail-agent') return answer(403, 'actor_unauthorized');
//   if (!scopes.includes('mail.read')) return answer(403, 'insufficient_scope');
import { jwtVerify } from 'jose';

const isName = (value) => typeof value === 'string' && value.length > 0 && value.length <= 255;

export async function verify(token, { keys, issuer, audience, now = Math.floor(Date.now() / 1000), maxChain = 10 }) {
  const { payload } = await jwtVerify(token, keys, {
    issuer,
    audience,
    typ: 'at+jwt', // RFC 9068: an ID token is no access token
    algorithms: ['ES256', 'EdDSA', 'PS256', 'RS256'],
    requiredClaims: ['sub', 'client_id', 'jti', 'iat', 'exp'],
    currentDate: new Date(now * 1000),
    clockTolerance: 30, // for `nbf`; `exp` gets none:
  });
  if (payload.exp <= now) throw new Error('expired');
  if (payload.iat > now + 30) throw new Error('not valid yet');
  if (![payload.sub, payload.client_id, payload.jti].every(isName)) throw new Error('malformed');
  if (payload.cnf !== undefined) throw new Error('bound to a key: not a bearer token');

  // RFC 8693 §4.1: the outermost `act` acts now; the inner ones are information and must never permit anything.
  const chain = [];
  for (let { act } = payload; act !== undefined; act = act.act) {
    if (act === null || typeof act !== 'object' || Array.isArray(act) || !isName(act.sub) || chain.length === maxChain) {
      throw new Error('malformed act');
    }
    chain.push(act.sub);
  }
  return {
    person: payload.sub, // for whom
    client: payload.client_id, // through which app; never the actor
    actor: chain[0], // which agent acts now; undefined: the subject itself
    chain,
    scopes: payload.scope ? payload.scope.split(' ') : [],
  };
}
