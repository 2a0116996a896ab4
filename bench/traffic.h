// What the rows send: requests as bytes, with every code, token and assertion they need obtained beforehand
// from the server itself, the way a client would: one login, one consent, then codes from the stored consent.
#pragma once

#include <string>
#include <vector>

#include "server.h"

namespace behalf::bench {

class Traffic {
 public:
  Traffic(const Server& server, AgentKeys keys);

  std::vector<std::string> client_credentials(size_t count);
  std::vector<std::string> code_issued(size_t count);
  std::vector<std::string> code_self_signed(size_t count);
  std::vector<std::string> exchange_issued(size_t count);
  std::vector<std::string> exchange_self_signed(size_t count);
  std::vector<std::string> refresh(size_t count);
  std::vector<std::string> introspect(size_t count);
  // Access tokens, as a guard gets them.
  std::vector<std::string> new_tokens(size_t count);
  // What nginx asks a guard: each time with a token it has not seen, or with one it has.
  std::vector<std::string> guard_new(size_t count);
  std::vector<std::string> guard_seen(size_t count);

 private:
  using Fields = std::vector<std::pair<std::string, std::string>>;
  std::string post(const std::string& path, const std::string& client, const Fields& fields) const;
  std::string authorize_path(const std::string& scope) const;
  void consent();
  std::vector<std::string> codes(size_t count, const std::string& scope);
  std::vector<std::string> redeem(size_t count, const std::string& scope, const std::string& member);
  std::string redemption(const std::string& code, const std::string& actor_token) const;
  std::string exchange(const std::string& subject, const std::string& actor,
                       const std::string& actor_type) const;
  // An actor token issued by the server, as the agent's own client gets it.
  std::string issued_actor_token(const std::string& client) const;
  std::string assertion(const std::string& agent);
  const std::vector<std::string>& subjects();

  const Server& server_;
  AgentKeys keys_;
  std::string cookies_;
  std::vector<std::string> subjects_;
  uint64_t assertions_ = 0;
};

}  // namespace behalf::bench
