// Follows the authorization server's revocation feed by long poll (SSF 1.0, RFC 8936) on a thread of its own,
// and keeps Revocations, keys and the directory of agents up to date. docs/revocation-feed.md has the wire.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "behalf/export.h"
#include "behalf/keys.h"
#include "behalf/revocations.h"

namespace behalf::sdk {

// What the registry says of an agent: what a token does not.
struct AgentInfo {
  std::string id;
  std::string name;
  std::string publisher;
  std::string owner;
  std::string status;  // "active", "suspended"
};

class BEHALF_PUBLIC Feed {
 public:
  struct Options {
    std::string issuer;         // the authorization server
    std::string client_id;      // of this resource server; needs the scope `behalf.signals`
    std::string client_secret;  // client_secret_basic
    std::string ca_file{};      // for https; empty: the system's
    // Where the stream's id is kept, so that a restart replaces it; empty: nowhere.
    std::string stream_id_file{};
  };
  // Starts at once. Keeps the references, which must outlive it. A server that is away is no error: the feed
  // goes on trying, and `revocations` grow stale meanwhile. Throws std::invalid_argument if `issuer` is no
  // URL.
  Feed(Options options, Revocations& revocations, KeySource& keys);
  ~Feed();
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  // Waits until everything revoked before now is known, at most `patience`; false: not yet.
  bool wait_until_current(Milliseconds patience);
  // What the registry says of an agent; null: not known (yet).
  std::shared_ptr<const AgentInfo> agent(std::string_view id) const;
  // Called on the feed's thread after each batch of revocations: to close connections that stood on them.
  // What it throws is noted as trouble.
  void on_change(std::function<void()> callback);
  // The last thing that went wrong, and nothing while all is well: for logs and health pages.
  std::string trouble() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace behalf::sdk
