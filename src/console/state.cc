#include "console/state.h"

#include <algorithm>
#include <map>
#include <set>

#include "crypto/jwk.h"
#include "model/registry_json.h"

namespace behalf::console {
namespace {

constexpr size_t kMinSecret = 32;
constexpr size_t kMinPassword = 8;
constexpr size_t kMaxPassword = 1024;

// Takes a text member out of the document, because it is not part of the thing itself. What is no text stays
// in it and is an unknown key there.
Secret take_secret(json::Value& item, std::string_view name) {
  const std::string* text = item.find_string(name);
  if (text == nullptr) return {};
  Secret secret(*text);
  item.remove(name);
  return secret;
}

template <class Each>
std::string for_each(const json::Value& value, std::string_view name, Each each) {
  const json::Value* list = value.find(name);
  if (list == nullptr) return {};
  if (list->array() == nullptr) return std::string(name) + " must be a list";
  std::set<std::string> seen;
  for (const json::Value& item : *list->array()) {
    const std::string* id = item.find_string("id");
    if (id != nullptr && !seen.insert(*id).second)
      return std::string(name) + ": \"" + *id + "\" is there twice";
    if (std::string complaint = each(item); !complaint.empty()) return complaint;
  }
  return {};
}

}  // namespace

Result<DesiredState, std::string> parse_state(const json::Value& value) {
  if (value.object() == nullptr) return Refused<std::string>{"the state must be a table"};
  constexpr std::string_view kKnown[] = {"users", "agents", "clients", "resources", "prune", "dry_run"};
  for (const json::Member& member : *value.object()) {
    if (std::find(std::begin(kKnown), std::end(kKnown), member.name) == std::end(kKnown)) {
      return Refused<std::string>{"unknown key \"" + member.name +
                                  "\" (known are user, agent, client and resource)"};
    }
  }
  // A switch that is misunderstood would change what was only to be looked at, or delete.
  for (const std::string_view name : {"prune", "dry_run"}) {
    const json::Value* member = value.find(name);
    if (member != nullptr && member->boolean() == nullptr)
      return Refused<std::string>{std::string(name) + " must be true or false"};
  }
  DesiredState state;
  const auto flag = [&](std::string_view name) {
    const json::Value* member = value.find(name);
    return member != nullptr && member->boolean() != nullptr && *member->boolean();
  };
  state.prune = flag("prune");
  state.dry_run = flag("dry_run");
  std::string complaint = for_each(value, "users", [&](json::Value item) -> std::string {
    Secret password = take_secret(item, "password");
    if (!password.empty() &&
        (password.reveal().size() < kMinPassword || password.reveal().size() > kMaxPassword)) {
      return "a password must have 8 to 1024 characters";
    }
    auto user = parse_user(item, Detail::kState);
    if (!user) return user.reason();
    state.users.push_back({std::move(*user), std::move(password)});
    return {};
  });
  if (complaint.empty())
    complaint = for_each(value, "agents", [&](const json::Value& item) -> std::string {
      auto agent = parse_agent(item, Detail::kState);
      if (!agent) return agent.reason();
      state.agents.push_back(std::move(*agent));
      return {};
    });
  if (complaint.empty())
    complaint = for_each(value, "clients", [&](json::Value item) -> std::string {
      Secret secret = take_secret(item, "secret");
      if (!secret.empty() && secret.reveal().size() < kMinSecret) {
        return "a client secret must have at least 32 characters; leave it out and one is made";
      }
      auto client = parse_client(item, Detail::kState);
      if (!client) return client.reason();
      state.clients.push_back({std::move(*client), std::move(secret)});
      return {};
    });
  if (complaint.empty())
    complaint = for_each(value, "resources", [&](const json::Value& item) -> std::string {
      auto resource = parse_resource(item, Detail::kState);
      if (!resource) return resource.reason();
      state.resources.push_back(std::move(*resource));
      return {};
    });
  if (!complaint.empty()) return Refused{complaint};
  return state;
}

std::string find_contradiction(const DesiredState& state, store::ReadTransaction& transaction,
                               const store::RegistryView& registry) {
  std::set<std::string> agents;
  std::set<std::string> clients;
  std::set<std::string> resources;
  std::map<std::string, std::string> ids;  // id → kind, across the shared namespace (D-03)
  const auto claim = [&](const std::string& id, const std::string& kind) -> std::string {
    const auto [at, is_new] = ids.emplace(id, kind);
    if (is_new || at->second == kind) return {};
    return "\"" + id + "\" is the id of a " + at->second + " and of a " + kind +
           "; users, agents and clients share one namespace";
  };
  if (!state.prune) {
    for (const auto& agent : registry.agents()) agents.insert(agent->id.text());
    for (const auto& client : registry.clients()) clients.insert(client->id.text());
    for (const auto& resource : registry.resources()) resources.insert(resource->id.text());
  }
  for (const Agent& agent : state.agents) agents.insert(agent.id.text());
  for (const DesiredClient& entry : state.clients) clients.insert(entry.client.id.text());
  for (const Resource& resource : state.resources) resources.insert(resource.id.text());
  for (const std::string& id : agents) ids.emplace(id, "agent");
  for (const std::string& id : clients) {
    if (auto complaint = claim(id, "client"); !complaint.empty()) return complaint;
  }
  for (const DesiredUser& entry : state.users) {
    if (auto complaint = claim(entry.user.id.text(), "user"); !complaint.empty()) return complaint;
  }
  for (const Agent& agent : state.agents) {
    if (transaction.find_user(UserId(agent.id.text())) != nullptr) return claim(agent.id.text(), "user");
  }

  std::map<std::string, std::string> key_owners;  // thumbprint → agent: one key never stands for two agents
  for (const Agent& agent : state.agents) {
    const std::string name = "agent \"" + agent.id.text() + "\"";
    for (const std::string& id : agent.onward.to.names) {
      if (!agents.contains(id) && !clients.contains(id))
        return name + ": onward.to names \"" + id + "\", which is no agent or client";
      if (id == agent.id.text()) return name + ": onward.to names the agent itself";
    }
    for (const std::string& id : agent.clients.names) {
      if (!clients.contains(id)) return name + ": clients names \"" + id + "\", which is no client";
    }
    for (const std::string& id : agent.resources.names) {
      if (!resources.contains(id)) return name + ": resources names \"" + id + "\", which is no resource";
    }
    for (const std::string& id : agent.reenter_after) {
      if (!agents.contains(id) && !clients.contains(id))
        return name + ": reenter_after names \"" + id + "\", which is no agent or client";
    }
    if (!agent.parent.empty() && !clients.contains(agent.parent.text()))
      return name + ": parent is no client";
    if (agent.jwks.is_null()) continue;
    const auto keys = crypto::import_key_set(agent.jwks);
    if (!keys) return name + ": jwks cannot be used: " + std::string(describe(keys.reason()));
    for (const crypto::VerifyingKey& key : *keys) {
      const auto [owner, is_new] = key_owners.emplace(key.thumbprint(), agent.id.text());
      if (!is_new && owner->second != agent.id.text())
        return name + ": shares a key with agent \"" + owner->second + "\"";
    }
  }
  for (const auto& agent : registry.agents()) {
    const bool replaced = std::any_of(state.agents.begin(), state.agents.end(),
                                      [&](const Agent& a) { return a.id == agent->id; });
    if (state.prune || replaced || agent->jwks.is_null()) continue;
    const auto keys = crypto::import_key_set(agent->jwks);
    if (!keys) continue;
    for (const crypto::VerifyingKey& key : *keys) {
      const auto owner = key_owners.find(key.thumbprint());
      if (owner != key_owners.end())
        return "agent \"" + owner->second + "\": shares a key with agent \"" + agent->id.text() + "\"";
    }
  }
  for (const DesiredClient& entry : state.clients) {
    const Client& client = entry.client;
    const std::string name = "client \"" + client.id.text() + "\"";
    if (!client.agent.empty() && !agents.contains(client.agent.text())) return name + ": agent is no agent";
    if (!client.resource.empty() && !resources.contains(client.resource.text()))
      return name + ": resource is no resource";
    for (const std::string& id : client.introduces) {
      if (!agents.contains(id)) return name + ": introduces names \"" + id + "\", which is no agent";
    }
    if (!client.jwks.is_null()) {
      const auto keys = crypto::import_key_set(client.jwks);
      if (!keys) return name + ": jwks cannot be used: " + std::string(describe(keys.reason()));
    }
  }
  return {};
}

std::vector<std::string> differing_members(const json::Value& before, const json::Value& after) {
  std::set<std::string> names;
  for (const json::Value* document : {&before, &after}) {
    if (document->object() == nullptr) continue;
    for (const json::Member& member : *document->object()) names.insert(member.name);
  }
  std::vector<std::string> differing;
  for (const std::string& name : names) {
    const json::Value* left = before.find(name);
    const json::Value* right = after.find(name);
    if (left == nullptr || right == nullptr || !(*left == *right)) differing.push_back(name);
  }
  return differing;
}

}  // namespace behalf::console
