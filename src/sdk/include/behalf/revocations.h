// What was revoked and may still be presented: 16 bytes an item, forgotten when every token it concerns has
// expired. A Feed (feed.h) fills it from the authorization server; a Verifier asks it.
//
// Thread-safe: look-ups never wait for additions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "behalf/delegation.h"
#include "behalf/export.h"

namespace behalf::sdk {

enum class RevokedKind {
  kPrincipal,  // a person, client or agent: tokens issued until `at` in which it is `sub`, `client_id`, in
               // `via` or in `act`
  kGrant,      // a consent: every token with this `grant_id`
  kToken,      // one token, by `jti`
  kKey,        // a signing key, by `kid`
  kResource,   // what a resource offers has shrunk: tokens for it issued until `at`
};

struct Revocation {
  RevokedKind kind = RevokedKind::kToken;
  std::string_view id;
  Milliseconds at = 0;     // when it was revoked
  Milliseconds until = 0;  // when the last token it can concern has expired
};

class BEHALF_PUBLIC Revocations {
 public:
  // `max_age`: how old the newest word from the server may be before `is_stale` says so; 0: for ever.
  explicit Revocations(Milliseconds max_age = 15'000);
  ~Revocations();
  Revocations(const Revocations&) = delete;
  Revocations& operator=(const Revocations&) = delete;

  void add(const Revocation& revocation);
  // Drops what concerns no token any more; how many.
  size_t forget_before(Milliseconds now);
  bool revokes(const Delegation& delegation) const;

  // Everything revoked until `steady` (milliseconds of a clock that never steps back and counts sleep) has
  // been added.
  void fresh_as_of(Milliseconds steady);
  // Milliseconds since then; negative: never yet.
  Milliseconds age(Milliseconds steady) const;
  bool is_stale(Milliseconds steady) const;

  // Grows with every addition: what was decided under an older one may have to be decided anew.
  uint64_t version() const;
  size_t size() const;
  size_t bytes() const;  // what the items take, all told

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace behalf::sdk
