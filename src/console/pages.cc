#include "console/pages.h"

#include <algorithm>

#include "base/uri.h"
#include "oauth/liveness.h"

namespace behalf::console {
namespace {

AgentFacts facts_of(const Agent& agent) {
  return {.name = agent.name,
          .publisher = agent.publisher,
          .owner = agent.owner,
          .id = agent.id.text(),
          .description = agent.description};
}

std::string in_plain_words(std::string_view cause) {
  if (cause == "revoked_by_person") return "You took it back";
  if (cause == "revoked_by_operator") return "The operator ended it";
  if (cause == "grant_expired") return "Its time was over";
  if (cause == "agent_suspended" || cause == "agent_inactive") return "The agent was stopped";
  if (cause == "client_inactive") return "The app was stopped";
  return "It was ended";
}

Onward onward_of(store::ReadTransaction& transaction, const Grant& grant, const Agent* agent) {
  Onward onward;
  if (agent == nullptr) return onward;
  onward.further_steps = std::min(grant.onward_depth, agent->onward.depth);
  for (const std::string& id : agent->onward.to.names) {
    if (const auto next = transaction.find_agent(AgentId(id)))
      onward.agents.push_back(next->name);
    else if (const auto client = transaction.find_client(ClientId(id)))
      onward.agents.push_back(client->name);
  }
  return onward;
}

}  // namespace

ConsentPage consent_view(const oauth::Offer& offer) {
  ConsentPage page;
  page.request = offer.request.id.text();
  page.person = {.display_name = offer.user->display_name, .username = offer.user->username};
  if (offer.agent != nullptr) {
    page.agent = facts_of(*offer.agent);
    page.client_is_the_agent = offer.client->agent == offer.agent->id;
    page.onward = {.further_steps = offer.onward_depth, .agents = offer.onward_names};
  }
  page.client = {.name = offer.client->name,
                 .id = offer.client->id.text(),
                 .host = display_host(offer.request.redirect_uri)};
  for (const auto& resource : offer.resources) {
    page.resources.push_back({.name = resource->name, .identifier = resource->id.text()});
    for (const ScopeDefinition& scope : resource->scopes) {
      const bool listed =
          std::any_of(page.permissions.begin(), page.permissions.end(),
                      [&](const Permission& permission) { return permission.scope == scope.name; });
      if (!offer.scopes.contains(scope.name) || listed) continue;
      page.permissions.push_back(
          {.scope = scope.name,
           .title = scope.title,
           .description = scope.description,
           .is_checked = true,
           .is_new = !offer.already_given.empty() && !offer.already_given.contains(scope.name)});
    }
  }
  page.longest = offer.lifetime;
  page.works_while_away = offer.offline;
  page.purpose = offer.purpose;
  return page;
}

std::vector<AgentEntry> agent_entries(store::ReadTransaction& transaction, const UserId& user, UnixTime now) {
  std::vector<AgentEntry> entries;
  std::vector<std::string> order;
  std::vector<Grant> live;  // shown already: what was allowed twice is shown once, as it was last
  for (const Grant& grant : transaction.list_grants(
           {.user = user.text(), .client = {}, .agent = {}, .live_only = false, .limit = 200})) {
    if (oauth::why_dead(transaction, grant, now).empty()) {
      if (std::any_of(live.begin(), live.end(),
                      [&](const Grant& shown) { return allow_the_same(shown, grant); }))
        continue;
      live.push_back(grant);
    }
    auto at = std::find(order.begin(), order.end(), grant.agent.text());
    if (at == order.end()) {
      order.push_back(grant.agent.text());
      entries.emplace_back();
      at = order.end() - 1;
      if (!grant.agent.empty()) {
        const auto agent = transaction.find_agent(grant.agent);
        // A deleted agent keeps its id: what it was allowed stays visible.
        entries.back().agent = agent != nullptr ? facts_of(*agent)
                                                : AgentFacts{.name = grant.agent.text(),
                                                             .publisher = "",
                                                             .owner = "",
                                                             .id = grant.agent.text(),
                                                             .description = ""};
      }
    }
    AgentEntry& entry = entries[static_cast<size_t>(at - order.begin())];
    const auto client = transaction.find_client(grant.client);
    const auto agent = grant.agent.empty() ? nullptr : transaction.find_agent(grant.agent);
    DelegationEntry delegation;
    delegation.id = grant.id.text();
    delegation.client_name = client == nullptr ? grant.client.text() : client->name;
    delegation.client_id = grant.client.text();
    for (const ResourceId& id : grant.resources) {
      const auto resource = transaction.find_resource(id);
      delegation.resources.push_back(resource == nullptr ? id.text() : resource->name);
    }
    if (grant.shown.array() != nullptr) {
      for (const json::Value& item : *grant.shown.array()) {
        const std::string* title = item.find_string("title");
        if (title != nullptr) delegation.scopes.push_back(*title);
      }
    }
    delegation.given_at = grant.created_at;
    delegation.last_used_at = grant.last_used_at;
    delegation.ends_at = grant.ended_at ? *grant.ended_at : grant.expires_at;
    const std::string_view dead = oauth::why_dead(transaction, grant, now);
    if (!dead.empty())
      delegation.ended_because =
          in_plain_words(grant.ended_cause.empty() ? dead : std::string_view(grant.ended_cause));
    delegation.onward = onward_of(transaction, grant, agent.get());
    entry.delegations.push_back(std::move(delegation));
  }
  std::stable_partition(entries.begin(), entries.end(),
                        [](const AgentEntry& entry) { return entry.agent.has_value(); });
  return entries;
}

}  // namespace behalf::console
