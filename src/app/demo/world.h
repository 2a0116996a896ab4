// Everything the demo plays with: a folder with configuration, keys and state; the server, and a guard before
// each API, as child processes of the same binary; the agents' private keys and the clients' secrets.
//
// They are real ones: started as `behalf serve` and `behalf guard`, filled as `behalf apply` does it, and
// reached by HTTP alone.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

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
  // `preferred_port`: of the guard before the Planner API, the next one for the Mail API; any free one if 0.
  World(const std::string& folder, int preferred_port);
  // Stops the server and the guards; removes the folder if it was temporary.
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Address of the little client page; must be set before the server is started.
  std::string page;

  // Writes configuration and state, starts the server and fills it. Throws std::runtime_error with a plain
  // message.
  void start_server(int preferred_port);
  // The guards before the Planner API and the Mail API; the APIs themselves listen at api_socket().
  void start_guards();

  const std::string& folder() const { return folder_; }
  bool is_temporary() const { return is_temporary_; }
  const std::string& issuer() const { return issuer_; }
  const std::string& config_path() const { return config_path_; }
  const std::string& password() const { return password_; }
  // Where clients reach the APIs: at their guards.
  const std::string& planner() const { return planner_; }
  const std::string& mail() const { return mail_; }
  std::string planner_resource() const { return planner_ + "/planner"; }
  std::string mail_resource() const { return mail_ + "/mail"; }
  // Where the APIs listen: a socket that only this user's processes can open.
  std::string api_socket() const { return path("apis.sock"); }

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
  void write_guard(const std::string& name, const std::string& url, std::string_view scopes,
                   std::string_view policy) const;
  // The child's process id; its output goes to `log` in the folder.
  pid_t start_child(const std::string& word, const std::string& config, const std::string& log) const;
  void wait_until_ready(pid_t& child, const std::string& url, const std::string& log) const;
  std::string sign(const crypto::SigningKey& key, const std::string& identity, json::Value extra) const;

  std::string folder_;
  bool is_temporary_ = false;
  std::string issuer_;
  std::string planner_;
  std::string mail_;
  std::string config_path_;
  std::string password_;
  crypto::SigningKey calendar_key_;
  crypto::SigningKey search_key_;
  pid_t server_ = -1;
  std::vector<pid_t> guards_;
};

// Unpredictable text of `bytes` bytes in base64url.
std::string random_text(size_t bytes);

}  // namespace behalf::app
