// From records to what a page says: view models filled from the registry and the store, and nowhere else.
#pragma once

#include <vector>

#include "console/templates.h"
#include "oauth/consent.h"
#include "store/store.h"

namespace behalf::console {

ConsentPage consent_view(const oauth::Offer& offer);

// A person's grants, one entry an agent, the newest first; apps without an agent come last.
std::vector<AgentEntry> agent_entries(store::ReadTransaction& transaction, const UserId& user, UnixTime now);

}  // namespace behalf::console
