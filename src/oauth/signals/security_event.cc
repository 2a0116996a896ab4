#include "oauth/signals/security_event.h"

#include <array>
#include <charconv>

#include "base/json.h"

namespace behalf::oauth {
namespace {

void add_issuer_subject(json::ObjectWriter& writer, json::MemberName name, std::string_view issuer,
                        std::string_view id) {
  if (id.empty()) return;
  std::string text;
  json::ObjectWriter(text).add("format", "iss_sub").add("iss", issuer).add("sub", id).end();
  writer.add_raw(name, text);
}

std::string opaque(std::string_view id) {
  std::string text;
  json::ObjectWriter(text).add("format", "opaque").add("id", id).end();
  return text;
}

std::string subject_of(std::string_view issuer, const Revocation& item, bool names_people) {
  if (item.kind == RevokedKind::kKey) return opaque(item.id);
  std::string text;
  json::ObjectWriter writer(text);
  writer.add("format", "complex");
  switch (item.kind) {
    case RevokedKind::kPrincipal:
      add_issuer_subject(
          writer,
          item.principal == SubjectKind::kUser ? json::MemberName("user") : json::MemberName("application"),
          issuer, item.id);
      break;
    case RevokedKind::kGrant:
      writer.add_raw("session", opaque(item.id));
      if (names_people) add_issuer_subject(writer, "user", issuer, item.user);
      add_issuer_subject(writer, "application", issuer, item.agent.empty() ? item.client : item.agent);
      break;
    case RevokedKind::kToken: {
      std::string session;
      json::ObjectWriter(session).add("format", "jwt_id").add("iss", issuer).add("jti", item.id).end();
      writer.add_raw("session", session);
      break;
    }
    case RevokedKind::kResource:
      writer.add_raw("resource", opaque(item.id));
      break;
    case RevokedKind::kKey:
      break;
  }
  writer.end();
  return text;
}

// CAEP 1.0 §2: admin, user, policy or system.
std::string_view initiator_of(std::string_view cause) {
  if (cause == "revoked_by_person") return "user";
  if (cause == "revoked_by_client") return "system";
  for (const std::string_view policy : {"code_reused", "refresh_token_reused", "actor_swapped"}) {
    if (cause == policy) return "policy";
  }
  return "admin";
}

std::string set_of(std::string_view issuer, std::string_view audience, int64_t issued_at,
                   std::string_view jti, std::string_view subject, std::string_view event,
                   std::string_view content) {
  std::string events;
  json::ObjectWriter(events).add_raw(event, content).end();
  std::string claims;
  claims.reserve(640);
  json::ObjectWriter(claims)
      .add("iss", issuer)
      .add("aud", audience)
      .add("iat", issued_at)
      .add("jti", jti)
      .add("txn", jti)
      .add_raw("sub_id", subject)
      .add_raw("events", events)
      .end();
  return claims;
}

}  // namespace

std::span<const std::string_view> supported_events() {
  static constexpr std::array<std::string_view, 3> kAll = {kSessionRevoked, kTokenClaimsChange, kKeyRevoked};
  return kAll;
}

std::string_view event_of(const Revocation& item) {
  if (item.kind == RevokedKind::kKey) return kKeyRevoked;
  return item.is_narrowing ? kTokenClaimsChange : kSessionRevoked;
}

std::string jti_of(const Revocation& item) {
  return std::to_string(item.sequence) + "." + std::to_string(item.at.milliseconds);
}

std::optional<int64_t> sequence_of_jti(std::string_view jti) {
  int64_t sequence = 0;
  const auto [end, fault] = std::from_chars(jti.data(), jti.data() + jti.size(), sequence);
  const bool is_ours = fault == std::errc() && end != jti.data() + jti.size() && *end == '.' && sequence > 0;
  return is_ours ? std::optional(sequence) : std::nullopt;
}

std::string write_security_event(std::string_view issuer, std::string_view audience, const Revocation& item,
                                 bool names_people) {
  std::string reason;
  json::ObjectWriter(reason).add("en", item.cause).end();
  std::string content;
  json::ObjectWriter writer(content);
  writer.add("event_timestamp", item.at.seconds())
      .add("initiating_entity", initiator_of(item.cause))
      .add_raw("reason_admin", reason);
  if (item.is_narrowing) {  // CAEP 1.0 §3.2: `claims` is required
    std::string claims;
    json::ObjectWriter(claims).add("scope", item.scope).end();
    writer.add_raw("claims", claims);
  }
  writer.add("behalf_at", item.at.milliseconds).add("behalf_until", item.until.milliseconds).end();
  return set_of(issuer, audience, item.at.seconds(), jti_of(item), subject_of(issuer, item, names_people),
                event_of(item), content);
}

std::string write_verification(std::string_view issuer, const SignalStream& stream) {
  std::string content;
  json::ObjectWriter(content).add_unless_empty("state", stream.verification_state).end();
  return set_of(issuer, stream.client.text(), stream.verified_at.seconds(), stream.verification_jti,
                opaque(stream.id.text()), kVerification, content);
}

}  // namespace behalf::oauth
