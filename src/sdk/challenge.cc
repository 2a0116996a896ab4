#include "behalf/challenge.h"

#include <utility>

#include "base/json.h"
#include "behalf/policy.h"

namespace behalf::sdk {
namespace {

// RFC 6750 §3: %x20-21 / %x23-5B / %x5D-7E. What is left after this needs no escape and ends no header.
std::string allowed(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') c = '_';
  }
  return out;
}

std::string join(const std::vector<std::string>& scopes) {
  std::string text;
  for (const std::string& scope : scopes) {
    if (!text.empty()) text.push_back(' ');
    text += allowed(scope);
  }
  return text;
}

// The header and the body say the same, member by member.
class Answer {
 public:
  Answer(int status, const std::string& resource_metadata) : status_(status) {
    if (!resource_metadata.empty()) add_parameter("resource_metadata", allowed(resource_metadata));
  }

  Answer& error(std::string_view code, std::string_view description) {
    add("error", code);
    return add("error_description", description);
  }
  Answer& add(std::string_view name, std::string_view value) {
    const std::string text = allowed(value);
    add_parameter(name, text);
    body_.set(name, text);
    return *this;
  }
  // D-39: RFC 6750 names it `scope`, the draft `required_scope`; readers of either find it.
  Answer& scopes(const std::vector<std::string>& scopes) {
    if (scopes.empty()) return *this;
    const std::string text = join(scopes);
    add("scope", text);
    return add("required_scope", text);
  }

  Challenge challenge() const {
    Challenge challenge;
    challenge.status = status_;
    challenge.www_authenticate = parameters_.empty() ? "Bearer" : "Bearer " + parameters_;
    if (body_.object() != nullptr) challenge.body = json::write(body_);
    return challenge;
  }

 private:
  void add_parameter(std::string_view name, const std::string& text) {
    if (!parameters_.empty()) parameters_ += ", ";
    parameters_.append(name).append("=\"").append(text).push_back('"');
  }

  int status_;
  std::string parameters_;
  json::Value body_;
};

// No challenge: nothing the caller could present would change the answer.
Challenge without_challenge(int status, std::string_view code, std::string_view description) {
  Challenge challenge;
  challenge.status = status;
  json::ObjectWriter(challenge.body).add("error", code).add("error_description", description).end();
  return challenge;
}

}  // namespace

Challenger::Challenger(std::string resource_metadata) : resource_metadata_(std::move(resource_metadata)) {}

Challenge Challenger::token_missing(const std::vector<std::string>& scopes) const {
  Answer answer(401, resource_metadata_);
  answer.scopes(scopes);
  Challenge challenge = answer.challenge();
  challenge.body.clear();  // RFC 6750 §3.1: no error information for who sent none
  return challenge;
}

Challenge Challenger::invalid_request(std::string_view description) const {
  return Answer(400, resource_metadata_).error("invalid_request", description).challenge();
}

Challenge Challenger::refused(Refusal refusal) const {
  switch (refusal) {
    case Refusal::kRevocationStale:
    case Refusal::kKeysUnavailable:
      return without_challenge(503, "temporarily_unavailable", describe(refusal));
    case Refusal::kMalformed:
    case Refusal::kSignature:
    case Refusal::kType:
    case Refusal::kIssuer:
    case Refusal::kAudience:
    case Refusal::kExpired:
    case Refusal::kNotYetValid:
    case Refusal::kActorMalformed:
    case Refusal::kRevoked:
    case Refusal::kProofRequired:
      break;
  }
  return Answer(401, resource_metadata_).error("invalid_token", describe(refusal)).challenge();
}

Challenge Challenger::actor_missing() const {
  return Answer(401, resource_metadata_)
      .error("invalid_token", "delegation claims are missing: an agent must act here")
      .challenge();
}

Challenge Challenger::insufficient_scope(const std::vector<std::string>& scopes) const {
  return Answer(403, resource_metadata_)
      .error("insufficient_scope", "the token does not cover this")
      .scopes(scopes)
      .challenge();
}

Challenge Challenger::actor_unauthorized(std::string_view description) const {
  return Answer(403, resource_metadata_).error("actor_unauthorized", description).challenge();
}

Challenge Challenger::denied(std::string_view description) const {
  return Answer(403, resource_metadata_).error("access_denied", description).challenge();
}

Challenge Challenger::step_up(std::string_view acr_values, std::optional<int64_t> max_age_seconds) const {
  Answer answer(401, resource_metadata_);
  answer.error("insufficient_user_authentication", "the person must sign in again, as said here");
  if (!acr_values.empty()) answer.add("acr_values", acr_values);
  if (max_age_seconds) answer.add("max_age", std::to_string(*max_age_seconds));
  return answer.challenge();
}

Challenge Challenger::too_many_requests(int64_t retry_after_seconds) const {
  Challenge challenge = without_challenge(
      429, "too_many_requests",
      retry_after_seconds > 0 ? "try again in " + std::to_string(retry_after_seconds) + " seconds"
                              : "the limit for this is used up, and it does not come back with time");
  challenge.retry_after = retry_after_seconds;
  return challenge;
}

Challenge Challenger::answer(const Decision& decision) const {
  switch (decision.effect) {
    case Effect::kTokenMissing:
      return token_missing(decision.scopes);
    case Effect::kActorMissing:
      return actor_missing();
    case Effect::kActorUnauthorized:
      return actor_unauthorized(decision.reason);
    case Effect::kInsufficientScope:
      return insufficient_scope(decision.scopes);
    case Effect::kStepUp:
      return step_up(decision.acr, decision.max_age);
    case Effect::kTooMany:
      return too_many_requests(decision.retry_after);
    case Effect::kAllow:  // nobody asks for the refusal of what was allowed
    case Effect::kDenied:
      break;
  }
  return denied(decision.reason);
}

}  // namespace behalf::sdk
