// The command line's way to a running server: its administration socket.
#pragma once

#include <string>

#include "base/json.h"

namespace behalf::app {

struct AdminAnswer {
  int exit_code = 0;  // kOk, or what the command should end with; the reason has been printed
  json::Value value;
};

AdminAnswer ask_server(const std::string& config_path, const std::string& method, const std::string& path,
                       const std::string& body = {});

}  // namespace behalf::app
