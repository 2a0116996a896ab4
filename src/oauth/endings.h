// Ending things: one function per kind, each ends everything below and leaves one audit record per thing
// ended, with the cause (decision D-30). Called inside the transaction of the decision that caused it.
//
// A principal's new epoch ends more than that: whatever names it, under anybody's consent, as many tokens as
// may be. Of those there is one record, the principal's, filed where everybody finds it who asks of one of
// them why it ended.
#pragma once

#include <string>
#include <string_view>

#include "oauth/call.h"
#include "store/store.h"

namespace behalf::oauth {

// The node and all below it. Returns how many ended.
size_t end_lineage(Call& call, store::Transaction& transaction, const NodeId& node, std::string_view cause);
// Ends what a refresh token's family is part of: all that came from the same code, or, where it was obtained
// On-Behalf-Of, all that came from that answer; those above it keep theirs.
size_t end_family(Call& call, store::Transaction& transaction, const Node& refresh_token,
                  std::string_view cause);

// The grant and every code and token under it. False if it had ended before.
bool end_grant(Call& call, store::Transaction& transaction, const Grant& grant, std::string_view cause);

// Fills in the record of a decision that gave `principal_id` a new epoch: why, which, and where it is filed.
void record_new_epoch(AuditRecord& record, std::string_view principal_id, int64_t epoch,
                      std::string_view cause);
// What such records are filed under (AuditRecord::lineage). No consent and no node has such an id.
std::string filed_under(std::string_view principal_id);
bool is_filed_under_principal(std::string_view lineage);

// Every live grant that the filter selects. For a suspended or deleted principal: its new epoch has already
// killed whatever it is part of; this writes down what that was.
size_t end_grants(Call& call, store::Transaction& transaction, const store::GrantFilter& filter,
                  std::string_view cause);

}  // namespace behalf::oauth
