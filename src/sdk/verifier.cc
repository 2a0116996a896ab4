// A token is judged in this order: form, key, type, issuer, audience, signature, the form of the chain, time,
// binding, revocation, and last how old our knowledge is, so that a bad token is called bad whatever the feed
// does. Everything after the signature is asked again of a token seen before.
#include "behalf/verifier.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "behalf/keys.h"
#include "behalf/revocations.h"
#include "crypto/hash.h"
#include "crypto/jwt.h"
#include "sdk/claims.h"
#include "sdk/key_source.h"
#include "sdk/seen_tokens.h"

namespace behalf::sdk {
namespace {

constexpr std::array<std::string_view, 1> kTypes = {"at+jwt"};  // RFC 9068 §2.1

Verdict refuse(Refusal refusal) {
  Verdict verdict;
  verdict.refusal = refusal;
  return verdict;
}

Refusal refusal_of(crypto::JwtFault fault) {
  using crypto::JwtFault;
  switch (fault) {
    case JwtFault::kMalformed:
    case JwtFault::kClaims:
    case JwtFault::kTooLong:
      return Refusal::kMalformed;
    case JwtFault::kExpired:  // only where `exp` is absent: see read_token()
      return Refusal::kMalformed;
    case JwtFault::kAlgorithm:
    case JwtFault::kUnknownKey:
    case JwtFault::kSignature:
      return Refusal::kSignature;
    case JwtFault::kType:
      return Refusal::kType;
    case JwtFault::kNotYetValid:
      return Refusal::kNotYetValid;
    case JwtFault::kIssuer:
      return Refusal::kIssuer;
    case JwtFault::kAudience:
      return Refusal::kAudience;
  }
  return Refusal::kMalformed;
}

Seconds whole_seconds(Milliseconds span) { return Seconds{span / 1000}; }

}  // namespace

std::string_view name_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::kMalformed:
      return "malformed";
    case Refusal::kSignature:
      return "signature";
    case Refusal::kType:
      return "type";
    case Refusal::kIssuer:
      return "issuer";
    case Refusal::kAudience:
      return "audience";
    case Refusal::kExpired:
      return "expired";
    case Refusal::kNotYetValid:
      return "not_yet_valid";
    case Refusal::kActorMalformed:
      return "actor_malformed";
    case Refusal::kRevoked:
      return "revoked";
    case Refusal::kProofRequired:
      return "proof_required";
    case Refusal::kRevocationStale:
      return "revocation_stale";
    case Refusal::kKeysUnavailable:
      return "keys_unavailable";
  }
  return {};
}

std::string_view describe(Refusal refusal) {
  switch (refusal) {
    case Refusal::kMalformed:
      return "the access token is malformed";
    case Refusal::kSignature:
      return "the access token is not signed with a key that is trusted here";
    case Refusal::kType:
      return "this is not an access token";
    case Refusal::kIssuer:
      return "the access token is from another issuer";
    case Refusal::kAudience:
      return "the access token is meant for another resource";
    case Refusal::kExpired:
      return "the access token has expired";
    case Refusal::kNotYetValid:
      return "the access token is not valid yet";
    case Refusal::kActorMalformed:
      return "the delegation claims of the access token are malformed";
    case Refusal::kRevoked:
      return "the access token was revoked";
    case Refusal::kProofRequired:
      return "the access token is bound to a key and cannot be used as a bearer token";
    case Refusal::kRevocationStale:
      return "it is not known at the moment what has been revoked";
    case Refusal::kKeysUnavailable:
      return "the keys of the issuer are not available at the moment";
  }
  return {};
}

struct Verifier::Impl {
  Impl(VerifierOptions given, KeySource::Impl& source, const Revocations* revoked)
      : options(std::move(given)), keys(source), revocations(revoked), seen(options.cache_entries) {}

  Verdict verify(std::string_view token, Milliseconds now) {
    if (token.size() > crypto::kMaxJwtBytes) return refuse(Refusal::kMalformed);
    if (options.cache_entries == 0) return judge_new(token, now).verdict;
    const Digest digest = crypto::sha256(token);
    if (SeenToken known = seen.find(digest); known.delegation) {
      if (std::optional<Verdict> verdict = judge_seen(digest, known, now)) return std::move(*verdict);
    }
    Judgement judgement = judge_new(token, now);
    if (judgement.seen.delegation) seen.remember(digest, std::move(judgement.seen));
    return std::move(judgement.verdict);
  }

  struct Judgement {
    Verdict verdict;
    SeenToken seen;  // worth remembering if it has a delegation
  };

  // Nothing where the token has to be judged as if it were new, because its key may be gone.
  std::optional<Verdict> judge_seen(const Digest& digest, SeenToken& known, Milliseconds now) {
    if (!keys.is_trusted(steady_now())) return std::nullopt;
    const uint64_t key_version = keys.version();
    const uint64_t revoked_version = revocations == nullptr ? 0 : revocations->version();
    const bool keys_are_same = known.keys == key_version;
    if (!keys_are_same && !keys.has(known.delegation->key_id, known.delegation->signer)) {
      seen.forget(digest);
      return std::nullopt;
    }
    const bool nothing_revoked_since = known.revocations == revoked_version;
    Verdict verdict = judge_claims(known.delegation, now, nothing_revoked_since);
    if (verdict && !(keys_are_same && nothing_revoked_since)) {
      known.keys = key_version;
      known.revocations = revoked_version;
      seen.remember(digest, std::move(known));
    }
    return verdict;
  }

