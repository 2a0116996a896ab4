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

// The whole file, or why not: "state.toml: cannot be read: there is no such file".
Result<std::string, std::string> read_text(const std::string& path);
// The folder a file is in; "." where its path names none.
std::string folder_of(const std::string& path);

// Creates or replaces it with mode 0600, through a temporary file and fsync. Throws std::system_error; then
// nothing is left behind.
void write_private_file(const std::string& path, std::string_view text);
// Empty if write_private_file could make that file now; otherwise what is in its way.
std::string why_not_writable(const std::string& path);
// Empty if only its owner can read it; otherwise what to do about it.
std::string check_private(const std::string& path);

}  // namespace behalf::app
