// Digests and keyed digests on OpenSSL, password hashes on libsodium (OpenSSL 3.0 has no argon2).
#include "crypto/hash.h"

#include <openssl/core_names.h>

#include <bit>
#include <charconv>
#include <optional>

#include "crypto/openssl.h"
#include "crypto/sodium.h"

namespace behalf::crypto {
namespace {

// RFC 9106 would like more memory; this is OWASP's smallest argon2id profile, and 19 MiB a login is what a
// small machine can promise to several people at once.
constexpr unsigned long long kPasses = 2;
constexpr size_t kMemory = size_t{19} * 1024 * 1024;

// What a stored hash may ask for: room for stronger settings later, none for a hash that eats the machine.
constexpr uint32_t kMostPasses = 16;
constexpr uint32_t kLeastMemoryKib = 8;
constexpr uint32_t kMostMemoryKib = 256 * 1024;

// One context a thread: making one costs three times as much as hashing an identifier.
EVP_MD_CTX* thread_digest() {
  thread_local const Owner<EVP_MD_CTX> context = [] {
    Owner<EVP_MD_CTX> fresh = own(EVP_MD_CTX_new(), "digest context");
    ensure(EVP_DigestInit_ex2(fresh.get(), EVP_sha256(), nullptr), "SHA-256");
    return fresh;
  }();
  return context.get();
}

bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

// A number without sign or leading zero, as libsodium writes it.
std::optional<uint32_t> take_number(std::string_view& text) {
  uint32_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, fault] = std::from_chars(text.data(), end, number);
  if (fault != std::errc{} || text.front() == '0') return std::nullopt;
  text.remove_prefix(static_cast<size_t>(rest - text.data()));
  return number;
}

bool take_bytes(std::string_view& text, size_t characters, std::string_view padding) {
  const std::string_view encoded = text.substr(0, characters);
  text.remove_prefix(encoded.size());
  return encoded.size() == characters && decode_base64(std::string(encoded).append(padding)).has_value();
}

// $argon2id$v=19$m=19456,t=2,p=1$<16 bytes of salt>$<32 bytes of hash>, within our limits.
bool is_phc(std::string_view text) {
  if (!take(text, "$argon2id$v=19$m=")) return false;
  const auto memory = take_number(text);
  if (!memory || *memory < kLeastMemoryKib || *memory > kMostMemoryKib) return false;
  if (!take(text, ",t=")) return false;
  const auto passes = take_number(text);
  if (!passes || *passes > kMostPasses) return false;
  if (!take(text, ",p=1$")) return false;
  return take_bytes(text, 22, "==") && take(text, "$") && take_bytes(text, 43, "=") && text.empty();
}

}  // namespace

Digest sha256(std::string_view bytes) {
  EVP_MD_CTX* context = thread_digest();
  Digest digest;
  ensure(EVP_DigestInit_ex2(context, nullptr, nullptr), "SHA-256");
  ensure(EVP_DigestUpdate(context, bytes.data(), bytes.size()), "SHA-256");
  ensure(EVP_DigestFinal_ex(context, digest.data(), nullptr), "SHA-256");
  return digest;
}

struct KeyedHash::State {
  Owner<EVP_MAC_CTX> keyed;  // never used itself, only copied
  IdleContexts<EVP_MAC_CTX> idle;
};

KeyedHash::KeyedHash(const Secret& key) : state_(std::make_unique<State>()) {
  // A MAC that anyone can compute is a configuration mistake that would otherwise go unnoticed.
  if (key.empty()) throw std::invalid_argument("a keyed hash needs a key");
  const Owner<EVP_MAC> mac = own(EVP_MAC_fetch(nullptr, OSSL_MAC_NAME_HMAC, nullptr), "HMAC");
  state_->keyed = own(EVP_MAC_CTX_new(mac.get()), "HMAC context");
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                   OSSL_PARAM_construct_end()};
  const auto bytes = as_bytes(key.reveal());
  ensure(EVP_MAC_init(state_->keyed.get(), bytes.data(), bytes.size(), parameters), "HMAC key");
}

Fingerprint::Fingerprint(Random& random) {
  ensure_sodium();
  static_assert(sizeof key_ == crypto_shorthash_KEYBYTES && crypto_shorthash_BYTES == sizeof(uint64_t));
  random.fill(key_);
}
Fingerprint::Fingerprint() {
  SystemRandom random;
  *this = Fingerprint(random);
}

uint64_t Fingerprint::operator()(std::string_view text) const {
  const auto bytes = as_bytes(text);
  std::array<unsigned char, sizeof(uint64_t)> hash{};
  crypto_shorthash(hash.data(), bytes.data(), bytes.size(), key_.data());
  return std::bit_cast<uint64_t>(hash);
}

KeyedHash::~KeyedHash() = default;

Digest KeyedHash::operator()(std::string_view bytes) const {
  Owner<EVP_MAC_CTX> context = state_->idle.take();
  if (context == nullptr) context = own(EVP_MAC_CTX_dup(state_->keyed.get()), "HMAC context");
  Digest digest;
  size_t length = 0;
  ensure(EVP_MAC_init(context.get(), nullptr, 0, nullptr), "HMAC");
  ensure(EVP_MAC_update(context.get(), as_bytes(bytes).data(), bytes.size()), "HMAC");
  ensure(EVP_MAC_final(context.get(), digest.data(), &length, digest.size()), "HMAC");
  if (length != digest.size()) throw CryptoFault("HMAC-SHA-256 of a strange length");
  state_->idle.give_back(std::move(context));
  return digest;
}

std::string hash_password(const Secret& password) {
  ensure_sodium();
  char phc[crypto_pwhash_STRBYTES];
  const std::string_view text = password.reveal();
  if (crypto_pwhash_str_alg(phc, text.data(), text.size(), kPasses, kMemory, crypto_pwhash_ALG_ARGON2ID13) !=
      0) {
    throw CryptoFault("argon2id: not enough memory");
  }
  return phc;
}

bool verify_password(const std::string& phc, const Secret& password) {
  ensure_sodium();
  const bool well_formed = is_phc(phc);
  const std::string& stored = well_formed ? phc : dummy_password_hash();
  const std::string_view text = password.reveal();
  const bool matches = crypto_pwhash_str_verify(stored.c_str(), text.data(), text.size()) == 0;
  return matches && well_formed;
}

const std::string& dummy_password_hash() {
  static const std::string hash = [] {
    ensure_sodium();
    std::string unknown(32, '\0');
    randombytes_buf(unknown.data(), unknown.size());
    return hash_password(Secret(std::move(unknown)));
  }();
  return hash;
}

}  // namespace behalf::crypto
