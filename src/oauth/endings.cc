#include "oauth/endings.h"

namespace behalf::oauth {
namespace {

constexpr std::string_view kPrincipal = "principal:";

// A record beside the decision's own: what was ended and why, in the same request.
AuditRecord consequence(const Call& call, std::string_view event, std::string_view cause) {
  AuditRecord record;
  record.event = event;
  record.outcome = AuditOutcome::kAllowed;
  record.reason = cause;
  record.request_id = call.audit.request_id;
  record.trace = call.audit.trace;
  record.peer = call.audit.peer;
  return record;
}

void record_ended(Call& call, store::Transaction& transaction, const std::vector<Node>& nodes,
                  std::string_view cause) {
  for (const Node& node : nodes) {
    AuditRecord record = consequence(call, std::string(name_of(node.kind)) + ".end", cause);
    if (node.subject.kind == SubjectKind::kUser) record.user = node.subject.id;
    record.client = node.client.text();
    if (const Actor* actor = node.chain.outermost()) record.agent = actor->id;
    record.chain = node.chain;
    record.grant = node.grant.text();
    record.lineage = node.root.text();
    record.node = node.id.text();
    record.parent = node.parent.text();
    transaction.append_audit(record, call.now);
  }
}

}  // namespace

void record_new_epoch(AuditRecord& record, std::string_view principal_id, int64_t epoch,
                      std::string_view cause) {
  record.reason = cause;
  record.lineage = filed_under(principal_id);
  record.details.set("epoch", epoch);
}

std::string filed_under(std::string_view principal_id) {
  return std::string(kPrincipal) + std::string(principal_id);
}
bool is_filed_under_principal(std::string_view lineage) { return lineage.starts_with(kPrincipal); }

size_t end_lineage(Call& call, store::Transaction& transaction, const NodeId& node, std::string_view cause) {
  const std::vector<Node> ended = transaction.end_subtree(node, call.now, cause);
  record_ended(call, transaction, ended, cause);
  return ended.size();
}

size_t end_family(Call& call, store::Transaction& transaction, const Node& refresh_token,
                  std::string_view cause) {
  NodeId first = refresh_token.id;
  NodeId above = refresh_token.parent;
  while (above != refresh_token.root) {
    const auto parent = transaction.find_node(above);
    if (parent == nullptr || parent->kind != NodeKind::kRefreshToken) break;
    first = parent->id;
    above = parent->parent;
  }
  if (above == refresh_token.root) return end_lineage(call, transaction, refresh_token.root, cause);
  // The access token it came with is above it, and may be purged before it ends.
  const size_t ended = end_lineage(call, transaction, above, cause);
  return ended + end_lineage(call, transaction, first, cause);
}

bool end_grant(Call& call, store::Transaction& transaction, const Grant& grant, std::string_view cause) {
  if (!transaction.end_grant(grant.id, call.now, cause)) return false;
  AuditRecord record = consequence(call, "grant.end", cause);
  record.user = grant.user.text();
  record.client = grant.client.text();
  record.agent = grant.agent.text();
  record.grant = grant.id.text();
  transaction.append_audit(record, call.now);
  record_ended(call, transaction, transaction.end_grant_nodes(grant.id, call.now, cause), cause);
  return true;
}

size_t end_grants(Call& call, store::Transaction& transaction, const store::GrantFilter& filter,
                  std::string_view cause) {
  size_t ended = 0;
  store::GrantFilter live = filter;
  live.live_at = call.now;
  live.limit = SIZE_MAX;
  for (const Grant& grant : transaction.list_grants(live)) {
    if (end_grant(call, transaction, grant, cause)) ++ended;
  }
  return ended;
}

}  // namespace behalf::oauth
