#include "oauth/metadata.h"

#include "base/uri.h"
#include "oauth/draft00.h"
#include "oauth/token_endpoint.h"

namespace behalf::oauth {
namespace {

json::Value list_of(std::initializer_list<std::string_view> items) {
  json::Value::Array array;
  for (const std::string_view item : items) array.emplace_back(item);
  return array;
}

http::Response public_document(std::string body) {
  http::Response response = http::json_response(200, std::move(body));
  response.headers.set("Cache-Control", "public, max-age=300");
  response.headers.set("Access-Control-Allow-Origin", "*");
  return response;
}

}  // namespace

http::Response server_metadata(const Services& services) {
  const std::string& issuer = services.settings.issuer;
  json::Value::Array grants;
  for (const GrantType* type : grant_types()) grants.emplace_back(type->name);
  if (services.settings.legacy_draft00) grants.emplace_back(kDraft00GrantType);
  bool has_status_lists = false;
  ScopeSet scopes{"offline_access"};
  json::Value::Array resources;
  for (const auto& resource : services.store.registry().resources()) {
    scopes = scopes.unite(resource->scope_set());
    has_status_lists = has_status_lists || resource->status_list;
    if (const auto parts = split_uri(resource->id.text()); parts && parts->authority)
      resources.emplace_back(resource->id.text());
  }
  json::Value::Array scope_names;
  for (const std::string& scope : scopes.tokens()) scope_names.emplace_back(scope);
  json::Value::Array algorithms;
  for (const std::string& algorithm : services.keys.algorithms()) algorithms.emplace_back(algorithm);
  const json::Value client_methods =
      list_of({"client_secret_basic", "client_secret_post", "private_key_jwt", "none"});
  const json::Value confidential_methods =
      list_of({"client_secret_basic", "client_secret_post", "private_key_jwt"});
  const json::Value assertion_algorithms = list_of({"ES256", "EdDSA", "PS256", "RS256"});

  json::Value out;
  out.set("issuer", issuer);
  out.set("authorization_endpoint", issuer + "/authorize");
  out.set("token_endpoint", issuer + "/token");
  out.set("pushed_authorization_request_endpoint", issuer + "/par");
  out.set("introspection_endpoint", issuer + "/introspect");
  out.set("revocation_endpoint", issuer + "/revoke");
  out.set("jwks_uri", issuer + "/jwks");
  if (has_status_lists) out.set("status_list_aggregation_endpoint", issuer + "/statuslists");
  out.set("scopes_supported", std::move(scope_names));
  out.set("response_types_supported", list_of({"code"}));
  out.set("response_modes_supported", list_of({"query", "form_post"}));
  out.set("grant_types_supported", std::move(grants));
  out.set("code_challenge_methods_supported", list_of({"S256"}));
  out.set("authorization_response_iss_parameter_supported", true);
  out.set("token_endpoint_auth_methods_supported", client_methods);
  out.set("token_endpoint_auth_signing_alg_values_supported", assertion_algorithms);
  out.set("introspection_endpoint_auth_methods_supported", confidential_methods);
  out.set("introspection_endpoint_auth_signing_alg_values_supported", assertion_algorithms);
  out.set("revocation_endpoint_auth_methods_supported", client_methods);
  out.set("revocation_endpoint_auth_signing_alg_values_supported", assertion_algorithms);
  out.set("require_pushed_authorization_requests", services.settings.require_pushed_authorization_requests);
  out.set("request_parameter_supported", false);
  out.set("request_uri_parameter_supported", false);
  out.set("prompt_values_supported", list_of({"none", "login", "consent", "select_account"}));
  out.set("subject_types_supported", list_of({"public", "pairwise"}));
  out.set("access_token_signing_alg_values_supported", std::move(algorithms));
  if (!resources.empty()) out.set("protected_resources", std::move(resources));
  // The delegation profile. The first four names are ours: the drafts define none.
  out.set("requested_actor_parameter_supported", true);
  out.set("actor_token_types_supported",
          list_of({"urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:access_token"}));
  out.set("actor_token_signing_alg_values_supported", assertion_algorithms);
  out.set("actor_token_required_at_refresh", true);
  json::Value profiles;
  profiles.set("client", list_of({"web_app", "native_app", "service", "ai_agent"}));
  profiles.set("subject", list_of({"user", "ai_agent", "service"}));
  profiles.set("actor", list_of({"ai_agent", "service"}));
  out.set("entity_profiles_supported", std::move(profiles));
  json::Value exchange;
  exchange.set("subject_token_types_supported", list_of({"urn:ietf:params:oauth:token-type:access_token",
                                                         "urn:ietf:params:oauth:token-type:jwt"}));
  exchange.set("actor_token_types_supported", list_of({"urn:ietf:params:oauth:token-type:access_token",
                                                       "urn:ietf:params:oauth:token-type:jwt"}));
  exchange.set("requested_token_types_supported", list_of({"urn:ietf:params:oauth:token-type:access_token"}));
  out.set("actor_profile_token_exchange", std::move(exchange));
  return public_document(json::write(out));
}

http::Response key_set(const Services& services) {
  http::Response response = public_document(services.keys.jwks());
  response.headers.set("Content-Type", "application/jwk-set+json");
  return response;
}

std::optional<http::Response> resource_metadata(const Services& services, std::string_view path) {
  for (const auto& resource : services.store.registry().resources()) {
    const auto parts = split_uri(resource->id.text());
    if (!parts || !parts->authority) continue;
    const std::string_view own_path = parts->path == "/" ? std::string_view{} : parts->path;
    if (own_path != path) continue;
    json::Value out;
    out.set("resource", resource->id.text());
    out.set("resource_name", resource->name);
    out.set("authorization_servers", list_of({services.settings.issuer}));
    json::Value::Array scopes;
    for (const ScopeDefinition& scope : resource->scopes) scopes.emplace_back(scope.name);
    out.set("scopes_supported", std::move(scopes));
    out.set("bearer_methods_supported", list_of({"header"}));
    out.set("resource_signing_alg_values_supported", list_of({resource->signing_alg}));
    return public_document(json::write(out));
  }
  return std::nullopt;
}

}  // namespace behalf::oauth
