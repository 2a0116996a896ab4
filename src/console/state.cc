#include "console/state.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/uri.h"
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

std::string called(std::string_view kind, const json::Value& item) {
  const std::string* id = item.find_string("id");
  return std::string(kind) + (id == nullptr ? " without an id" : " \"" + *id + "\"");
}

bool uses_secret(const Client& client) {
  return client.auth_method == ClientAuthMethod::kClientSecretBasic ||
         client.auth_method == ClientAuthMethod::kClientSecretPost;
}

// Everyone may come next, and nobody can: how far was not said, and is not far by itself.
bool lacks_depth(const json::Value& agent) {
  const json::Value* onward = agent.find("onward");
  if (onward == nullptr || onward->find("depth") != nullptr) return false;
  const auto& to = json::list_of(*onward, "to");
  return std::any_of(to.begin(), to.end(), [](const json::Value& one) { return one == json::Value("*"); });
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
      return called("user", item) + ": a password must have 8 to 1024 characters";
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
      if (lacks_depth(item))
        return called("agent", item) +
               ": onward.to = [\"*\"] needs a depth: without one nothing is passed on";
      state.agents.push_back(std::move(*agent));
      return {};
    });
  if (complaint.empty())
    complaint = for_each(value, "clients", [&](json::Value item) -> std::string {
      Secret secret = take_secret(item, "secret");
      if (!secret.empty() && secret.reveal().size() < kMinSecret) {
        return called("client", item) +
               ": a client secret must have at least 32 characters; leave it out and one is made";
      }
      auto client = parse_client(item, Detail::kState);
      if (!client) return client.reason();
      if (!secret.empty() && !uses_secret(*client)) {
        return called("client", item) + ": a client with auth_method = \"" +
               std::string(name_of(client->auth_method)) + "\" has no secret: leave it out";
      }
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

namespace {

// Which names there are to refer to.
struct Names {
  std::set<std::string> agents;
  std::set<std::string> clients;
  std::set<std::string> resources;
};

Names names_in(const DesiredState& state) {
  Names names;
  for (const Agent& agent : state.agents) names.agents.insert(agent.id.text());
  for (const DesiredClient& entry : state.clients) names.clients.insert(entry.client.id.text());
  for (const Resource& resource : state.resources) names.resources.insert(resource.id.text());
  return names;
}

// What one thing says of another that is not there.
struct Dangling {
  std::string thing;   // agent "a"
  std::string member;  // onward.to
  std::string id;
  std::string kind;  // "agent or client"
};

std::vector<Dangling> dangling(const DesiredState& state, const Names& names) {
  std::vector<Dangling> found;
  std::string thing;
  const auto look = [&](const std::string& member, const std::string& id, const std::string& kind) {
    const bool is_there = (kind.find("agent") != std::string::npos && names.agents.contains(id)) ||
                          (kind.find("client") != std::string::npos && names.clients.contains(id)) ||
                          (kind == "resource" && names.resources.contains(id));
    if (!is_there) found.push_back({thing, member, id, kind});
  };
  for (const Agent& agent : state.agents) {
    thing = "agent \"" + agent.id.text() + "\"";
    for (const std::string& id : agent.onward.to.names) look("onward.to", id, "agent or client");
    for (const std::string& id : agent.clients.names) look("clients", id, "client");
    for (const std::string& id : agent.resources.names) look("resources", id, "resource");
    for (const std::string& id : agent.reenter_after) look("reenter_after", id, "agent or client");
    if (!agent.parent.empty()) look("parent", agent.parent.text(), "client");
  }
  for (const DesiredClient& entry : state.clients) {
    const Client& client = entry.client;
    thing = "client \"" + client.id.text() + "\"";
    if (!client.agent.empty()) look("agent", client.agent.text(), "agent");
    if (!client.resource.empty()) look("resource", client.resource.text(), "resource");
    for (const std::string& id : client.introduces) look("introduces", id, "agent");
  }
  return found;
}

// id → kind, across the shared namespace (D-03).
class Claims {
 public:
  std::string claim(const std::string& id, const std::string& kind) {
    const auto [at, is_new] = kinds_.emplace(id, kind);
    if (is_new || at->second == kind) return {};
    return "\"" + id + "\" is the id of a" + (at->second == "agent" ? "n " : " ") + at->second + " and of a" +
           (kind == "agent" ? "n " : " ") + kind + "; users, agents and clients share one namespace";
  }

 private:
  std::map<std::string, std::string> kinds_;
};

// Spelling → the resource that is found under it, by its id or an alias.
class Spellings {
 public:
  // Says where an alias is another resource's name already, or can be nobody's.
  std::string add(const Resource& resource) {
    std::string complaint = collision(resource);
    for (const std::string& alias : resource.aliases) {
      if (complaint.empty() && !canonical_resource(alias))
        complaint = called(resource) + ": alias \"" + alias + "\" is no URI, so nobody would find it";
    }
    each(resource, [&](const std::string& spelling, bool is_alias) {
      owners_.emplace(spelling, Owner{resource.id.text(), is_alias});
    });
    return complaint;
  }
  std::string collision(const Resource& resource) const {
    std::string complaint;
    each(resource, [&](const std::string& spelling, bool is_alias) {
      const auto owner = owners_.find(spelling);
      if (owner == owners_.end() || owner->second.id == resource.id.text()) return;
      if (!complaint.empty() || (!is_alias && !owner->second.is_alias)) return;
      complaint = called(resource) + " and resource \"" + owner->second.id + "\" are both called \"" +
                  spelling + "\": an alias must be of one resource alone";
    });
    return complaint;
  }

 private:
  struct Owner {
    std::string id;
    bool is_alias;
  };
  static std::string called(const Resource& resource) { return "resource \"" + resource.id.text() + "\""; }
  template <class Visit>
  static void each(const Resource& resource, Visit visit) {
    if (const auto spelling = canonical_resource(resource.id.text())) visit(*spelling, false);
    for (const std::string& alias : resource.aliases) {
      if (const auto spelling = canonical_resource(alias)) visit(*spelling, true);
    }
  }
  std::map<std::string, Owner> owners_;
};

// thumbprint → agent: one key never stands for two agents.
using KeyOwners = std::map<std::string, std::string>;

std::string find_bad_keys(const DesiredState& state, KeyOwners& owners) {
  for (const Agent& agent : state.agents) {
    if (agent.jwks.is_null()) continue;
    const std::string name = "agent \"" + agent.id.text() + "\"";
    const auto keys = crypto::import_key_set(agent.jwks);
    if (!keys) return name + ": jwks cannot be used: " + std::string(describe(keys.reason()));
    for (const crypto::VerifyingKey& key : *keys) {
      const auto [owner, is_new] = owners.emplace(key.thumbprint(), agent.id.text());
      if (!is_new && owner->second != agent.id.text())
        return name + ": shares a key with agent \"" + owner->second + "\"";
    }
  }
  for (const DesiredClient& entry : state.clients) {
    if (entry.client.jwks.is_null()) continue;
    const auto keys = crypto::import_key_set(entry.client.jwks);
    if (!keys) {
      return "client \"" + entry.client.id.text() +
             "\": jwks cannot be used: " + std::string(describe(keys.reason()));
    }
  }
  return {};
}

}  // namespace

std::string find_contradiction(const DesiredState& state) {
  Claims claims;
  std::string complaint;
  const auto claim = [&](const std::string& id, const char* kind) {
    if (complaint.empty()) complaint = claims.claim(id, kind);
  };
  for (const Agent& agent : state.agents) claim(agent.id.text(), "agent");
  for (const DesiredClient& entry : state.clients) claim(entry.client.id.text(), "client");
  std::map<std::string, std::string> usernames;
  for (const DesiredUser& entry : state.users) {
    claim(entry.user.id.text(), "user");
    const auto [owner, is_new] = usernames.emplace(entry.user.username, entry.user.id.text());
    if (!is_new && complaint.empty()) {
      complaint = "user \"" + entry.user.id.text() + "\": the username \"" + entry.user.username +
                  "\" is that of user \"" + owner->second + "\" too";
    }
  }
  Spellings spellings;
  for (const Resource& resource : state.resources) {
    if (complaint.empty()) complaint = spellings.add(resource);
  }
  for (const Agent& agent : state.agents) {
    const auto& to = agent.onward.to.names;
    if (complaint.empty() && std::find(to.begin(), to.end(), agent.id.text()) != to.end())
      complaint = "agent \"" + agent.id.text() + "\": onward.to names the agent itself";
  }
  KeyOwners owners;
  return complaint.empty() ? find_bad_keys(state, owners) : complaint;
}

std::vector<std::string> find_names_from_outside(const DesiredState& state) {
  std::vector<std::string> notes;
  for (const Dangling& one : dangling(state, names_in(state))) {
    notes.push_back(one.thing + ": " + one.member + " names \"" + one.id + "\", which is no " + one.kind +
                    " in this file; the server must have it");
  }
  return notes;
}

std::string find_contradiction(const DesiredState& state, store::ReadTransaction& transaction,
                               const store::RegistryView& registry) {
  if (std::string complaint = find_contradiction(state); !complaint.empty()) return complaint;
  Names names = names_in(state);
  if (!state.prune) {
    for (const auto& agent : registry.agents()) names.agents.insert(agent->id.text());
    for (const auto& client : registry.clients()) names.clients.insert(client->id.text());
    for (const auto& resource : registry.resources()) names.resources.insert(resource->id.text());
  }
  Claims claims;
  for (const std::string& id : names.agents) claims.claim(id, "agent");
  for (const std::string& id : names.clients) {
    if (auto complaint = claims.claim(id, "client"); !complaint.empty()) return complaint;
  }
  for (const DesiredUser& entry : state.users) {
    if (auto complaint = claims.claim(entry.user.id.text(), "user"); !complaint.empty()) return complaint;
  }
  for (const Agent& agent : state.agents) {
    if (transaction.find_user(UserId(agent.id.text())) != nullptr)
      return claims.claim(agent.id.text(), "user");
  }
  for (const Dangling& one : dangling(state, names))
    return one.thing + ": " + one.member + " names \"" + one.id + "\", which is no " + one.kind;
  if (state.prune) return {};

  Spellings spellings;
  for (const Resource& resource : state.resources) spellings.add(resource);
  for (const auto& resource : registry.resources()) {
    const bool replaced = std::any_of(state.resources.begin(), state.resources.end(),
                                      [&](const Resource& r) { return r.id == resource->id; });
    if (replaced) continue;
    if (auto complaint = spellings.collision(*resource); !complaint.empty()) return complaint;
  }
  KeyOwners owners;
  find_bad_keys(state, owners);
  for (const auto& agent : registry.agents()) {
    const bool replaced = std::any_of(state.agents.begin(), state.agents.end(),
                                      [&](const Agent& a) { return a.id == agent->id; });
    if (replaced || agent->jwks.is_null()) continue;
    const auto keys = crypto::import_key_set(agent->jwks);
    if (!keys) continue;
    for (const crypto::VerifyingKey& key : *keys) {
      const auto owner = owners.find(key.thumbprint());
      if (owner != owners.end())
        return "agent \"" + owner->second + "\": shares a key with agent \"" + agent->id.text() + "\"";
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
