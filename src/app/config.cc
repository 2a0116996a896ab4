#include "app/config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "base/bytes.h"
#include "base/file.h"
#include "base/uri.h"
#include "http/sockets.h"

namespace behalf::app {
namespace {

// Reads one table; every complaint carries file and line, and keys nobody asked for are complaints.
class Table {
 public:
  Table(const toml::table& table, std::string path, std::string& complaint)
      : table_(table), path_(std::move(path)), complaint_(complaint) {}
  ~Table() {
    for (const auto& [key, node] : table_) {
      if (!known_.contains(std::string(key.str())))
        complain(&node, "unknown key \"" + std::string(key.str()) + "\"");
    }
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  std::string text(const char* key, std::string fallback) {
    const toml::node* node = take(key);
    if (node == nullptr) return fallback;
    if (const auto value = node->value_exact<std::string>()) return *value;
    complain(node, std::string(key) + " must be text");
    return fallback;
  }
  int64_t integer(const char* key, int64_t fallback, int64_t least, int64_t most) {
    const toml::node* node = take(key);
    if (node == nullptr) return fallback;
    const auto value = node->value_exact<int64_t>();
    if (value && *value >= least && *value <= most) return *value;
    complain(node, std::string(key) + " must be a whole number from " + std::to_string(least) + " to " +
                       std::to_string(most));
    return fallback;
  }
  bool flag(const char* key, bool fallback) {
    const toml::node* node = take(key);
    if (node == nullptr) return fallback;
    if (const auto value = node->value_exact<bool>()) return *value;
    complain(node, std::string(key) + " must be true or false");
    return fallback;
  }
  void duration(const char* key, Seconds& target, Seconds least, Seconds most) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    const auto value = node->value_exact<std::string>();
    const auto span = value ? parse_duration(*value) : std::nullopt;
    if (span && *span >= least && *span <= most) {
      target = *span;
      return;
    }
    complain(node, std::string(key) + " must be a span such as \"90s\", \"15m\", \"8h\" or \"30d\", from " +
                       in_words(least) + " to " + in_words(most));
  }
  std::vector<std::string> list(const char* key) {
    std::vector<std::string> items;
    const toml::node* node = take(key);
    if (node == nullptr) return items;
    const toml::array* array = node->as_array();
    if (array == nullptr) {
      complain(node, std::string(key) + " must be a list of texts");
      return items;
    }
    for (const toml::node& item : *array) {
      if (const auto value = item.value_exact<std::string>())
        items.push_back(*value);
      else
        complain(&item, std::string(key) + " must be a list of texts");
    }
    return items;
  }
  const toml::table& table(const char* key) {
    static const toml::table kEmpty;
    const toml::node* node = take(key);
    if (node == nullptr) return kEmpty;
    if (const toml::table* inner = node->as_table()) return *inner;
    complain(node, std::string(key) + " must be a table");
    return kEmpty;
  }
  const toml::node* node(const char* key) const { return table_.get(key); }
  void complain(const toml::node* node, const std::string& what) {
    if (!complaint_.empty()) return;
    const auto line = node == nullptr ? table_.source().begin.line : node->source().begin.line;
    complaint_ = path_ + ":" + std::to_string(line) + ": " + what;
  }

