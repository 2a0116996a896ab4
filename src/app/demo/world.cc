#include "app/demo/world.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "app/commands.h"
#include "app/config.h"
#include "base/bytes.h"
#include "base/environment.h"
#include "base/file.h"
#include "crypto/hash.h"
#include "crypto/jwt.h"
#include "http/client.h"
#include "oauth/keys.h"

namespace behalf::app {
namespace {

constexpr auto kReadyWithin = std::chrono::seconds(60);
constexpr auto kReadyPoll = std::chrono::milliseconds(20);
constexpr int64_t kProofSeconds = 120;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// `preferred` if nobody listens there, otherwise one that the system chooses.
uint16_t free_port(int preferred) {
  for (const int wanted : {preferred, 0}) {
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) fail("socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(wanted));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    const bool is_free = ::bind(probe, generic, size) == 0 && ::getsockname(probe, generic, &size) == 0;
    ::close(probe);
    if (is_free) return ntohs(address.sin_port);
  }
  throw std::runtime_error("no free port on 127.0.0.1");
}

std::string trimmed(std::string text) {
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.pop_back();
  return text;
}

// What `behalf apply` is given; @PLANNER@ and @MAIL@ are where the guards before the APIs listen.
constexpr std::string_view kState = R"toml(# The demo's people, agents, clients and resources.
[[user]]
id = "user-alice"
username = "alice"
display_name = "Alice Example"
password_file = "alice.password"

[[agent]]
id = "agent-calendar"
name = "Calendar Agent"
publisher = "Example Agents Ltd"
owner = "team-calendar@example.com"
description = "Finds free slots and books meetings."
jwks_file = "agent-calendar.jwks"
scopes = ["calendar.read", "calendar.write", "mail.read"]
clients = ["planner"]
onward = { to = ["agent-search", "planner-api"], depth = 2 }
refresh_lifetime = "8h"
bearer_actor_tokens = true   # its runtime may fetch a five-minute actor token instead of signing one each time

[[agent]]
id = "agent-search"
name = "Search Agent"
publisher = "Example Search Inc"
owner = "search@example.com"
description = "Looks things up; never writes."
jwks_file = "agent-search.jwks"
scopes = ["calendar.read", "mail.read"]
clients = ["planner"]

[[client]]   # the app in which Alice plans her week
id = "planner"
name = "Planner"
secret_file = "planner.secret"
redirect_uris = ["http://127.0.0.1/callback"]   # a loopback redirect fits any port (RFC 8252 section 7.3)
grant_types = ["authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"]
scopes = ["calendar.read", "calendar.write", "mail.read"]

[[client]]   # where the Calendar Agent runs: proves itself with the agent's key
id = "calendar-runtime"
name = "Calendar Agent runtime"
auth_method = "private_key_jwt"
jwks_file = "agent-calendar.jwks"
grant_types = ["client_credentials"]
agent = "agent-calendar"

[[client]]   # the Planner API as a client: a middle tier before the Mail API
id = "planner-api"
name = "Planner API"
secret_file = "planner-api.secret"
grant_types = ["client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:token-exchange"]
resource = "@PLANNER@/planner"
scopes = ["mail.read", "behalf.signals", "behalf.evidence"]   # its guard follows revocations and says who did what

[[client]]   # the Mail API: its guard's registration
id = "mail-api"
name = "Mail API"
secret_file = "mail-api.secret"
grant_types = ["client_credentials"]
resource = "@MAIL@/mail"
scopes = ["behalf.signals", "behalf.evidence"]

[[resource]]
id = "@PLANNER@/planner"
name = "Planner API"
scopes = [
  { name = "calendar.read", title = "See your calendar" },
  { name = "calendar.write", title = "Book meetings", description = "Creates and changes events in your calendar." },
  { name = "mail.read", title = "Read your mail", description = "To find what meetings are about." },
]

[[resource]]
id = "@MAIL@/mail"
name = "Mail API"
scopes = [ { name = "mail.read", title = "Read your mail" } ]
)toml";

// A guard before an API: the API itself knows nothing of tokens.
constexpr std::string_view kGuard = R"toml(# The guard before the @NAME@ API: docs/guard.md has the reference.
policy = "@NAME@.policy.toml"

[server]
issuer = "@ISSUER@"
client_id = "@NAME@-api"
client_secret_file = "@NAME@-api.secret"

[resource]
id = "@URL@/@NAME@"
name = "@NAME@ API"
scopes = [@SCOPES@]

[listen]
port = @PORT@
threads = 1

[proxy]
upstream = "unix:apis.sock"

[evidence]
send = true
spool = "@NAME@-evidence"
)toml";

