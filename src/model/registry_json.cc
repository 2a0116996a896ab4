#include "model/registry_json.h"

#include <algorithm>
#include <set>

#include "base/bytes.h"
#include "base/uri.h"

namespace behalf {
namespace {

constexpr size_t kMaxText = 2000;
constexpr size_t kMaxList = 1000;

// Reads the members of one thing; keeps the first complaint and, at the end, names members nobody asked for.
class Reader {
 public:
  Reader(std::string_view kind, const json::Value& value) : value_(value), name_(kind) {
    if (value.object() == nullptr) {
      complain("must be a table");
      return;
    }
    if (const std::string* id = value.find_string("id")) name_ += " \"" + *id + "\"";
  }

  const json::Value* take(std::string_view name) {
    known_.emplace(name);
    return value_.find(name);
  }

  std::string text(std::string_view name, std::string fallback = {}) {
    const json::Value* value = take(name);
    if (value == nullptr || value->is_null()) return fallback;
    if (value->string() == nullptr || value->string()->size() > kMaxText || !is_plain(*value->string())) {
      complain(std::string(name) + " must be text of at most 2000 characters without control characters");
      return fallback;
    }
    return *value->string();
  }
  std::string required_text(std::string_view name) {
    std::string value = text(name);
    if (value.empty()) complain(std::string(name) + " is required");
    return value;
  }
  std::string registry_id(std::string_view name) {
    std::string id = required_text(name);
    if (!id.empty() && !is_registry_id(id)) {
      complain(std::string(name) + " must be 1-255 printable ASCII characters without space");
    }
    return id;
  }
  bool flag(std::string_view name, bool fallback) {
    const json::Value* value = take(name);
    if (value == nullptr) return fallback;
    if (value->boolean() == nullptr) complain(std::string(name) + " must be true or false");
    return value->boolean() != nullptr ? *value->boolean() : fallback;
  }
  int64_t integer(std::string_view name, int64_t fallback, int64_t least, int64_t most) {
    const json::Value* value = take(name);
    if (value == nullptr) return fallback;
    if (value->integer() == nullptr || *value->integer() < least || *value->integer() > most) {
      complain(std::string(name) + " must be a whole number from " + std::to_string(least) + " to " +
               std::to_string(most));
      return fallback;
    }
    return *value->integer();
  }
  std::optional<Seconds> duration(std::string_view name, Seconds least, Seconds most) {
    const json::Value* value = take(name);
    if (value == nullptr || value->is_null()) return std::nullopt;
    std::optional<Seconds> span;
    if (value->integer() != nullptr) span = Seconds{*value->integer()};
    if (value->string() != nullptr) span = parse_duration(*value->string());
    if (!span || *span < least || *span > most) {
      complain(std::string(name) + " must be a span such as \"90s\", \"15m\", \"8h\" or \"30d\", from " +
               in_words(least) + " to " + in_words(most));
      return std::nullopt;
    }
    return span;
  }
  std::vector<std::string> list(std::string_view name) {
    std::vector<std::string> items;
    const json::Value* value = take(name);
    if (value == nullptr) return items;
    if (value->array() == nullptr || value->array()->size() > kMaxList) {
      complain(std::string(name) + " must be a list of texts");
      return items;
    }
    for (const json::Value& item : *value->array()) {
      if (item.string() == nullptr || item.string()->empty() || item.string()->size() > kMaxText ||
          !is_plain(*item.string())) {
        complain(std::string(name) + " must be a list of texts");
        return {};
      }
      if (std::find(items.begin(), items.end(), *item.string()) != items.end()) {
        complain(std::string(name) + " has \"" + *item.string() + "\" twice");
      }
      items.push_back(*item.string());
    }
    return items;
  }
  AllowList allow_list(std::string_view name, AllowList fallback) {
    if (value_.find(name) == nullptr) {
      known_.emplace(name);
      return fallback;
    }
    AllowList allow;
    for (std::string& item : list(name)) {
      if (item == "*")
        allow.everyone = true;
      else
        allow.names.push_back(std::move(item));
    }
    if (allow.everyone && !allow.names.empty()) complain(std::string(name) + " has \"*\" beside names");
    return allow;
  }
  // Scopes of this server itself are for a client's or agent's ceiling and for nothing else.
  enum class ServerScopes { kRefused, kAllowed };
  ScopeSet scopes(std::string_view name, ServerScopes server = ServerScopes::kRefused) {
    ScopeSet set;
    for (const std::string& token : list(name)) {
      if (!ScopeSet::is_token(token))
        complain(std::string(name) + " has \"" + token + "\", which is no scope");
      if (is_reserved_for_server(token) && server == ServerScopes::kRefused) {
        complain(std::string(name) + " has \"" + token + "\", which is reserved: nobody passes it on");
      } else if (is_reserved_for_server(token) && !server_scopes().contains(token)) {
        complain(std::string(name) + " has \"" + token + "\"; those of this server are " +
                 server_scopes().text());
      }
      set.add(token);
    }
    return set;
  }
  // An object or null.
  json::Value object(std::string_view name) {
    const json::Value* value = take(name);
    if (value == nullptr || value->is_null()) return {};
    if (value->object() == nullptr) complain(std::string(name) + " must be a table");
    return *value;
  }
  void principal(Principal& principal, Detail detail) {
    if (detail == Detail::kState) return;
    const std::string status = text("status", "active");
    principal.status = status == "active"      ? Status::kActive
                       : status == "suspended" ? Status::kSuspended
                                               : Status::kDeleted;
    principal.epoch = integer("epoch", 1, 1, INT64_MAX);
    principal.version = integer("version", 1, 1, INT64_MAX);
  }

