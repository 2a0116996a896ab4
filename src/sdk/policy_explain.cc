// A decision in words.
#include "behalf/policy.h"
#include "sdk/policy_impl.h"

namespace behalf::sdk {
namespace {

// Ids come from tokens: whatever stands in them must not move a terminal's cursor.
std::string shown(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return text;
}

}  // namespace

std::string_view name_of(Effect effect) {
  switch (effect) {
    case Effect::kAllow:
      return "allow";
    case Effect::kTokenMissing:
      return "token_missing";
    case Effect::kActorMissing:
      return "actor_missing";
    case Effect::kActorUnauthorized:
      return "actor_unauthorized";
    case Effect::kInsufficientScope:
      return "insufficient_scope";
    case Effect::kStepUp:
      return "step_up";
    case Effect::kTooMany:
      return "too_many";
    case Effect::kDenied:
      return "denied";
  }
  return {};
}

std::string Policy::explain(const Action& action, const Delegation* delegation, Milliseconds now,
                            const AgentLookup& agents) const {
  std::vector<Step> steps;
  const Decision decision = trace(action, delegation, now, agents, steps);
  std::string text;
  const auto say = [&](std::string line) { text += shown(std::move(line)) + "\n"; };
  std::string call;
  for (const Step& step : steps) {
    if (step.call != call) say("call " + step.call);
    call = step.call;
    say(impl_->name + ":" + std::to_string(step.line) + ": " + step.rule + ": " + step.outcome +
        (step.why.empty() ? "" : " (" + step.why + ")"));
  }
  say("decision: " + std::string(name_of(decision.effect)) +
      (decision.rule.empty() ? ", by no rule" : ", by rule " + decision.rule) +
      (decision.detail.empty() ? "" : ": " + decision.detail));
  if (!decision.scopes.empty()) {
    std::string scopes;
    for (const std::string& scope : decision.scopes) scopes += " " + scope;
    say("scopes needed:" + scopes);
  }
  if (!decision.acr.empty()) say("acr needed: " + decision.acr);
  if (decision.max_age) say("sign-in at most " + std::to_string(*decision.max_age) + " seconds ago");
  for (const std::string& member : decision.forbidden_members)
    say("forbidden member of the chain: " + member);
  if (decision.needs_external) say("the external decision point is asked too");
  return text;
}

}  // namespace behalf::sdk
