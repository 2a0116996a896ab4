// `behalf guard check`, `test` and `explain`: a policy looked at without a guard.
#pragma once

#include <string>

namespace behalf::app {

// Faults (exit code 2) and warnings (1).
int check_policy(const std::string& policy_path, bool as_json);

struct PolicyTestOptions {
  std::string cases_path;
  std::string policy_path;  // empty: the one that the cases name
  bool as_json = false;
};
// 1 if a case does not come out as expected.
int test_policy(const PolicyTestOptions& options);

struct ExplainOptions {
  std::string policy_path;
  std::string token;  // "-": from standard input; empty: none
  std::string method = "GET";
  std::string path;
  std::string host;
  std::string body_path;
  std::string content_type = "application/json";
  std::string agents_path;  // what GET /directory answers; empty: agents are not known
  std::string jwks_path;    // empty: the token is believed
  std::string at;           // RFC 3339; empty: now
  bool as_json = false;
};
// 0 if the policy allows it, 1 if not.
int explain_policy(const ExplainOptions& options);

}  // namespace behalf::app
