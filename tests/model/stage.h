// The reference model's world on the wire: what everybody is called, the state the operator applies, how
// clients and agents prove themselves. Names differ from case to case, so that many cases can share one
// server.
#pragma once

#include <string>
#include <vector>

#include "crypto/jwk.h"
#include "model/reference.h"
#include "support/test_server.h"

namespace behalf::test {

class Stage {
 public:
  explicit Stage(std::string name);

  std::string user(int i) const { return name_ + "-user" + std::to_string(i); }
  std::string agent(int i) const { return name_ + "-agent" + std::to_string(i); }
  std::string client(int i) const { return name_ + "-client" + std::to_string(i); }
  std::string resource(int i) const { return "https://" + name_ + ".example/r" + std::to_string(i); }
  std::string id_of(const reference::Hop& hop) const {
    return hop.is_agent ? agent(hop.index) : client(hop.index);
  }

  // What POST /apply takes: everyone, or one agent alone.
  json::Value state(const reference::World& world) const;
  json::Value agent_state(const reference::World& world, int i) const;

  http::Headers basic(int client) const;
  // A fresh self-signed assertion of that agent.
  std::string prove(int agent, UnixTime now);

 private:
  std::string secret(int i) const { return "the-secret-of-" + client(i) + "-is-long-enough-for-anyone"; }
  std::string agent_entry(const reference::World& world, int i) const;

  std::string name_;
  std::vector<crypto::SigningKey> keys_;
  int proofs_ = 0;
};

// "s0 s2", and back.
std::string scope_text(reference::Scopes scopes);
reference::Scopes scopes_of(const std::string& text);

}  // namespace behalf::test
