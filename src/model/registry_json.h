// Users, agents, clients and resources as JSON: the form of the state file, of the administration API and of
// the stored documents. Strict: unknown members, wrong types and impossible values are errors in plain words.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "model/registry.h"

namespace behalf {

// kState is what an operator writes and sees; kStored adds what only the store keeps (hashes, status,
// epochs).
enum class Detail { kState, kStored };

json::Value to_json(const User& user, Detail detail);
json::Value to_json(const Agent& agent, Detail detail);
json::Value to_json(const Client& client, Detail detail);
json::Value to_json(const Resource& resource, Detail detail);

// The reason is one sentence that names the thing and the member.
Result<User, std::string> parse_user(const json::Value& value, Detail detail);
Result<Agent, std::string> parse_agent(const json::Value& value, Detail detail);
Result<Client, std::string> parse_client(const json::Value& value, Detail detail);
Result<Resource, std::string> parse_resource(const json::Value& value, Detail detail);

}  // namespace behalf
