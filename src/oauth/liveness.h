// Does it still stand? One function for every place where the server decides about a code, token or consent,
// so that no path can forget an ancestor (invariant I5; decisions D-30, D-63, D-71).
#pragma once

#include <string_view>

#include "model/lineage.h"
#include "store/store.h"

namespace behalf::oauth {

// Empty while alive; otherwise the machine-readable reason, for the audit log.
std::string_view why_dead(store::ReadTransaction& transaction, const Grant& grant, UnixTime now);

// The node, its grant, its person, its clients and every actor of its chain, each active in the epoch of
// issue. Says nothing about `spent_at`, which only codes and refresh tokens have.
std::string_view why_dead(store::ReadTransaction& transaction, const Node& node, UnixTime now);

}  // namespace behalf::oauth
