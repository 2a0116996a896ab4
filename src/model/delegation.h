// The heart: how authority is passed on. Pure rules, no I/O. Read this first.
//
// Invariants (numbered as in SECURITY.md; tests name them):
//   I3  what is derived is at most what it derives from, on every axis: scope, resource, lifetime, depth.
//   I4  every hop is an identity this server authenticated, written from its own records, newest outermost.
//   Chains are extended or kept, never cut, reordered or dropped (RFC 8693 §4.1).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/ids.h"
#include "model/registry.h"
#include "model/scope.h"

namespace behalf {

// The longest chain that may result; refused beyond, never truncated (D-69).
inline constexpr size_t kDefaultMaxChainDepth = 4;

enum class ActorKind { kAgent, kService };

// One hop: who acted, as our registry knows it.
struct Actor {
  ActorKind kind = ActorKind::kAgent;
  std::string id;             // an agent id, or the client id of a service
  int64_t epoch = 1;          // of that agent or client when the hop was made
  std::string instance = {};  // which running copy, if its proof said so: information, never policy (D-52)
  bool operator==(const Actor&) const = default;
};

// Actors from the newest (outermost `act`) to the first. Empty: nobody acts but the subject.
struct DelegationChain {
  std::vector<Actor> actors;

  bool empty() const { return actors.empty(); }
  size_t depth() const { return actors.size(); }
  const Actor* outermost() const { return actors.empty() ? nullptr : &actors.front(); }
  bool contains(const Actor& actor) const;  // same kind and id, whatever the epoch
  bool operator==(const DelegationChain&) const = default;
};

enum class DelegationRefusal {
  kLoop,             // the actor already stands deeper in the chain (D-68)
  kTooDeep,          // the result would exceed the server's limit (D-69)
  kOnwardForbidden,  // the current actor may not pass on, or not that deep, or not to this actor
  kConsentForbids,   // the person did not allow passing on
};
std::string_view describe(DelegationRefusal refusal);

struct ExtensionRules {
  size_t max_depth = kDefaultMaxChainDepth;
  // The policy of the agent that passes on: the outermost actor, or the subject where an agent acts alone.
  // Null for a person and for a service, whose registration speaks for itself.
  const OnwardPolicy* onward = nullptr;
  // How many further hops consent and every earlier agent still allow; see depth_left_after.
  int depth_left = 0;
  // Agents after which `next` may appear again.
  const std::vector<std::string>* reenter_after = nullptr;
};

// What is left to pass on once an actor with `own` policy (null: a service) has been added.
int depth_left_after(int depth_left_before, const OnwardPolicy* own);

// `next` becomes the outermost actor. The same actor again adds no hop (D-67); the hop then names the
// instance that proved itself last.
Result<DelegationChain, DelegationRefusal> extend(const DelegationChain& chain, const Actor& next,
                                                  const ExtensionRules& rules);

enum class ScopeRefusal {
  kWidening,  // asks for more than the parent has
  kCeiling,   // within the parent, above another ceiling
  kNothing,   // nothing is left
};
std::string_view describe(ScopeRefusal refusal);

// RFC 6749 §3.3 with D-36 and D-65: `requested` must be within `parent` and every ceiling, or it is refused,
// not silently cut; when nothing was requested the intersection is given.
Result<ScopeSet, ScopeRefusal> narrow_scope(const std::optional<ScopeSet>& requested, const ScopeSet& parent,
                                            std::initializer_list<const ScopeSet*> ceilings);

// The earliest of what the policy gives from now and every limit above (D-64).
UnixTime earliest_end(UnixTime now, Seconds lifetime, std::initializer_list<UnixTime> limits);

}  // namespace behalf
