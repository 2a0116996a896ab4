#include "guard/judge.h"

#include "base/json.h"
#include "base/uri.h"
#include "behalf/bearer.h"

namespace behalf::guard {
namespace {

std::string host_of(const std::string& url) {
  const auto parts = split_uri(url);
  return parts && parts->authority ? std::string(*parts->authority) : std::string();
}

bool begins_with_word(std::string_view text, std::string_view word) {
  if (text.size() < word.size()) return false;
  for (size_t at = 0; at < word.size(); ++at) {
    if ((text[at] | 0x20) != word[at]) return false;
  }
  return text.size() == word.size() || text[word.size()] == ' ' || text[word.size()] == '\t';
}

}  // namespace

Judge::Judge(const Settings& settings, sdk::Verifier& verifier, sdk::Challenger challenger,
             sdk::AgentLookup agents)
    : settings_(settings),
      verifier_(verifier),
      challenger_(std::move(challenger)),
      agents_(std::move(agents)),
      host_(host_of(settings.resource.public_url)) {}

bool Judge::needs_body(const Asked& asked) const {
  return is_form(asked.content_type) || policy()->needs_body(asked.method, asked.path);
}

void Judge::refuse(Ruling& ruling, sdk::Challenge challenge, std::string_view reason,
                   std::string_view detail) const {
  ruling.record.status = challenge.status;
  ruling.record.reason = reason;
  ruling.record.detail = detail;
  ruling.challenge = std::move(challenge);
  if (settings_.shadow) {
    ruling.allowed = true;
    ruling.record.shadow = true;
    ruling.record.status = 0;
  }
}

void Judge::refuse(Ruling& ruling, const sdk::Decision& decision) const {
  using sdk::Effect;
  sdk::Challenge challenge;
  switch (decision.effect) {
    case Effect::kTokenMissing:
      challenge = challenger_.token_missing(decision.scopes);
      break;
    case Effect::kActorMissing:
      challenge = challenger_.actor_missing();
      break;
    case Effect::kActorUnauthorized:
      challenge = challenger_.actor_unauthorized(decision.reason);
      break;
    case Effect::kInsufficientScope:
      challenge = challenger_.insufficient_scope(decision.scopes);
      break;
    case Effect::kStepUp:
      challenge = challenger_.step_up(decision.acr, decision.max_age);
      break;
    case Effect::kTooMany:
      challenge = challenger_.too_many_requests(decision.retry_after);
      ruling.retry_after = decision.retry_after;
      break;
    case Effect::kAllow:  // cannot be: an allowed call is not refused
    case Effect::kDenied:
      challenge = challenger_.denied(decision.reason);
      break;
  }
  refuse(ruling, std::move(challenge), name_of(decision.effect), decision.detail);
}

// Whatever the policy would say of what it has not seen; but who has no token is told of that first, unless
// the request would do without.
void Judge::refuse_too_large(Ruling& ruling, const sdk::Action& action, sdk::Milliseconds now) const {
  if (ruling.who == nullptr) {
    std::vector<sdk::Policy::Step> steps;
    const sdk::Decision decision = policy()->trace(action, nullptr, now, agents_, steps);
    if (!decision.allowed()) return refuse(ruling, decision);
  }
  sdk::Challenge challenge;
  challenge.status = 413;
  json::ObjectWriter(challenge.body)
      .add("error", "invalid_request")
      .add("error_description", "the body is larger than what is looked at here")
      .end();
  refuse(ruling, std::move(challenge), "body_too_large");
}

Ruling Judge::unclear(const http::Request& request, sdk::Milliseconds now) const {
  Ruling ruling;
  Record& record = ruling.record;
  record.time = now;
  record.resource = settings_.resource.id;
  record.peer = request.peer;
  const bool nginx = settings_.dialect == Dialect::kNginx;
  if (const auto* method = request.headers.find(nginx ? "X-Original-Method" : "X-Forwarded-Method"))
    record.method = *method;
  if (const auto* target = request.headers.find(nginx ? "X-Original-URI" : "X-Forwarded-Uri"))
    record.path = target->substr(0, target->find_first_of("?#"));
  refuse(ruling, challenger_.denied("the request is not clear"), "unclear_request",
         "the proxy did not say exactly once what was asked for, in printable ASCII");
  return ruling;
}

Ruling Judge::rule(const Asked& asked, Size size, sdk::Milliseconds now) {
  Ruling ruling;
  Record& record = ruling.record;
  record.time = now;
  record.method = asked.method;
  record.path = asked.path;
  record.resource = settings_.resource.id;
  record.trace = trace_of(asked.traceparent);
  record.peer = asked.peer;

  const sdk::BearerToken found = sdk::read_bearer(asked.authorization, asked.query);
  if (found.status == sdk::BearerToken::Status::kMalformed || has_stray_token(asked) ||
      found.token.size() > kMaxToken) {
    refuse(ruling,
           challenger_.invalid_request("the token must stand in one Authorization header and nowhere else"),
           "malformed_authorization");
    return ruling;
  }
  // A token that is bound to a key is no bearer token, and we take no proofs (RFC 9449 §7.1).
  if (found.status == sdk::BearerToken::Status::kNone && !asked.authorization.empty() &&
      begins_with_word(asked.authorization.front(), "dpop")) {
    refuse(ruling, challenger_.refused(sdk::Refusal::kProofRequired), name_of(sdk::Refusal::kProofRequired));
    return ruling;
  }
  if (found.status == sdk::BearerToken::Status::kPresent) {
    const sdk::Verdict verdict = verifier_.verify(found.token, now);
    const bool lacks_keys = !verdict && verdict.refusal == sdk::Refusal::kKeysUnavailable;
    if (lacks_keys != lacks_keys_.load(std::memory_order_relaxed)) lacks_keys_ = lacks_keys;
    if (!verdict) {
      if (verdict.refused_delegation) describe(record, *verdict.refused_delegation);
      refuse(ruling, challenger_.refused(verdict.refusal), name_of(verdict.refusal));
      return ruling;
    }
    ruling.who = verdict.delegation;
    ruling.token = found.token;
    describe(record, *ruling.who);
  }

  if (!asked.doubt.empty()) {
    refuse(ruling, challenger_.invalid_request(asked.doubt), "unclear_request", asked.doubt);
    return ruling;
  }
  sdk::Action action;
  action.method = asked.method;
  action.path = asked.path;
  action.host = host_;
  if (size != Size::kFits) {
    refuse_too_large(ruling, action, now);
    if (size == Size::kTooLargeNow && ruling.allowed) {  // shadow or not: what has been read is gone
      ruling.allowed = false;
      ruling.record.shadow = false;
      ruling.record.status = ruling.challenge.status;
    }
    return ruling;
  }
  if (asked.body) action.calls = sdk::parse_rpc(asked.content_type, asked.content_encoding, *asked.body);
  if (action.calls) {
    for (const sdk::RpcCall& call : *action.calls)
      record.calls.push_back(call.tool.empty() ? call.method : call.method + " " + call.tool);
  }
  const auto policy = this->policy();
  if (asked.wants_tunnel && policy->looks_at_calls(asked.path)) {
    if (ruling.who == nullptr)
      refuse(ruling, challenger_.token_missing(), name_of(sdk::Effect::kTokenMissing));
    else
      refuse(ruling, challenger_.denied("no tunnel goes where calls are looked at"), "tunnel_refused",
             "rules about this path look at calls, and nobody would look into a tunnel");
    return ruling;
  }
  sdk::Decision decision = policy->decide(action, ruling.who.get(), now, agents_, &counters_);
  record.rule = decision.rule;
  record.policy = decision.policy_version;
  record.forbidden_members = decision.forbidden_members;
  if (!decision.allowed()) {
    refuse(ruling, decision);
    return ruling;
  }
  ruling.allowed = true;
  ruling.taken = std::move(decision.taken);
  if (decision.needs_external) {
    ruling.external = *policy->authzen();
    if (!decision.external_calls.empty()) {
      std::vector<sdk::RpcCall> calls;
      calls.reserve(decision.external_calls.size());
      for (const size_t place : decision.external_calls) calls.push_back(std::move((*action.calls)[place]));
      action.calls = std::move(calls);
    }
    ruling.external_requests = sdk::authzen_requests(action, ruling.who.get(), now);
  }
  record.allowed = true;
  record.reason = name_of(decision.effect);
  record.detail = decision.detail;
  return ruling;
}

void Judge::give_back(const Ruling& ruling, sdk::Milliseconds now) {
  if (!ruling.taken) return;
  sdk::Decision decision;
  decision.taken = ruling.taken;
  counters_.give_back(decision, now);
}

void Judge::settle(Ruling& ruling, sdk::AuthzenAnswer said, sdk::Milliseconds now) {
  if (said == sdk::AuthzenAnswer::kPermit) return;
  if (said == sdk::AuthzenAnswer::kFailure && ruling.external.allows_on_failure) {
    ruling.record.detail = "the external decision point gave no answer, and the policy lets in then";
    return;
  }
  ruling.allowed = false;
  ruling.record.allowed = false;
  give_back(ruling, now);
  ruling.taken.reset();
  const bool is_denied = said == sdk::AuthzenAnswer::kDeny;
  refuse(ruling, challenger_.denied("the policy does not allow this"),
         is_denied ? "external_denied" : "external_unavailable",
         is_denied ? "the external decision point says no" : "the external decision point gave no answer");
}

std::optional<sdk::Refusal> Judge::ended(std::string_view token, sdk::Milliseconds now) {
  const sdk::Verdict verdict = verifier_.verify(token, now);
  return verdict ? std::nullopt : std::optional(verdict.refusal);
}

}  // namespace behalf::guard
