#include "guard.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "app/config.h"
#include "http/client.h"
#include "http/server.h"
#include "load.h"

namespace behalf::bench {
namespace {

constexpr const char* kPolicy = R"([[rule]]
name = "health"
effect = "allow"
methods = ["GET"]
paths = ["/health"]
token = "none"

[[rule]]
name = "book"
effect = "allow"
methods = ["POST"]
paths = ["/meetings"]
actor = "required"
scopes = ["calendar.write"]

[[rule]]
name = "read mail"
effect = "allow"
methods = ["GET"]
paths = ["/mail/{folder}", "/mail/{folder}/{message}"]
actors = ["agent-calendar", "agent-search"]
scopes = ["mail.read"]
)";

std::string config_of(const Server& server, uint16_t port) {
  return "policy = \"guard.policy.toml\"\ndialect = \"nginx\"\n\n[server]\nissuer = \"" + server.issuer() +
         "\"\nclient_id = \"planner-guard\"\nclient_secret_file = \"planner-guard.secret\"\n\n[resource]\nid "
         "= "
         "\"https://api.example/planner\"\n\n[listen]\nport = " +
         std::to_string(port) +
         "\nthreads = 1\n\n[decide]\ncredential = \"none\"\n\n[evidence]\nfile = \"evidence.jsonl\"\n";
}

bool is_ready(uint16_t port) {
  try {
    return http::fetch("http://127.0.0.1:" + std::to_string(port) + "/readyz", {}).status == 200;
  } catch (const std::runtime_error&) {
    return false;
  }
}

void wait_until_ready(uint16_t port, const std::string& log) {
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!is_ready(port)) {
    if (std::chrono::steady_clock::now() > patience)
      throw std::runtime_error("no readiness: " + app::read_file(log).value_or(""));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

Task<http::Response> echo(http::Request&) { co_return http::text_response(200, ""); }

}  // namespace

Child::~Child() {
  if (process_ <= 0) return;
  ::kill(process_, SIGTERM);
  ::waitpid(process_, nullptr, 0);
}

double Child::resident_megabytes() const {
  std::ifstream file("/proc/" + std::to_string(process_) + "/statm");
  double all = 0;
  double resident = 0;
  file >> all >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

Listening start_guard(const std::string& binary, const Server& server) {
  const uint16_t port = free_port();
  app::write_private_file(server.path_of("guard.policy.toml"), kPolicy);
  app::write_private_file(server.path_of("guard.toml"), config_of(server, port));
  Listening guard{Child(server.start_beside(binary, {"guard", "--config", server.path_of("guard.toml")})),
                  port};
  wait_until_ready(port, server.path_of("log"));
  return guard;
}

Listening start_echo() {
  const uint16_t port = free_port();
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    pin_this_thread(kServerCore);
    http::Listen listen;
    listen.address = "127.0.0.1";
    listen.port = port;
    const http::Server server(listen, {}, 1, http::Handler(echo));
    for (;;) ::pause();
  }
  Listening started{Child(child), port};
  wait_until_ready(port, "");
  return started;
}

std::string guarded_request(const std::string& token) {
  return "GET /decide HTTP/1.1\r\nHost: guard\r\nX-Original-Method: GET\r\nX-Original-URI: "
         "/mail/inbox/42\r\nAuthorization: Bearer " +
         token + "\r\n\r\n";
}

}  // namespace behalf::bench
