#include "console/pages.h"

#include <algorithm>

#include "base/uri.h"
#include "oauth/liveness.h"

namespace behalf::console {
namespace {

// Of what no longer lives, so many are shown: the newest.
constexpr size_t kMostEnded = 200;
// How long the page says what was just done: somebody who comes back later does not read it again.
constexpr Seconds kJustNow{120};

AgentFacts facts_of(const Agent& agent) {
  return {.name = agent.name,
          .publisher = agent.publisher,
          .owner = agent.owner,
          .id = agent.id.text(),
          .description = agent.description};
}

std::string in_plain_words(std::string_view cause) {
  if (cause == kByPerson) return "You took it back";
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

std::vector<ResourceFacts> facts_of(store::ReadTransaction& transaction,
                                    const std::vector<ResourceId>& resources) {
  std::vector<ResourceFacts> facts;
  for (const ResourceId& id : resources) {
    const auto resource = transaction.find_resource(id);
    facts.push_back({.name = resource == nullptr ? id.text() : resource->name, .identifier = id.text()});
  }
  return facts;
}

AgentEntry& entry_of(std::vector<AgentEntry>& entries, store::ReadTransaction& transaction,
                     const AgentId& id) {
  const auto at = std::find_if(entries.begin(), entries.end(), [&](const AgentEntry& entry) {
    return entry.agent ? entry.agent->id == id.text() : id.empty();
  });
  if (at != entries.end()) return *at;
  AgentEntry& entry = entries.emplace_back();
  if (id.empty()) return entry;
  const auto agent = transaction.find_agent(id);
  // A deleted agent keeps its id: what it was allowed stays visible.
  entry.agent =
      agent != nullptr
          ? facts_of(*agent)
          : AgentFacts{.name = id.text(), .publisher = "", .owner = "", .id = id.text(), .description = ""};
  return entry;
}

void add_to(std::vector<AgentEntry>& entries, store::ReadTransaction& transaction, const Grant& grant,
            UnixTime now) {
  const auto client = transaction.find_client(grant.client);
  const auto agent = grant.agent.empty() ? nullptr : transaction.find_agent(grant.agent);
  DelegationEntry delegation;
  delegation.id = grant.id.text();
  delegation.client_name = client == nullptr ? grant.client.text() : client->name;
  delegation.client_id = grant.client.text();
  delegation.resources = facts_of(transaction, grant.resources);
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
  delegation.works_while_away = grant.offline;
  delegation.purpose = grant.purpose;
  delegation.onward = onward_of(transaction, grant, agent.get());
  entry_of(entries, transaction, grant.agent).delegations.push_back(std::move(delegation));
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

MyGrants my_grants(store::ReadTransaction& transaction, const UserId& user, UnixTime now) {
  MyGrants mine;
  std::vector<Grant> live;  // what was allowed twice is shown once, as it was last
  std::vector<Grant> ended;
  for (Grant& grant : transaction.list_grants(
           {.user = user.text(), .client = {}, .agent = {}, .live_at = now, .limit = SIZE_MAX})) {
    if (!oauth::why_dead(transaction, grant, now).empty())
      ended.push_back(std::move(grant));
    else if (std::none_of(live.begin(), live.end(),
                          [&](const Grant& shown) { return allow_the_same(shown, grant); }))
      live.push_back(std::move(grant));
  }
  for (Grant& grant : transaction.list_grants(
           {.user = user.text(), .client = {}, .agent = {}, .over_at = now, .limit = kMostEnded + 1})) {
    ended.push_back(std::move(grant));
  }
  std::sort(ended.begin(), ended.end(),
            [](const Grant& one, const Grant& other) { return one.id.text() > other.id.text(); });
  if (ended.size() > kMostEnded) {
    ended.resize(kMostEnded);
    mine.ended_shown = kMostEnded;
  }
  // The living first: whoever can act stands above those who no longer can.
  for (const Grant& grant : live) add_to(mine.agents, transaction, grant, now);
  for (const Grant& grant : ended) add_to(mine.agents, transaction, grant, now);
  std::stable_partition(mine.agents.begin(), mine.agents.end(),
                        [](const AgentEntry& entry) { return entry.agent.has_value(); });
  return mine;
}

std::optional<TakenBack> just_taken_back(store::ReadTransaction& transaction, const UserId& user,
                                         const GrantId& id, UnixTime now) {
  const auto grant = transaction.find_grant(id);
  if (grant == nullptr || grant->user != user || !grant->ended_at || grant->ended_cause != kByPerson ||
      *grant->ended_at + kJustNow <= now)
    return std::nullopt;
  TakenBack taken_back;
  const auto client = transaction.find_client(grant->client);
  if (grant->agent.empty()) {
    taken_back.from = client == nullptr ? grant->client.text() : client->name;
  } else {
    const auto agent = transaction.find_agent(grant->agent);
    taken_back.from = agent == nullptr ? grant->agent.text() : agent->name;
  }
  const auto note = [&](std::vector<std::string>& names, const Grant& of) {
    for (const ResourceFacts& resource : facts_of(transaction, of.resources)) {
      if (std::find(names.begin(), names.end(), resource.name) == names.end()) names.push_back(resource.name);
    }
  };
  std::vector<Grant> live;
  for (Grant& other :
       transaction.list_grants({.user = user.text(), .client = {}, .agent = {}, .limit = SIZE_MAX})) {
    if (other.agent != grant->agent || (grant->agent.empty() && other.client != grant->client)) continue;
    if (other.ended_at == grant->ended_at && other.ended_cause == kByPerson) {
      note(taken_back.lost, other);
    } else if (oauth::why_dead(transaction, other, now).empty() &&
               std::none_of(live.begin(), live.end(),
                            [&](const Grant& known) { return allow_the_same(known, other); })) {
      note(taken_back.kept, other);
      live.push_back(std::move(other));
    }
  }
  taken_back.still = live.size();
  return taken_back;
}

}  // namespace behalf::console
