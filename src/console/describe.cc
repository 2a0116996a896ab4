#include "console/describe.h"

#include "oauth/liveness.h"

namespace behalf::console {

json::Value describe_grant(store::ReadTransaction& transaction, const Grant& grant, UnixTime now) {
  json::Value out;
  out.set("id", grant.id.text());
  out.set("user", grant.user.text());
  out.set("client", grant.client.text());
  if (!grant.agent.empty()) out.set("agent", grant.agent.text());
  out.set("scopes", grant.scopes.text());
  json::Value::Array resources;
  for (const ResourceId& resource : grant.resources) resources.emplace_back(resource.text());
  out.set("resources", std::move(resources));
  out.set("redirect_host", grant.redirect_host);
  out.set("offline", grant.offline);
  out.set("onward_depth", grant.onward_depth);
  out.set("created_at", rfc3339(grant.created_at));
  out.set("expires_at", rfc3339(grant.expires_at));
  if (grant.last_used_at) out.set("last_used_at", rfc3339(*grant.last_used_at));
  const std::string_view dead = oauth::why_dead(transaction, grant, now);
  if (grant.ended_at) out.set("ended_at", rfc3339(*grant.ended_at));
  out.set("status", dead.empty() ? "active" : "ended");
  if (!dead.empty()) out.set("cause", grant.ended_cause.empty() ? dead : std::string_view(grant.ended_cause));
  return out;
}

json::Value describe_node(store::ReadTransaction& transaction, const Node& node, UnixTime now) {
  json::Value out;
  out.set("id", node.id.text());
  out.set("kind", name_of(node.kind));
  if (!node.parent.empty()) out.set("parent", node.parent.text());
  if (!node.grant.empty()) out.set("grant", node.grant.text());
  out.set("subject", node.subject.id);
  out.set("client", node.client.text());
  json::Value::Array chain;
  for (const Actor& actor : node.chain.actors) chain.emplace_back(actor.id);
  out.set("chain", std::move(chain));
  out.set("scope", node.scope.text());
  if (!node.resource.empty()) out.set("resource", node.resource.text());
  out.set("issued_at", rfc3339(node.issued_at));
  out.set("expires_at", rfc3339(node.expires_at));
  const std::string_view dead = oauth::why_dead(transaction, node, now);
  // What was used up does not expire any more.
  if (node.spent_at && (dead.empty() || dead == "expired")) {
    out.set("status", "spent");
    return out;
  }
  out.set("status", dead.empty() ? "active" : "ended");
  if (!dead.empty()) out.set("cause", node.ended_cause.empty() ? dead : std::string_view(node.ended_cause));
  return out;
}

}  // namespace behalf::console
