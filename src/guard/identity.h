// Who stands behind a request, said to the API: the headers it can believe, because nobody else can have
// written them (docs/guard.md).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "behalf/delegation.h"
#include "crypto/jwk.h"
#include "guard/config.h"
#include "http/message.h"

namespace behalf::guard {

// True for every spelling under which an API might take a header for one of ours: any case, and whatever
// stands in for the hyphen (CGI makes "Behalf_Subject" and "Behalf-Subject" the same variable).
bool is_ours(std::string_view header_name);

// Printable ASCII: everything else, and '%', ',' and space, percent-encoded (RFC 3986 §2.1).
std::string header_safe(std::string_view text);

class Identity {
 public:
  // `issuer`: who signs, and where the key is published; `audience`: the API.
  Identity(IdentityStyle style, std::string issuer, std::string audience,
           std::optional<crypto::SigningKey> key);

  // Every header there is, also where it says nothing: a proxy in front overwrites with them what a client
  // sent. `delegation` null: nobody.
  std::vector<std::pair<std::string, std::string>> headers(const sdk::Delegation* delegation,
                                                           sdk::Milliseconds now) const;
  // RFC 7517: the key of the signed header; an empty set for the plain ones.
  const std::string& key_set() const { return key_set_; }

 private:
  std::string sign(const sdk::Delegation& delegation, sdk::Milliseconds now) const;

  IdentityStyle style_;
  std::string issuer_;
  std::string audience_;
  std::optional<crypto::SigningKey> key_;
  std::string key_set_;
};

}  // namespace behalf::guard
