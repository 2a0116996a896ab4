// Who asks, against the conditions of a rule.
#pragma once

#include <string>

#include "sdk/policy_match.h"

namespace behalf::sdk::rules {

enum class Part {
  kNone,  // all conditions hold
  kActorMissing,
  kActorPresent,
  kActor,
  kPublisher,
  kOwner,
  kStatus,
  kPerson,
  kClient,
  kProfile,
};

// What is not known, and agents of another issuer that happen to have the same id, count against the caller.
enum class Stance { kPermits, kForbids };

// The first condition that does not hold. There must be a token.
Part first_failing(const Who& who, Question& question, Stance stance);
Effect effect_of(Part part);
std::string describe(Part part, Question& question);

}  // namespace behalf::sdk::rules
