// JWS compact JWTs (RFC 7515, 7519, 8725) as types that say what has been proved: only verify() makes a
// VerifiedJwt. The algorithm comes from OUR key, never from the header.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/jwk.h"

namespace behalf::crypto {

inline constexpr size_t kMaxJwtBytes = 16 * 1024;

enum class JwtFault {
  kMalformed,   // not three canonical base64url parts of JSON objects within limits, or `crit` present
  kAlgorithm,   // the header's alg is not the key's
  kUnknownKey,  // no key of that kid (or, without kid, none at all)
  kSignature,
  kType,         // `typ` is not one that was expected
  kExpired,      // exp is past (leeway applied), or absent where required
  kNotYetValid,  // nbf or iat in the future beyond the leeway
  kTooLong,      // exp - iat above the allowed span, or exp too far ahead
  kIssuer,
  kAudience,
  kClaims,  // a registered claim is missing or of the wrong type, or `sub` is another
};
std::string_view describe(JwtFault fault);

// Decoded, NOT proved: for routing (typ, iss, jti) only. Immutable and cheap to copy.
class EncodedJwt {
 public:
  static Result<EncodedJwt, JwtFault> parse(std::string_view compact);
  const json::Value& header() const { return content_->header->members; }
  const json::Value& unproved_claims() const { return content_->claims; }
  // `typ` lower-cased without "application/"; empty if absent
  std::string_view type() const { return content_->header->type; }

 private:
  friend class VerifiedJwt;
  friend Result<class VerifiedJwt, JwtFault> verify(const EncodedJwt&, const struct Expectations&,
                                                    std::span<const VerifyingKey>, UnixTime);
  struct Header {
    json::Value members;
    std::string type;
  };
  struct Content {
    std::string signing_input;
    std::string signature;
    std::shared_ptr<const Header> header;  // many tokens of one issuer have the same
    json::Value claims;
  };
  static std::shared_ptr<const Header> read_header(std::string_view encoded);
  explicit EncodedJwt(std::shared_ptr<const Content> content) : content_(std::move(content)) {}
  std::shared_ptr<const Content> content_;
};

// What the claims must say of time and identity.
enum class JwtKind {
  kToken,  // `exp`, `iss` and `sub` must be there; the key is the one the header's `kid` names
  kProof,  // made for one request, as DPoP (RFC 9449 §4.2): `iat` must be there and at most longest_life old,
           // the rest only well-typed; the keys are those the caller took from the proof itself, whatever
           // `kid` says
};

enum class AudienceRule {
  kSole,      // the expected value is the only audience (string or array of one)
  kSoleText,  // the same, and it stands there as a string
  kContains,  // it is among them
  kIgnore,    // the caller looks at `aud` itself
};

struct Expectations {
  std::span<const std::string_view> types;  // accepted `typ` values, lower-case; "" accepts its absence
  std::string_view issuer;                  // exact; empty: the caller looks itself
  std::string_view subject;                 // exact; empty: the caller looks itself
  std::span<const std::string> audiences;   // any one of these satisfies the rule
  AudienceRule audience_rule = AudienceRule::kSole;
  Seconds leeway{60};
  Seconds longest_life{300};  // exp - now and, if iat is there, exp - iat; 0: unlimited
  bool require_jti = true;
  JwtKind kind = JwtKind::kToken;
};

class VerifiedJwt {
 public:
  const json::Value& header() const { return content_->header->members; }
  const json::Value& claims() const { return content_->claims; }
  std::string_view subject() const;
  std::string_view issuer() const;
  std::string_view jti() const;
  UnixTime expires_at() const { return expires_at_; }  // of a proof without `exp`: iat + longest_life
  std::string_view key_id() const { return key_id_; }
  std::string_view type() const { return content_->header->type; }

 private:
  friend Result<VerifiedJwt, JwtFault> verify(const EncodedJwt&, const Expectations&,
                                              std::span<const VerifyingKey>, UnixTime);
  VerifiedJwt(std::shared_ptr<const EncodedJwt::Content> content, std::string key_id, UnixTime expires_at)
      : content_(std::move(content)), key_id_(std::move(key_id)), expires_at_(expires_at) {}
  std::shared_ptr<const EncodedJwt::Content> content_;
  std::string key_id_;
  UnixTime expires_at_;
};

// Checks claims first where that is cheaper, then the signature; reports one fault. `exp`, `iss`, `sub` must
// be there and well-typed; `aud` too unless ignored; exp equal to now is expired.
Result<VerifiedJwt, JwtFault> verify(const EncodedJwt& jwt, const Expectations& expectations,
                                     std::span<const VerifyingKey> keys, UnixTime now);

// A moment to verify these claims at for who asks later, or elsewhere, whether they have expired: `now`, or
// their last second. Nothing of them is proved yet; an `exp` that verify() refuses changes nothing.
UnixTime while_unexpired(const json::Value& unproved_claims, UnixTime now);

// header {"alg","kid","typ"} + claims (already JSON), signed.
std::string sign_jwt(const SigningKey& key, std::string_view type, std::string_view claims_json);

}  // namespace behalf::crypto
