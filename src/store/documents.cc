#include "store/documents.h"

#include <utility>

#include "base/json.h"
#include "store/database.h"

namespace behalf::store {
namespace {

json::Value parse_document(std::string_view text) {
  auto value = json::parse(text, kStoredLimits);
  if (!value) throw StoreUnavailable("a stored document is damaged");
  return std::move(*value);
}

ScopeSet scopes_of(const json::Value& value, std::string_view name) {
  return ScopeSet::parse(text_of(value, name)).value_or(ScopeSet{});
}

void add_resources(json::ObjectWriter& writer, const std::vector<ResourceId>& resources) {
  if (resources.empty()) return;
  std::string list = "[";
  for (const ResourceId& resource : resources) {
    if (list.size() > 1) list.push_back(',');
    json::append_string(list, resource.text());
  }
  list.push_back(']');
  writer.add_raw("resources", list);
}

std::vector<ResourceId> resources_of(const json::Value& value) {
  std::vector<ResourceId> resources;
  const json::Value* list = value.find("resources");
  if (list == nullptr || list->array() == nullptr) return resources;
  for (const json::Value& item : *list->array()) {
    if (item.string() != nullptr) resources.emplace_back(*item.string());
  }
  return resources;
}

void add_sign_in(json::ObjectWriter& writer, const SignIn& sign_in) {
  writer.add("auth_time", sign_in.auth_time.milliseconds)
      .add_unless_empty("acr", sign_in.acr)
      .add_unless_empty("amr", sign_in.amr);
}

SignIn sign_in_of(const json::Value& value) {
  return {.auth_time = {number_of(value, "auth_time")},
          .acr = text_of(value, "acr"),
          .amr = text_of(value, "amr")};
}

}  // namespace

std::string write_document(const Node& node) {
  std::string text;
  text.reserve(384);
  json::ObjectWriter writer(text);
  writer.add("subject", node.subject.id)
      .add("subject_kind", static_cast<int64_t>(node.subject.kind))
      .add("subject_epoch", node.subject.epoch)
      .add("client", node.client.text())
      .add("client_epoch", node.client_epoch)
      .add("depth_left", int64_t{node.depth_left})
      .add("scope", node.scope.text())
      .add_unless_empty("resource", node.resource.text());
  if (!node.chain.empty()) {
    json::ArrayWriter list(writer.open("chain"));
    for (const Actor& actor : node.chain.actors) {
      json::ObjectWriter hop(list.next());
      hop.add("id", actor.id)
          .add("kind", static_cast<int64_t>(actor.kind))
          .add("epoch", actor.epoch)
          .add_unless_empty("instance", actor.instance)
          .end();
    }
    list.end();
  }
  if (node.offline) writer.add_bool("offline", true);
  if (node.is_actor_token) writer.add_bool("actor_token", true);
  if (node.hides_act) writer.add_bool("hides_act", true);
  if (node.status_place) writer.add("status_place", *node.status_place);
  if (node.sign_in) add_sign_in(writer, *node.sign_in);
  if (!node.may_act.is_null()) writer.add_raw("may_act", json::write(node.may_act));
  if (node.code) {
    writer.add("redirect_uri", node.code->redirect_uri).add("code_challenge", node.code->code_challenge);
  }
  add_resources(writer, node.resources);
  if (!node.passed_on.empty()) {
    json::ArrayWriter list(writer.open("passed_on"));
    for (const PassedOn& token : node.passed_on) {
      json::ObjectWriter passed(list.next());
      passed.add("client", token.client.text())
          .add("resource", token.resource.text())
          .add("scope", token.scope.text())
          .add("depth", static_cast<int64_t>(token.depth))
          .end();
    }
    list.end();
  }
  if (!node.via.empty()) {
    json::ArrayWriter list(writer.open("via"));
    for (const ClientStamp& client : node.via) {
      json::ObjectWriter stamp(list.next());
      stamp.add("id", client.id.text()).add("epoch", client.epoch).end();
    }
    list.end();
  }
  writer.end();
  return text;
}

void read_document(std::string_view text, Node& node) {
  const json::Value value = parse_document(text);
  node.subject = {.kind = static_cast<SubjectKind>(number_of(value, "subject_kind")),
                  .id = text_of(value, "subject"),
                  .epoch = number_of(value, "subject_epoch")};
  node.client = ClientId(text_of(value, "client"));
  node.client_epoch = number_of(value, "client_epoch");
  node.depth_left = static_cast<int>(number_of(value, "depth_left"));
  node.scope = scopes_of(value, "scope");
  node.resource = ResourceId(text_of(value, "resource"));
  if (const json::Value* chain = value.find("chain"); chain != nullptr && chain->array() != nullptr) {
    for (const json::Value& hop : *chain->array()) {
      node.chain.actors.push_back({.kind = static_cast<ActorKind>(number_of(hop, "kind")),
                                   .id = text_of(hop, "id"),
                                   .epoch = number_of(hop, "epoch"),
                                   .instance = text_of(hop, "instance")});
    }
  }
  node.offline = flag_of(value, "offline");
  node.is_actor_token = flag_of(value, "actor_token");
  node.hides_act = flag_of(value, "hides_act");
  node.status_place = value.find_integer("status_place");
  if (value.find("auth_time") != nullptr) node.sign_in = sign_in_of(value);
  if (const json::Value* may_act = value.find("may_act")) node.may_act = *may_act;
  if (value.find("redirect_uri") != nullptr) {
    node.code = CodeBinding{.redirect_uri = text_of(value, "redirect_uri"),
                            .code_challenge = text_of(value, "code_challenge")};
  }
  node.resources = resources_of(value);
  for (const json::Value& passed : list_of(value, "passed_on")) {
    node.passed_on.push_back({.client = ClientId(text_of(passed, "client")),
                              .resource = ResourceId(text_of(passed, "resource")),
                              .scope = scopes_of(passed, "scope"),
                              .depth = static_cast<size_t>(number_of(passed, "depth"))});
  }
  if (const json::Value* via = value.find("via"); via != nullptr && via->array() != nullptr) {
    for (const json::Value& stamp : *via->array()) {
      node.via.push_back({.id = ClientId(text_of(stamp, "id")), .epoch = number_of(stamp, "epoch")});
    }
  }
}

std::string write_document(const Grant& grant) {
  std::string text;
  json::ObjectWriter writer(text);
  writer.add("user_epoch", grant.user_epoch)
      .add("client_epoch", grant.client_epoch)
      .add("agent_epoch", grant.agent_epoch)
      .add("scopes", grant.scopes.text())
      .add("redirect_host", grant.redirect_host)
      .add("onward_depth", int64_t{grant.onward_depth})
      .add_unless_empty("agent_owner", grant.agent_owner)
      .add_unless_empty("capability_version", grant.capability_version)
      .add_unless_empty("purpose", grant.purpose)
      .add("created_at", grant.created_at.milliseconds);
  add_resources(writer, grant.resources);
  if (grant.offline) writer.add_bool("offline", true);
  if (!grant.shown.is_null()) writer.add_raw("shown", json::write(grant.shown));
  writer.end();
  return text;
}

void read_document(std::string_view text, Grant& grant) {
  const json::Value value = parse_document(text);
  grant.user_epoch = number_of(value, "user_epoch");
  grant.client_epoch = number_of(value, "client_epoch");
  grant.agent_epoch = number_of(value, "agent_epoch");
  grant.scopes = scopes_of(value, "scopes");
  grant.redirect_host = text_of(value, "redirect_host");
  grant.onward_depth = static_cast<int>(number_of(value, "onward_depth"));
  grant.agent_owner = text_of(value, "agent_owner");
  grant.capability_version = text_of(value, "capability_version");
  grant.purpose = text_of(value, "purpose");
  grant.created_at = {number_of(value, "created_at")};
  grant.resources = resources_of(value);
  grant.offline = flag_of(value, "offline");
  if (const json::Value* shown = value.find("shown")) grant.shown = *shown;
}

std::string write_document(const AuthorizationRequest& request) {
  std::string text;
  json::ObjectWriter writer(text);
  writer.add_unless_empty("secret_hash", request.secret_hash)
      .add("client", request.client.text())
      .add("client_epoch", request.client_epoch)
      .add_unless_empty("agent", request.agent.text())
      .add("redirect_uri", request.redirect_uri)
      .add("response_mode", static_cast<int64_t>(request.response_mode))
      .add("code_challenge", request.code_challenge)
      .add("scopes", request.scopes.text())
      .add_unless_empty("acr_values", request.acr_values)
      .add_unless_empty("login_hint", request.login_hint)
      .add_unless_empty("intent", request.intent)
      .add_unless_empty("essential_acrs", request.essential_acrs)
      .add("created_at", request.created_at.milliseconds);
  add_resources(writer, request.resources);
  if (request.state) writer.add("state", *request.state);
  if (request.max_age) writer.add("max_age", request.max_age->count);
  if (request.agent_was_requested) writer.add_bool("agent_was_requested", true);
  if (request.offline) writer.add_bool("offline", true);
  if (request.prompt.none) writer.add_bool("prompt_none", true);
  if (request.prompt.login) writer.add_bool("prompt_login", true);
  if (request.prompt.consent) writer.add_bool("prompt_consent", true);
  if (request.prompt.select_account) writer.add_bool("prompt_select_account", true);
  writer.end();
  return text;
}

void read_document(std::string_view text, AuthorizationRequest& request) {
  const json::Value value = parse_document(text);
  request.secret_hash = text_of(value, "secret_hash");
  request.client = ClientId(text_of(value, "client"));
  request.client_epoch = number_of(value, "client_epoch");
  request.agent = AgentId(text_of(value, "agent"));
  request.redirect_uri = text_of(value, "redirect_uri");
  request.response_mode = static_cast<ResponseMode>(number_of(value, "response_mode"));
  request.code_challenge = text_of(value, "code_challenge");
  request.scopes = scopes_of(value, "scopes");
  request.acr_values = text_of(value, "acr_values");
  request.login_hint = text_of(value, "login_hint");
  request.intent = text_of(value, "intent");
  request.essential_acrs = text_of(value, "essential_acrs");
  request.created_at = {number_of(value, "created_at")};
  request.resources = resources_of(value);
  if (const std::string* state = value.find_string("state")) request.state = *state;
  if (const auto max_age = value.find_integer("max_age")) request.max_age = Seconds{*max_age};
  request.agent_was_requested = flag_of(value, "agent_was_requested");
  request.offline = flag_of(value, "offline");
  request.prompt = {.none = flag_of(value, "prompt_none"),
                    .login = flag_of(value, "prompt_login"),
                    .consent = flag_of(value, "prompt_consent"),
                    .select_account = flag_of(value, "prompt_select_account")};
}

std::string write_document(const Revocation& item) {
  std::string text;
  json::ObjectWriter writer(text);
  if (item.is_narrowing) writer.add_bool("narrowing", true);
  if (item.kind == RevokedKind::kPrincipal) writer.add("principal", static_cast<int64_t>(item.principal));
  writer.add("cause", item.cause)
      .add_unless_empty("user", item.user)
      .add_unless_empty("client", item.client)
      .add_unless_empty("agent", item.agent)
      .add_unless_empty("scope", item.scope)
      .end();
  return text;
}

void read_document(std::string_view text, Revocation& item) {
  const json::Value value = parse_document(text);
  item.is_narrowing = flag_of(value, "narrowing");
  item.principal = static_cast<SubjectKind>(number_of(value, "principal"));
  item.cause = text_of(value, "cause");
  item.user = text_of(value, "user");
  item.client = text_of(value, "client");
  item.agent = text_of(value, "agent");
  item.scope = text_of(value, "scope");
}

std::string write_document(const SignalStream& stream) {
  std::string text;
  json::ObjectWriter writer(text);
  writer.add("status", static_cast<int64_t>(stream.status))
      .add_unless_empty("status_reason", stream.status_reason)
      .add_unless_empty("description", stream.description)
      .add_unless_empty("push_url", stream.push_url)
      .add_unless_empty("push_authorization", stream.push_authorization)
      .add("verified_at", stream.verified_at.milliseconds)
      .add_unless_empty("verification_jti", stream.verification_jti)
      .add_unless_empty("verification_state", stream.verification_state)
      .add_unless_empty("pusher", stream.pusher)
      .add("pusher_until", stream.pusher_until.milliseconds)
      .add("created_at", stream.created_at.milliseconds);
  std::string events = "[";
  for (const std::string& event : stream.events_requested) {
    if (events.size() > 1) events.push_back(',');
    json::append_string(events, event);
  }
  events.push_back(']');
  writer.add_raw("events", events).end();
  return text;
}

void read_document(std::string_view text, SignalStream& stream) {
  const json::Value value = parse_document(text);
  stream.status = static_cast<StreamStatus>(number_of(value, "status"));
  stream.status_reason = text_of(value, "status_reason");
  stream.description = text_of(value, "description");
  stream.push_url = text_of(value, "push_url");
  stream.push_authorization = text_of(value, "push_authorization");
  stream.verified_at = {number_of(value, "verified_at")};
  stream.verification_jti = text_of(value, "verification_jti");
  stream.verification_state = text_of(value, "verification_state");
  stream.created_at = {number_of(value, "created_at")};
  stream.pusher = text_of(value, "pusher");
  stream.pusher_until = {number_of(value, "pusher_until")};
  const json::Value* events = value.find("events");
  if (events == nullptr || events->array() == nullptr) return;
  for (const json::Value& event : *events->array()) {
    if (event.string() != nullptr) stream.events_requested.push_back(*event.string());
  }
}

std::string write_document(const Session& session) {
  std::string text;
  json::ObjectWriter writer(text);
  writer.add("secret_hash", session.secret_hash)
      .add("user_epoch", session.user_epoch)
      .add("created_at", session.created_at.milliseconds);
  add_sign_in(writer, session.sign_in);
  writer.end();
  return text;
}

void read_document(std::string_view text, Session& session) {
  const json::Value value = parse_document(text);
  session.secret_hash = text_of(value, "secret_hash");
  session.user_epoch = number_of(value, "user_epoch");
  session.created_at = {number_of(value, "created_at")};
  session.sign_in = sign_in_of(value);
}

}  // namespace behalf::store
