// What may be given: the ceilings every path applies, in one place (decisions D-36, D-37, D-65, D-76).
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "model/delegation.h"
#include "model/lineage.h"
#include "oauth/call.h"
#include "oauth/error.h"

namespace behalf::oauth {

// The `scope` parameter; nothing if it was left out.
Answer<std::optional<ScopeSet>> read_scope(const http::Form& form);

// The target that `resource` and `audience` name; null if neither was sent. invalid_target for what is
// unknown, malformed, more than one, or two different things.
Answer<std::shared_ptr<const Resource>> read_target(const Call& call, const http::Form& form);

// granted = asked for ∩ what the parent has ∩ client ∩ every agent of the chain ∩ the person's entitlement ∩
// what the target knows. Asking beyond it is refused, not cut; not asking gives all of it.
struct ScopeCeilings {
  const Client* client = nullptr;
  const DelegationChain* chain = nullptr;
  const Subject* subject = nullptr;
  const Resource* resource = nullptr;
};
Answer<ScopeSet> narrow(store::ReadTransaction& transaction, const std::optional<ScopeSet>& requested,
                        const ScopeSet& parent, const ScopeCeilings& ceilings);

// Of this server's own scopes, those that this client may have now for itself, or for the agent that it is.
ScopeSet server_scope_ceiling(store::ReadTransaction& transaction, const Client& client,
                              const Subject& subject);

// What a token still stands for at `resource` (its own; of a refresh token one that it may be turned into a
// token for). What was taken since from its client, its agents, its person or its resource, or from those it
// was passed on by and through, is no longer told of it and no longer passed on (D-23, I3, I5).
struct Standing {
  ScopeSet scope;
  std::string_view refused;  // why an agent may no longer act, or have passed it on; then `scope` is empty
};
Standing what_stands(store::ReadTransaction& transaction, const Node& node, const Resource* resource);

// The scopes that are within reach of who is called with `scope` at this resource and calls on: those, and
// what the resource's table says they stand for elsewhere (D-65).
ScopeSet scopes_through(const ScopeSet& scope, const Resource* at);

// Whether this agent may serve this client, person and resource, now. Empty: yes; otherwise the reason.
std::string_view why_not_allowed(const Agent& agent, const Client& client, const Subject& subject,
                                 const Resource* resource);

// How long an access token may live: the shortest of client, agents of the chain, resource and the server's
// limit.
Seconds access_token_lifetime(store::ReadTransaction& transaction, const Settings& settings,
                              const Client& client, const DelegationChain& chain, const Resource* resource);

// The longest life of what was passed on along this chain, as the agents that passed it on say now.
Seconds limit_passed_on(store::ReadTransaction& transaction, const Subject& subject,
                        const DelegationChain& chain, Seconds lifetime);

// How long a refresh token may live: the shortest of the client's own limit and of every actor of the chain,
// each of which must have one (D-31); without actors the client must. Nothing: no refresh token, as where the
// client does not have the grant type. What the page says of "while you are away" is decided here, too.
std::optional<Seconds> refresh_token_lifetime(store::ReadTransaction& transaction, const Client& client,
                                              const DelegationChain& chain);

// The sign-in (`acr`) that the target demands for these scopes and the person's was not (D-43). Empty: it was
// good enough, or nothing is demanded.
std::string_view missing_acr(const Resource& target, const ScopeSet& scopes,
                             const std::optional<SignIn>& sign_in);
// Only the client can help, by bringing the person back: Microsoft's way of saying so (D-83), and RFC 9470's.
enum class StepUpDialect { kMicrosoft, kRfc9470 };
Refused<OAuthError> refuse_until_step_up(StepUpDialect dialect, std::string_view acr);

// Whole seconds, rounded down, as `exp` says it; at least one second after `now`, or the token is not worth
// issuing.
std::optional<UnixTime> usable_end(UnixTime now, UnixTime end);

}  // namespace behalf::oauth
