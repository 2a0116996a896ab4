// Digests, keyed digests, password hashes, and the real source of randomness.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/environment.h"
#include "base/secret.h"

namespace behalf::crypto {

Digest sha256(std::string_view bytes);

// HMAC-SHA-256 under a key that stays inside. Copying is not possible; use one per purpose. Thread-safe.
class KeyedHash {
 public:
  explicit KeyedHash(const Secret& key);
  ~KeyedHash();
  Digest operator()(std::string_view bytes) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// 64 bits of SipHash-2-4 under a key made with the object: two texts that collide cannot be chosen by anyone
// outside. For tables in memory, not for proving anything. Copies share the key. Thread-safe.
class Fingerprint {
 public:
  Fingerprint();
  explicit Fingerprint(Random& random);
  uint64_t operator()(std::string_view text) const;

 private:
  std::array<unsigned char, 16> key_;
};

// The operating system's generator, read in small buffers per thread; throws if it fails.
class SystemRandom final : public Random {
 public:
  void fill(std::span<unsigned char> out) override;
};

// argon2id (m = 19 MiB, t = 2, p = 1) as a PHC string. Slow on purpose: never on a loop thread.
std::string hash_password(const Secret& password);
// False for a wrong password and for a hash that is malformed; takes the same time for both.
bool verify_password(const std::string& phc, const Secret& password);
// A well-formed hash of nothing anyone knows, to spend the same time on unknown users.
const std::string& dummy_password_hash();

}  // namespace behalf::crypto
