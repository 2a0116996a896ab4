// The claims of a verified access token as a Delegation, each of the type the specifications give it.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "behalf/verifier.h"

namespace behalf::sdk {

// `resource` of the result is the first of `audiences` that `aud` names. Time is the caller's to judge.
Result<Delegation, Refusal> read_delegation(const json::Value& claims, const VerifierOptions& options);

}  // namespace behalf::sdk
