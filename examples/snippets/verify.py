"""An access token of a person's agent, verified with Debian's python3-jwt and python3-cryptography.

    keys = json.load(urllib.request.urlopen("https://as.example/jwks"))     # keep it; fetch again for an unknown kid
    who = verify(token, keys, issuer="https://as.example", audience="https://api.example")
    if who["actor"] != "mail-agent": answer(403, "actor_unauthorized")
    if "mail.read" not in who["scopes"]: answer(403, "insufficient_scope")
"""
import time

import jwt

ALGORITHMS = {"ES256", "EdDSA", "PS256", "RS256"}


class Refused(Exception):
    pass


def is_name(value):
    return isinstance(value, str) and 0 < len(value) <= 255


def verify(token, keys, issuer, audience, now=None, max_chain=10):
    now = int(time.time()) if now is None else now
    try:
        header = jwt.get_unverified_header(token)
        # The algorithm is the key's, never the header's (RFC 8725 §3.1).
        jwk = next(key for key in keys["keys"] if key["kid"] == header.get("kid"))
        if jwk["alg"] not in ALGORITHMS:
            raise Refused("algorithm")
        claims = jwt.decode(token, jwt.PyJWK(jwk).key, algorithms=[jwk["alg"]], issuer=issuer, audience=audience, options={
            "require": ["iss", "sub", "aud", "client_id", "jti", "iat", "exp"],
            "verify_exp": False, "verify_nbf": False, "verify_iat": False})  # below, against `now`
    except (jwt.PyJWTError, StopIteration, ValueError, TypeError, KeyError) as fault:
        raise Refused(str(fault)) from fault
    # RFC 9068: an ID token is no access token. An unknown critical header is not understood.
    if str(header.get("typ")).lower() not in ("at+jwt", "application/at+jwt") or "crit" in header:
        raise Refused("type")
    times = [claims["exp"], claims["iat"], claims.get("nbf", 0)]
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in times):
        raise Refused("malformed")
    if claims["exp"] <= now:
        raise Refused("expired")
    if claims["iat"] > now + 30 or claims.get("nbf", 0) > now + 30:
        raise Refused("not valid yet")
    if not all(is_name(claims[name]) for name in ("sub", "client_id", "jti")):
        raise Refused("malformed")
    if not isinstance(claims.get("scope", ""), str):
        raise Refused("malformed")
    if "cnf" in claims:
        raise Refused("bound to a key: not a bearer token")

    # RFC 8693 §4.1: the outermost `act` acts now; the inner ones are information and must never permit anything.
    chain, level = [], claims
    while "act" in level:
        level = level["act"]
        if not isinstance(level, dict) or not is_name(level.get("sub")) or len(chain) == max_chain:
            raise Refused("malformed act")
        chain.append(level["sub"])
    return {
        "person": claims["sub"],               # for whom
        "client": claims["client_id"],         # through which app; never the actor
        "actor": chain[0] if chain else None,  # which agent acts now; None: the subject itself
        "chain": chain,
        "scopes": claims.get("scope", "").split(),
    }
