// Decisions: a request, or each call of a batch, is judged (policy_match.cc), the judgements become one
// answer, and what has been let through is counted.
#include "behalf/policy.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "behalf/verifier.h"
#include "crypto/hash.h"
#include "sdk/policy_counters.h"
#include "sdk/policy_coverage.h"
#include "sdk/policy_file.h"
#include "sdk/policy_impl.h"

namespace behalf::sdk {
namespace {

using rules::Judgement;
using rules::Per;
using rules::Rule;
using Charges = std::vector<rules::Ledger::Charge>;

// Until the year 9999: sums of times stay within 64 bits whatever the caller says.
constexpr Milliseconds kLatest = 253'402'300'799'999;

// The answer to a batch is the one that stands for most: what no scope, sign-in or patience can change comes
// first.
int weight(Effect effect) {
  switch (effect) {
    case Effect::kAllow:
      return 0;
    case Effect::kTooMany:
      return 1;
    case Effect::kStepUp:
      return 2;
    case Effect::kInsufficientScope:
      return 3;
    case Effect::kActorMissing:
      return 4;
    case Effect::kActorUnauthorized:
      return 5;
    case Effect::kDenied:
      return 6;
    case Effect::kTokenMissing:
      return 7;
  }
  return 6;
}

std::string_view reason_of(Effect effect) {
  switch (effect) {
    case Effect::kAllow:
      return {};
    case Effect::kTokenMissing:
      return "an access token is needed";
    case Effect::kActorMissing:
      return "an agent must act here, and the token names none";
    case Effect::kActorUnauthorized:
      return "the agent that acts may not do this";
    case Effect::kInsufficientScope:
      return "the token's scope is not enough for this";
    case Effect::kStepUp:
      return "the person must sign in again, or more strongly";
    case Effect::kTooMany:
      return "the limit for this is used up";
    case Effect::kDenied:
      return "the policy does not allow this";
  }
  return {};
}

void add_missing(std::vector<std::string>& list, const std::vector<std::string>& more) {
  for (const std::string& item : more) {
    if (std::find(list.begin(), list.end(), item) == list.end()) list.push_back(item);
  }
}

// For whom it is counted. Where nobody acts, the subject acts itself; where no person consented, what a
// client does for a subject is as good as a grant.
std::string counted_for(Per per, const Delegation& token) {
  switch (per) {
    case Per::kActor:
      if (const Hop* actor = token.actor()) return "actor " + actor->subject + " of " + actor->issuer;
      return "subject " + token.subject;
    case Per::kGrant:
      return token.grant.empty() ? "client " + token.client + " for " + token.subject
                                 : "grant " + token.grant;
    case Per::kPerson:
      return token.subject;
  }
  return {};
}

void add_charges(const Rule& rule, const Delegation& token, Charges& charges) {
  for (const rules::Limit& limit : rule.limits) {
    const auto key = rules::Ledger::key_of(rule.name, limit, counted_for(limit.per, token));
    const auto known =
        std::find_if(charges.begin(), charges.end(), [&](const auto& charge) { return charge.key == key; });
    if (known == charges.end())
      charges.push_back({key, &limit, 1});
    else
      ++known->count;
  }
}

// One of several judgements joins the answer.
void add(Decision& decision, const Judgement& judgement, bool is_first) {
  const Rule* rule = judgement.rule;
  if (is_first || weight(judgement.effect) > weight(decision.effect)) {
    decision.effect = judgement.effect;
    decision.rule = rule == nullptr ? std::string() : rule->name;
    decision.detail = judgement.detail;
  }
  add_missing(decision.forbidden_members, judgement.forbidden_members);
  if (judgement.effect != Effect::kStepUp || rule == nullptr) return;
  // Of several calls: the shortest age, and the values the first of them takes.
  if (rule->max_age) decision.max_age = std::min(decision.max_age.value_or(INT64_MAX), *rule->max_age / 1000);
  if (!decision.acr.empty()) return;
  for (const std::string& value : rule->acr) decision.acr += (decision.acr.empty() ? "" : " ") + value;
}

std::string describe(const RpcCall& call) {
  return call.tool.empty() ? call.method : call.method + " " + call.tool;
}

}  // namespace

Decision Policy::Impl::decide(const Action& action, const Delegation* delegation, Milliseconds now,
                              const AgentLookup& agents, Limits limits, Counters* counters,
                              std::vector<Step>* steps) const {
  now = std::clamp(now, Milliseconds{0}, kLatest);
  Decision decision;
  decision.policy_version = version;
  const rules::RequestPath path(action.path);
  if (!path.complaint().empty()) {
    decision.effect = delegation == nullptr ? Effect::kTokenMissing : Effect::kDenied;
    decision.reason = reason_of(decision.effect);
    decision.detail = "the path is refused: " + std::string(path.complaint());
    return decision;
  }
  rules::Question question(action, path, delegation, now, agents);
  const bool is_by_call = action.calls && !action.calls->empty() && asks_about_calls(action.method, path);
  const size_t count = is_by_call ? action.calls->size() : 1;
  Charges charges;
  std::vector<std::string> needed;
  for (size_t i = 0; i < count; ++i) {
    question.call = is_by_call ? &(*action.calls)[i] : nullptr;
    const size_t before = steps == nullptr ? 0 : steps->size();
    const Judgement judgement = judge(set.rules, index, question, steps);
    if (is_by_call && steps != nullptr) {
      for (size_t step = before; step < steps->size(); ++step) (*steps)[step].call = describe(*question.call);
    }
    add(decision, judgement, i == 0);
    const Rule* rule = judgement.rule == nullptr ? judgement.nearest : judgement.rule;
    if (rule == nullptr) continue;
    if (count > 1 || judgement.effect != Effect::kAllow) add_missing(needed, rule->scopes);
    if (judgement.effect != Effect::kAllow) continue;
    if (set.authzen && rule->asks_authzen) {
      decision.needs_external = true;
      if (is_by_call) decision.external_calls.push_back(i);
    }
    if (limits == Limits::kTaken && !rule->limits.empty()) {
      if (counters == nullptr) {
        decision.effect = Effect::kDenied;
        decision.detail = "the rule has limits, and nobody counts";
      } else {
        add_charges(*rule, *delegation, charges);
      }
    }
  }
  if (decision.effect == Effect::kAllow && !charges.empty()) {
    const auto refused = counters->impl_->ledger.take(charges, now);
    if (refused.limit != nullptr) {
      decision.effect = Effect::kTooMany;
      decision.retry_after = refused.retry_after;
      decision.detail = refused.is_full ? "there is no room for another counter"
                                        : rules::describe(*refused.limit) + " is used up";
    } else {
      auto taken = std::make_shared<Decision::Taken>();
      for (const auto& charge : charges) taken->charges.push_back(rules::Ledger::taken(charge, now));
      decision.taken = std::move(taken);
    }
  }
  if (decision.effect == Effect::kAllow) return decision;
  // Whatever is asked for: who has no token does not learn what the policy knows, and may come back with one.
  if (delegation == nullptr) decision.effect = Effect::kTokenMissing;
  decision.needs_external = false;
  decision.external_calls.clear();
  decision.reason = reason_of(decision.effect);
  if (decision.effect == Effect::kInsufficientScope || decision.effect == Effect::kTokenMissing)
    decision.scopes = std::move(needed);
  if (decision.effect != Effect::kStepUp) {
    decision.acr.clear();
    decision.max_age.reset();
  }
  return decision;
}

Policy::Policy(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Policy::~Policy() = default;

std::shared_ptr<const Policy> Policy::parse(std::string_view text, const std::string& name,
                                            std::vector<Fault>& faults) {
  auto read = rules::read_rules(text, name, faults);
  if (!read) return nullptr;
  std::string version = hex(crypto::sha256(text)).substr(0, 12);
  return std::shared_ptr<const Policy>(
      new Policy(std::make_unique<Impl>(std::move(*read), name, std::move(version))));
}

std::shared_ptr<const Policy> Policy::load(const std::string& path, std::vector<Fault>& faults) {
  std::error_code fault;
  const bool is_file = std::filesystem::is_regular_file(path, fault);
  const uintmax_t size = is_file ? std::filesystem::file_size(path, fault) : 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(std::min<uintmax_t>(size, rules::kMaxFileBytes + 1), '\0');
  if (!is_file || fault || !file.read(text.data(), static_cast<std::streamsize>(text.size()))) {
    faults.push_back({path + ": cannot be read", 0});
    return nullptr;
  }
  return parse(text, path, faults);
}

Decision Policy::decide(const Action& action, const Delegation* delegation, Milliseconds now,
                        const AgentLookup& agents, Counters* counters) const {
  return impl_->decide(action, delegation, now, agents, Impl::Limits::kTaken, counters, nullptr);
}

Decision Policy::trace(const Action& action, const Delegation* delegation, Milliseconds now,
                       const AgentLookup& agents, std::vector<Step>& steps) const {
  Decision decision = impl_->decide(action, delegation, now, agents, Impl::Limits::kIgnored, nullptr, &steps);
  if (delegation != nullptr && delegation->is_bound) {
    decision.effect = Effect::kDenied;
    decision.rule.clear();
    decision.reason = describe(Refusal::kProofRequired);
    decision.detail = decision.reason;
  }
  return decision;
}

std::vector<Policy::Fault> Policy::warnings() const { return rules::find_warnings(impl_->set, impl_->name); }

bool Policy::Impl::asks_about_calls(std::string_view method, const rules::RequestPath& path) const {
  const auto& known = index.of(method);
  return known.has_calls &&
         std::any_of(known.candidates.begin(), known.candidates.end(), [&](const auto& one) {
           const Rule& rule = set.rules[one.rule];
           return rule.looks_at_calls() && rule.paths[one.path].match(path) != rules::PathMatch::kNone;
         });
}

bool Policy::needs_body(std::string_view method, std::string_view path) const {
  if (!impl_->index.of(method).has_calls) return false;
  const rules::RequestPath request(path);
  return request.complaint().empty() && impl_->asks_about_calls(method, request);
}

bool Policy::looks_at_calls(std::string_view path) const {
  const rules::RequestPath request(path);
  if (!request.complaint().empty()) return false;
  const auto& rules = impl_->set.rules;
  return std::any_of(rules.begin(), rules.end(), [&](const Rule& rule) {
    return rule.looks_at_calls() &&
           std::any_of(rule.paths.begin(), rule.paths.end(), [&](const rules::PathTemplate& one) {
             return one.match(request) != rules::PathMatch::kNone;
           });
  });
}

const Authzen* Policy::authzen() const { return impl_->set.authzen ? &*impl_->set.authzen : nullptr; }
const std::string& Policy::version() const { return impl_->version; }
size_t Policy::rule_count() const { return impl_->set.rules.size(); }

}  // namespace behalf::sdk
