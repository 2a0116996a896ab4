#include "oauth/keys.h"

#include <array>
#include <stdexcept>

#include "base/bytes.h"

namespace behalf::oauth {
namespace {

constexpr size_t kMasterBytes = 32;
constexpr crypto::Algorithm kAll[] = {crypto::Algorithm::kES256, crypto::Algorithm::kEdDSA,
                                      crypto::Algorithm::kPS256, crypto::Algorithm::kRS256};

// One master secret, one derived key per purpose: a value made for one can never serve another.
Secret derive(std::string_view master, std::string_view purpose) {
  const crypto::KeyedHash hash{Secret(std::string(master))};
  return Secret(std::string(as_text(hash(purpose))));
}

}  // namespace

struct Keys::Parsed {
  std::vector<crypto::SigningKey> signing;
  Secret master;
};

Secret Keys::generate(Random& random) {
  json::Value::Array keys;
  for (const crypto::Algorithm algorithm : kAll)
    keys.push_back(crypto::SigningKey::generate(algorithm).private_jwk());
  std::array<unsigned char, kMasterBytes> master{};
  random.fill(master);
  json::Value file;
  file.set("signing_keys", std::move(keys));
  file.set("master_secret", base64url(master));
  return Secret(json::write_pretty(file) + "\n");
}

Keys::Keys(const Secret& key_file)
    : Keys([&] {
        const auto file = json::parse(key_file.reveal());
        const json::Value* list = file ? file->find("signing_keys") : nullptr;
        const std::string* encoded = file ? file->find_string("master_secret") : nullptr;
        if (list == nullptr || list->array() == nullptr || list->array()->empty() || encoded == nullptr) {
          throw std::runtime_error("the key file must hold signing_keys and master_secret");
        }
        auto master = decode_base64url(*encoded);
        if (!master || master->size() != kMasterBytes)
          throw std::runtime_error("master_secret must be 32 bytes of base64url");
        Parsed parsed{.signing = {}, .master = Secret(std::move(*master))};
        for (const json::Value& jwk : *list->array()) {
          auto key = crypto::SigningKey::import(jwk);
          if (!key)
            throw std::runtime_error("a signing key cannot be used: " + std::string(describe(key.reason())));
          parsed.signing.push_back(std::move(key).value());
        }
        return parsed;
      }()) {}

Keys::Keys(Parsed parsed)
    : signing_(std::move(parsed.signing)),
      lookup_(derive(parsed.master.reveal(), "lookup")),
      successor_(derive(parsed.master.reveal(), "refresh token successor")),
      seal_(derive(parsed.master.reveal(), "seal")),
      pairwise_(derive(parsed.master.reveal(), "pairwise subject")) {
  json::Value::Array published;
  for (const crypto::SigningKey& key : signing_) {
    verifying_.push_back(key.verifying_key());
    algorithms_.emplace_back(name_of(key.algorithm()));
    published.push_back(key.public_jwk());
  }
  json::Value set;
  set.set("keys", std::move(published));
  jwks_ = json::write(set);
}

bool Keys::has_algorithm(std::string_view algorithm) const {
  for (const std::string& ours : algorithms_) {
    if (ours == algorithm) return true;
  }
  return false;
}

const crypto::SigningKey& Keys::signing_key(std::string_view algorithm) const {
  for (const crypto::SigningKey& key : signing_) {
    if (name_of(key.algorithm()) == algorithm) return key;
  }
  return signing_.front();
}

std::string Keys::lookup_hash(std::string_view secret) const { return base64url(lookup_(secret)); }

std::string Keys::successor_secret(std::string_view secret, std::string_view successor_id) const {
  std::string input(successor_id);
  input.push_back('.');
  input += secret;
  std::string result = base64url(successor_(input));
  wipe(input);
  return result;
}

std::string Keys::pairwise_subject(std::string_view resource, std::string_view user) const {
  std::string input(resource);
  input.push_back('\0');  // in no id of either kind
  input += user;
  return base64url(pairwise_(input));
}

std::string Keys::seal(std::string_view context) const { return base64url(seal_(context)); }

}  // namespace behalf::oauth
