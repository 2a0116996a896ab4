// Shared by the two grant types that turn a credential of a person's consent into an access token.
#pragma once

#include <optional>

#include "oauth/grants/grant.h"

namespace behalf::oauth {

// The access token that `from` (a code or refresh token, alive and proved) yields now.
Answer<Issuance> issue_from(Call& call, const TokenRequest& request, const Node& from,
                            const std::shared_ptr<const Resource>& asked_resource,
                            const std::optional<ScopeSet>& asked_scope, store::Transaction& transaction);

}  // namespace behalf::oauth