  Judgement judge_new(std::string_view token, Milliseconds now) {
    // Read before the look-ups: what is added meanwhile makes another version, and the entry is asked again.
    Judgement judgement;
    judgement.seen.keys = keys.version();
    judgement.seen.revocations = revocations == nullptr ? 0 : revocations->version();
    const auto read = read_token(token, now);
    if (!read) {
      judgement.verdict = refuse(read.reason());
      return judgement;
    }
    judgement.verdict = judge_claims(*read, now, /*nothing_revoked_since=*/false);
    if (judgement.verdict) judgement.seen.delegation = *read;
    return judgement;
  }

  Result<std::shared_ptr<const Delegation>, Refusal> read_token(std::string_view token, Milliseconds now) {
    using Refused = Refused<Refusal>;
    const auto encoded = crypto::EncodedJwt::parse(token);
    if (!encoded) return Refused{refusal_of(encoded.reason())};
    if (encoded->type() != kTypes.front()) return Refused{Refusal::kType};
    const json::Value& claims = encoded->unproved_claims();
    const std::string* issuer = claims.find_string("iss");
    if (issuer == nullptr) return Refused{Refusal::kMalformed};
    if (*issuer != options.issuer) return Refused{Refusal::kIssuer};

    const std::shared_ptr<const KeySet> trusted = keys_for(*encoded);
    if (!trusted) return Refused{Refusal::kKeysUnavailable};
    crypto::Expectations expected;
    expected.types = kTypes;
    expected.issuer = options.issuer;
    expected.audiences = options.audiences;
    expected.audience_rule = crypto::AudienceRule::kContains;
    expected.leeway = whole_seconds(options.leeway);
    expected.longest_life = Seconds{0};
    // Whether it has expired is asked after its signature, so that records can say whose it was.
    const auto verified =
        crypto::verify(*encoded, expected, *trusted, crypto::while_unexpired(claims, {now}));
    if (!verified) return Refused{refusal_of(verified.reason())};

    auto delegation = read_delegation(verified->claims(), options);
    if (!delegation) return std::move(delegation).refused();
    delegation->key_id = verified->key_id();
    for (const crypto::VerifyingKey& key : *trusted) {
      if (key.key_id() == delegation->key_id) delegation->signer = key.thumbprint();
    }
    return std::shared_ptr<const Delegation>(std::make_shared<Delegation>(std::move(*delegation)));
  }

  // Null: there are none.
  std::shared_ptr<const KeySet> keys_for(const crypto::EncodedJwt& token) {
    const std::string* key_id = token.header().find_string("kid");
    std::shared_ptr<const KeySet> trusted = keys.current();
    const bool is_known =
        trusted && (key_id == nullptr || std::any_of(trusted->begin(), trusted->end(), [&](const auto& key) {
                      return key.key_id() == *key_id;
                    }));
    return is_known ? trusted : keys.wait_for_key(key_id == nullptr ? std::string_view() : *key_id);
  }

  Verdict judge_claims(const std::shared_ptr<const Delegation>& delegation, Milliseconds now,
                       bool nothing_revoked_since) const {
    Verdict verdict;
    if (delegation->expires_at + options.expiry_leeway <= now) {
      verdict.refusal = Refusal::kExpired;
    } else if (delegation->is_bound) {
      verdict.refusal = Refusal::kProofRequired;
    } else if (revocations != nullptr && !nothing_revoked_since && revocations->revokes(*delegation)) {
      verdict.refusal = Refusal::kRevoked;
    } else if (revocations != nullptr && revocations->is_stale(steady_now())) {
      verdict.refusal = Refusal::kRevocationStale;
    } else {
      verdict.delegation = delegation;
      return verdict;
    }
    verdict.refused_delegation = delegation;
    return verdict;
  }

  const VerifierOptions options;
  KeySource::Impl& keys;
  const Revocations* const revocations;
  SeenTokens seen;
};

Verifier::Verifier(VerifierOptions options, KeySource& keys, const Revocations* revocations) {
  const auto& audiences = options.audiences;
  const bool is_anybody =
      audiences.empty() || std::find(audiences.begin(), audiences.end(), "") != audiences.end();
  if (options.issuer.empty() || is_anybody) {
    throw std::invalid_argument("a verifier needs an issuer and at least one audience, none of them empty");
  }
  if (options.leeway < 0 || options.expiry_leeway < 0)
    throw std::invalid_argument("a leeway is not negative");
  impl_ = std::make_unique<Impl>(std::move(options), *keys.impl_, revocations);
}

Verifier::~Verifier() = default;

Verdict Verifier::verify(std::string_view token, Milliseconds now) { return impl_->verify(token, now); }

const VerifierOptions& Verifier::options() const { return impl_->options; }

}  // namespace behalf::sdk