constexpr std::string_view kPlannerPolicy =
    R"toml(# Who may do what at the Planner API: docs/policy.md has the reference.
[[rule]]
name = "look at the week"
effect = "allow"
methods = ["GET"]
paths = ["/planner/week"]
actor = "required"   # this API is for agents that act for a person
scopes = ["calendar.read"]

[[rule]]
name = "private notes"
description = "Alice's notes are for the Calendar Agent alone, whatever scope another agent holds."
effect = "allow"
methods = ["GET"]
paths = ["/planner/notes"]
actors = ["agent-calendar"]
scopes = ["calendar.read"]

[[rule]]
name = "book a meeting"
effect = "allow"
methods = ["POST"]
paths = ["/planner/meetings"]
actor = "required"
scopes = ["calendar.write"]
budget = { per = "grant", count = 20, in = "day" }
)toml";

constexpr std::string_view kMailPolicy = R"toml(# Who may do what at the Mail API.
[[rule]]
name = "read the inbox"
effect = "allow"
methods = ["GET"]
paths = ["/mail/inbox"]
actor = "required"
chain_only = ["planner-api", "agent-calendar", "agent-search"]
scopes = ["mail.read"]
)toml";

std::string filled(std::string_view text,
                   const std::vector<std::pair<std::string_view, std::string>>& places) {
  std::string out(text);
  for (const auto& [place, value] : places) {
    for (size_t at = 0; (at = out.find(place, at)) != std::string::npos; at += value.size())
      out.replace(at, place.size(), value);
  }
  return out;
}

std::string loopback_url(uint16_t port) { return "http://127.0.0.1:" + std::to_string(port); }