  void complain(std::string what) {
    if (complaint_.empty()) complaint_ = name_ + ": " + std::move(what);
  }
  template <class T>
  Result<T, std::string> finish(T thing) {
    if (value_.object() != nullptr) {
      for (const json::Member& member : *value_.object()) {
        if (!known_.contains(member.name)) complain("unknown key \"" + member.name + "\"");
      }
    }
    if (!complaint_.empty()) return Refused{complaint_};
    return thing;
  }

 private:
  // Registry text is shown to people: no control characters, nothing that reorders, hides or tags text.
  static bool is_plain(std::string_view text) {
    if (!is_utf8(text)) return false;
    for (size_t i = 0; i < text.size();) {
      const auto lead = static_cast<unsigned char>(text[i]);
      const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
      uint32_t point = length == 1 ? lead : lead & (0xFFU >> (length + 1));
      for (size_t k = 1; k < length; ++k)
        point = (point << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3FU);
      i += length;
      const bool control = point < 0x20 || (point >= 0x7F && point < 0xA0);
      const bool invisible = point == 0xAD || point == 0x61C || point == 0x180E || point == 0xFEFF ||
                             (point >= 0x200B && point <= 0x200F) || (point >= 0x2028 && point <= 0x202E) ||
                             (point >= 0x2060 && point <= 0x206F) || (point >= 0xFFF9 && point <= 0xFFFB) ||
                             (point >= 0xE0000 && point <= 0xE007F);
      if (control || invisible) return false;
    }
    return true;
  }

