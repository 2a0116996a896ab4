// Order of verify(): which key, which type, what the claims say, and the signature last, because it costs
// fifty times what all the rest does. Nothing the unproved claims say is acted upon before that; a fault
// found early only spares the work. `jwk`, `jku`, `x5c` and `x5u` in a header are never looked at (RFC 8725
// §3.10): keys are ours.
#include "crypto/jwt.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"

namespace behalf::crypto {
namespace {

constexpr size_t kMaxDepth = 16;
constexpr size_t kMostKeptHeader = 512;
constexpr size_t kMaxNameBytes = 255;  // iss, sub
constexpr size_t kMaxIdBytes = 256;    // jti
constexpr int64_t kMostSeconds = int64_t{1} << 40;

// RFC 7515 §4.1.11, RFC 7797 §3, RFC 7516 §4.1: members that change what the parts mean. We offer none of
// them.
constexpr std::array<std::string_view, 4> kRefusedHeaders = {"crit", "b64", "zip", "enc"};

Refused<JwtFault> refuse(JwtFault fault) { return Refused<JwtFault>{fault}; }

bool is_text(const json::Value& value, size_t most_bytes) {
  const std::string* text = value.string();
  return text != nullptr && !text->empty() && text->size() <= most_bytes && is_printable_ascii(*text);
}

std::optional<json::Value> parse_part(std::string_view encoded) {
  const std::optional<std::string> text = decode_base64url(encoded);
  if (!text) return std::nullopt;
  std::optional<json::Value> part = json::parse(*text, {.bytes = kMaxJwtBytes, .depth = kMaxDepth});
  if (!part || part->object() == nullptr) return std::nullopt;
  return part;
}

// RFC 7515 §4.1.9: case does not matter, and "application/" may be left out if no other slash follows.
std::string normalise_type(std::string_view type) {
  std::string lower(type);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  constexpr std::string_view kPrefix = "application/";
  if (lower.starts_with(kPrefix) && lower.find('/', kPrefix.size()) == std::string::npos) {
    lower.erase(0, kPrefix.size());
  }
  return lower;
}

bool is_header(const json::Value& header) {
  if (header.find_string("alg") == nullptr) return false;
  for (const std::string_view name : kRefusedHeaders) {
    if (header.find(name) != nullptr) return false;
  }
  for (const std::string_view name : {"typ", "kid"}) {
    const json::Value* member = header.find(name);
    if (member != nullptr && member->string() == nullptr) return false;
  }
  return true;
}

// STRICTER: RFC 7519 §2 allows fractions of a second; whole ones are one way to write a time.
Result<std::optional<int64_t>, JwtFault> read_time(const json::Value& claims, std::string_view name) {
  const json::Value* member = claims.find(name);
  if (member == nullptr) return std::optional<int64_t>();
  const int64_t* seconds = member->integer();
  if (seconds == nullptr || *seconds < 0 || *seconds > kMostSeconds) return refuse(JwtFault::kClaims);
  return std::optional<int64_t>(*seconds);
}

// When the JWT ends, if it is valid now.
Result<UnixTime, JwtFault> check_times(const json::Value& claims, const Expectations& expected,
                                       UnixTime now) {
  const std::optional<int64_t> expires = TRY(read_time(claims, "exp"));
  const std::optional<int64_t> not_before = TRY(read_time(claims, "nbf"));
  const std::optional<int64_t> issued = TRY(read_time(claims, "iat"));
  const int64_t leeway = expected.leeway.count;
  const int64_t life = expected.longest_life.count;
  const bool is_proof = expected.kind == JwtKind::kProof;
  if (!expires && !is_proof) return refuse(JwtFault::kExpired);
  if (!issued && is_proof) return refuse(JwtFault::kClaims);

  if (expires && *expires + leeway <= now.seconds()) return refuse(JwtFault::kExpired);
  if (not_before && *not_before > now.seconds() + leeway) return refuse(JwtFault::kNotYetValid);
  if (issued && *issued > now.seconds() + leeway) return refuse(JwtFault::kNotYetValid);
  if (life > 0) {
    if (is_proof && *issued + life + leeway <= now.seconds()) return refuse(JwtFault::kExpired);
    if (expires && *expires - now.seconds() > life + leeway) return refuse(JwtFault::kTooLong);
    if (expires && issued && *expires - *issued > life) return refuse(JwtFault::kTooLong);
  }
  if (expires) return UnixTime::from_seconds(*expires);
  return UnixTime::from_seconds(life > 0 ? *issued + life : kMostSeconds);
}

enum class Presence { kRequired, kOptional };

// Well-typed, and the expected text if there is one.
Result<Fine, JwtFault> check_name(const json::Value& claims, std::string_view name, std::string_view expected,
                                  Presence presence, JwtFault mismatch) {
  const json::Value* member = claims.find(name);
  if (member == nullptr) {
    if (presence == Presence::kRequired || !expected.empty()) return refuse(JwtFault::kClaims);
    return Fine{};
  }
  if (!is_text(*member, kMaxNameBytes)) return refuse(JwtFault::kClaims);
  if (!expected.empty() && *member->string() != expected) return refuse(mismatch);
  return Fine{};
}

Result<Fine, JwtFault> check_id(const json::Value& claims, const Expectations& expected) {
  const json::Value* member = claims.find("jti");
  if (member == nullptr && !expected.require_jti) return Fine{};
  if (member == nullptr || !is_text(*member, kMaxIdBytes)) return refuse(JwtFault::kClaims);
  return Fine{};
}

Result<Fine, JwtFault> check_audience(const json::Value& claims, const Expectations& expected) {
  if (expected.audience_rule == AudienceRule::kIgnore) return Fine{};
  const json::Value* member = claims.find("aud");
  if (member == nullptr) return refuse(JwtFault::kClaims);
  std::span<const json::Value> named(member, 1);
  if (member->array() != nullptr) named = *member->array();
  const auto is_string = [](const json::Value& value) { return value.string() != nullptr; };
  if (!std::all_of(named.begin(), named.end(), is_string)) return refuse(JwtFault::kClaims);
  const bool is_sole = expected.audience_rule != AudienceRule::kContains;
  if (is_sole && named.size() != 1) return refuse(JwtFault::kAudience);
  if (expected.audience_rule == AudienceRule::kSoleText && member->array() != nullptr)
    return refuse(JwtFault::kAudience);
  const bool is_meant = std::any_of(named.begin(), named.end(), [&](const json::Value& value) {
    return std::find(expected.audiences.begin(), expected.audiences.end(), *value.string()) !=
           expected.audiences.end();
  });
  if (!is_meant) return refuse(JwtFault::kAudience);
  return Fine{};
}

// The end of its life, if every claim is as expected.
Result<UnixTime, JwtFault> check_claims(const json::Value& claims, const Expectations& expected,
                                        UnixTime now) {
  const Presence presence = expected.kind == JwtKind::kToken ? Presence::kRequired : Presence::kOptional;
  TRY(check_name(claims, "iss", expected.issuer, presence, JwtFault::kIssuer));
  TRY(check_name(claims, "sub", expected.subject, presence, JwtFault::kClaims));
  TRY(check_audience(claims, expected));
  TRY(check_id(claims, expected));
  return check_times(claims, expected, now);
}

// Which of the keys a header may mean. Without `kid` that can be several of one algorithm; a set is small.
class Candidates {
 public:
  Candidates(const json::Value& header, JwtKind kind)
      : algorithm_(*header.find_string("alg")),
        key_id_(kind == JwtKind::kToken ? header.find_string("kid") : nullptr) {}

