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

// What `behalf apply` is given; @API@ is where the demo's APIs listen.
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
grant_types = ["urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:token-exchange"]
resource = "@API@/planner"
scopes = ["mail.read"]

[[client]]   # the Mail API, which only asks about tokens
id = "mail-api"
name = "Mail API"
secret_file = "mail-api.secret"
resource = "@API@/mail"

[[resource]]
id = "@API@/planner"
name = "Planner API"
scopes = [
  { name = "calendar.read", title = "See your calendar" },
  { name = "calendar.write", title = "Book meetings", description = "Creates and changes events in your calendar." },
  { name = "mail.read", title = "Read your mail", description = "To find what meetings are about." },
]

[[resource]]
id = "@API@/mail"
name = "Mail API"
scopes = [ { name = "mail.read", title = "Read your mail" } ]
)toml";

}  // namespace

std::string random_text(size_t bytes) {
  std::string text(bytes, '\0');
  crypto::SystemRandom().fill({reinterpret_cast<unsigned char*>(text.data()), text.size()});
  return base64url(text);
}

World::World(const std::string& folder) {
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
}

World::~World() {
  stop_server();
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
  constexpr std::string_view kPlace = "@API@";
  std::string text(kState);
  for (size_t at; (at = text.find(kPlace)) != std::string::npos;) text.replace(at, kPlace.size(), api);
  write_private_file(path("state.toml"), text);
}

void World::start_server(int preferred_port) {
  const uint16_t port = free_port(preferred_port);
  issuer_ = "http://127.0.0.1:" + std::to_string(port);
  write_private_file(config_path_, sample_config(issuer_, port));
  write_state();

  // Nothing between fork and exec but calls that are safe there: other threads exist.
  const int log = ::open(path("server.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) fail(path("server.log"));
  const std::string config = "--config=" + config_path_;
  const char* arguments[] = {"behalf", "serve", config.c_str(), nullptr};
  const pid_t parent = ::getpid();
  server_ = ::fork();
  if (server_ < 0) fail("fork");
  if (server_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (::getppid() != parent) ::_exit(kUnreachable);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::execv("/proc/self/exe", const_cast<char* const*>(arguments));
    ::_exit(kUnreachable);
  }
  ::close(log);
  wait_until_ready();
  ApplyOptions options;
  options.config_path = config_path_;
  options.state_path = path("state.toml");
  options.prune = true;
  if (app::apply(options) != kOk) throw std::runtime_error("the state could not be applied");
}

void World::wait_until_ready() {
  const auto give_up = std::chrono::steady_clock::now() + kReadyWithin;
  while (std::chrono::steady_clock::now() < give_up) {
    int status = 0;
    if (::waitpid(server_, &status, WNOHANG) == server_) {
      server_ = -1;
      throw std::runtime_error("the server ended at once: " +
                               trimmed(read_file(path("server.log")).value_or("")));
    }
    try {
      if (http::fetch(issuer_ + "/readyz", {}).status == 200) return;
    } catch (const std::runtime_error&) {  // it does not listen yet
    }
    std::this_thread::sleep_for(kReadyPoll);
  }
  throw std::runtime_error("the server did not become ready; see " + path("server.log"));
}

void World::stop_server() {
  if (server_ <= 0) return;
  ::kill(server_, SIGTERM);
  int status = 0;
  while (::waitpid(server_, &status, 0) < 0 && errno == EINTR) {
  }
  server_ = -1;
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
