#!/bin/sh
# An access token of a person's agent, judged by the server (RFC 7662): what was revoked is refused at once. Needs curl and jq.
#   INTROSPECT=https://as.example/introspect CLIENT_ID=mail-api CLIENT_SECRET=... AUDIENCE=https://api.example \
#     sh verify.sh ALLOWED_AGENT NEEDED_SCOPE <token
# Prints person, client and chain (outermost first) as JSON. Exit status: 0 allowed, 1 not a good token here (401), 2 not this
# agent (403 actor_unauthorized), 3 not this scope (403 insufficient_scope), 4 the server could not be asked (503).
set -eu
agent=$1 scope=$2
# Neither the token nor the secret is an argument of a process: everybody on the machine could read it there.
answer=$({ printf 'user = "%s:%s"\ndata-urlencode = "token=' "$CLIENT_ID" "$CLIENT_SECRET"; tr -d '\r\n"\\'; printf '"\n'; } |
  curl --silent --show-error --fail --max-time 5 --config - "$INTROSPECT") || exit 4

# The audience is ours, it is no key-bound token, and every hop of the chain is an object with a `sub`.
who=$(printf '%s' "$answer" | jq --exit-status --compact-output --arg audience "$AUDIENCE" '
  def chain: if has("act") then .act
    | if type == "object" and (.sub | type) == "string" and .sub != "" then [.sub] + chain else error("act") end
    else [] end;
  select(.active == true and ([.aud] | flatten | index($audience)) and (has("cnf") | not) and (.sub | type) == "string")
  | {person: .sub, client: .client_id, chain: chain, scopes: ((.scope // "") | split(" "))}' 2>/dev/null) || exit 1

printf '%s' "$who" | jq --exit-status --arg agent "$agent" '.chain[0] == $agent' >/dev/null || exit 2
printf '%s' "$who" | jq --exit-status --arg scope "$scope" '.scopes | index($scope)' >/dev/null || exit 3
printf '%s\n' "$who"
