// The issuer's public keys (RFC 7517): fetched from its `jwks_uri` on a thread of their own, remembered,
// asked for again when a token names a key that is not among them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "behalf/delegation.h"
#include "behalf/export.h"

namespace behalf::sdk {

class BEHALF_PUBLIC KeySource {
 public:
  struct Options {
    std::string issuer;              // where RFC 8414 metadata is asked for; `jwks_uri` may be given instead
    std::string jwks_uri{};          // if set, no metadata is asked for
    std::string ca_file{};           // for https; empty: the system's
    Milliseconds refresh = 300'000;  // asked for anew this often
    Milliseconds unknown_key_pause = 2'000;  // at most one request this often because of unknown keys
    // How long a verifier that meets an unknown key waits for the answer to such a request, and while no set
    // has been fetched at all; 0: never, for callers whose threads must not wait. The token is refused then,
    // and good a moment later.
    Milliseconds unknown_key_wait = 250;
    Milliseconds keep = 3'600'000;  // a set that could not be renewed is trusted this long; then refused
  };
  // Begins to fetch at once.
  explicit KeySource(Options options);
  // Keys that are given and never fetched: tests, and verifiers without a network.
  static KeySource fixed(std::string_view jwks_json);
  ~KeySource();
  KeySource(KeySource&&) noexcept;

  // Fetches now; an empty text, or why it did not work. Blocks, for at most a few seconds; other threads go
  // on with the old set.
  std::string refresh_now();
  // Why the newest attempt to fetch failed; empty while all is well.
  std::string trouble() const;
  // A key is no longer good although it may still be published (docs/revocation-feed.md).
  void forget(std::string_view key_id);

 private:
  friend class Verifier;
  friend class Feed;
  struct Impl;
  explicit KeySource(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace behalf::sdk
