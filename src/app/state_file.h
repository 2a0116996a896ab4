// state.toml: users, agents, clients, resources and scopes as a declarative file.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "console/state.h"

namespace behalf::app {

struct StateFile {
  json::Value state;  // as the administration API takes it
  // Clients whose secret is to be kept in a file: what the server makes is written there.
  struct SecretFile {
    std::string client;
    std::string path;
    bool is_there = false;  // and says the secret
  };
  std::vector<SecretFile> secret_files;
};

// Reads the file and whatever it refers to (password_file, jwks_file, secret_file; relative to it). The
// reason is one line that names file and line.
Result<StateFile, std::string> read_state_file(const std::string& path);

// The same, understood: whatever can be wrong with it without a server is said here, for `check` and `apply`.
struct ReadState {
  StateFile file;
  console::DesiredState parsed;
};
Result<ReadState, std::string> read_state(const std::string& path);

}  // namespace behalf::app
