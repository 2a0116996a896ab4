// Offline verification of access tokens: signature, issuer, audience, time, type, the form of the chain, and
// whether anything it rests on has been revoked since (RFC 9068 §4, RFC 8725, RFC 8693 §4.1).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "behalf/delegation.h"
#include "behalf/export.h"

namespace behalf::sdk {

class KeySource;
class Revocations;

// Why a token was not accepted. Which answer each one asks for: challenge.h.
enum class Refusal {
  kMalformed,        // not a JWT within limits, or a claim of the wrong type
  kSignature,        // unknown key, a key that was revoked, wrong algorithm or wrong signature
  kType,             // `typ` is not at+jwt: an ID token, an assertion
  kIssuer,           // another issuer
  kAudience,         // meant for somebody else
  kExpired,          // `exp` has passed
  kNotYetValid,      // `nbf` or `iat` lies ahead
  kActorMalformed,   // `act` is not an object with `sub`, or the chain is too long
  kRevoked,          // it, or something it rests on, was revoked
  kProofRequired,    // bound to a key (`cnf`), and no proof was given: it is not a bearer token
  kRevocationStale,  // the feed has been silent for longer than `Revocations` may be trusted
  kKeysUnavailable,  // no key set could be fetched yet
};
// Stable and machine-readable: "revoked", "audience", ...
BEHALF_PUBLIC std::string_view name_of(Refusal refusal);
// A sentence for the caller; says nothing that is not in the caller's own token.
BEHALF_PUBLIC std::string_view describe(Refusal refusal);

struct VerifierOptions {
  std::string issuer;                  // exact, byte for byte
  std::vector<std::string> audiences;  // any of these in `aud`
  Milliseconds leeway = 30'000;        // for `nbf` and `iat` ahead of us; `exp` gets `expiry_leeway`
  Milliseconds expiry_leeway = 0;      // accepted past `exp`
  size_t max_chain = 10;               // hops in `act`
  size_t cache_entries = 16'384;       // verified tokens remembered by SHA-256 of the whole token; 0: none
};

// The answer about one token: a delegation, or why there is none.
struct Verdict {
  std::shared_ptr<const Delegation> delegation;  // null: refused
  Refusal refusal = Refusal::kMalformed;         // meaningful if refused
  // What was read of a refused token whose signature was right (expired, revoked): for records only.
  std::shared_ptr<const Delegation> refused_delegation;
  explicit operator bool() const { return delegation != nullptr; }
};

// Thread-safe. Keeps references to `keys` and `revocations`, which must outlive it.
class BEHALF_PUBLIC Verifier {
 public:
  // `revocations` null: tokens stand until they expire. Throws std::invalid_argument without an issuer or
  // without an audience: such a verifier would accept what was meant for others.
  Verifier(VerifierOptions options, KeySource& keys, const Revocations* revocations);
  ~Verifier();
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  // `token`: the compact JWT, as it stood in the Authorization header (bearer.h). Never throws for bad input.
  // A token seen before costs one hash, and look-ups in `revocations` if anything was added since; it is
  // refused as soon as anything it rests on is revoked, its key leaves the key set, or it expires.
  //
  // A token signed with an unknown key makes `keys` ask for the set anew; the call waits for the answer as
  // long as KeySource::Options::unknown_key_wait says and not longer.
  Verdict verify(std::string_view token, Milliseconds now = system_now());

  const VerifierOptions& options() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace behalf::sdk
