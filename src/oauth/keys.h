// The server's own keys: what it signs with, what it publishes, and the keyed hashes under which secrets are
// stored.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/secret.h"
#include "crypto/hash.h"
#include "crypto/jwk.h"

namespace behalf::oauth {

class Keys {
 public:
  // Fresh keys for every algorithm, as the text of a key file. Secret.
  static Secret generate(Random& random);
  // Reads a key file; throws std::runtime_error with a plain message.
  explicit Keys(const Secret& key_file);

  const crypto::SigningKey& signing_key(std::string_view algorithm) const;  // falls back to the first
  bool has_algorithm(std::string_view algorithm) const;
  const std::vector<crypto::VerifyingKey>& verifying_keys() const { return verifying_; }
  const std::vector<std::string>& algorithms() const { return algorithms_; }
  const std::string& jwks() const { return jwks_; }  // the published set, as JSON

  // The keyed hash under which a code, refresh token, client secret, session or request is stored and looked
  // up.
  std::string lookup_hash(std::string_view secret) const;
  // The secret of a refresh token's successor: the same for every retry, unknown without the token and our
  // key.
  std::string successor_secret(std::string_view secret, std::string_view successor_id) const;
  // The name under which one resource knows a person (D-74): the same each time, and for each resource
  // another. Nobody without our key can tell whose it is.
  std::string pairwise_subject(std::string_view resource, std::string_view user) const;
  // A value only this server can make for `context`: anti-forgery tokens.
  std::string seal(std::string_view context) const;

 private:
  struct Parsed;
  explicit Keys(Parsed parsed);
  std::vector<crypto::SigningKey> signing_;
  std::vector<crypto::VerifyingKey> verifying_;
  std::vector<std::string> algorithms_;
  std::string jwks_;
  crypto::KeyedHash lookup_;
  crypto::KeyedHash successor_;
  crypto::KeyedHash seal_;
  crypto::KeyedHash pairwise_;
};

}  // namespace behalf::oauth
