// A decision in words.
#include "behalf/policy.h"
#include "sdk/policy_impl.h"

namespace behalf::sdk {

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
  std::string call;
  for (const Step& step : steps) {
    if (step.call != call) {
      call = step.call;
      text += "call " + call + "\n";
    }
    text += impl_->name + ":" + std::to_string(step.line) + ": " + step.rule + ": " + step.outcome;
    if (!step.why.empty()) text += " (" + step.why + ")";
    text += "\n";
  }
  text += "decision: " + std::string(name_of(decision.effect));
  text += decision.rule.empty() ? ", by no rule" : ", by rule " + decision.rule;
  if (!decision.detail.empty()) text += ": " + decision.detail;
  text += "\n";
  if (!decision.scopes.empty()) {
    text += "scopes needed:";
    for (const std::string& scope : decision.scopes) text += " " + scope;
    text += "\n";
  }
  if (!decision.acr.empty()) text += "acr needed: " + decision.acr + "\n";
  if (decision.max_age) text += "sign-in at most " + std::to_string(*decision.max_age) + " seconds ago\n";
  for (const std::string& member : decision.forbidden_members)
    text += "forbidden member of the chain: " + member + "\n";
  if (decision.needs_external) text += "the external decision point is asked too\n";
  // Ids come from tokens: whatever stands in them must not move a terminal's cursor.
  for (char& c : text) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7F) c = '?';
  }
  return text;
}

}  // namespace behalf::sdk
