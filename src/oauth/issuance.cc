#include "oauth/issuance.h"

#include <algorithm>
#include <utility>

#include "crypto/jwt.h"
#include "oauth/status_list.h"

namespace behalf::oauth {
namespace {

std::string_view profile_of(const Actor& actor) {
  return actor.kind == ActorKind::kAgent ? "ai_agent" : "service";
}

std::string_view profile_of(SubjectKind kind) {
  switch (kind) {
    case SubjectKind::kUser:
      return "user";
    case SubjectKind::kAgent:
      return "ai_agent";
    case SubjectKind::kClient:
      return "service";
  }
  return "service";
}

// The clients it was passed on through: what a verifier needs beside `client_id` and `act` to know by itself
// that something above the token ended. They say where it has been, so they are shown where the chain is.
void add_via(json::ObjectWriter& writer, const Node& node) {
  const auto is_shown = [&](const ClientStamp& client) { return client.id != node.client; };
  if (std::none_of(node.via.begin(), node.via.end(), is_shown)) return;
  json::ArrayWriter list(writer.open("via"));
  for (const ClientStamp& client : node.via) {
    if (is_shown(client)) list.add(client.id.text());
  }
  list.end();
}

// {"iss","sub","sub_profile","agent_instance","act"}, newest outermost (RFC 8693 §4.1; D-26, D-52), the first
// `most` of a chain that is not empty.
void add_act(json::ObjectWriter& writer, const std::string& issuer, const DelegationChain& chain,
             size_t most) {
  std::string& text = writer.open("act");
  const size_t shown = std::min(most, chain.depth());
  for (size_t i = 0; i < shown; ++i) {
    const Actor& actor = chain.actors[i];
    if (i > 0) text += ",\"act\":";
    json::ObjectWriter hop(text);
    hop.add("iss", issuer)
        .add("sub", actor.id)
        .add("sub_profile", profile_of(actor))
        .add_unless_empty("agent_instance", actor.instance);
  }
  text.append(shown, '}');
}

void add_amr(json::ObjectWriter& writer, std::string_view methods) {
  json::ArrayWriter list(writer.open("amr"));  // RFC 8176: one string a method
  while (!methods.empty()) {
    const size_t space = methods.find(' ');
    list.add(methods.substr(0, space));
    methods = space == std::string_view::npos ? std::string_view{} : methods.substr(space + 1);
  }
  list.end();
}

}  // namespace

std::string write_handle(std::string_view prefix, const Handle& handle) {
  std::string text(prefix);
  text += handle.id.text();
  text += handle.secret;
  return text;
}

std::optional<Handle> parse_handle(std::string_view prefix, std::string_view text) {
  if (text.size() != prefix.size() + kOrderedIdLength + kSecretLength || !text.starts_with(prefix))
    return std::nullopt;
  const std::string_view id = text.substr(prefix.size(), kOrderedIdLength);
  if (!is_ordered_id(id)) return std::nullopt;
  return Handle{NodeId(id), std::string(text.substr(prefix.size() + kOrderedIdLength))};
}

Node child_of(const Node& parent, NodeId id, NodeKind kind, UnixTime now) {
  Node child;
  child.id = std::move(id);
  child.kind = kind;
  child.grant = parent.grant;
  child.root = parent.root;
  child.parent = parent.id;
  child.subject = parent.subject;
  child.client = parent.client;
  child.client_epoch = parent.client_epoch;
  child.via = parent.via;
  child.passed_on = parent.passed_on;
  child.chain = parent.chain;
  child.depth_left = parent.depth_left;
  child.scope = parent.scope;
  child.hides_act = parent.hides_act;
  child.sign_in = parent.sign_in;
  child.issued_at = now;
  child.expires_at = parent.expires_at;
  return child;
}

std::shared_ptr<const Node> record_issuance(Call& call, store::Transaction& transaction, Issuance& issuance) {
  auto recorded = transaction.insert_node(std::move(issuance.access_token));
  const Node& node = *recorded;
  AuditRecord& audit = call.audit;
  if (node.subject.kind == SubjectKind::kUser) audit.user = node.subject.id;
  if (const Actor* actor = node.chain.outermost())
    audit.agent = actor->id;
  else if (node.subject.kind == SubjectKind::kAgent)
    audit.agent = node.subject.id;
  audit.chain = node.chain;
  audit.grant = node.grant.text();
  audit.lineage = node.root.text();
  audit.node = node.id.text();
  audit.parent = node.parent.text();
  audit.scope = node.scope.text();
  audit.resource = node.is_actor_token ? call.settings().issuer : node.resource.text();
  audit.details.set("expires_at", node.expires_at.seconds());
  if (const Actor* actor = node.chain.outermost(); actor != nullptr && !actor->instance.empty()) {
    audit.details.set("agent_instance", actor->instance);
  }
  if (issuance.new_refresh_token) {
    audit.details.set("refresh_token", issuance.new_refresh_token->id.text());
    transaction.insert_node(std::move(*issuance.new_refresh_token));
  }
  call.allow();
  return recorded;
}

bool shows_whole_chain(const Node& node, const Resource* resource) {
  return !node.hides_act && (resource == nullptr || resource->chain_disclosure == ChainDisclosure::kFull);
}

bool shows_subject(const Node& node, const Resource* resource) {
  return node.subject.kind != SubjectKind::kUser || resource == nullptr ||
         resource->subject_type == SubjectType::kPublic;
}

void add_claims(json::ObjectWriter& writer, const Services& services, const Node& node,
                const Resource* resource) {
  const Settings& settings = services.settings;
  writer.add("iss", settings.issuer)
      .add("sub", shows_subject(node, resource)
                      ? node.subject.id
                      : services.keys.pairwise_subject(resource->id.text(), node.subject.id))
      .add("aud", node.is_actor_token ? settings.issuer : node.resource.text())
      .add("client_id", node.client.text())
      .add("azp", node.client.text())  // D-25: the draft's name for the same thing
      .add_unless_empty("scope", node.scope.text())
      .add("iat", node.issued_at.seconds())
      .add("exp", node.expires_at.seconds())
      .add("jti", node.id.text())
      .add("sub_profile", profile_of(node.subject.kind));
  if (!node.grant.empty()) writer.add("grant_id", node.grant.text());
  if (!node.chain.empty() && !node.hides_act) {
    add_act(writer, settings.issuer, node.chain, shows_whole_chain(node, resource) ? SIZE_MAX : 1);
  }
  if (shows_whole_chain(node, resource)) add_via(writer, node);
  if (node.status_place) writer.add_raw("status", status_claim(settings.issuer, *node.status_place));
  if (!node.may_act.is_null()) writer.add_raw("may_act", json::write(node.may_act));
  if (node.sign_in) {
    writer.add("auth_time", node.sign_in->auth_time.seconds()).add_unless_empty("acr", node.sign_in->acr);
    if (!node.sign_in->amr.empty()) add_amr(writer, node.sign_in->amr);
  }
  if (resource != nullptr && resource->emit_aut && node.subject.kind == SubjectKind::kUser) {
    writer.add("aut", "APPLICATION_USER");  // D-27: only where the resource asked for it
  }
}

std::string sign_access_token(const Services& services, const Node& node, const Resource* resource) {
  std::string claims;
  claims.reserve(768);
  json::ObjectWriter writer(claims);
  add_claims(writer, services, node, resource);
  writer.end();
  const auto& key = services.keys.signing_key(resource == nullptr ? "ES256" : resource->signing_alg);
  return crypto::sign_jwt(key, "at+jwt", claims);
}

http::Response token_response(Call& call, const Issuance& issuance, const Node& node,
                              const std::string& access_token) {
  call.services.token_cache.remember(access_token, node.id);
  std::string body;
  body.reserve(access_token.size() + 320);
  json::ObjectWriter writer(body);
  const int64_t lifetime = std::max<int64_t>(0, node.expires_at.seconds() - call.now.seconds());
  writer.add("access_token", access_token)
      .add("token_type", "Bearer")
      .add("expires_in", lifetime)
      .add_unless_empty("issued_token_type", issuance.issued_token_type)
      .add_unless_empty("refresh_token", issuance.refresh_token);
  if (!node.is_actor_token) writer.add("scope", node.scope.text());
  if (issuance.microsoft_members) writer.add("ext_expires_in", lifetime);
  writer.end();
  http::Response response = http::json_response(200, std::move(body));
  response.headers.set("Cache-Control", "no-store");
  response.headers.set("Pragma", "no-cache");
  return response;
}

}  // namespace behalf::oauth
