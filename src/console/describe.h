// A consent, a code, a token, as the operator is shown it.
#pragma once

#include "base/json.h"
#include "model/lineage.h"
#include "store/store.h"

namespace behalf::console {

json::Value describe_grant(store::ReadTransaction& transaction, const Grant& grant, UnixTime now);
json::Value describe_node(store::ReadTransaction& transaction, const Node& node, UnixTime now);

}  // namespace behalf::console
