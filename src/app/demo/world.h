// Everything the demo plays with: a folder with configuration, keys and state; the server as a child process
// of the same binary; the agents' private keys and the clients' secrets.
//
// The server is a real one: it is started as `behalf serve`, filled as `behalf apply` does it, and reached by
// HTTP alone.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/json.h"
#include "crypto/jwk.h"

namespace behalf::app {

inline constexpr const char* kCalendarAgent = "agent-calendar";
inline constexpr const char* kSearchAgent = "agent-search";
inline constexpr const char* kPlanner = "planner";         // the app
inline constexpr const char* kPlannerApi = "planner-api";  // the API, and a middle tier before the mail API
inline constexpr const char* kMailApi = "mail-api";
inline constexpr const char* kRuntime = "calendar-runtime";  // where the Calendar Agent runs

class World {
 public:
  // Makes the folder (a temporary one if `folder` is empty) with fresh keys where it has none.
  explicit World(const std::string& folder);
  // Stops the server; removes the folder if it was temporary.
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Addresses of what this process serves; must be set before the server is started.
  std::string api;
  std::string page;

  // Writes configuration and state, starts the server and fills it. Throws std::runtime_error with a plain
  // message.
  void start_server(int preferred_port);
  void stop_server();

  const std::string& folder() const { return folder_; }
  bool is_temporary() const { return is_temporary_; }
  const std::string& issuer() const { return issuer_; }
  const std::string& config_path() const { return config_path_; }
  const std::string& password() const { return password_; }
  std::string planner_resource() const { return api + "/planner"; }
  std::string mail_resource() const { return api + "/mail"; }

  // The Authorization header of a client with a secret.
  std::string basic(const std::string& client) const;
  // A fresh assertion the agent signs itself (RFC 7523 shape): for one client and, if given, for one code.
  std::string proof(const std::string& agent, const std::string& code = {}) const;
  // The agent's runtime proving itself as a client (private_key_jwt).
  std::string runtime_assertion() const;

 private:
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  void load_keys(const std::string& agent, crypto::SigningKey& key);
  void write_state() const;
  void wait_until_ready();
  std::string sign(const crypto::SigningKey& key, const std::string& identity, json::Value extra) const;

  std::string folder_;
  bool is_temporary_ = false;
  std::string issuer_;
  std::string config_path_;
  std::string password_;
  crypto::SigningKey calendar_key_;
  crypto::SigningKey search_key_;
  pid_t server_ = -1;
};

// Unpredictable text of `bytes` bytes in base64url.
std::string random_text(size_t bytes);

}  // namespace behalf::app
