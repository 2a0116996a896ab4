// What ended before its time, told to those who verify tokens without asking us (docs/decisions/0008 §1, §2).
//
// One item names one thing a token shows that it rests on, whatever the number of tokens. The store's verbs
// that end something write it in the same transaction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "model/lineage.h"
#include "model/registry.h"

namespace behalf {

enum class RevokedKind {
  kPrincipal,  // a person, client or agent: tokens issued until `at`
  kGrant,      // a consent: every token under it
  kToken,      // one access token
  kKey,        // a signing key
  kResource,   // what a resource offers: tokens for it issued until `at`
};
std::string_view name_of(RevokedKind kind);

struct Revocation {
  int64_t sequence = 0;  // the store gives it; strictly growing
  RevokedKind kind = RevokedKind::kToken;
  std::string id;
  UnixTime at;
  UnixTime until;             // no token it concerns is valid after this
  bool is_narrowing = false;  // less may be done than the token says; its holder may fetch a new one
  std::string cause;
  // For readers. Of a principal: which kind; of a grant: whose.
  SubjectKind principal = SubjectKind::kUser;
  std::string user;
  std::string client;
  std::string agent;
  std::string scope;  // of a narrowing: what is still allowed
};

// No access token lives longer, whatever is configured; verifiers forgive clocks this much. An item is kept
// for both.
inline constexpr Seconds kLongestAccessToken{3600};
inline constexpr Seconds kVerifierLeeway{60};

// Why tokens issued under `was` say more than `is` allows; empty if they do not.
std::string_view narrowing_of(const User& was, const User& is);
std::string_view narrowing_of(const Agent& was, const Agent& is);
std::string_view narrowing_of(const Client& was, const Client& is);
std::string_view narrowing_of(const Resource& was, const Resource& is);

// The names the node rests on that its JWT for that resource does not show: agents and clients where the
// chain is not shown, the person where the resource knows people by names of its own.
std::vector<std::string_view> hidden_names(const Node& node, const Resource* resource);

// Can be shown to somebody who does not ask us: a JWT for a resource that has not ended or expired.
bool is_offline_token(const Node& node, UnixTime now);

}  // namespace behalf
