#include "guard/config.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <thread>

#include "base/bytes.h"
#include "base/file.h"
#include "base/uri.h"
#include "http/tls.h"
#include "sdk/policy_toml.h"

namespace behalf::guard {
namespace {

using sdk::rules::Complaints;
using sdk::rules::TomlTable;

constexpr size_t kMaxFileBytes = 1024 * 1024;
constexpr size_t kMegabyte = 1024 * 1024;
constexpr size_t kLeastSecret = 16;

// Reads the tables one after the other into the settings.
class Reader {
 public:
  Reader(const toml::table& root, const std::string& path, Complaints& complaints)
      : root_(root, complaints),
        folder_(std::filesystem::path(path).parent_path()),
        complaints_(complaints) {}

  Settings read() {
    read_server();
    read_resource();
    read_listen();
    read_way_of_asking();
    read_rest();
    read_evidence();
    root_.finish();
    return std::move(settings_);
  }

 private:
  // One inner table, complained about where it is read to the end.
  enum class Absent { kRead, kSkip };  // where it is not there: as if it were empty, or not at all
  template <class Read>
  bool table(const char* key, Absent absent, Read read) {
    static const toml::table kEmpty;
    const toml::table* found = root_.table(key);
    if (found == nullptr && absent == Absent::kSkip) return false;
    TomlTable inner(found == nullptr ? kEmpty : *found, complaints_);
    read(inner);
    inner.finish();
    return found != nullptr;
  }

  std::string beside(const std::string& name) const {
    if (name.empty() || name.starts_with('/')) return name;
    return (folder_ / name).string();
  }

  static void check_private(TomlTable& from, const char* key, const std::string& path,
                            const struct stat& status) {
    if ((status.st_mode & 077) != 0) from.complain(key, path + " can be read by others; chmod 600 it");
  }

  // A secret in a file of its own: one line, long enough, for its owner's eyes.
  Secret secret(TomlTable& from, const char* key) {
    const std::string path = beside(from.text(key));
    if (path.empty()) return {};
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
      from.complain(key, path + " cannot be read");
      return {};
    }
    check_private(from, key, path, status);
    std::string text = read_file(path, kMaxFileBytes).value_or("");
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
    if (text.size() < kLeastSecret || !plain)
      from.complain(key, path + " must hold one line of at least " + std::to_string(kLeastSecret) +
                             " printable characters");
    return Secret(std::move(text));
  }

  // https, or http on a loopback host; no query, no fragment.
  void check_url(TomlTable& from, const char* key, const std::string& url) {
    const auto parts = split_uri(url);
    const auto authority = parts && parts->authority ? split_authority(*parts->authority) : std::nullopt;
    if (!authority || parts->query || parts->fragment ||
        (parts->scheme != "https" && parts->scheme != "http")) {
      from.complain(key, std::string(key) + " must be a URL without query and fragment");
    } else if (parts->scheme == "http" && !is_loopback_host(authority->host)) {
      from.complain(key, std::string(key) + " must be https (http only on 127.0.0.1, [::1] or localhost)");
    }
  }

  Seconds span(TomlTable& from, const char* key, Seconds fallback, Seconds most) {
    const std::string text = from.text(key);
    if (text.empty()) return fallback;
    const auto value = parse_duration(text);
    if (value && value->count >= 1 && *value <= most) return *value;
    from.complain(key,
                  std::string(key) + " must be a span such as \"5s\" or \"10m\", up to " + in_words(most));
    return fallback;
  }

  void read_server() {
    const bool there = table("server", Absent::kSkip, [&](TomlTable& from) {
      ServerSettings& server = settings_.server;
      server.issuer = from.text("issuer");
      if (server.issuer.empty()) {
        from.complain("issuer", "[server] issuer is required");
      } else {
        check_url(from, "issuer", server.issuer);
        if (server.issuer.ends_with('/')) from.complain("issuer", "issuer must not end in a slash");
      }
      server.client_id = from.text("client_id");
      server.client_secret = secret(from, "client_secret_file");
      if (server.client_id.empty() != from.text("client_secret_file").empty())
        from.complain("client_id", "client_id and client_secret_file go together");
      server.ca_file = beside(from.text("ca_file"));
    });
    if (!there) root_.complain("server", "[server] is required");
  }

  void read_resource() {
    const bool there = table("resource", Absent::kSkip, [&](TomlTable& from) {
      ResourceSettings& resource = settings_.resource;
      resource.id = from.text("id");
      if (resource.id.empty())
        from.complain("id", "[resource] id is required: what `aud` of its tokens names");
      resource.public_url = from.text("public_url", resource.id);
      if (!resource.id.empty()) check_url(from, "public_url", resource.public_url);
      resource.name = from.text("name");
      if (from.has("scopes")) resource.scopes = from.list("scopes");
    });
    if (!there) root_.complain("resource", "[resource] is required");
  }

