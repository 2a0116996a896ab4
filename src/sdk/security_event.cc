#include "sdk/security_event.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

namespace behalf::sdk {
namespace {

constexpr std::string_view kSessionRevoked =
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
constexpr std::string_view kTokenClaimsChange =
    "https://schemas.openid.net/secevent/caep/event-type/token-claims-change";
constexpr std::string_view kKeyRevoked = "urn:behalf:event:key-revoked";
constexpr std::array<std::string_view, 1> kTypes = {"secevent+jwt"};  // RFC 8417 §2.3
constexpr Milliseconds kDay = 86'400'000;

// An event is true whenever it is heard, and a clock that is wrong here must not keep a revocation out.
constexpr Seconds kAnyTime{int64_t{1} << 40};

using Fault = Refused<EventFault>;

Fault fault(std::string code, std::string description) {
  return Fault{EventFault{std::move(code), std::move(description)}};
}
Fault no_subject(std::string_view what) { return fault("invalid_request", "sub_id: " + std::string(what)); }

const std::string* format_of(const json::Value& subject) { return subject.find_string("format"); }

bool has_format(const json::Value& subject, std::string_view wanted) {
  const std::string* format = format_of(subject);
  return format != nullptr && *format == wanted;
}

// RFC 9493: {"format":"opaque","id":...}
Result<std::string, EventFault> read_opaque(const json::Value& subject) {
  const std::string* id = subject.find_string("id");
  if (!has_format(subject, "opaque") || id == nullptr || id->empty()) return no_subject("no opaque id");
  return *id;
}

// {"format":"iss_sub","iss":ISSUER,"sub":ID}: a name of this issuer's own.
Result<std::string, EventFault> read_principal(const json::Value& subject, std::string_view issuer) {
  const std::string* named = subject.find_string("iss");
  const std::string* id = subject.find_string("sub");
  if (!has_format(subject, "iss_sub") || named == nullptr || id == nullptr || id->empty()) {
    return no_subject("no iss_sub");
  }
  if (*named != issuer) return no_subject("of another issuer");
  return *id;
}

struct Subject {
  RevokedKind kind;
  std::string id;
};

Result<Subject, EventFault> read_session(const json::Value& session, std::string_view issuer) {
  if (!has_format(session, "jwt_id")) return Subject{RevokedKind::kGrant, TRY(read_opaque(session))};
  const std::string* named = session.find_string("iss");
  const std::string* jti = session.find_string("jti");
  if (named == nullptr || jti == nullptr || jti->empty()) return no_subject("no jwt_id");
  if (*named != issuer) return no_subject("of another issuer");
  return Subject{RevokedKind::kToken, *jti};
}

// What decides is `session`; what stands beside it is for the reader.
Result<Subject, EventFault> read_complex(const json::Value& subject, std::string_view issuer) {
  if (!has_format(subject, "complex")) return no_subject("not complex");
  if (const json::Value* session = subject.find("session")) return read_session(*session, issuer);
  if (const json::Value* resource = subject.find("resource")) {
    return Subject{RevokedKind::kResource, TRY(read_opaque(*resource))};
  }
  const json::Value* user = subject.find("user");
  const json::Value* application = subject.find("application");
  // Both would mean "this person, through that application": nothing we could hold a token against alone.
  if ((user == nullptr) == (application == nullptr)) return no_subject("neither user nor application alone");
  return Subject{RevokedKind::kPrincipal,
                 TRY(read_principal(user != nullptr ? *user : *application, issuer))};
}

// Milliseconds where they are given; a second without them is over when it is over.
Milliseconds time_of(const json::Value& event, const json::Value& claims) {
  if (const auto exact = event.find_integer("behalf_at"); exact && *exact > 0) return *exact;
  auto seconds = event.find_integer("event_timestamp");
  if (!seconds) seconds = claims.find_integer("iat");
  constexpr int64_t kMostSeconds = int64_t{1} << 40;
  return std::clamp<int64_t>(seconds.value_or(kMostSeconds), 0, kMostSeconds) * 1000 + 999;
}

// Without a word about it, longer than any access token of the profile lives.
Milliseconds end_of(const json::Value& event, Milliseconds at) {
  const auto until = event.find_integer("behalf_until");
  return until && *until >= at ? *until : at + kDay;
}

EventFault fault_of(crypto::JwtFault reason) {
  using crypto::JwtFault;
  const std::string description(describe(reason));
  switch (reason) {
    case JwtFault::kUnknownKey:
      return {"invalid_key", description};
    case JwtFault::kAlgorithm:
    case JwtFault::kSignature:
      return {"authentication_failed", description};
    case JwtFault::kIssuer:
      return {"invalid_issuer", description};
    case JwtFault::kAudience:
      return {"invalid_audience", description};
    case JwtFault::kMalformed:
    case JwtFault::kType:
    case JwtFault::kExpired:
    case JwtFault::kNotYetValid:
    case JwtFault::kTooLong:
    case JwtFault::kClaims:
      return {"invalid_request", description};
  }
  return {"invalid_request", description};
}

Result<crypto::VerifiedJwt, EventFault> verify_set(std::string_view set, const std::string& issuer,
                                                   const std::string& audience, const KeySet& keys) {
  const auto encoded = crypto::EncodedJwt::parse(set);
  if (!encoded) return Fault{fault_of(encoded.reason())};
  // A SET has neither `sub` nor `exp` (RFC 8417 §2.2), so it is read as crypto reads a proof; the key is the
  // one it names all the same.
  std::vector<crypto::VerifyingKey> named;
  const std::string* key_id = encoded->header().find_string("kid");
  std::copy_if(keys.begin(), keys.end(), std::back_inserter(named),
               [&](const auto& key) { return key_id != nullptr && key.key_id() == *key_id; });
  const std::array<std::string, 1> audiences = {audience};
  crypto::Expectations expected;
  expected.types = kTypes;
  expected.issuer = issuer;
  expected.audiences = audiences;
  expected.audience_rule = crypto::AudienceRule::kContains;
  expected.leeway = kAnyTime;
  expected.longest_life = Seconds{0};
  expected.kind = crypto::JwtKind::kProof;
  auto verified = crypto::verify(*encoded, expected, named, UnixTime{0});
  if (!verified) return Fault{fault_of(verified.reason())};
  return std::move(*verified);
}

}  // namespace

std::string key_of_security_event(std::string_view set) {
  const auto encoded = crypto::EncodedJwt::parse(set);
  const std::string* key_id = encoded ? encoded->header().find_string("kid") : nullptr;
  return key_id == nullptr ? std::string() : *key_id;
}

Result<ReceivedEvent, EventFault> read_security_event(std::string_view set, std::string_view jti,
                                                      const std::string& issuer, const std::string& audience,
                                                      const KeySet& keys) {
  const crypto::VerifiedJwt verified = TRY(verify_set(set, issuer, audience, keys));
  const json::Value& claims = verified.claims();
  if (verified.jti() != jti) return fault("invalid_request", "delivered under another jti");
  const json::Value* events = claims.find("events");
  if (events == nullptr || events->object() == nullptr || events->object()->size() != 1) {
    return fault("invalid_request", "not exactly one event");
  }
  const auto& [name, event] = events->object()->front();
  if (event.object() == nullptr) return fault("invalid_request", "the event is no object");
  const bool ends_sessions = name == kSessionRevoked || name == kTokenClaimsChange;
  if (!ends_sessions && name != kKeyRevoked) return ReceivedEvent();
  const json::Value* subject = claims.find("sub_id");
  if (subject == nullptr) return no_subject("absent");

  RevokedItem item;
  if (ends_sessions) {
    Subject read = TRY(read_complex(*subject, issuer));
    item.kind = read.kind;
    item.id = std::move(read.id);
  } else {
    item.kind = RevokedKind::kKey;
    item.id = TRY(read_opaque(*subject));
  }
  item.at = time_of(event, claims);
  item.until = end_of(event, item.at);
  ReceivedEvent received;
  received.revoked = std::move(item);
  return received;
}

}  // namespace behalf::sdk
