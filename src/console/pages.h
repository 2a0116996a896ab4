// From records to what a page says: view models filled from the registry and the store, and nowhere else.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "console/templates.h"
#include "oauth/consent.h"
#include "store/store.h"

namespace behalf::console {

ConsentPage consent_view(const oauth::Offer& offer);

// Why a grant ended that its person took back.
inline constexpr std::string_view kByPerson = "revoked_by_person";

// A person's grants, one entry an agent: every one that lives, then the newest of those that no longer do.
// Apps without an agent come last.
struct MyGrants {
  std::vector<AgentEntry> agents;
  size_t ended_shown = 0;  // 0: all
};
MyGrants my_grants(store::ReadTransaction& transaction, const UserId& user, UnixTime now);

// What this person took back with that grant, if it is theirs and that was a moment ago: from the ledger
// alone, whoever made the link.
std::optional<TakenBack> just_taken_back(store::ReadTransaction& transaction, const UserId& user,
                                         const GrantId& id, UnixTime now);

}  // namespace behalf::console
