#include "behalf/authzen.h"

#include "base/json.h"
#include "base/time.h"
#include "behalf/policy.h"

namespace behalf::sdk {
namespace {

constexpr size_t kMaxAnswerBytes = 64 * 1024;

json::Value list_of(const std::vector<std::string>& texts) {
  json::Value::Array list;
  for (const std::string& text : texts) list.emplace_back(text);
  return list;
}

// AuthZEN Authorization API 1.0 §6: who, what, on what, and under which circumstances. The subject is the
// person, as in the token; the agent that acts is context, so that one decision point can serve requests with
// and without agents.
std::string write_request(const Action& action, const RpcCall* call, const Delegation* token,
                          Milliseconds now) {
  json::Value subject;
  json::Value context;
  if (token == nullptr) {
    subject.set("type", "anonymous");
    subject.set("id", "anonymous");
  } else {
    subject.set("type", token->subject_profile.empty() ? "user" : token->subject_profile);
    subject.set("id", token->subject);
    json::Value properties;
    properties.set("issuer", token->issuer);
    subject.set("properties", std::move(properties));
    context.set("client", token->client);
    if (const Hop* actor = token->actor()) context.set("agent", token->name_of(*actor));
    json::Value::Array chain;
    for (const Hop& hop : token->chain) {
      json::Value member;
      member.set("sub", hop.subject);
      member.set("iss", hop.issuer.empty() ? token->issuer : hop.issuer);
      chain.push_back(std::move(member));
    }
    context.set("chain", std::move(chain));
    context.set("scopes", list_of(token->scopes));
    if (!token->grant.empty()) context.set("grant_id", token->grant);
    if (!token->token_id.empty()) context.set("jti", token->token_id);
    if (!token->acr.empty()) context.set("acr", token->acr);
    if (token->authenticated_at) context.set("auth_time", *token->authenticated_at / 1000);
  }
  context.set("time", rfc3339(UnixTime{now}));
  json::Value verb;
  json::Value resource;
  json::Value place;
  place.set("host", action.host);
  place.set("path", action.path);
  if (token != nullptr) place.set("resource", token->resource);
  if (call == nullptr) {
    verb.set("name", action.method);
    resource.set("type", "path");
    resource.set("id", action.path);
  } else {
    verb.set("name", call->method);
    json::Value properties;
    properties.set("http_method", action.method);
    verb.set("properties", std::move(properties));
    resource.set("type", call->tool.empty() ? "path" : "tool");
    resource.set("id", call->tool.empty() ? action.path : call->tool);
  }
  resource.set("properties", std::move(place));
  json::Value request;
  request.set("subject", std::move(subject));
  request.set("action", std::move(verb));
  request.set("resource", std::move(resource));
  request.set("context", std::move(context));
  return json::write(request);
}

}  // namespace

std::vector<std::string> authzen_requests(const Action& action, const Delegation* delegation,
                                          Milliseconds now) {
  std::vector<std::string> requests;
  if (!action.calls || action.calls->empty()) {
    requests.push_back(write_request(action, nullptr, delegation, now));
    return requests;
  }
  for (const RpcCall& call : *action.calls) requests.push_back(write_request(action, &call, delegation, now));
  return requests;
}

AuthzenAnswer read_authzen_answer(int status, std::string_view content_type, std::string_view body) {
  if (status != 200) return AuthzenAnswer::kFailure;
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  if (type != "application/json" && type != "application/json ") return AuthzenAnswer::kFailure;
  const auto answer = json::parse(body, {.bytes = kMaxAnswerBytes});
  const json::Value* decision = answer ? answer->find("decision") : nullptr;
  const bool* is_permitted = decision == nullptr ? nullptr : decision->boolean();
  if (is_permitted == nullptr) return AuthzenAnswer::kFailure;
  return *is_permitted ? AuthzenAnswer::kPermit : AuthzenAnswer::kDeny;
}

}  // namespace behalf::sdk
