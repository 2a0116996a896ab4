#include "guard/answers.h"

#include "base/json.h"

namespace behalf::guard {
namespace {

// The code in a challenge's body, for a proxy that cannot pass the body on.
std::string error_of(const sdk::Challenge& challenge) {
  const auto body = json::parse(challenge.body);
  const std::string* error = body ? body->find_string("error") : nullptr;
  return error == nullptr ? std::string() : *error;
}

}  // namespace

http::Response refusal(const Ruling& ruling) {
  const sdk::Challenge& challenge = ruling.challenge;
  http::Response response =
      http::json_response(challenge.status, challenge.body.empty() ? "{}" : challenge.body);
  if (!challenge.www_authenticate.empty())
    response.headers.add("WWW-Authenticate", challenge.www_authenticate);
  if (ruling.retry_after > 0) response.headers.add("Retry-After", std::to_string(ruling.retry_after));
  response.headers.add("Cache-Control", "no-store");
  return response;
}

http::Response decided(Dialect dialect, const Ruling& ruling, const IdentityHeaders& identity) {
  http::Response response;
  if (!ruling.allowed) {
    response = refusal(ruling);
    if (dialect == Dialect::kNginx) {
      response.headers.add("Behalf-Status", std::to_string(response.status));
      response.headers.add("Behalf-Error", error_of(ruling.challenge));
      if (response.status != 401) response.status = 403;
    }
  } else {
    response.headers.add("Cache-Control", "no-store");
  }
  for (const auto& [name, value] : identity) response.headers.add(name, ruling.allowed ? value : "");
  return response;
}

http::Response not_asked(NotAsked reason) {
  switch (reason) {
    case NotAsked::kElsewhere:
      return http::text_response(404, "not found\n");
    case NotAsked::kNoCredential:
    case NotAsked::kUnclear:  // of it there is a ruling
      break;
  }
  return http::text_response(403, "forbidden\n");
}

Ruling unkept() {
  Ruling ruling;
  ruling.challenge.status = 503;
  ruling.challenge.body =
      R"({"error":"temporarily_unavailable","error_description":"no record can be kept now"})";
  return ruling;
}

std::string resource_metadata(const Settings& settings) {
  json::Value document;
  document.set("resource", settings.resource.id);
  document.set("authorization_servers", json::Value::Array{json::Value(settings.server.issuer)});
  if (!settings.resource.scopes.empty()) {
    json::Value::Array scopes;
    for (const std::string& scope : settings.resource.scopes) scopes.emplace_back(scope);
    document.set("scopes_supported", std::move(scopes));
  }
  document.set("bearer_methods_supported", json::Value::Array{json::Value("header")});
  if (!settings.resource.name.empty()) document.set("resource_name", settings.resource.name);
  return json::write(document);
}

http::Response public_json(std::string body) {
  http::Response response = http::json_response(200, std::move(body));
  response.headers.add("Cache-Control", "max-age=300");
  response.headers.add("Access-Control-Allow-Origin",
                       "*");  // browsers' MCP clients read it; there is no secret
  return response;
}

http::Response metadata_preflight() {
  http::Response response;
  response.status = 204;
  response.headers.add("Access-Control-Allow-Origin", "*");
  response.headers.add("Access-Control-Allow-Methods", "GET");
  response.headers.add("Access-Control-Allow-Headers", "MCP-Protocol-Version");
  response.headers.add("Access-Control-Max-Age", "86400");
  return response;
}

http::Response ready_page(const Readiness& state, bool with_details) {
  const bool stops =
      state.keys_missing || (state.revocations_stale && !state.serves_stale) || state.evidence_full;
  std::string body;
  json::ObjectWriter writer(body);
  writer.add_bool("ready", !stops);
  std::string trouble = "[";
  const auto add = [&](bool is_so, std::string_view what) {
    if (!is_so) return;
    if (trouble.size() > 1) trouble.push_back(',');
    json::append_string(trouble, what);
  };
  add(state.keys_missing, "keys_missing");
  add(state.revocations_stale, "revocations_stale");
  add(state.policy_fault, "policy_faulty");
  add(state.evidence_full, "evidence_full");
  trouble.push_back(']');
  if (with_details) {
    writer.add_raw("trouble", trouble)
        .add("policy", state.policy)
        .add("revoked", static_cast<int64_t>(state.revoked))
        .add("evidence_waiting", static_cast<int64_t>(state.waiting))
        .add("evidence_dropped", static_cast<int64_t>(state.dropped))
        .add("without_credential", static_cast<int64_t>(state.without_credential))
        .add_unless_empty("feed", state.feed_trouble);
  }
  writer.end();
  http::Response response = http::json_response(stops ? 503 : 200, std::move(body));
  response.headers.add("Cache-Control", "no-store");
  return response;
}

}  // namespace behalf::guard
