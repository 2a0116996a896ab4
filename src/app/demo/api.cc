#include "app/demo/api.h"

#include "app/demo/wire.h"
#include "base/environment.h"
#include "crypto/jwt.h"
#include "model/scope.h"

namespace behalf::app {

struct DemoApi::Route {
  std::string_view method;
  std::string_view path;
  std::string_view resource;  // "planner" or "mail"
  std::string_view scope;
  bool is_live;
  std::string_view result;  // JSON
};

struct DemoApi::Refusal {
  int status = 401;
  std::string error;  // empty: no token was sent, so none is wrong (RFC 6750 §3.1)
  std::string description;
};

std::unique_ptr<http::Server> listen_near(uint16_t preferred, http::Handler handler) {
  http::Listen listen;
  listen.address = "127.0.0.1";
  listen.port = preferred;
  try {
    return std::make_unique<http::Server>(listen, http::Limits{}, 1, handler);
  } catch (const std::runtime_error&) {
    if (preferred == 0) throw;
  }
  return listen_near(0, std::move(handler));
}

DemoApi::DemoApi(const World& world, uint16_t preferred_port) : world_(world) {
  server_ = listen_near(preferred_port, [this](http::Request& request) -> Task<http::Response> {
    return [](DemoApi* api, http::Request* asked) -> Task<http::Response> { co_return api->answer(*asked); }(
                                                      this, &request);
  });
}

std::vector<std::string> DemoApi::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

http::Response DemoApi::metadata(std::string_view name) const {
  json::Value out;
  out.set("resource", world_.api + "/" + std::string(name));
  out.set("authorization_servers", json::Value::Array{world_.issuer()});
  out.set("bearer_methods_supported", json::Value::Array{"header"});
  json::Value::Array scopes{"mail.read"};
  if (name == "planner") scopes = {"calendar.read", "calendar.write", "mail.read"};
  out.set("scopes_supported", std::move(scopes));
  return http::json_response(200, json::write(out));
}

http::Response DemoApi::refuse(const Route& route, const Refusal& refusal) const {
  std::string challenge = "Bearer ";
  json::Value body{json::Value::Object{}};
  const auto add = [&](std::string_view name, std::string_view value) {
    challenge += std::string(name) + "=\"" + std::string(value) + "\", ";
    body.set(name, value);
  };
  if (!refusal.error.empty()) {
    add("error", refusal.error);
    add("error_description", refusal.description);
  }
  if (refusal.error == "insufficient_scope") {
    add("scope", route.scope);           // RFC 6750 §3
    add("required_scope", route.scope);  // draft-oauth-ai-agents-on-behalf-of-user-02
  }
  challenge += "resource_metadata=\"" + world_.api + "/.well-known/oauth-protected-resource/" +
               std::string(route.resource) + "\"";
  http::Response response = http::json_response(refusal.status, json::write(body));
  response.headers.set("WWW-Authenticate", challenge);
  return response;
}

void DemoApi::fetch_keys() {
  const http::Response response = http::fetch(world_.issuer() + "/jwks", {});
  const auto document = json::parse(response.body);
  if (response.status != 200 || !document) throw std::runtime_error("no key set");
  auto keys = crypto::import_key_set(*document);
  if (!keys) throw std::runtime_error("a key set that cannot be used");
  const std::lock_guard lock(mutex_);
  keys_ = std::move(*keys);
}

std::optional<DemoApi::Refusal> DemoApi::verify(const Route& route, const std::string& token,
                                                json::Value& claims) {
  const auto bad_token = [](std::string why) { return Refusal{401, "invalid_token", std::move(why)}; };
  const auto jwt = crypto::EncodedJwt::parse(token);
  if (!jwt) return bad_token("this is no JWT");
  constexpr std::string_view kTypes[] = {"at+jwt"};
  const std::string audiences[] = {world_.api + "/" + std::string(route.resource)};
  const crypto::Expectations expected{.types = kTypes,
                                      .issuer = world_.issuer(),
                                      .subject = {},
                                      .audiences = audiences,
                                      .audience_rule = crypto::AudienceRule::kContains,
                                      .leeway = Seconds{5},
                                      .longest_life = Seconds{0},
                                      .require_jti = true};
  const auto keys = [this] {
    const std::lock_guard lock(mutex_);
    return keys_;
  };
  auto verified = crypto::verify(*jwt, expected, keys(), SystemClock().now());
  if (!verified &&
      verified.reason() == crypto::JwtFault::kUnknownKey) {  // the first call, or keys were rotated
    fetch_keys();
    verified = crypto::verify(*jwt, expected, keys(), SystemClock().now());
  }
  if (!verified) return bad_token("the token does not hold: " + std::string(describe(verified.reason())));
  claims = verified->claims();
  if (chain_of(claims).empty())
    return bad_token("delegation claims are missing: this API is for agents that act for a person");
  const auto scope = ScopeSet::parse(text_of(claims, "scope"));
  if (!scope || !scope->contains(route.scope))
    return Refusal{403, "insufficient_scope", "this needs another permission"};
  return std::nullopt;
}

std::optional<DemoApi::Refusal> DemoApi::introspect(const Route& route, const std::string& token) const {
  http::ClientRequest request;
  request.method = "POST";
  request.headers.set("Content-Type", "application/x-www-form-urlencoded");
  request.headers.set("Authorization", world_.basic(std::string(route.resource) + "-api"));
  request.body = http::write_form({{"token", token}});
  const http::Response response = http::fetch(world_.issuer() + "/introspect", request);
  const auto body = json::parse(response.body);
  const json::Value* active = body ? body->find("active") : nullptr;
  if (active != nullptr && active->boolean() != nullptr && *active->boolean()) return std::nullopt;
  return Refusal{401, "invalid_token", "the token has been revoked"};
}

http::Response DemoApi::answer(const http::Request& request) {
  static constexpr Route kRoutes[] = {
      {"GET", "/planner/week", "planner", "calendar.read", false, R"({"free":["Tue 10:00","Thu 14:30"]})"},
      {"GET", "/planner/live/week", "planner", "calendar.read", true,
       R"({"free":["Tue 10:00","Thu 14:30"]})"},
      {"POST", "/planner/meetings", "planner", "calendar.write", false, R"({"booked":"Tue 10:00"})"},
      {"GET", "/mail/inbox", "mail", "mail.read", false, R"({"subjects":["Lunch on Tuesday?"]})"},
      {"GET", "/mail/live/inbox", "mail", "mail.read", true, R"({"subjects":["Lunch on Tuesday?"]})"}};
  constexpr std::string_view kWellKnown = "/.well-known/oauth-protected-resource/";
  for (const std::string_view name : {"planner", "mail"}) {
    if (request.method == "GET" && request.path == std::string(kWellKnown) + std::string(name))
      return metadata(name);
  }
  const Route* route = nullptr;
  for (const Route& candidate : kRoutes) {
    if (candidate.path == request.path && candidate.method == request.method) route = &candidate;
  }
  if (route == nullptr) return http::json_response(404, R"({"error":"not_found"})");
  constexpr std::string_view kScheme = "Bearer ";
  const std::string* authorization = request.headers.find("Authorization");
  if (authorization == nullptr || !authorization->starts_with(kScheme)) return refuse(*route, Refusal{});
  const std::string token = authorization->substr(kScheme.size());
  json::Value claims;
  auto refusal = verify(*route, token, claims);
  if (!refusal && route->is_live) refusal = introspect(*route, token);
  if (refusal) return refuse(*route, *refusal);

  json::Value saw;
  saw.set("person", text_of(claims, "sub"));
  saw.set("client", text_of(claims, "client_id"));
  json::Value::Array actors;
  for (const json::Value* act = claims.find("act"); act != nullptr; act = act->find("act"))
    actors.emplace_back(text_of(*act, "sub"));
  saw.set("acting_now", actors.front());
  saw.set("chain", std::move(actors));
  {
    const std::lock_guard lock(mutex_);
    log_.push_back(std::string(route->method) + " " + std::string(route->path) +
                   "  person=" + text_of(claims, "sub") + "  client=" + text_of(claims, "client_id") +
                   "  acting=" + chain_of(claims));
  }
  json::Value out;
  out.set("saw", std::move(saw));
  if (auto result = json::parse(route->result)) out.set("result", std::move(*result));
  return http::json_response(200, json::write(out));
}

}  // namespace behalf::app
