// One revocation as a Security Event Token (RFC 8417) with a CAEP 1.0 event:
// docs/revocation-feed.md.
//
// Its claims follow from the item and the receiver alone, so that it can be
// made again for every delivery; only the signature differs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "model/revocation.h"
#include "model/signal_stream.h"

namespace behalf::oauth {

inline constexpr std::string_view kSessionRevoked =
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
inline constexpr std::string_view kTokenClaimsChange =
    "https://schemas.openid.net/secevent/caep/event-type/token-claims-change";
inline constexpr std::string_view kKeyRevoked = "urn:behalf:event:key-revoked";
inline constexpr std::string_view kVerification =
    "https://schemas.openid.net/secevent/ssf/event-type/verification";

// What a stream can be asked for. Verification comes to every stream.
std::span<const std::string_view> supported_events();
std::string_view event_of(const Revocation& item);

inline constexpr std::string_view kSecurityEventType = "secevent+jwt";

// "43.1795000000100": the sequence, and the time so that it stays unique where
// a store is begun anew.
std::string jti_of(const Revocation& item);
std::optional<int64_t> sequence_of_jti(std::string_view jti);

// `names_people`: whether a consent's event says whose it was. Not to a resource that knows people by names
// of its own, which would learn there who is who.
std::string write_security_event(std::string_view issuer, std::string_view audience, const Revocation& item,
                                 bool names_people = true);
std::string write_verification(std::string_view issuer, const SignalStream& stream);

}  // namespace behalf::oauth
