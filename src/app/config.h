// behalf.toml: read strictly. Unknown keys, wrong types and unsafe values are errors that name file and line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/server.h"
#include "oauth/services.h"

namespace behalf::app {

struct Config {
  std::string path;  // of the file itself
  oauth::Settings settings;
  http::Listen listen;
  unsigned threads = 0;  // 0: one a core
  unsigned password_threads = 1;
  http::Listen admin;
  std::string sqlite;    // path; empty: PostgreSQL
  std::string postgres;  // libpq address; empty: SQLite
  std::string key_file;
};

// Paths in the file are relative to it. The reason is one line: "behalf.toml:7: ...".
Result<Config, std::string> read_config(const std::string& path);

// The text of a fresh behalf.toml.
std::string sample_config(const std::string& issuer, uint16_t port);

// Creates or replaces it with mode 0600, through a temporary file and fsync.
void write_private_file(const std::string& path, std::string_view text);
// Empty if only its owner can read it; otherwise what to do about it.
std::string check_private(const std::string& path);

}  // namespace behalf::app
