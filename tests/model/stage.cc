#include "model/stage.h"

#include "base/bytes.h"
#include "crypto/jwt.h"

namespace behalf::test {

using reference::kNobody;
using reference::Scopes;
using reference::World;

namespace {

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

template <class Name>
std::string list(unsigned set, Name name) {
  std::string text = "[";
  for (int i = 0; i < 8; ++i) {
    if (((set >> i) & 1U) != 0) text += (text.size() > 1 ? "," : "") + quoted(name(i));
  }
  return text + "]";
}

std::string scope_list(reference::Scopes scopes) {
  return list(scopes, [](int i) { return "s" + std::to_string(i); });
}

}  // namespace

std::string scope_text(Scopes scopes) { return reference::describe_scopes(scopes); }

Scopes scopes_of(const std::string& text) {
  Scopes scopes = 0;
  for (int i = 0; i < reference::kScopes; ++i) {
    if ((" " + text + " ").find(" s" + std::to_string(i) + " ") != std::string::npos) scopes |= 1U << i;
  }
  return scopes;
}

Stage::Stage(std::string name) : name_(std::move(name)) {
  for (int i = 0; i < reference::kAgents; ++i)
    keys_.push_back(crypto::SigningKey::generate(crypto::Algorithm::kES256));
}

std::string Stage::agent_entry(const World& world, int i) const {
  const auto agents = [&](int a) { return agent(a); };
  const auto clients = [&](int c) { return client(c); };
  const auto& entry = world.agents[static_cast<size_t>(i)];
  std::string to = list(entry.to_agents, agents);
  const std::string services = list(entry.to_services, clients);
  if (services.size() > 2)
    to = to.size() > 2 ? to.substr(0, to.size() - 1) + "," + services.substr(1) : services;
  std::string text =
      std::string("{\"id\":") + quoted(agent(i)) +
      R"(,"name":"An agent","publisher":"Someone","owner":"owner","bearer_actor_tokens":true,"jwks":{"keys":[)" +
      json::write(keys_[static_cast<size_t>(i)].public_jwk()) + "]},\"scopes\":" + scope_list(entry.scopes) +
      ",\"clients\":" + list(entry.clients, clients) +
      ",\"users\":" + list(entry.users, [&](int u) { return user(u); }) +
      ",\"resources\":" + list(entry.resources, [&](int r) { return resource(r); }) +
      ",\"onward\":{\"to\":" + to + ",\"depth\":" + std::to_string(entry.depth);
  if (entry.onward_lifetime) text += ",\"lifetime\":" + std::to_string(*entry.onward_lifetime);
  text += "},\"access_token_lifetime\":" + std::to_string(entry.lifetime);
  if (entry.reenter_after != 0) text += ",\"reenter_after\":" + list(entry.reenter_after, agents);
  if (entry.refresh_lifetime) text += ",\"refresh_lifetime\":" + std::to_string(*entry.refresh_lifetime);
  return text + "}";
}

json::Value Stage::agent_state(const World& world, int i) const {
  return json_of("{\"agents\":[" + agent_entry(world, i) + "]}");
}

json::Value Stage::state(const World& world) const {
  const auto agents = [&](int i) { return agent(i); };
  std::string text = "{\"users\":[";
  for (int i = 0; i < reference::kUsers; ++i) {
    const auto& entry = world.users[static_cast<size_t>(i)];
    text += (i == 0 ? "" : ",") + std::string("{\"id\":") + quoted(user(i)) +
            ",\"password\":" + quoted(kPassword);
    if (entry.entitlements) text += ",\"entitlements\":" + scope_list(*entry.entitlements);
    text += "}";
  }
  text += "],\"agents\":[";
  for (int i = 0; i < reference::kAgents; ++i) {
    text += (i == 0 ? "" : ",") + agent_entry(world, i);
  }
  text += "],\"clients\":[";
  for (int i = 0; i < reference::kClients; ++i) {
    const auto& entry = world.clients[static_cast<size_t>(i)];
    std::string types;
    if (entry.may_redeem) types += R"("authorization_code","refresh_token",)";
    if (entry.may_act_alone) types += R"("client_credentials",)";
    if (entry.may_call_on_behalf) types += quoted(kJwtBearer) + ",";
    if (entry.may_exchange) types += quoted(kExchange) + ",";
    types.pop_back();
    text += (i == 0 ? "" : ",") + std::string("{\"id\":") + quoted(client(i)) +
            ",\"name\":\"A client\",\"secret\":" + quoted(secret(i)) + ",\"grant_types\":[" + types +
            "],\"scopes\":" + scope_list(entry.scopes) +
            ",\"acts_as_service\":" + (entry.acts_as_service ? "true" : "false") +
            ",\"access_token_lifetime\":" + std::to_string(entry.lifetime);
    if (entry.may_redeem) text += ",\"redirect_uris\":[" + quoted(kRedirect) + "]";
    if (entry.resource != kNobody) text += ",\"resource\":" + quoted(resource(entry.resource));
    if (entry.agent != kNobody) text += ",\"agent\":" + quoted(agent(entry.agent));
    if (entry.introduces != 0) text += ",\"introduces\":" + list(entry.introduces, agents);
    if (entry.may_act) text += ",\"may_act\":{\"sub\":" + quoted(id_of(*entry.may_act)) + "}";
    if (entry.refresh_lifetime) text += ",\"refresh_lifetime\":" + std::to_string(*entry.refresh_lifetime);
    text += "}";
  }
  text += "],\"resources\":[";
  for (int i = 0; i < reference::kResources; ++i) {
    const auto& entry = world.resources[static_cast<size_t>(i)];
    text += (i == 0 ? "" : ",") + std::string("{\"id\":") + quoted(resource(i)) + ",\"scopes\":[";
    for (int s = 0; s < reference::kScopes; ++s) {
      if (((entry.scopes >> s) & 1U) != 0) text += "{\"name\":\"s" + std::to_string(s) + "\"},";
    }
    text.back() = ']';
    if (entry.lifetime) text += ",\"access_token_lifetime\":" + std::to_string(*entry.lifetime);
    if (entry.mapped_from != 0)
      text += ",\"scope_map\":[{\"scope\":" + scope_list(entry.mapped_from).substr(1, 4) +
              ",\"gives\":" + scope_list(entry.mapped_to) + "}]";
    text += "}";
  }
  return json_of(text + "]}");
}

http::Headers Stage::basic(int i) const {
  http::Headers headers;
  headers.set("Authorization", "Basic " + base64(client(i) + ":" + secret(i)));
  return headers;
}
std::string Stage::prove(int i, UnixTime now) {
  json::Value claims;
  claims.set("iss", agent(i));
  claims.set("sub", agent(i));
  claims.set("aud", kIssuer);
  claims.set("iat", now.seconds());
  claims.set("exp", now.seconds() + 60);
  claims.set("jti", name_ + "-" + std::to_string(++proofs_));
  return crypto::sign_jwt(keys_[static_cast<size_t>(i)], "JWT", json::write(claims));
}
}  // namespace behalf::test
