// The authorization server's own APIs, as a resource server is let into them: an access token from
// client_credentials, fetched when needed and again when it was refused.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "behalf/delegation.h"
#include "http/client.h"

namespace behalf::sdk {

class ServerAccess {
 public:
  struct Account {
    std::string issuer;
    std::string client_id;
    Secret client_secret;
    std::string ca_file;
    std::string scope;
  };
  // `interrupt` ends every wait for a token.
  ServerAccess(Account account, const http::Interrupt& interrupt);

  // Sends with a token; once more with a fresh one where it was refused. `client` is connected to the server.
  // Throws std::runtime_error where no token can be had.
  http::Response send(http::Client& client, http::ClientRequest request);

  // For an absolute URL of this server.
  http::Client connect(const std::string& url, Seconds timeout, const http::Interrupt* interrupt) const;
  const Account& account() const { return account_; }

 private:
  std::string token();
  void forget(const std::string& token);
  void fetch();

  const Account account_;
  const http::Interrupt& interrupt_;
  std::mutex mutex_;
  std::string token_endpoint_;
  Secret token_;
  Milliseconds renew_at_ = 0;  // steady
};

}  // namespace behalf::sdk
