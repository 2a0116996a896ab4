// The subcommands of the one binary. Each returns the process's exit code: 0 done, 1 it did not hold or was
// refused, 2 wrong use or configuration, 3 the server or the store cannot be reached.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace behalf::app {

inline constexpr int kOk = 0;
inline constexpr int kRefused = 1;
inline constexpr int kWrongUse = 2;
inline constexpr int kUnreachable = 3;

int serve(const std::string& config_path);
int guard(const std::string& config_path);
inline constexpr const char* kSmallGuard = "behalf-guard";
int guard_here(const std::string& config_path);  // in this process, whichever it is
int check(const std::string& config_path, const std::string& state_path, bool as_json);
struct InitOptions {
  std::string folder = ".";
  std::optional<std::string> issuer;  // default: this machine, at that port
  int port = 8787;
};
int init(const InitOptions& options);

struct ApplyOptions {
  std::string config_path;
  std::string state_path;
  bool dry_run = false;
  bool prune = false;
  bool as_json = false;
};
int apply(const ApplyOptions& options);

int inspect_token(const std::string& token, const std::string& config_path, bool as_json);

struct GrantQuery {
  std::string config_path;
  std::string user;
  std::string client;
  std::string agent;
  bool live_only = false;
  bool as_json = false;
};
int list_grants(const GrantQuery& query);
int revoke_grant(const std::string& config_path, const std::string& id, bool as_json);
// `kind` is "user", "agent" or "client"; `verb` is "suspend" or "resume".
int set_status(const std::string& config_path, const std::string& kind, const std::string& verb,
               const std::string& id, bool as_json);

struct AuditQuery {
  std::string config_path;
  std::string grant;
  std::string user;
  std::string agent;
  std::string client;
  std::string event;
  int lines = 20;
  bool follow = false;
  bool as_json = false;
};
int tail_audit(const AuditQuery& query);

struct DemoOptions {
  std::string folder;  // where its files live; empty: a fresh temporary folder
  bool once = false;
};
int demo(const DemoOptions& options);

}  // namespace behalf::app
