#include "model/delegation.h"

#include <algorithm>

namespace behalf {

bool DelegationChain::contains(const Actor& actor) const {
  return std::any_of(actors.begin(), actors.end(),
                     [&](const Actor& hop) { return hop.kind == actor.kind && hop.id == actor.id; });
}

std::string_view describe(DelegationRefusal refusal) {
  switch (refusal) {
    case DelegationRefusal::kLoop:
      return "the actor already appears in the chain";
    case DelegationRefusal::kTooDeep:
      return "the chain would be too deep";
    case DelegationRefusal::kOnwardForbidden:
      return "the current actor may not delegate to this actor";
    case DelegationRefusal::kConsentForbids:
      return "the consent does not allow passing this on";
  }
  return "refused";
}

int depth_left_after(int depth_left_before, const OnwardPolicy* own) {
  const int left = depth_left_before - 1;
  return std::max(0, own == nullptr ? left : std::min(left, own->depth));
}

Result<DelegationChain, DelegationRefusal> extend(const DelegationChain& chain, const Actor& next,
                                                  const ExtensionRules& rules) {
  const Actor* current = chain.outermost();
  if (current != nullptr && current->kind == next.kind && current->id == next.id) {
    DelegationChain same = chain;
    same.actors.front().instance = next.instance;
    return same;
  }
  const bool may_reenter = current != nullptr && rules.reenter_after != nullptr &&
                           std::find(rules.reenter_after->begin(), rules.reenter_after->end(), current->id) !=
                               rules.reenter_after->end();
  if (chain.contains(next) && !may_reenter) return Refused{DelegationRefusal::kLoop};
  if (chain.depth() + 1 > rules.max_depth) return Refused{DelegationRefusal::kTooDeep};
  if (rules.onward != nullptr && !rules.onward->to.allows(next.id)) {
    return Refused{DelegationRefusal::kOnwardForbidden};
  }
  if (rules.depth_left < 1) return Refused{DelegationRefusal::kConsentForbids};
  DelegationChain longer;
  longer.actors.reserve(chain.depth() + 1);
  longer.actors.push_back(next);
  longer.actors.insert(longer.actors.end(), chain.actors.begin(), chain.actors.end());
  return longer;
}

std::string_view describe(ScopeRefusal refusal) {
  switch (refusal) {
    case ScopeRefusal::kWidening:
      return "a requested scope is not in what was granted";
    case ScopeRefusal::kCeiling:
      return "a requested scope is above a ceiling that applies";
    case ScopeRefusal::kNothing:
      return "no scope is left to grant";
  }
  return "refused";
}

Result<ScopeSet, ScopeRefusal> narrow_scope(const std::optional<ScopeSet>& requested, const ScopeSet& parent,
                                            std::initializer_list<const ScopeSet*> ceilings) {
  ScopeSet most = parent;
  for (const ScopeSet* ceiling : ceilings) {
    if (ceiling != nullptr) most.keep_only(*ceiling);
  }
  if (requested && !requested->empty()) {
    if (!requested->is_at_most(parent)) return Refused{ScopeRefusal::kWidening};
    if (!requested->is_at_most(most)) return Refused{ScopeRefusal::kCeiling};
    return *requested;
  }
  if (most.empty()) return Refused{ScopeRefusal::kNothing};
  return most;
}

UnixTime earliest_end(UnixTime now, Seconds lifetime, std::initializer_list<UnixTime> limits) {
  UnixTime end = now + lifetime;
  for (const UnixTime limit : limits) end = std::min(end, limit);
  return end;
}

}  // namespace behalf
