// The declarative state: what `behalf apply` sends, how it differs from what is there, and whether it holds
// together.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"
#include "model/registry.h"
#include "oauth/services.h"
#include "store/store.h"

namespace behalf::console {

struct DesiredUser {
  User user;
  Secret password;  // empty: leave as it is
};
struct DesiredClient {
  Client client;
  Secret secret;  // empty: leave as it is, or make one if it needs one and has none
};
struct DesiredState {
  std::vector<DesiredUser> users;
  std::vector<Agent> agents;
  std::vector<DesiredClient> clients;
  std::vector<Resource> resources;
  bool prune = false;    // what the file does not name goes
  bool dry_run = false;  // only say what would change
};

// {"users":[...],"agents":[...],"clients":[...],"resources":[...],"prune":bool,"dry_run":bool}; the reason is
// one sentence.
Result<DesiredState, std::string> parse_state(const json::Value& value);

// What no server can take: an id or a spelling that two things have, keys that cannot be used, two agents
// with one key. Empty: it may hold together.
std::string find_contradiction(const DesiredState& state);
// Names that refer to nothing in this state: only a server that has them can take it. One sentence each.
std::vector<std::string> find_names_from_outside(const DesiredState& state);
// Both, with what this server has. Empty: it holds together.
std::string find_contradiction(const DesiredState& state, store::ReadTransaction& transaction,
                               const store::RegistryView& registry);

struct Change {
  std::string action;  // "create", "update", "delete"
  std::string kind;    // "user", "agent", "client", "resource"
  std::string id;
  std::vector<std::string> members;    // what differs, for an update
  std::optional<size_t> grants_ended;  // where it ends consents, and has
};

// The names of members that differ between two documents.
std::vector<std::string> differing_members(const json::Value& before, const json::Value& after);

}  // namespace behalf::console