 private:
  const toml::node* take(const char* key) {
    known_.emplace(key);
    return table_.get(key);
  }
  const toml::table& table_;
  std::string path_;
  std::string& complaint_;
  std::set<std::string> known_;
};

void check_issuer(Table& root, Config& config) {
  const std::string& issuer = config.settings.issuer;
  const auto parts = split_uri(issuer);
  const auto authority = parts && parts->authority ? split_authority(*parts->authority) : std::nullopt;
  if (!authority || parts->query || parts->fragment || issuer.ends_with('/')) {
    root.complain(nullptr,
                  "issuer must be a URL such as \"https://auth.example.com\", without query, fragment or "
                  "trailing slash");
    return;
  }
  const bool is_loopback = is_loopback_host(authority->host);
  if (parts->scheme != "https" && !(parts->scheme == "http" && is_loopback)) {
    root.complain(nullptr, "issuer must be https (http only on 127.0.0.1, [::1] or localhost)");
  }
  config.settings.secure_cookies = parts->scheme == "https";
}

std::string beside(const std::string& config_path, const std::string& name) {
  if (name.empty() || name.starts_with('/')) return name;
  const auto folder = std::filesystem::path(config_path).parent_path();
  return (folder / name).string();
}

// What a listener cannot be made of is refused here, where there is a line to name.
void check_listen(Table& listen, const http::Listen& config) {
  if (http::canonical_address(config.address).empty()) {
    listen.complain(listen.node("address"),
                    "address must be an IP address such as \"127.0.0.1\" or \"0.0.0.0\"; \"" +
                        config.address + "\" is none");
  }
  for (const std::string& proxy : config.trusted_proxies) {
    if (proxy == "unix" || !http::canonical_address(proxy).empty()) continue;
    const bool is_network = !http::canonical_address(proxy.substr(0, proxy.find('/'))).empty();
    listen.complain(listen.node("trusted_proxies"),
                    is_network
                        ? "trusted_proxies takes single addresses; \"" + proxy +
                              "\" is a network, and everybody in it could say who asks: name each proxy"
                        : "trusted_proxies must be IP addresses; \"" + proxy + "\" is none");
  }
}

// A file that the server makes at its start needs its folder.
void check_folder(Table& table, const char* key, const std::string& path) {
  const std::string folder = folder_of(path);
  std::error_code fault;
  const auto status = std::filesystem::status(folder, fault);
  if (status.type() == std::filesystem::file_type::not_found)
    table.complain(table.node(key), std::string(key) + ": there is no folder " + folder);
  else if (!fault && !std::filesystem::is_directory(status))
    table.complain(table.node(key), std::string(key) + ": " + folder + " is no folder");
}

void check_socket(Table& admin, const std::string& path) {
  constexpr size_t kMost = sizeof(sockaddr_un::sun_path) - 1;
  if (path.size() > kMost) {
    admin.complain(admin.node("socket"), "the path of the socket may have " + std::to_string(kMost) +
                                             " bytes, not " + std::to_string(path.size()) + ": " + path);
  }
  check_folder(admin, "socket", path);
}

}  // namespace

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

Result<std::string, std::string> read_text(const std::string& path) {
  const auto refuse = [&](const std::string& why) {
    return Refused<std::string>{path + ": cannot be read: " + why};
  };
  struct stat status {};
  const int found = ::stat(path.c_str(), &status);
  if (found != 0 && (errno == ENOENT || errno == ENOTDIR)) return refuse("there is no such file");
  if (found == 0 && S_ISDIR(status.st_mode)) return refuse("it is a folder");
  if (found != 0 || ::access(path.c_str(), R_OK) != 0)
    return refuse(errno == EACCES ? "no permission" : std::generic_category().message(errno));
  auto text = read_file(path);
  if (!text) return refuse("it has more than 16 MB");
  return std::move(*text);
}

std::string why_not_writable(const std::string& path) {
  struct stat status {};
  for (const std::string& name : {path, path + ".new"}) {
    if (::stat(name.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
      return name + (S_ISDIR(status.st_mode) ? " is a folder" : " is no plain file");
  }
  const std::string folder = folder_of(path);
  if (::stat(folder.c_str(), &status) != 0) {
    return errno == ENOENT ? "there is no folder " + folder
                           : folder + ": " + std::generic_category().message(errno);
  }
  if (!S_ISDIR(status.st_mode)) return folder + " is no folder";
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    return "files cannot be made in " + folder + ": " + std::generic_category().message(errno);
  return {};
}

void write_private_file(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".new";
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) throw std::system_error(errno, std::generic_category(), temporary);
  const auto fail = [&](int fault, const std::string& name) {
    ::unlink(temporary.c_str());
    throw std::system_error(fault, std::generic_category(), name);
  };
  int fault = 0;
  for (size_t written = 0; fault == 0 && written < text.size();) {
    const ssize_t count = ::write(file, text.data() + written, text.size() - written);
    if (count < 0)
      fault = errno;
    else
      written += static_cast<size_t>(count);
  }
  if (fault == 0 && ::fsync(file) != 0) fault = errno;
  ::close(file);
  if (fault != 0) fail(fault, temporary);
  if (::rename(temporary.c_str(), path.c_str()) != 0) fail(errno, path);
}

std::string check_private(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return path + " cannot be read: " +
           (errno == ENOENT ? "there is no such file" : std::generic_category().message(errno));
  }
  if (S_ISDIR(status.st_mode)) return path + " cannot be read: it is a folder";
  if ((status.st_mode & 077) != 0) return path + " can be read by others; chmod 600 it";
  return {};
}

Result<Config, std::string> read_config(const std::string& path) {
  Config config;
  config.path = path;
  const auto text = read_text(path);
  if (!text) return Refused{one_line(text.reason())};
  toml::table parsed;
  try {
    parsed = toml::parse(*text, path);
  } catch (const toml::parse_error& fault) {
    return Refused<std::string>{one_line(path + ":" + std::to_string(fault.source().begin.line) + ": " +
                                         std::string(fault.description()))};
  }
  std::string complaint;
  {
    Table root(parsed, path, complaint);
    oauth::Settings& settings = config.settings;
    settings.issuer = root.text("issuer", "");
    if (settings.issuer.empty())
      root.complain(nullptr, "issuer is required");
    else
      check_issuer(root, config);
    {
      Table listen(root.table("listen"), path, complaint);
      config.listen.address = listen.text("address", "127.0.0.1");
      config.listen.port = static_cast<uint16_t>(listen.integer("port", 8787, 0, 65535));
      config.threads = static_cast<unsigned>(listen.integer("threads", 0, 0, 256));
      config.listen.trusted_proxies = listen.list("trusted_proxies");
      check_listen(listen, config.listen);
      const std::string certificate = listen.text("tls_certificate", "");
      const std::string private_key = listen.text("tls_private_key", "");
      if (certificate.empty() != private_key.empty())
        listen.complain(nullptr, "tls_certificate and tls_private_key go together");
      if (!certificate.empty())
        config.listen.tls = http::TlsFiles{beside(path, certificate), beside(path, private_key)};
      if (!config.listen.tls && !is_loopback_address(config.listen.address) &&
          config.listen.trusted_proxies.empty()) {
        listen.complain(nullptr,
                        "plain HTTP is for loopback addresses or behind trusted_proxies; give "
                        "tls_certificate and tls_private_key");
      }
    }
    {
      Table admin(root.table("admin"), path, complaint);
      config.admin.unix_path = beside(path, admin.text("socket", "behalf.sock"));
      check_socket(admin, config.admin.unix_path);
    }
    {
      Table store(root.table("store"), path, complaint);
      config.postgres = store.text("postgres", "");
      const std::string sqlite = store.text("sqlite", "");
      if (!config.postgres.empty() && !sqlite.empty())
        store.complain(nullptr, "either sqlite or postgres, not both");
      if (config.postgres.empty()) config.sqlite = beside(path, sqlite.empty() ? "behalf.db" : sqlite);
      if (config.postgres.empty()) check_folder(store, "sqlite", config.sqlite);
    }
    config.key_file = beside(path, root.text("keys", "behalf.keys"));
    {
      Table lifetimes(root.table("lifetimes"), path, complaint);
      lifetimes.duration("code", settings.code_lifetime, {1}, {600});
      lifetimes.duration("pushed_request", settings.pushed_request_lifetime, {5}, {600});
      lifetimes.duration("interaction", settings.interaction_lifetime, {30}, {3600});
      lifetimes.duration("session", settings.session_lifetime, {60}, {30 * 86400});
      lifetimes.duration("session_idle", settings.session_idle, {60}, {30 * 86400});
      lifetimes.duration("access_token_limit", settings.access_token_lifetime_limit, {1}, {3600});
      lifetimes.duration("actor_token", settings.actor_token_lifetime, {1}, {300});
      lifetimes.duration("grant", settings.grant_lifetime, {60}, {365 * 86400});
      lifetimes.duration("refresh_retry_window", settings.refresh_retry_window, {0}, {60});
    }
    {
      Table delegation(root.table("delegation"), path, complaint);
      settings.max_chain_depth = static_cast<size_t>(delegation.integer("max_chain_depth", 4, 1, 10));
      settings.require_pushed_authorization_requests =
          delegation.flag("require_pushed_authorization_requests", false);
      settings.strict_draft02 = delegation.flag("strict_draft02", false);
      settings.legacy_draft00 = delegation.flag("legacy_draft00", false);
      settings.obo_emit_act = delegation.flag("obo_emit_act", true);
      const std::string dialect = delegation.text("error_dialect", "registered");
      if (dialect == "successor")
        settings.error_dialect = oauth::ErrorDialect::kSuccessor;
      else if (dialect != "registered")
        delegation.complain(parsed.at_path("delegation.error_dialect").node(),
                            "error_dialect must be \"registered\" or \"successor\"");
    }
    {
      Table limits(root.table("limits"), path, complaint);
      const auto limit = [&](const char* key, uint32_t& target) {
        target = static_cast<uint32_t>(limits.integer(key, target, 0, 1'000'000));
      };
      limit("failures", settings.limits.failures);
      limit("failures_per_minute", settings.limits.failures_per_minute);
      limit("sign_in_failures", settings.limits.sign_in_failures);
      limit("sign_in_failures_per_minute", settings.limits.sign_in_failures_per_minute);
      limit("prompts_per_hour", settings.limits.prompts_per_hour);
      limit("pushed_requests", settings.limits.pushed_requests);
      limit("open_requests", settings.limits.open_requests);
      limit("sessions_per_user", settings.limits.sessions_per_user);
    }
    {
      Table signals(root.table("signals"), path, complaint);
      settings.push_hosts = signals.list("push_hosts");
      for (const std::string& host : settings.push_hosts) {
        if (!split_authority(host))
          signals.complain(parsed.at_path("signals.push_hosts").node(),
                           "push_hosts must be hosts: \"name\" or \"name:port\"");
      }
    }
    {
      Table passwords(root.table("passwords"), path, complaint);
      const unsigned cores = std::max(2U, std::thread::hardware_concurrency());
      config.password_threads = static_cast<unsigned>(passwords.integer("threads", cores - 1, 1, 64));
    }
  }
  if (!complaint.empty()) return Refused{one_line(complaint)};
  if (config.threads == 0) config.threads = std::max(1U, std::thread::hardware_concurrency());
  return config;
}

std::string sample_config(const std::string& issuer, uint16_t port) {
  return "# behalf: an OAuth 2.0 authorization server for agents that act for people.\n"
         "# Every key is described in docs/configuration.md; what is not written here has a safe default.\n"
         "issuer = \"" +
         issuer +
         "\"\n"
         "keys = \"behalf.keys\"              # secret; made by `behalf init`\n"
         "\n"
         "[listen]\n"
         "address = \"127.0.0.1\"\n"
         "port = " +
         std::to_string(port) +
         "\n"
         "# tls_certificate = \"fullchain.pem\"\n"
         "# tls_private_key = \"privkey.pem\"\n"
         "\n"
         "[admin]\n"
         "socket = \"behalf.sock\"            # the command line talks to the server through it\n"
         "\n"
         "[store]\n"
         "sqlite = \"behalf.db\"              # or: postgres = \"host=/run/postgresql dbname=behalf\"\n";
}

}  // namespace behalf::app