  bool has_id(const VerifyingKey& key) const { return key_id_ == nullptr || key.key_id() == *key_id_; }
  bool has_algorithm(const VerifyingKey& key) const { return name_of(key.algorithm()) == algorithm_; }

  Result<Fine, JwtFault> check(std::span<const VerifyingKey> keys) const {
    JwtFault fault = JwtFault::kUnknownKey;
    for (const VerifyingKey& key : keys) {
      if (!has_id(key)) continue;
      if (has_algorithm(key)) return Fine{};
      fault = JwtFault::kAlgorithm;
    }
    return refuse(fault);
  }

 private:
  std::string_view algorithm_;
  const std::string* key_id_;
};

std::string_view claim_text(const json::Value& claims, std::string_view name) {
  const std::string* text = claims.find_string(name);
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

}  // namespace

std::string_view describe(JwtFault fault) {
  switch (fault) {
    case JwtFault::kMalformed:
      return "not a well-formed JWT";
    case JwtFault::kAlgorithm:
      return "not signed with the algorithm of the key";
    case JwtFault::kUnknownKey:
      return "signed with an unknown key";
    case JwtFault::kSignature:
      return "the signature is wrong";
    case JwtFault::kType:
      return "of another type than expected";
    case JwtFault::kExpired:
      return "expired";
    case JwtFault::kNotYetValid:
      return "not valid yet";
    case JwtFault::kTooLong:
      return "valid for longer than is accepted";
    case JwtFault::kIssuer:
      return "from another issuer than expected";
    case JwtFault::kAudience:
      return "meant for another audience";
    case JwtFault::kClaims:
      return "a registered claim is missing or not acceptable";
  }
  return {};
}

// Nothing if it is not acceptable. Tokens of one issuer and key begin with the same bytes, which say the same
// each time: a thread keeps the last header it read.
std::shared_ptr<const EncodedJwt::Header> EncodedJwt::read_header(std::string_view encoded) {
  thread_local std::string last_encoded;
  thread_local std::shared_ptr<const Header> last;
  if (last != nullptr && encoded == last_encoded) return last;
  std::optional<json::Value> members = parse_part(encoded);
  if (!members || !is_header(*members)) return nullptr;
  auto header = std::make_shared<Header>();
  if (const std::string* type = members->find_string("typ")) {
    header->type = normalise_type(*type);
    // An empty type would pass for an absent one.
    if (header->type.empty()) return nullptr;
  }
  header->members = std::move(*members);
  if (encoded.size() <= kMostKeptHeader) {
    last_encoded = encoded;
    last = header;
  }
  return header;
}

Result<EncodedJwt, JwtFault> EncodedJwt::parse(std::string_view compact) {
  if (compact.size() > kMaxJwtBytes) return refuse(JwtFault::kMalformed);
  const size_t first = compact.find('.');
  const size_t second = first == std::string_view::npos ? first : compact.find('.', first + 1);
  if (second == std::string_view::npos || compact.find('.', second + 1) != std::string_view::npos) {
    return refuse(JwtFault::kMalformed);
  }
  std::shared_ptr<const Header> header = read_header(compact.substr(0, first));
  if (header == nullptr) return refuse(JwtFault::kMalformed);
  std::optional<json::Value> claims = parse_part(compact.substr(first + 1, second - first - 1));
  if (!claims) return refuse(JwtFault::kMalformed);
  std::optional<std::string> signature = decode_base64url(compact.substr(second + 1));
  if (!signature) return refuse(JwtFault::kMalformed);

  auto content = std::make_shared<Content>();
  content->signing_input = compact.substr(0, second);
  content->signature = std::move(*signature);
  content->header = std::move(header);
  content->claims = std::move(*claims);
  return EncodedJwt(std::move(content));
}

std::string_view VerifiedJwt::subject() const { return claim_text(content_->claims, "sub"); }
std::string_view VerifiedJwt::issuer() const { return claim_text(content_->claims, "iss"); }
std::string_view VerifiedJwt::jti() const { return claim_text(content_->claims, "jti"); }

Result<VerifiedJwt, JwtFault> verify(const EncodedJwt& jwt, const Expectations& expectations,
                                     std::span<const VerifyingKey> keys, UnixTime now) {
  const EncodedJwt::Content& content = *jwt.content_;
  const Candidates candidates(content.header->members, expectations.kind);
  TRY(candidates.check(keys));
  const auto& types = expectations.types;
  if (std::find(types.begin(), types.end(), content.header->type) == types.end())
    return refuse(JwtFault::kType);
  const UnixTime expires_at = TRY(check_claims(content.claims, expectations, now));
  for (const VerifyingKey& key : keys) {
    if (!candidates.has_id(key) || !candidates.has_algorithm(key)) continue;
    if (!key.verify(content.signing_input, content.signature)) continue;
    return VerifiedJwt(jwt.content_, key.key_id(), expires_at);
  }
  return refuse(JwtFault::kSignature);
}

UnixTime while_unexpired(const json::Value& unproved_claims, UnixTime now) {
  const auto expires = unproved_claims.find_integer("exp");
  if (!expires || *expires < 0 || *expires > now.seconds()) return now;
  return UnixTime::from_seconds(*expires - 1);
}

std::string sign_jwt(const SigningKey& key, std::string_view type, std::string_view claims_json) {
  std::string header;
  json::ObjectWriter(header)
      .add("alg", name_of(key.algorithm()))
      .add("kid", key.key_id())
      .add_unless_empty("typ", type)
      .end();
  std::string jwt = base64url(header);
  jwt.reserve((header.size() + claims_json.size()) * 4 / 3 + 360);
  jwt.push_back('.');
  jwt += base64url(claims_json);
  const std::string signature = key.sign(jwt);
  jwt.push_back('.');
  jwt += base64url(signature);
  return jwt;
}

}  // namespace behalf::crypto