  void read_listen() {
    table("listen", Absent::kRead, [&](TomlTable& from) {
      http::Listen& listen = settings_.listen;
      listen.unix_path = beside(from.text("socket"));
      if (from.has("socket_group")) {
        if (from.flag("socket_group", false)) listen.unix_mode = 0660;
        if (listen.unix_path.empty()) from.complain("socket_group", "socket_group goes with socket");
      }
      if (listen.unix_path.empty()) {
        listen.address = from.text("address", "127.0.0.1");
        listen.port = static_cast<uint16_t>(from.integer("port", 8788, 0, 65535));
      }
      listen.trusted_proxies =
          from.has("trusted_proxies") ? from.list("trusted_proxies") : listen.trusted_proxies;
      const auto cores = static_cast<int64_t>(std::max(1U, std::thread::hardware_concurrency()));
      settings_.threads = static_cast<unsigned>(from.integer("threads", cores, 1, 256));
      const std::string certificate = beside(from.text("tls_certificate"));
      const std::string key = beside(from.text("tls_private_key"));
      if (certificate.empty() != key.empty())
        from.complain("tls_certificate", "tls_certificate and tls_private_key go together");
      if (!certificate.empty()) listen.tls = http::TlsFiles{certificate, key};
    });
  }

  void read_way_of_asking() {
    const std::string dialect = root_.text("dialect");
    const bool as_proxy = table("proxy", Absent::kSkip, [&](TomlTable& from) { read_proxy(from); });
    bool has_answer = false;
    const bool decides = table("decide", Absent::kRead, [&](TomlTable& from) {
      const std::string path = from.text("path", "/decide");
      if (!path.starts_with('/') || path.ends_with('/') || path.find_first_of("?#% ") != std::string::npos)
        from.complain("path", "path must begin with a slash, not end in one, and need no escapes");
      settings_.decide_path = path;
      settings_.credential = secret(from, "credential_file");
      const std::string none = from.text("credential");
      if (from.has("credential") && none != "none")
        from.complain("credential", "credential can only be \"none\"; a secret belongs into credential_file");
      settings_.needs_credential = !settings_.credential.empty();
      if (settings_.needs_credential && none == "none")
        from.complain("credential", "either credential_file or credential = \"none\"");
      has_answer = settings_.needs_credential || none == "none" || from.has("credential_file");
    });
    if (as_proxy) {
      settings_.dialect = Dialect::kProxy;
      if (!dialect.empty()) root_.complain("dialect", "either dialect or [proxy]");
      if (decides) root_.complain("decide", "either [decide] or [proxy]");
    } else if (dialect == "nginx") {
      settings_.dialect = Dialect::kNginx;
    } else if (dialect == "envoy") {
      settings_.dialect = Dialect::kEnvoy;
    } else if (dialect == "forward") {
      settings_.dialect = Dialect::kForward;
    } else {
      root_.complain("dialect", "dialect must be \"nginx\", \"envoy\" or \"forward\"; or give [proxy]");
    }
    if (!as_proxy && !has_answer && settings_.listen.unix_path.empty() && complaints_.empty()) {
      root_.complain(
          "decide",
          "[decide] credential_file is required: who reaches this port could otherwise probe the "
          "policy and forge requests (a Unix socket needs none; credential = \"none\" says that you "
          "want it so)");
    }
    if (settings_.dialect == Dialect::kProxy && !settings_.listen.tls && settings_.listen.unix_path.empty() &&
        !is_loopback_address(settings_.listen.address) && settings_.listen.trusted_proxies.empty()) {
      root_.complain(
          "listen",
          "plain HTTP is for loopback addresses or behind trusted_proxies; give tls_certificate and "
          "tls_private_key");
    }
  }

