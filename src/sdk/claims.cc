// Claims that are absent and optional stay empty. Claims that are there and of another type than their
// specification says are refused, whatever they would have meant: a reader that shrugs is a reader that can
// be told two things.
#include "sdk/claims.h"

#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "base/ordered_id.h"

namespace behalf::sdk {
namespace {

constexpr size_t kMaxNameBytes = 255;
constexpr size_t kMaxMembers = 256;  // of `via`, `amr`, `aud`

Refused<Refusal> malformed() { return Refused<Refusal>{Refusal::kMalformed}; }
Refused<Refusal> actor_malformed() { return Refused<Refusal>{Refusal::kActorMalformed}; }

// A name is printable ASCII without more ado: what is compared, logged and sent on in headers.
bool is_name(const json::Value& value) {
  const std::string* text = value.string();
  return text != nullptr && !text->empty() && text->size() <= kMaxNameBytes && is_printable_ascii(*text);
}

Result<std::string, Refusal> required_name(const json::Value& claims, std::string_view name) {
  const json::Value* member = claims.find(name);
  if (member == nullptr || !is_name(*member)) return malformed();
  return *member->string();
}

Result<std::string, Refusal> optional_name(const json::Value& claims, std::string_view name) {
  if (claims.find(name) == nullptr) return std::string();
  return required_name(claims, name);
}

Result<std::vector<std::string>, Refusal> optional_names(const json::Value& claims, std::string_view name) {
  std::vector<std::string> names;
  const json::Value* member = claims.find(name);
  if (member == nullptr) return names;
  const json::Value::Array* array = member->array();
  if (array == nullptr || array->size() > kMaxMembers) return malformed();
  for (const json::Value& value : *array) {
    if (!is_name(value)) return malformed();
    names.push_back(*value.string());
  }
  return names;
}

Result<std::optional<Milliseconds>, Refusal> optional_time(const json::Value& claims, std::string_view name) {
  const json::Value* member = claims.find(name);
  if (member == nullptr) return std::optional<Milliseconds>();
  const int64_t* seconds = member->integer();
  if (seconds == nullptr || *seconds < 0 || *seconds > (int64_t{1} << 40)) return malformed();
  return std::optional<Milliseconds>(*seconds * 1000);
}

// RFC 6749 §3.3: words of %x21 / %x23-5B / %x5D-7E, one space between them.
Result<std::vector<std::string>, Refusal> read_scope(const json::Value& claims) {
  std::vector<std::string> scopes;
  const json::Value* member = claims.find("scope");
  if (member == nullptr) return scopes;
  const std::string* text = member->string();
  if (text == nullptr) return malformed();
  std::string_view rest = *text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    const bool is_word = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
      return c >= 0x21 && c <= 0x7e && c != '"' && c != '\\';
    });
    if (!is_word || end + 1 == rest.size()) return malformed();
    scopes.emplace_back(word);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return scopes;
}

// RFC 8693 §4.1: nested objects, newest outermost. `sub` alone is enough (D-26).
Result<std::vector<Hop>, Refusal> read_chain(const json::Value& claims, const std::string& issuer,
                                             size_t longest) {
  std::vector<Hop> chain;
  for (const json::Value* act = claims.find("act"); act != nullptr; act = act->find("act")) {
    if (act->object() == nullptr || chain.size() == longest) return actor_malformed();
    const auto subject = required_name(*act, "sub");
    const auto named_issuer = optional_name(*act, "iss");
    const auto profile = optional_name(*act, "sub_profile");
    const auto instance = optional_name(*act, "agent_instance");
    if (!subject || !named_issuer || !profile || !instance) return actor_malformed();
    Hop hop;
    hop.issuer = named_issuer->empty() ? issuer : *named_issuer;
    hop.subject = *subject;
    hop.profile = *profile;
    hop.instance = *instance;
    chain.push_back(std::move(hop));
  }
  return chain;
}

// RFC 7800 §3.1. Whatever it holds, the token is no bearer token any more; see `is_bound`.
Result<Fine, Refusal> read_confirmation(const json::Value& claims, Delegation& delegation) {
  const json::Value* confirmation = claims.find("cnf");
  if (confirmation == nullptr) return Fine{};
  if (confirmation->object() == nullptr) return malformed();
  delegation.is_bound = true;
  delegation.key_thumbprint = TRY(optional_name(*confirmation, "jkt"));
  delegation.certificate_thumbprint = TRY(optional_name(*confirmation, "x5t#S256"));
  return Fine{};
}

std::string matching_audience(const json::Value& claims, const std::vector<std::string>& audiences) {
  const json::Value* member = claims.find("aud");
  const auto names = [&](const std::string& audience) {
    if (member == nullptr) return false;
    if (const std::string* sole = member->string()) return *sole == audience;
    const json::Value::Array* array = member->array();
    return array != nullptr && std::any_of(array->begin(), array->end(), [&](const json::Value& value) {
             return value.string() != nullptr && *value.string() == audience;
           });
  };
  const auto found = std::find_if(audiences.begin(), audiences.end(), names);
  return found == audiences.end() ? std::string() : *found;
}

// Our ids carry the millisecond. An id of somebody else that only looks so would tell another second than
// `iat`. Without one a token counts from the start of its second: revoked in that second, it is refused.
Milliseconds time_of_issue(Milliseconds issued, const std::string& token_id) {
  if (!is_ordered_id(token_id)) return issued;
  const UnixTime exact = time_of_ordered_id(token_id);
  return exact.seconds() * 1000 == issued ? exact.milliseconds : issued;
}

}  // namespace

Result<Delegation, Refusal> read_delegation(const json::Value& claims, const VerifierOptions& options) {
  Delegation delegation;
  // RFC 9068 §2.2: these must be there.
  delegation.issuer = TRY(required_name(claims, "iss"));
  delegation.subject = TRY(required_name(claims, "sub"));
  delegation.client = TRY(required_name(claims, "client_id"));
  delegation.token_id = TRY(required_name(claims, "jti"));
  const std::optional<Milliseconds> issued = TRY(optional_time(claims, "iat"));
  const std::optional<Milliseconds> expires = TRY(optional_time(claims, "exp"));
  if (!issued || !expires) return malformed();
  delegation.issued_at = time_of_issue(*issued, delegation.token_id);
  delegation.expires_at = *expires;
  delegation.resource = matching_audience(claims, options.audiences);
  delegation.chain = TRY(read_chain(claims, delegation.issuer, options.max_chain));
  delegation.scopes = TRY(read_scope(claims));
  delegation.subject_profile = TRY(optional_name(claims, "sub_profile"));
  delegation.grant = TRY(optional_name(claims, "grant_id"));
  delegation.via = TRY(optional_names(claims, "via"));
  delegation.authenticated_at = TRY(optional_time(claims, "auth_time"));
  delegation.acr = TRY(optional_name(claims, "acr"));
  delegation.amr = TRY(optional_names(claims, "amr"));
  TRY(read_confirmation(claims, delegation));
  return delegation;
}

}  // namespace behalf::sdk
