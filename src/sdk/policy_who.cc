#include "sdk/policy_who.h"

namespace behalf::sdk::rules {
namespace {

bool holds_for_registry(const Names& names, const std::string AgentInfo::*member, Question& question,
                        Stance stance) {
  if (names.empty()) return true;
  if (question.delegation->actor() == nullptr) return false;
  const AgentInfo* info = question.actor_info();
  if (info == nullptr) return stance == Stance::kForbids;
  return contains(names, info->*member);
}

}  // namespace

const AgentInfo* Question::actor_info() {
  if (!has_looked_) {
    has_looked_ = true;
    const Hop* actor = delegation == nullptr ? nullptr : delegation->actor();
    if (actor != nullptr && agents && delegation->is_own(*actor)) info_ = agents(actor->subject);
  }
  return info_.get();
}

Part first_failing(const Who& who, Question& question, Stance stance) {
  const Delegation& token = *question.delegation;
  const Hop* actor = token.actor();
  if (who.actor == Presence::kPresent && actor == nullptr) return Part::kActorMissing;
  if (who.actor == Presence::kAbsent && actor != nullptr) return Part::kActorPresent;
  // An allow rule with `actor = "optional"` lets the person through alone, or with one of these.
  const bool asks_actor = actor != nullptr || stance == Stance::kForbids;
  if (asks_actor) {
    if (!who.actors.empty()) {
      const bool is_named = actor != nullptr && contains(who.actors, actor->subject) &&
                            (stance == Stance::kForbids || token.is_own(*actor));
      if (!is_named) return Part::kActor;
    }
    if (!holds_for_registry(who.publishers, &AgentInfo::publisher, question, stance)) return Part::kPublisher;
    if (!holds_for_registry(who.owners, &AgentInfo::owner, question, stance)) return Part::kOwner;
    if (!holds_for_registry(who.statuses, &AgentInfo::status, question, stance)) return Part::kStatus;
  }
  if (!who.persons.empty() && !contains(who.persons, token.subject)) return Part::kPerson;
  if (!who.clients.empty() && !contains(who.clients, token.client)) return Part::kClient;
  if (!who.profiles.empty() && !contains(who.profiles, token.subject_profile)) return Part::kProfile;
  return Part::kNone;
}

Effect effect_of(Part part) {
  switch (part) {
    case Part::kNone:
      return Effect::kAllow;
    case Part::kActorMissing:
      return Effect::kActorMissing;
    case Part::kActorPresent:
    case Part::kActor:
    case Part::kPublisher:
    case Part::kOwner:
    case Part::kStatus:
      return Effect::kActorUnauthorized;
    case Part::kPerson:
    case Part::kClient:
    case Part::kProfile:
      return Effect::kDenied;
  }
  return Effect::kDenied;
}

std::string describe(Part part, Question& question) {
  const Delegation& token = *question.delegation;
  const std::string actor = token.actor() == nullptr ? "nobody" : token.name_of(*token.actor());
  const AgentInfo* info = question.actor_info();
  const auto registry = [&](const char* what, const std::string AgentInfo::*member) {
    return "actor " + actor + " has " + what + " " + (info == nullptr ? "unknown" : info->*member);
  };
  switch (part) {
    case Part::kNone:
      return "all conditions hold";
    case Part::kActorMissing:
      return "no agent acts";
    case Part::kActorPresent:
      return "agent " + actor + " acts, and none may";
    case Part::kActor:
      return "actor " + actor + " is not one of those named";
    case Part::kPublisher:
      return registry("publisher", &AgentInfo::publisher);
    case Part::kOwner:
      return registry("owner", &AgentInfo::owner);
    case Part::kStatus:
      return registry("status", &AgentInfo::status);
    case Part::kPerson:
      return "person " + token.subject + " is not one of those named";
    case Part::kClient:
      return "client " + token.client + " is not one of those named";
    case Part::kProfile:
      return "subject profile " + (token.subject_profile.empty() ? "unknown" : token.subject_profile) +
             " is not one of those named";
  }
  return {};
}

}  // namespace behalf::sdk::rules
