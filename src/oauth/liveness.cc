#include "oauth/liveness.h"

namespace behalf::oauth {
namespace {

template <class T>
bool stands(const std::shared_ptr<const T>& principal, int64_t epoch) {
  return principal != nullptr && principal->is_active() && principal->epoch == epoch;
}

bool stands(store::ReadTransaction& transaction, const Subject& subject) {
  switch (subject.kind) {
    case SubjectKind::kUser:
      return stands(transaction.find_user(UserId(subject.id)), subject.epoch);
    case SubjectKind::kAgent:
      return stands(transaction.find_agent(AgentId(subject.id)), subject.epoch);
    case SubjectKind::kClient:
      return stands(transaction.find_client(ClientId(subject.id)), subject.epoch);
  }
  return false;
}

bool stands(store::ReadTransaction& transaction, const Actor& actor) {
  switch (actor.kind) {
    case ActorKind::kAgent:
      return stands(transaction.find_agent(AgentId(actor.id)), actor.epoch);
    case ActorKind::kService:
      return stands(transaction.find_client(ClientId(actor.id)), actor.epoch);
  }
  return false;
}

}  // namespace

std::string_view why_dead(store::ReadTransaction& transaction, const Grant& grant, UnixTime now) {
  if (grant.ended_at) return "grant_ended";
  if (grant.expires_at <= now) return "grant_expired";
  if (!stands(transaction.find_user(grant.user), grant.user_epoch)) return "user_inactive";
  if (!stands(transaction.find_client(grant.client), grant.client_epoch)) return "client_inactive";
  if (!grant.agent.empty() && !stands(transaction.find_agent(grant.agent), grant.agent_epoch))
    return "agent_inactive";
  return {};
}

std::string_view why_dead(store::ReadTransaction& transaction, const Node& node, UnixTime now) {
  if (node.ended_at) return "ended";
  if (node.expires_at <= now) return "expired";
  if (!stands(transaction, node.subject)) return "subject_inactive";
  if (!stands(transaction.find_client(node.client), node.client_epoch)) return "client_inactive";
  for (const ClientStamp& client : node.via) {
    if (!stands(transaction.find_client(client.id), client.epoch)) return "client_inactive";
  }
  for (const Actor& actor : node.chain.actors) {
    if (!stands(transaction, actor)) return "agent_inactive";
  }
  if (node.grant.empty()) return {};
  const auto grant = transaction.find_grant(node.grant);
  return grant != nullptr ? why_dead(transaction, *grant, now) : std::string_view("grant_unknown");
}

}  // namespace behalf::oauth
