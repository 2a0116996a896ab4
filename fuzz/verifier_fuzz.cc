// Whatever an issuer may sign: any text as the claims of an access token or of a security event, with a
// signature that is right; and any text as an Authorization header, a query, or what is put into a challenge.
//
// What is accepted must be what a program behind may rely on: names in printable ASCII, a chain within
// bounds, a token that is judged the same when it is seen again; and a challenge that nothing breaks out of.
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "behalf/bearer.h"
#include "behalf/challenge.h"
#include "behalf/keys.h"
#include "behalf/revocations.h"
#include "behalf/verifier.h"
#include "crypto/jwt.h"
#include "sdk/security_event.h"

namespace {

using namespace behalf;
using namespace behalf::sdk;

constexpr Milliseconds kNow = 1'800'000'000'000;

void require(bool fact) {
  if (!fact) std::abort();
}

bool is_printable(std::string_view text) {
  for (const char c : text) {
    if (c < 0x20 || c > 0x7e) return false;
  }
  return true;
}
bool is_name(std::string_view text) { return !text.empty() && text.size() <= 255 && is_printable(text); }

struct Issuer {
  crypto::SigningKey key =
      crypto::SigningKey::generate(crypto::Algorithm::kEdDSA);  // the fastest to sign with
  crypto::VerifyingKey verifying = key.verifying_key();
  KeySource keys =
      KeySource::fixed(json::write(json::Value::Object{{"keys", json::Value::Array{key.public_jwk()}}}));
  Revocations revocations{0};
  Verifier verifier{options(), keys, &revocations};

  static VerifierOptions options() {
    VerifierOptions options;
    options.issuer = "i";
    options.audiences = {"a"};
    options.cache_entries = 64;
    return options;
  }
};

void try_token(Issuer& issuer, std::string_view claims) {
  const std::string token = crypto::sign_jwt(issuer.key, "at+jwt", claims);
  const Verdict first = issuer.verifier.verify(token, kNow);
  const Verdict second = issuer.verifier.verify(token, kNow);
  require(static_cast<bool>(first) == static_cast<bool>(second));
  if (!first) {
    require(first.refusal == second.refusal && !describe(first.refusal).empty());
    return;
  }
  const Delegation& who = *first.delegation;
  require(who.issuer == "i" && who.resource == "a" && who.expires_at > kNow && !who.is_bound);
  require(is_name(who.subject) && is_name(who.client) && is_name(who.token_id));
  require(is_printable(who.grant) && is_printable(who.acr) && who.chain.size() <= 10);
  for (const Hop& hop : who.chain)
    require(is_name(hop.subject) && is_name(hop.issuer) && is_printable(hop.instance));
  for (const std::string& client : who.via) require(is_name(client));
  for (const std::string& scope : who.scopes)
    require(is_printable(scope) && scope.find(' ') == std::string::npos);

  // Whatever it rests on ends it.
  Revocations fresh(0);
  const std::string& last = who.chain.empty() ? who.subject : who.chain.back().subject;
  fresh.add({RevokedKind::kPrincipal, last, who.issued_at, who.expires_at});
  require(fresh.revokes(who));
}

void try_event(Issuer& issuer, std::string_view claims) {
  const std::string set = crypto::sign_jwt(issuer.key, "secevent+jwt", claims);
  const auto document = json::parse(claims);
  const std::string* jti = document ? document->find_string("jti") : nullptr;
  const auto event =
      read_security_event(set, jti == nullptr ? std::string_view("j") : *jti, "i", "a", {issuer.verifying});
  if (!event) return require(!event.reason().code.empty());
  if (!event->revoked) return;
  require(!event->revoked->id.empty() && event->revoked->at > 0 &&
          event->revoked->until >= event->revoked->at);
  Revocations revocations(0);
  revocations.add({event->revoked->kind, event->revoked->id, event->revoked->at, event->revoked->until});
  require(revocations.size() == 1);
}

void try_header(std::string_view text) {
  const BearerToken bearer = read_bearer({text}, text.substr(0, text.size() / 2));
  const bool is_present = bearer.status == BearerToken::Status::kPresent;
  require(is_present != bearer.token.empty() && is_printable(bearer.token));

  const Challenger challenger{std::string(text.substr(0, 20))};
  const std::string whole(text);
  for (const Challenge& challenge : {challenger.denied(text), challenger.insufficient_scope({whole, whole}),
                                     challenger.step_up(text, 1)}) {
    require(is_printable(challenge.www_authenticate) && json::parse(challenge.body).has_value());
    size_t quotes = 0;
    size_t parameters = 0;
    for (size_t at = 0; at < challenge.www_authenticate.size(); ++at) {
      if (challenge.www_authenticate[at] != '"') continue;
      if (quotes % 2 == 0) require(at > 0 && challenge.www_authenticate[at - 1] == '=');
      ++quotes;
      parameters += quotes % 2;
    }
    require(quotes == 2 * parameters);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, size_t size) {
  static Issuer issuer;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(bytes + 1), size - 1);
  if (text.size() > 8'000) return 0;
  switch (bytes[0] % 3) {
    case 0:
      try_token(issuer, text);
      break;
    case 1:
      try_event(issuer, text);
      break;
    default:
      try_header(text);
  }
  return 0;
}
