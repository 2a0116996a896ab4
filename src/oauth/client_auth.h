// Who is calling (RFC 6749 §2.3, RFC 7523 as updated by RFC 10070: the issuer is the sole audience).
//
// Two halves: `authenticate_client` proves on what is in memory, without a transaction; `confirm_client`
// inside the transaction sees that the client is still what it was and spends the assertion.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "model/registry.h"
#include "oauth/call.h"
#include "oauth/error.h"
#include "store/store.h"

namespace behalf::oauth {

struct PresentedClient;

// Only authenticate_client makes one: whoever holds it may rely on the proof.
class AuthenticatedClient {
 public:
  const Client& registration() const { return *client_; }
  const ClientId& id() const { return client_->id; }
  // Proved with a key of its own (private_key_jwt), not with a shared secret.
  bool proved_with_key() const { return assertion_jti_.has_value(); }
  // The assertion it proved itself with; empty if it used none.
  const std::string& assertion() const { return assertion_; }

 private:
  friend Answer<AuthenticatedClient> prove_client(const Call&, const PresentedClient&);
  friend Answer<Fine> confirm_client(Call&, const AuthenticatedClient&, store::Transaction&);
  AuthenticatedClient() = default;
  std::shared_ptr<const Client> client_;
  std::string assertion_;
  std::optional<std::string> assertion_jti_;
  UnixTime assertion_expires_at_;
};

// Sets audit.client as soon as the request names one. The refusal is always invalid_client with one text, or
// 429 for who failed too often from this address.
Answer<AuthenticatedClient> authenticate_client(Call& call, const http::Form& form);

// Inside the transaction, first thing: still active, not changed since (else the call is restarted),
// assertion unused.
Answer<Fine> confirm_client(Call& call, const AuthenticatedClient& client, store::Transaction& transaction);

// The challenge that a refusal of this request owes.
Challenge challenge_for(const http::Request& request);

}  // namespace behalf::oauth
