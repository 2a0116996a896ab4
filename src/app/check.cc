// `behalf check` and `behalf init`: what there must be before there is a server.
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "app/commands.h"
#include "app/config.h"
#include "app/state_file.h"
#include "app/terminal.h"
#include "base/bytes.h"
#include "base/file.h"
#include "crypto/hash.h"
#include "oauth/keys.h"

namespace behalf::app {
namespace {

std::vector<std::string> problems_of(const Config& config) {
  std::vector<std::string> problems;
  if (std::string complaint = check_private(config.key_file); !complaint.empty())
    problems.push_back(std::move(complaint));
  try {
    if (const auto keys = read_file(config.key_file)) (void)oauth::Keys(Secret(*keys));
  } catch (const std::exception& fault) {
    problems.push_back(config.key_file + ": " + fault.what());
  }
  if (config.listen.tls) {
    for (const std::string& path : {config.listen.tls->certificate, config.listen.tls->private_key}) {
      if (::access(path.c_str(), R_OK) != 0) problems.push_back(path + " cannot be read");
    }
  }
  return problems;
}

}  // namespace

int check(const std::string& config_path, const std::string& state_path, bool as_json) {
  std::vector<std::string> problems;
  std::vector<std::string> notes;
  if (const auto config = read_config(config_path))
    problems = problems_of(*config);
  else
    problems.push_back(config.reason());
  if (!state_path.empty()) {
    if (const auto state = read_state(state_path))
      notes = console::find_names_from_outside(state->parsed);
    else
      problems.push_back(state.reason());
  }
  if (as_json) {
    json::Value out;
    out.set("ok", problems.empty());
    out.set("problems", json_list(problems));
    out.set("notes", json_list(notes));
    print_json(out);
    return problems.empty() ? kOk : kWrongUse;
  }
  for (const std::string& note : notes)
    std::fprintf(stderr, "note: %s: %s\n", state_path.c_str(), one_line(note).c_str());
  if (!problems.empty()) return complain(as_json, kWrongUse, problems);
  std::printf("%s is fine%s\n", config_path.c_str(),
              state_path.empty() ? "" : (", and so is " + state_path).c_str());
  return kOk;
}

int init(const InitOptions& options) {
  const std::filesystem::path folder(options.folder);
  // Folders that are made here go again if nothing comes of it.
  std::vector<std::filesystem::path> made;
  const auto take_back = [&] {
    std::error_code ignored;
    for (const auto& one : made) std::filesystem::remove(one, ignored);  // only if it is empty
  };
  try {
    for (auto one = std::filesystem::absolute(folder).lexically_normal();
         !std::filesystem::exists(one) && one.has_relative_path(); one = one.parent_path())
      made.push_back(one);
    std::filesystem::create_directories(folder);
    const std::string config = (folder / "behalf.toml").string();
    const std::string keys = (folder / "behalf.keys").string();
    for (const std::string& path : {config, keys}) {
      if (std::filesystem::exists(path)) {
        std::fprintf(stderr, "%s exists already; nothing was changed\n", path.c_str());
        return kRefused;
      }
    }
    const std::string issuer = options.issuer.value_or("http://127.0.0.1:" + std::to_string(options.port));
    crypto::SystemRandom random;
    write_private_file(keys, oauth::Keys::generate(random).reveal());
    write_private_file(config, sample_config(issuer, static_cast<uint16_t>(options.port)));
    const auto read = read_config(config);
    if (!read) {
      std::filesystem::remove(config);
      std::filesystem::remove(keys);
      take_back();
      std::fprintf(stderr, "%s\n", read.reason().c_str());
      return kWrongUse;
    }
    std::printf(
        "made %s and %s (secret; keep it, and keep it apart from backups of the store)\n"
        "next: behalf serve --config %s\n"
        "then: behalf apply state.toml --config %s\n",
        config.c_str(), keys.c_str(), config.c_str(), config.c_str());
    return kOk;
  } catch (const std::exception& fault) {
    take_back();
    std::fprintf(stderr, "cannot make the files: %s\n", fault.what());
    return kUnreachable;
  }
}

}  // namespace behalf::app