void stop_child(pid_t child) {
  if (child <= 0) return;
  ::kill(child, SIGTERM);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

std::string random_text(size_t bytes) {
  std::string text(bytes, '\0');
  crypto::SystemRandom().fill({reinterpret_cast<unsigned char*>(text.data()), text.size()});
  return base64url(text);
}

World::World(const std::string& folder, int preferred_port) {
  if (folder.empty()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "behalf-demo-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) fail(pattern);
    folder_ = pattern;
    is_temporary_ = true;
  } else {
    std::filesystem::create_directories(folder);
    folder_ = std::filesystem::absolute(folder).string();
  }
  config_path_ = path("behalf.toml");
  load_keys(kCalendarAgent, calendar_key_);
  load_keys(kSearchAgent, search_key_);
  if (!std::filesystem::exists(path("behalf.keys"))) {
    crypto::SystemRandom random;
    write_private_file(path("behalf.keys"), oauth::Keys::generate(random).reveal());
  }
  if (!std::filesystem::exists(path("alice.password")))
    write_private_file(path("alice.password"), random_text(9) + "\n");
  password_ = trimmed(read_file(path("alice.password")).value_or(""));
  planner_ = loopback_url(free_port(preferred_port));
  do {
    mail_ = loopback_url(free_port(preferred_port == 0 ? 0 : preferred_port + 1));
  } while (mail_ == planner_);
}

World::~World() {
  for (const pid_t guard : guards_) stop_child(guard);
  stop_child(server_);
  std::error_code ignored;
  if (is_temporary_) std::filesystem::remove_all(folder_, ignored);
}

void World::load_keys(const std::string& agent, crypto::SigningKey& key) {
  const std::string file = path(agent + ".key");
  if (const auto text = read_file(file)) {
    const auto jwk = json::parse(*text);
    auto imported = jwk ? crypto::SigningKey::import(*jwk) : Refused{crypto::KeyFault::kMalformed};
    if (!imported) throw std::runtime_error(file + " is no private key");
    key = std::move(*imported);
  } else {
    key = crypto::SigningKey::generate(crypto::Algorithm::kES256);
    write_private_file(file, json::write(key.private_jwk()));
  }
  json::Value set;
  set.set("keys", json::Value::Array{key.public_jwk()});
  write_private_file(path(agent + ".jwks"), json::write_pretty(set));
}

void World::write_state() const {
  write_private_file(path("state.toml"), filled(kState, {{"@PLANNER@", planner_}, {"@MAIL@", mail_}}));
}

void World::write_guard(const std::string& name, const std::string& url, std::string_view scopes,
                        std::string_view policy) const {
  write_private_file(path(name + ".policy.toml"), policy);
  write_private_file(path(name + ".guard.toml"),
                     filled(kGuard, {{"@NAME@", name},
                                     {"@ISSUER@", issuer_},
                                     {"@URL@", url},
                                     {"@SCOPES@", std::string(scopes)},
                                     {"@PORT@", url.substr(url.rfind(':') + 1)}}));
}

pid_t World::start_child(const std::string& word, const std::string& config, const std::string& log) const {
  // Nothing between fork and exec but calls that are safe there: other threads exist.
  const int output = ::open(path(log).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (output < 0) fail(path(log));
  const std::string option = "--config=" + config;
  const char* arguments[] = {"behalf", word.c_str(), option.c_str(), nullptr};
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (::getppid() != parent) ::_exit(kUnreachable);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    ::execv("/proc/self/exe", const_cast<char* const*>(arguments));
    ::_exit(kUnreachable);
  }
  ::close(output);
  return child;
}

void World::start_server(int preferred_port) {
  const uint16_t port = free_port(preferred_port);
  issuer_ = loopback_url(port);
  write_private_file(config_path_, sample_config(issuer_, port));
  write_state();
  server_ = start_child("serve", config_path_, "server.log");
  wait_until_ready(server_, issuer_, "server.log");
  ApplyOptions options;
  options.config_path = config_path_;
  options.state_path = path("state.toml");
  options.prune = true;
  if (app::apply(options) != kOk) throw std::runtime_error("the state could not be applied");
}

void World::start_guards() {
  write_guard("planner", planner_, R"("calendar.read", "calendar.write", "mail.read")", kPlannerPolicy);
  write_guard("mail", mail_, R"("mail.read")", kMailPolicy);
  for (const std::string name : {"planner", "mail"})
    guards_.push_back(start_child("guard", path(name + ".guard.toml"), name + "-guard.log"));
  wait_until_ready(guards_[0], planner_, "planner-guard.log");
  wait_until_ready(guards_[1], mail_, "mail-guard.log");
}

void World::wait_until_ready(pid_t& child, const std::string& url, const std::string& log) const {
  const auto give_up = std::chrono::steady_clock::now() + kReadyWithin;
  while (std::chrono::steady_clock::now() < give_up) {
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) == child) {
      child = -1;
      throw std::runtime_error("a process ended at once: " + trimmed(read_file(path(log)).value_or("")));
    }
    try {
      if (http::fetch(url + "/readyz", {}).status == 200) return;
    } catch (const std::runtime_error&) {  // it does not listen yet
    }
    std::this_thread::sleep_for(kReadyPoll);
  }
  throw std::runtime_error(url + " did not become ready; see " + path(log));
}

std::string World::basic(const std::string& client) const {
  const auto secret = read_file(path(client + ".secret"));
  if (!secret) throw std::runtime_error(path(client + ".secret") + " cannot be read");
  return "Basic " + base64(client + ":" + trimmed(*secret));
}

std::string World::sign(const crypto::SigningKey& key, const std::string& identity, json::Value extra) const {
  const int64_t now = SystemClock().now().seconds();
  extra.set("iss", identity);
  extra.set("sub", identity);
  extra.set("aud", issuer_);
  extra.set("iat", now);
  extra.set("exp", now + kProofSeconds);
  extra.set("jti", random_text(16));
  return crypto::sign_jwt(key, "jwt", json::write(extra));
}

std::string World::proof(const std::string& agent, const std::string& code) const {
  json::Value bound;
  bound.set("client_id", kPlanner);
  if (!code.empty()) {  // the left half of its SHA-256, as `c_hash` is made (OIDC Core §3.3.2.11)
    const Digest digest = crypto::sha256(code);
    bound.set("c_hash", base64url(std::span(digest).first(digest.size() / 2)));
  }
  return sign(agent == kCalendarAgent ? calendar_key_ : search_key_, agent, std::move(bound));
}

std::string World::runtime_assertion() const { return sign(calendar_key_, kRuntime, json::Value{}); }

}  // namespace behalf::app
