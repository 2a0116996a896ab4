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
#include "base/environment.h"
#include "base/file.h"
#include "behalf/challenge.h"
#include "behalf/keys.h"
#include "behalf/verifier.h"
#include "guard/asked.h"
#include "guard/config.h"
#include "guard/judge.h"
#include "guard/policy_file.h"
#include "guard/record.h"
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
      throw std::runtime_error("no readiness: " + read_file(log).value_or(""));
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

struct Decisions::Parts {
  explicit Parts(const Server& server)
      : settings(read(server.path_of("guard.toml"))),
        keys({.issuer = settings.server.issuer}),
        verifier({.issuer = settings.server.issuer, .audiences = {settings.resource.id}}, keys, nullptr),
        judge(settings, verifier, sdk::Challenger("https://api.example/metadata"), {}),
        policy(settings.policy,
               [this](std::shared_ptr<const sdk::Policy> read) { judge.use(std::move(read)); }) {
    if (const std::string trouble = keys.refresh_now(); !trouble.empty())
      throw std::runtime_error("no keys: " + trouble);
  }
  static guard::Settings read(const std::string& path) {
    auto settings = guard::read_settings(path);
    if (!settings) throw std::runtime_error(settings.reason());
    return std::move(settings).value();
  }

  const guard::Settings settings;
  sdk::KeySource keys;
  sdk::Verifier verifier;
  guard::Judge judge;
  guard::PolicyFile policy;
};

Decisions::Decisions(const Server& server) : parts_(std::make_unique<Parts>(server)) {}
Decisions::~Decisions() = default;

std::vector<double> Decisions::decide(const std::vector<std::string>& tokens) {
  using Steady = std::chrono::steady_clock;
  std::vector<double> milliseconds;
  milliseconds.reserve(tokens.size());
  const SystemClock clock;
  for (const std::string& token : tokens) {
    const std::string authorization = "Bearer " + token;
    const auto start = Steady::now();
    guard::Asked asked;
    asked.method = "GET";
    asked.path = "/mail/inbox/42";
    asked.authorization = {authorization};
    asked.peer = "127.0.0.1";
    const guard::Ruling ruling = parts_->judge.rule(asked, guard::Size::kFits, clock.now().milliseconds);
    const std::string record = guard::json_line(ruling.record);
    milliseconds.push_back(std::chrono::duration<double, std::milli>(Steady::now() - start).count());
    if (!ruling.allowed || record.empty()) throw std::runtime_error("a good token was refused: " + record);
  }
  return milliseconds;
}

std::string guarded_request(const std::string& token) {
  return "GET /decide HTTP/1.1\r\nHost: guard\r\nX-Original-Method: GET\r\nX-Original-URI: "
         "/mail/inbox/42\r\nAuthorization: Bearer " +
         token + "\r\n\r\n";
}

}  // namespace behalf::bench
