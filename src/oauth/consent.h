// The person's decision: what is offered, whether an earlier decision already covers it, and what results
// (decisions D-18, D-19, D-23, D-36; invariant I6). No HTML here: the pages are console's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/authorization.h"
#include "oauth/call.h"
#include "oauth/error.h"
#include "oauth/issuance.h"

namespace behalf::oauth {

// Everything the page shows, all from the registry.
struct Offer {
  AuthorizationRequest request;
  std::shared_ptr<const User> user;
  std::shared_ptr<const Client> client;
  std::shared_ptr<const Agent> agent;  // null: none
  std::vector<std::shared_ptr<const Resource>> resources;
  ScopeSet scopes;                        // what may be given: asked for, within every ceiling
  ScopeSet already_given;                 // of those, what a live grant to the same client and agent has
  std::vector<std::string> onward_names;  // to whom the agent may pass on, in words
  int onward_depth = 0;
  bool offline = false;  // asked for, and a refresh token would come of it
  std::string purpose;   // of the intent, in the registry's words; empty: none
  Seconds lifetime;      // of the consent

  // Changes whenever anything shown changes: a decision on an older page is refused (I6).
  std::string fingerprint() const;
};

// Why there is nothing to decide, or what there is. Reads only.
Answer<Offer> make_offer(store::ReadTransaction& transaction, const Settings& settings,
                         const AuthorizationRequest& request, const Session& session, UnixTime now);

// Whether a sign-in is of a kind the request asks for (`acr_values`, and what `claims` makes essential).
bool meets_acr(const AuthorizationRequest& request, const SignIn& sign_in);

// A live grant that covers the request exactly: same person, client, agent and redirect host, at least these
// scopes and resources, the purpose if one is stated, and nothing about the agent has changed since (D-18).
std::optional<Grant> covering_grant(store::ReadTransaction& transaction, const Offer& offer, UnixTime now);

struct Decided {
  ScopeSet scopes;     // what the person left ticked; must be within the offer
  bool onward = true;  // whether the agent may pass it on
};

// Inside the transaction: the grant that results.
Grant make_grant(const Offer& offer, const Decided& decided, GrantId id, UnixTime now);

// Inside the transaction: the code under `grant` for this request. The only place where codes are made.
void issue_code(Call& call, store::Transaction& transaction, const Offer& offer, const Grant& grant,
                const ScopeSet& scopes, const SignIn& sign_in, const Handle& code);

}  // namespace behalf::oauth