  const json::Value& value_;
  std::string name_;
  std::set<std::string, std::less<>> known_;
  std::string complaint_;
};

json::Value write_list(const std::vector<std::string>& items) {
  json::Value::Array array;
  for (const std::string& item : items) array.emplace_back(item);
  return array;
}

json::Value write_allow(const AllowList& allow) {
  return allow.everyone ? write_list({"*"}) : write_list(allow.names);
}

void write_principal(json::Value& out, const Principal& principal, Detail detail) {
  if (detail == Detail::kState) return;
  out.set("status", name_of(principal.status));
  out.set("epoch", principal.epoch);
  out.set("version", principal.version);
}

void set_text(json::Value& out, std::string_view name, const std::string& text) {
  if (!text.empty()) out.set(name, text);
}

void set_duration(json::Value& out, std::string_view name, const std::optional<Seconds>& span) {
  if (span) out.set(name, span->count);
}

constexpr Seconds kSecond{1};
constexpr Seconds kHour{3600};
constexpr Seconds kYear{365 * 86400};

constexpr std::string_view kGrantTypes[] = {"authorization_code", "refresh_token", "client_credentials",
                                            "urn:ietf:params:oauth:grant-type:token-exchange",
                                            "urn:ietf:params:oauth:grant-type:jwt-bearer"};

}  // namespace

json::Value to_json(const User& user, Detail detail) {
  json::Value out;
  out.set("id", user.id.text());
  out.set("username", user.username);
  set_text(out, "display_name", user.display_name);
  if (user.entitlements) out.set("entitlements", write_list(user.entitlements->tokens()));
  if (detail == Detail::kStored) set_text(out, "password_hash", user.password_hash);
  write_principal(out, user, detail);
  return out;
}

json::Value to_json(const Agent& agent, Detail detail) {
  json::Value out;
  out.set("id", agent.id.text());
  out.set("name", agent.name);
  out.set("publisher", agent.publisher);
  set_text(out, "owner", agent.owner);
  set_text(out, "description", agent.description);
  set_text(out, "capability_version", agent.capability_version);
  if (!agent.jwks.is_null()) out.set("jwks", agent.jwks);
  out.set("scopes", write_list(agent.scopes.tokens()));
  out.set("clients", write_allow(agent.clients));
  out.set("users", write_allow(agent.users));
  out.set("resources", write_allow(agent.resources));
  json::Value onward;
  onward.set("to", write_allow(agent.onward.to));
  onward.set("depth", agent.onward.depth);
  set_duration(onward, "lifetime", agent.onward.lifetime);
  out.set("onward", std::move(onward));
  if (!agent.reenter_after.empty()) out.set("reenter_after", write_list(agent.reenter_after));
  out.set("access_token_lifetime", agent.access_token_lifetime.count);
  set_duration(out, "refresh_lifetime", agent.refresh_lifetime);
  out.set("bearer_actor_tokens", agent.bearer_actor_tokens);
  set_text(out, "parent", agent.parent.text());
  if (!agent.intents.empty()) {
    json::Value::Array intents;
    for (const Intent& intent : agent.intents) {
      json::Value item;
      item.set("name", intent.name);
      item.set("text", intent.text);
      intents.push_back(std::move(item));
    }
    out.set("intents", std::move(intents));
  }
  write_principal(out, agent, detail);
  return out;
}

json::Value to_json(const Client& client, Detail detail) {
  json::Value out;
  out.set("id", client.id.text());
  out.set("name", client.name);
  out.set("auth_method", name_of(client.auth_method));
  if (!client.jwks.is_null()) out.set("jwks", client.jwks);
  out.set("redirect_uris", write_list(client.redirect_uris));
  out.set("grant_types", write_list(client.grant_types));
  out.set("scopes", write_list(client.scopes.tokens()));
  set_text(out, "agent", client.agent.text());
  set_text(out, "resource", client.resource.text());
  out.set("acts_as_service", client.acts_as_service);
  if (!client.introduces.empty()) out.set("introduces", write_list(client.introduces));
  if (!client.may_act.is_null()) out.set("may_act", client.may_act);
  out.set("require_requested_actor", client.require_requested_actor);
  out.set("require_pushed_authorization_requests", client.require_pushed_authorization_requests);
  out.set("access_token_lifetime", client.access_token_lifetime.count);
  set_duration(out, "refresh_lifetime", client.refresh_lifetime);
  if (detail == Detail::kStored) {
    set_text(out, "secret_hash", client.secret_hash);
    set_text(out, "previous_secret_hash", client.previous_secret_hash);
    out.set("previous_secret_until", client.previous_secret_until.milliseconds);
  }
  write_principal(out, client, detail);
  return out;
}

json::Value to_json(const Resource& resource, Detail detail) {
  json::Value out;
  out.set("id", resource.id.text());
  out.set("name", resource.name);
  if (!resource.aliases.empty()) out.set("aliases", write_list(resource.aliases));
  json::Value::Array scopes;
  for (const ScopeDefinition& scope : resource.scopes) {
    json::Value item;
    item.set("name", scope.name);
    item.set("title", scope.title);
    set_text(item, "description", scope.description);
    set_text(item, "required_acr", scope.required_acr);
    scopes.push_back(std::move(item));
  }
  out.set("scopes", std::move(scopes));
  if (!resource.scope_map.empty()) {
    json::Value::Array mappings;
    for (const ScopeMapping& mapping : resource.scope_map) {
      json::Value item;
      item.set("scope", mapping.scope);
      item.set("gives", write_list(mapping.gives.tokens()));
      mappings.push_back(std::move(item));
    }
    out.set("scope_map", std::move(mappings));
  }
  out.set("signing_alg", resource.signing_alg);
  set_duration(out, "access_token_lifetime", resource.access_token_lifetime);
  out.set("emit_aut", resource.emit_aut);
  set_text(out, "required_acr", resource.required_acr);
  if (resource.is_opaque()) out.set("token_format", "opaque");
  if (resource.chain_disclosure == ChainDisclosure::kOutermost) out.set("chain_disclosure", "outermost");
  if (resource.subject_type == SubjectType::kPairwise) out.set("subject_type", "pairwise");
  if (resource.status_list) out.set("status_list", true);
  if (detail == Detail::kStored) out.set("version", resource.version);
  return out;
}

Result<User, std::string> parse_user(const json::Value& value, Detail detail) {
  Reader reader("user", value);
  User user;
  user.id = UserId(reader.registry_id("id"));
  user.username = reader.text("username", user.id.text());
  user.display_name = reader.text("display_name", user.username);
  if (value.find("entitlements") != nullptr) user.entitlements = reader.scopes("entitlements");
  if (detail == Detail::kStored) user.password_hash = reader.text("password_hash");
  reader.principal(user, detail);
  return reader.finish(std::move(user));
}

Result<Agent, std::string> parse_agent(const json::Value& value, Detail detail) {
  Reader reader("agent", value);
  Agent agent;
  agent.id = AgentId(reader.registry_id("id"));
  agent.name = reader.required_text("name");
  agent.publisher = reader.required_text("publisher");
  agent.owner = reader.text("owner");
  agent.description = reader.text("description");
  agent.capability_version = reader.text("capability_version");
  agent.jwks = reader.object("jwks");
  agent.scopes = reader.scopes("scopes", Reader::ServerScopes::kAllowed);
  agent.clients = reader.allow_list("clients", {});
  agent.users = reader.allow_list("users", agent.users);
  agent.resources = reader.allow_list("resources", agent.resources);
  const json::Value onward_value = reader.object("onward");
  if (!onward_value.is_null()) {
    Reader onward("onward policy of agent \"" + agent.id.text() + "\"", onward_value);
    agent.onward.to = onward.allow_list("to", {});
    agent.onward.depth =
        static_cast<int>(onward.integer("depth", agent.onward.to.names.empty() ? 0 : 1, 0, 16));
    agent.onward.lifetime = onward.duration("lifetime", kSecond, kHour);
    const auto checked = onward.finish(Fine{});
    if (!checked) return Refused{checked.reason()};
  }
  agent.reenter_after = reader.list("reenter_after");
  agent.access_token_lifetime =
      reader.duration("access_token_lifetime", kSecond, kHour).value_or(agent.access_token_lifetime);
  agent.refresh_lifetime = reader.duration("refresh_lifetime", kSecond, kYear);
  agent.bearer_actor_tokens = reader.flag("bearer_actor_tokens", false);
  agent.parent = ClientId(reader.text("parent"));
  if (const json::Value* intents = reader.take("intents")) {
    if (intents->array() == nullptr || intents->array()->size() > ScopeSet::kMaxTokens) {
      reader.complain("intents must be a list of tables with name and text");
    } else {
      for (const json::Value& item : *intents->array()) {
        Reader entry("intent of agent \"" + agent.id.text() + "\"", item);
        Intent intent{.name = entry.required_text("name"), .text = entry.required_text("text")};
        const auto checked = entry.finish(Fine{});
        if (!checked) return Refused{checked.reason()};
        if (agent.find_intent(intent.name) != nullptr) reader.complain("intent " + intent.name + " twice");
        agent.intents.push_back(std::move(intent));
      }
    }
  }
  reader.principal(agent, detail);
  return reader.finish(std::move(agent));
}

Result<Client, std::string> parse_client(const json::Value& value, Detail detail) {
  Reader reader("client", value);
  Client client;
  client.id = ClientId(reader.registry_id("id"));
  client.name = reader.required_text("name");
  const std::string method = reader.text("auth_method", "client_secret_basic");
  bool known_method = false;
  for (const ClientAuthMethod candidate :
       {ClientAuthMethod::kNone, ClientAuthMethod::kClientSecretBasic, ClientAuthMethod::kClientSecretPost,
        ClientAuthMethod::kPrivateKeyJwt}) {
    if (name_of(candidate) != method) continue;
    client.auth_method = candidate;
    known_method = true;
  }
  if (!known_method) {
    reader.complain("auth_method must be none, client_secret_basic, client_secret_post or private_key_jwt");
  }
  client.jwks = reader.object("jwks");
  if (client.auth_method == ClientAuthMethod::kPrivateKeyJwt && client.jwks.is_null()) {
    reader.complain("private_key_jwt needs jwks");
  }
  client.redirect_uris = reader.list("redirect_uris");
  for (const std::string& uri : client.redirect_uris) {
    if (!is_registrable_redirect(uri)) {
      reader.complain("redirect_uris has \"" + uri +
                      "\"; allowed are https, http on a loopback host, and private-use schemes with a dot, "
                      "without fragment");
    }
  }
  client.grant_types = reader.list("grant_types");
  for (const std::string& type : client.grant_types) {
    if (std::find(std::begin(kGrantTypes), std::end(kGrantTypes), type) == std::end(kGrantTypes)) {
      reader.complain("grant_types has \"" + type + "\", which is not offered");
    }
    if (client.is_public() && type != "authorization_code" && type != "refresh_token") {
      reader.complain("a public client (auth_method none) cannot use " + type);
    }
  }
  if (client.may_use("authorization_code") && client.redirect_uris.empty()) {
    reader.complain("authorization_code needs redirect_uris");
  }
  client.scopes = reader.scopes("scopes", Reader::ServerScopes::kAllowed);
  if (client.is_public() && client.scopes.shares_any(server_scopes())) {
    reader.complain("a public client (auth_method none) cannot have scopes of this server");
  }
  client.agent = AgentId(reader.text("agent"));
  client.resource = ResourceId(reader.text("resource"));
  client.acts_as_service = reader.flag("acts_as_service", false);
  client.introduces = reader.list("introduces");
  client.may_act = reader.object("may_act");
  client.require_requested_actor = reader.flag("require_requested_actor", false);
  client.require_pushed_authorization_requests = reader.flag("require_pushed_authorization_requests", false);
  client.access_token_lifetime =
      reader.duration("access_token_lifetime", kSecond, kHour).value_or(client.access_token_lifetime);
  client.refresh_lifetime = reader.duration("refresh_lifetime", kSecond, kYear);
  if (detail == Detail::kStored) {
    client.secret_hash = reader.text("secret_hash");
    client.previous_secret_hash = reader.text("previous_secret_hash");
    client.previous_secret_until = {reader.integer("previous_secret_until", 0, 0, INT64_MAX)};
  }
  reader.principal(client, detail);
  return reader.finish(std::move(client));
}

Result<Resource, std::string> parse_resource(const json::Value& value, Detail detail) {
  Reader reader("resource", value);
  Resource resource;
  resource.id = ResourceId(reader.registry_id("id"));
  resource.name = reader.text("name", resource.id.text());
  resource.aliases = reader.list("aliases");
  if (const json::Value* scopes = reader.take("scopes")) {
    if (scopes->array() == nullptr || scopes->array()->size() > ScopeSet::kMaxTokens) {
      reader.complain("scopes must be a list of tables with name and title");
    } else {
      for (const json::Value& item : *scopes->array()) {
        Reader scope("scope of resource \"" + resource.id.text() + "\"", item);
        ScopeDefinition definition;
        definition.name = scope.required_text("name");
        if (!definition.name.empty() && !ScopeSet::is_token(definition.name))
          scope.complain("name is no scope token");
        if (definition.name == "offline_access" || definition.name == "openid" ||
            is_reserved_for_server(definition.name)) {
          scope.complain("\"" + definition.name + "\" is reserved");
        }
        definition.title = scope.text("title", definition.name);
        definition.description = scope.text("description");
        definition.required_acr = scope.text("required_acr");
        const auto checked = scope.finish(Fine{});
        if (!checked) return Refused{checked.reason()};
        if (resource.find_scope(definition.name) != nullptr)
          reader.complain("scope " + definition.name + " twice");
        resource.scopes.push_back(std::move(definition));
      }
    }
  }
  if (resource.scopes.empty()) reader.complain("scopes must not be empty");
  if (const json::Value* mappings = reader.take("scope_map")) {
    if (mappings->array() == nullptr || mappings->array()->size() > ScopeSet::kMaxTokens) {
      reader.complain("scope_map must be a list of tables with scope and gives");
    } else {
      for (const json::Value& item : *mappings->array()) {
        Reader entry("scope_map of resource \"" + resource.id.text() + "\"", item);
        ScopeMapping mapping{.scope = entry.required_text("scope"), .gives = entry.scopes("gives")};
        const auto checked = entry.finish(Fine{});
        if (!checked) return Refused{checked.reason()};
        if (resource.find_scope(mapping.scope) == nullptr) {
          reader.complain("scope_map names \"" + mapping.scope + "\", which is no scope of this resource");
        }
        resource.scope_map.push_back(std::move(mapping));
      }
    }
  }
  resource.signing_alg = reader.text("signing_alg", "ES256");
  constexpr std::string_view kAlgorithms[] = {"ES256", "EdDSA", "PS256", "RS256"};
  if (std::find(std::begin(kAlgorithms), std::end(kAlgorithms), resource.signing_alg) ==
      std::end(kAlgorithms)) {
    reader.complain("signing_alg must be ES256, EdDSA, PS256 or RS256");
  }
  resource.access_token_lifetime = reader.duration("access_token_lifetime", kSecond, kHour);
  resource.emit_aut = reader.flag("emit_aut", false);
  resource.required_acr = reader.text("required_acr");
  const std::string format = reader.text("token_format", "jwt");
  if (format == "opaque")
    resource.token_format = TokenFormat::kOpaque;
  else if (format != "jwt")
    reader.complain("token_format must be jwt or opaque");
  const std::string disclosure = reader.text("chain_disclosure", "full");
  if (disclosure == "outermost")
    resource.chain_disclosure = ChainDisclosure::kOutermost;
  else if (disclosure != "full")
    reader.complain("chain_disclosure must be full or outermost");
  const std::string subject_type = reader.text("subject_type", "public");
  if (subject_type == "pairwise")
    resource.subject_type = SubjectType::kPairwise;
  else if (subject_type != "public")
    reader.complain("subject_type must be public or pairwise");
  resource.status_list = reader.flag("status_list", false);
  if (resource.status_list && resource.is_opaque())
    reader.complain("status_list is for jwt: an opaque token is asked about");
  if (detail == Detail::kStored) resource.version = reader.integer("version", 1, 1, INT64_MAX);
  return reader.finish(std::move(resource));
}

}  // namespace behalf
