// Starting, filling and ending the server under measurement.
#include "server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "app/config.h"
#include "base/file.h"
#include "load.h"

namespace behalf::bench {
namespace {

constexpr long kTmpfs = 0x01021994;

constexpr const char* kState = R"([[user]]
id = "user-alice"
username = "alice"
display_name = "Alice Example"
password_file = "alice.pw"

[[agent]]
id = "agent-calendar"
name = "Calendar Agent"
publisher = "Example Agents Ltd"
scopes = ["mail.read", "calendar.write"]
clients = ["planner"]
onward = { to = ["agent-search"], depth = 2 }
refresh_lifetime = "8h"
bearer_actor_tokens = true
jwks_file = "agent-calendar.jwks"

[[agent]]
id = "agent-search"
name = "Search Agent"
publisher = "Example Agents Ltd"
scopes = ["mail.read"]
clients = ["planner"]
bearer_actor_tokens = true
jwks_file = "agent-search.jwks"

[[client]]
id = "planner"
name = "Planner"
secret_file = "planner.secret"
redirect_uris = ["http://127.0.0.1/callback"]
grant_types = ["authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"]
scopes = ["mail.read", "calendar.write"]

[[client]]
id = "calendar-runtime"
name = "Calendar Agent runtime"
secret_file = "calendar-runtime.secret"
grant_types = ["client_credentials"]
agent = "agent-calendar"
scopes = ["mail.read"]

[[client]]
id = "search-runtime"
name = "Search Agent runtime"
secret_file = "search-runtime.secret"
grant_types = ["client_credentials"]
agent = "agent-search"
scopes = ["mail.read"]

[[client]]
id = "planner-guard"
name = "The Planner API's guard"
secret_file = "planner-guard.secret"
grant_types = ["client_credentials"]
resource = "https://api.example/planner"
scopes = ["behalf.signals"]

[[resource]]
id = "https://api.example/planner"
name = "Planner API"
scopes = [ {name="mail.read", title="Read your mail"}, {name="calendar.write", title="Book meetings"} ]
)";

bool is_listening(uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool connected = ::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(socket);
  return connected;
}

std::string text_of(const std::filesystem::path& path) {
  auto text = read_file(path.string());
  if (!text) throw std::runtime_error(path.string() + " cannot be read");
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *text;
}

}  // namespace

uint16_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool found = socket >= 0 && ::bind(socket, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(socket);
  if (!found) throw std::runtime_error("no free port on 127.0.0.1");
  return ntohs(address.sin_port);
}

double cpu_seconds_of(pid_t process) {
  double nanoseconds = 0;
  for (const auto& thread :
       std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
    std::ifstream file(thread.path() / "schedstat");
    double on_cpu = 0;
    if (file >> on_cpu) nanoseconds += on_cpu;
  }
  return nanoseconds / 1e9;
}

Server::Server(std::string binary, const std::filesystem::path& parent, const AgentKeys& keys)
    : binary_(std::move(binary)), port_(free_port()) {
  if (::access(binary_.c_str(), X_OK) != 0)
    throw std::runtime_error(binary_ + " is not there; build it first");
  std::filesystem::create_directories(parent);
  struct statfs system {};
  if (::statfs(parent.c_str(), &system) != 0 || system.f_type == kTmpfs) {
    throw std::runtime_error(parent.string() + " is not on a disk");
  }
  std::string name = (parent / "server-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  folder_ = name;
  try {
    serve();
    for (const auto& [agent, key] : keys) {
      json::Value set;
      set.set("keys", json::Value::Array{key.public_jwk()});
      app::write_private_file((folder_ / (agent + ".jwks")).string(), json::write(set));
    }
    app::write_private_file((folder_ / "alice.pw").string(), "correct horse battery");
    app::write_private_file((folder_ / "state.toml").string(), kState);
    run({"apply", (folder_ / "state.toml").string(), "--config", (folder_ / "behalf.toml").string()});
  } catch (...) {
    end();
    throw;
  }
}

Server::~Server() { end(); }

void Server::end() {
  if (process_ > 0) {
    ::kill(process_, SIGTERM);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
  }
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

std::string Server::secret_of(const std::string& client) const {
  return text_of(folder_ / (client + ".secret"));
}

// Starts the binary with its output in a file beside the store, bound to end with us.
pid_t Server::start(const std::string& binary, const std::vector<std::string>& words) const {
  const std::string log = (folder_ / "log").string();
  std::vector<std::string> kept = words;
  kept.insert(kept.begin(), binary);
  std::vector<char*> arguments;
  for (std::string& word : kept) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    pin_this_thread(kServerCore);
    ::execv(binary.c_str(), arguments.data());
    ::_exit(127);
  }
  return child;
}

void Server::run(const std::vector<std::string>& words) const {
  int status = 0;
  if (::waitpid(start(binary_, words), &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw std::runtime_error("behalf " + words.front() + " failed: " + text_of(folder_ / "log"));
  }
}

void Server::serve() {
  run({"init", folder_.string(), "--port", std::to_string(port_)});
  const std::string path = (folder_ / "behalf.toml").string();
  std::string config = text_of(path);
  const std::string listen = "[listen]\n";
  const size_t at = config.find(listen);
  if (at == std::string::npos) throw std::runtime_error("the sample configuration has no [listen]");
  config.insert(at + listen.size(), "threads = 1\n");
  // Codes are made before the clock starts and redeemed after.
  config += "\n[lifetimes]\ncode = \"600s\"\n";
  app::write_private_file(path, config);
  process_ = start(binary_, {"serve", "--config", path});
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!is_listening(port_)) {
    if (::waitpid(process_, nullptr, WNOHANG) == process_ || std::chrono::steady_clock::now() > patience) {
      throw std::runtime_error("behalf serve did not start: " + text_of(folder_ / "log"));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace behalf::bench