  void read_proxy(TomlTable& from) {
    const std::string upstream = from.text("upstream");
    if (upstream.empty()) from.complain("upstream", "[proxy] upstream is required");
    auto origin = std::make_shared<http::Origin>();
    const auto host = split_uri(settings_.resource.public_url);
    settings_.origin_host = from.text("host", host && host->authority ? std::string(*host->authority) : "");
    if (upstream.starts_with("unix:")) {
      origin->target.unix_path = beside(upstream.substr(5));
    } else if (!upstream.empty()) {
      try {
        auto parsed = http::parse_url(upstream);
        origin->target = std::move(parsed.target);
        if (parsed.path_and_query != "/")
          from.complain("upstream", "upstream has no path: the API sees the path that was asked for");
      } catch (const std::invalid_argument& fault) {
        from.complain("upstream", fault.what());
      }
    }
    origin->target.ca_file = beside(from.text("ca_file"));
    if (origin->target.tls) {
      try {
        origin->trust =
            std::make_shared<const http::TlsContext>(http::TlsContext::client(origin->target.ca_file));
      } catch (const std::runtime_error& fault) {
        from.complain("ca_file", fault.what());
      }
    }
    origin->connect_time = span(from, "connect_time", origin->connect_time, {60});
    origin->answer_time = span(from, "answer_time", origin->answer_time, {3600});
    origin->stall_time = span(from, "stall_time", origin->stall_time, {3600});
    origin->quiet_time = span(from, "quiet_time", origin->quiet_time, {86400});
    origin->idle_connections = static_cast<size_t>(from.integer("idle_connections", 64, 0, 10'000));
    settings_.pass_token = from.flag("pass_token", false);
    settings_.websocket = from.flag("websocket", true);
    const toml::node* health = from.take("health");
    settings_.health_is_full = health != nullptr && health->value_exact<std::string>() == "full";
    if (health != nullptr && !settings_.health_is_full && !health->is_boolean())
      from.complain(health, "health must be true, false or \"full\"");
    settings_.health = health == nullptr || health->value_exact<bool>().value_or(true);
    const int64_t most = from.integer("max_body_mb", 0, 0, 1'000'000);
    if (most > 0) settings_.max_body = static_cast<size_t>(most) * kMegabyte;
    settings_.origin = std::move(origin);
  }

  void read_rest() {
    settings_.policy = beside(root_.text("policy"));
    if (settings_.policy.empty()) root_.complain("policy", "policy is required: the file with the rules");
    settings_.counters = beside(root_.text("counters"));
    settings_.shadow = root_.flag("shadow", false);
    settings_.read_body = static_cast<size_t>(root_.integer("read_body_kb", 1024, 1, 65'536)) * 1024;
    table("revocation", Absent::kRead, [&](TomlTable& from) {
      settings_.follow_feed = from.flag("feed", true);
      if (settings_.follow_feed && settings_.server.client_id.empty() && complaints_.empty()) {
        from.complain("feed",
                      "[server] client_id and client_secret_file are needed to follow revocations; feed = "
                      "false does without: "
                      "tokens then stand until they expire");
      }
      settings_.max_staleness = span(from, "max_staleness", {15}, {3600}).count * 1000;
      settings_.serve_when_stale = from.choice("when_stale", {"deny", "serve"}, 0) == 1;
    });
    table("identity", Absent::kRead, [&](TomlTable& from) {
      settings_.identity = from.choice("style", {"headers", "signed"}, 0) == 1 ? IdentityStyle::kSigned
                                                                               : IdentityStyle::kHeaders;
      settings_.identity_key = beside(from.text("key_file"));
      if (struct stat status{};
          !settings_.identity_key.empty() && ::stat(settings_.identity_key.c_str(), &status) == 0)
        check_private(from, "key_file", settings_.identity_key, status);
    });
  }

  void read_evidence() {
    table("evidence", Absent::kRead, [&](TomlTable& from) {
      EvidenceSettings& evidence = settings_.evidence;
      evidence.send = from.flag("send", false);
      evidence.file = from.text("file", evidence.send ? "" : "-");
      if (evidence.file != "-") evidence.file = beside(evidence.file);
      evidence.format =
          from.choice("format", {"jsonl", "ocsf"}, 0) == 1 ? RecordFormat::kOcsf : RecordFormat::kJsonLines;
      evidence.spool = beside(from.text("spool", evidence.send ? "evidence" : ""));
      if (evidence.send && settings_.server.client_id.empty())
        from.complain("send", "[server] client_id and client_secret_file are needed to send records");
      if (!evidence.send && !evidence.spool.empty()) from.complain("spool", "spool goes with send = true");
      evidence.max_spool = static_cast<size_t>(from.integer("max_spool_mb", 256, 1, 1'000'000)) * kMegabyte;
      evidence.drop_when_full = from.choice("when_full", {"deny", "drop"}, 0) == 1;
      constexpr Durability kChoices[] = {Durability::kSecond, Durability::kKernel, Durability::kAnswer};
      evidence.durability = kChoices[from.choice("fsync", {"second", "never", "answer"}, 0)];
      if (evidence.durability == Durability::kAnswer && evidence.file == "-" && !evidence.send)
        from.complain("fsync", "standard output cannot be made durable; name a file");
    });
  }

  TomlTable root_;
  std::filesystem::path folder_;
  Complaints& complaints_;
  Settings settings_;
};

}  // namespace

Result<Settings, std::string> parse_settings(std::string_view text, const std::string& path) {
  toml::table parsed;
  try {
    parsed = toml::parse(text, path);
  } catch (const toml::parse_error& fault) {
    return Refused<std::string>{one_line(path + ":" + std::to_string(fault.source().begin.line) + ": " +
                                         std::string(fault.description()))};
  }
  Complaints complaints;
  Settings settings = Reader(parsed, path, complaints).read();
  if (!complaints.empty()) {
    const auto& [line, what] = *complaints.begin();
    return Refused{one_line(path + ":" + std::to_string(std::max<size_t>(line, 1)) + ": " + what)};
  }
  settings.path = path;
  return settings;
}

Result<Settings, std::string> read_settings(const std::string& path) {
  const auto text = read_file(path, kMaxFileBytes);
  if (!text) return Refused<std::string>{path + ": cannot be read"};
  return parse_settings(*text, path);
}

}  // namespace behalf::guard
