#include "guard/identity.h"

#include <algorithm>

#include "base/json.h"
#include "crypto/jwt.h"

namespace behalf::guard {
namespace {

constexpr std::string_view kPrefix = "behalf-";
constexpr sdk::Milliseconds kSignedLife = 60'000;

char folded(char letter) {
  if (letter >= 'A' && letter <= 'Z') return static_cast<char>(letter | 0x20);
  const bool plain = (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9');
  return plain ? letter : '-';
}

// An agent of another issuer is `issuer#sub`; a '#' of either is percent-encoded, so that none of ours can
// look like it, nor it like one of ours.
std::string hop_text(const sdk::Delegation& delegation, const sdk::Hop& hop) {
  const auto part = [](const std::string& text) {
    std::string safe = header_safe(text);
    for (size_t at = safe.find('#'); at != std::string::npos; at = safe.find('#', at))
      safe.replace(at, 1, "%23");
    return safe;
  };
  return delegation.is_own(hop) ? part(hop.subject) : part(hop.issuer) + "#" + part(hop.subject);
}

std::string chain_text(const sdk::Delegation& delegation) {
  std::string text;
  for (const sdk::Hop& hop : delegation.chain) {
    if (!text.empty()) text += ", ";
    text += hop_text(delegation, hop);
  }
  return text;
}

// `act`, nested as in the token (RFC 8693 §4.1), newest outermost.
std::optional<json::Value> nested(const std::vector<sdk::Hop>& chain) {
  std::optional<json::Value> inner;
  for (auto hop = chain.rbegin(); hop != chain.rend(); ++hop) {
    json::Value act;
    act.set("sub", hop->subject);
    act.set("iss", hop->issuer);
    if (!hop->profile.empty()) act.set("sub_profile", hop->profile);
    if (inner) act.set("act", std::move(*inner));
    inner = std::move(act);
  }
  return inner;
}

}  // namespace

bool is_ours(std::string_view header_name) {
  return header_name.size() >= kPrefix.size() &&
         std::equal(kPrefix.begin(), kPrefix.end(), header_name.begin(),
                    [](char ours, char theirs) { return ours == folded(theirs); });
}

std::string header_safe(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  const auto is_safe = [](char letter) {
    return letter > 0x20 && letter < 0x7f && letter != '%' && letter != ',';
  };
  if (std::all_of(text.begin(), text.end(), is_safe)) return std::string(text);
  std::string out;
  for (const char letter : text) {
    if (is_safe(letter)) {
      out.push_back(letter);
    } else {
      const auto byte = static_cast<unsigned char>(letter);
      out.push_back('%');
      out.push_back(kDigits[byte >> 4]);
      out.push_back(kDigits[byte & 15]);
    }
  }
  return out;
}

Identity::Identity(IdentityStyle style, std::string issuer, std::string audience,
                   std::optional<crypto::SigningKey> key)
    : style_(style), issuer_(std::move(issuer)), audience_(std::move(audience)), key_(std::move(key)) {
  json::Value::Array keys;
  if (style_ == IdentityStyle::kSigned) {
    if (!key_) key_ = crypto::SigningKey::generate(crypto::Algorithm::kES256);
    keys.push_back(key_->public_jwk());
  }
  json::Value set;
  set.set("keys", std::move(keys));
  key_set_ = json::write(set);
}

std::vector<std::pair<std::string, std::string>> Identity::headers(const sdk::Delegation* delegation,
                                                                   sdk::Milliseconds now) const {
  std::vector<std::pair<std::string, std::string>> headers;
  headers.reserve(6);
  const auto add = [&](const char* name, std::string value) { headers.emplace_back(name, std::move(value)); };
  const bool plain = delegation != nullptr && style_ == IdentityStyle::kHeaders;
  const bool is_signed = delegation != nullptr && style_ == IdentityStyle::kSigned;
  const sdk::Hop* actor = delegation == nullptr ? nullptr : delegation->actor();
  add("Behalf-Subject", plain ? header_safe(delegation->subject) : "");
  add("Behalf-Client", plain ? header_safe(delegation->client) : "");
  add("Behalf-Actor", plain && actor != nullptr ? hop_text(*delegation, *actor) : "");
  add("Behalf-Chain", plain ? chain_text(*delegation) : "");
  add("Behalf-Grant", plain ? header_safe(delegation->grant) : "");
  add("Behalf-Identity", is_signed ? sign(*delegation, now) : "");
  return headers;
}

std::string Identity::sign(const sdk::Delegation& delegation, sdk::Milliseconds now) const {
  json::Value claims;
  claims.set("iss", issuer_);
  claims.set("aud", audience_);
  claims.set("sub", delegation.subject);
  claims.set("client_id", delegation.client);
  claims.set("iat", now / 1000);
  claims.set("exp", std::min(now + kSignedLife, std::max(delegation.expires_at, now)) / 1000);
  if (!delegation.grant.empty()) claims.set("grant_id", delegation.grant);
  claims.set("token_id", delegation.token_id);
  if (auto act = nested(delegation.chain)) claims.set("act", std::move(*act));
  std::string scope;
  for (const std::string& one : delegation.scopes) scope += (scope.empty() ? "" : " ") + one;
  claims.set("scope", scope);
  return crypto::sign_jwt(*key_, "behalf-identity+jwt", json::write(claims));
}

}  // namespace behalf::guard
