#include "model/audit.h"

namespace behalf {

std::string canonical_json(const AuditRecord& record, int64_t sequence, UnixTime now) {
  std::string text;
  text.reserve(1024);
  json::ObjectWriter writer(text);
  writer.add("seq", sequence)
      .add("time", now.milliseconds)
      .add("event", record.event)
      .add("outcome", record.outcome == AuditOutcome::kAllowed ? "allowed" : "denied")
      .add_unless_empty("error", record.error)
      .add_unless_empty("reason", record.reason)
      .add_unless_empty("request_id", record.request_id)
      .add_unless_empty("trace", record.trace)
      .add_unless_empty("peer", record.peer)
      .add_unless_empty("user", record.user)
      .add_unless_empty("client", record.client)
      .add_unless_empty("agent", record.agent);
  if (!record.chain.empty()) {
    json::ArrayWriter list(writer.open("chain"));
    for (const Actor& actor : record.chain.actors) list.add(actor.id);
    list.end();
  }
  writer.add_unless_empty("grant", record.grant)
      .add_unless_empty("node", record.node)
      .add_unless_empty("parent", record.parent)
      .add_unless_empty("scope", record.scope)
      .add_unless_empty("resource", record.resource);
  if (!record.details.is_null()) writer.add_raw("details", json::write(record.details));
  writer.end();
  return text;
}

}  // namespace behalf
