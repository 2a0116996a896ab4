// The command line's way to a running server: its administration socket.
#pragma once

#include <string>

#include "base/json.h"

namespace behalf::app {

struct AdminAnswer {
  int exit_code = 0;  // kOk, or what the command should end with
  json::Value value;
  std::string problem;        // why there is no value
  bool is_malformed = false;  // the server understood what was sent, and will not have it
};

AdminAnswer try_server(const std::string& config_path, const std::string& method, const std::string& path,
                       const std::string& body = {});
// The same, and says the problem as complain() does.
AdminAnswer ask_server(const std::string& config_path, const std::string& method, const std::string& path,
                       const std::string& body = {}, bool as_json = false);

}  // namespace behalf::app
